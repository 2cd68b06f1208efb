// SPDX-License-Identifier: MIT
// Libraries of operators as bad as they get, for runner_test.py: one takes a
// name that the runtime has (SOTTO_BAD_OPS 1; the registry aborts), one writes
// where nothing is (2), one refuses every call (3).
#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <executorch/runtime/kernel/operator_registry.h>

namespace {

namespace et = executorch::runtime;

constexpr const char* kName = SOTTO_BAD_OPS == 1
                                  ? "aten::add.out"
                                  : "executorch::update_cross_attn_cache.out";

void Run(et::KernelRuntimeContext& context, et::Span<et::EValue*>) {
  if (SOTTO_BAD_OPS == 2) {
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
  }
  context.fail(et::Error::InvalidArgument);
}

[[maybe_unused]] const auto kRegistered =
    et::register_kernel(et::Kernel(kName, &Run));

}  // namespace
