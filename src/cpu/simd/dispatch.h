// SPDX-License-Identifier: MIT
// Picks an entry of a HWY_EXPORT table by our own features instead of the
// machine's, without Highway's global state, so that a test can ask for any
// level. Include after hwy/highway.h, in the HWY_ONCE part.
#pragma once

#include <cstddef>

#include "base/cpu.h"

namespace sotto::cpu {

#if (HWY_TARGETS & (HWY_TARGETS - 1)) == 0
// One instruction set only: tables have one entry.
inline size_t DispatchIndex(const CpuFeatures& /*features*/) { return 0; }
#else
inline size_t DispatchIndex(const CpuFeatures& features) {
  hwy::ChosenTarget chosen;
#if defined(__x86_64__)
  chosen.Update(features.avx512 ? (HWY_AVX3 | HWY_AVX2) : HWY_AVX2);
#else
  (void)features;
  chosen.Update(HWY_TARGETS);
#endif
  return chosen.GetIndex();
}
#endif

}  // namespace sotto::cpu

// Defines the resolver `name` (simd.h) over the exported kernel `function`.
#define SOTTO_RESOLVE(name, args, function)                       \
  HWY_EXPORT(function);                                           \
  KernelOf<args> name(const CpuFeatures& features) {              \
    return HWY_DISPATCH_TABLE(function)[DispatchIndex(features)]; \
  }
