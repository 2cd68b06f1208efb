// SPDX-License-Identifier: MIT
// The two operators as the runtime calls them: a stack of values, boxed by
// hand, since upstream's macro takes neither two outputs nor a second mutable
// tensor. A wrong call fails through the context; nothing here ends the
// process.
#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/span.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>

#include "extension/executorch/sotto_executorch.h"

namespace sotto::pte {

using ::executorch::runtime::EValue;
using ::executorch::runtime::KernelRuntimeContext;
using ::executorch::runtime::Span;

inline constexpr const char* kAliasName = "executorch::alias.out";
inline constexpr const char* kUpdateName =
    "executorch::update_cross_attn_cache.out";

// Stack: x, y, out_x, out_y, and from the emitter the list of both outs.
void AliasKernel(KernelRuntimeContext& context, Span<EValue*> stack);
// Stack: value, cache, out, and from the emitter `out` again.
void UpdateKernel(KernelRuntimeContext& context, Span<EValue*> stack);

sotto_executorch_counts ReadCounts();
void ResetCounts();

}  // namespace sotto::pte
