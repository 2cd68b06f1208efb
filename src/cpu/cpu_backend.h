// SPDX-License-Identifier: MIT
// The CPU as a backend: nodes become steps over the kernels of kernels.def.
#pragma once

#include <memory>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "runtime/backend.h"

namespace sotto {

struct CpuOptions {
  // What kernels may use; HostFeatures() unless a test asks for less.
  CpuFeatures features;
  // Packs weights, and says how many threads scratch is planned for: programs
  // must run on a pool of at most as many. Outlives the backend.
  ThreadPool* pool = nullptr;
  // May the slow reference kernels stand in where no other fits? Always true
  // where `features` has no vectors (SOTTO_CPU=ref).
  bool allow_ref = false;
};

// Matrices read by Linear, Conv1d and Embed are packed in panels, all other
// weights as plain f32, whatever the graph's layout says. A convolution over
// bf16 weights rounds its input to bf16.
std::unique_ptr<Backend> MakeCpuBackend(const CpuOptions& options);

}  // namespace sotto
