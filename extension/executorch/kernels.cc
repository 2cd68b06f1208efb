// SPDX-License-Identifier: MIT
#include "extension/executorch/kernels.h"

#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/platform/log.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <string>

#include "extension/executorch/kept_memory.h"
#include "extension/executorch/writable.h"
#include "runtime/cross_attn_cache.h"

namespace sotto::pte {
namespace {

using ::executorch::aten::Tensor;
using ::executorch::runtime::Error;
namespace et = ::executorch::runtime;

std::mutex counts_mutex;
cross_attn::Counters moved;
uint64_t repointed = 0;
uint64_t refused = 0;

void Count(const cross_attn::Counters& c, uint64_t outs_repointed) {
  const std::lock_guard lock(counts_mutex);
  moved.alias_calls += c.alias_calls;
  moved.update_calls += c.update_calls;
  moved.alias_bytes_copied += c.alias_bytes_copied;
  moved.value_bytes_written += c.value_bytes_written;
  moved.out_bytes_copied += c.out_bytes_copied;
  repointed += outs_repointed;
}

// A call that cannot be done: why, and the runtime's code for it.
struct Refusal {
  Error error = Error::Ok;
  std::string why;
  explicit operator bool() const { return error != Error::Ok; }
};

cross_attn::View ViewOf(const Tensor& t) {
  cross_attn::View view{.data = t.mutable_data_ptr(),
                        .dtype = static_cast<int>(t.scalar_type()),
                        .dtype_name = et::toString(t.scalar_type()),
                        .element_bytes = static_cast<size_t>(t.element_size()),
                        .rank = static_cast<int>(t.dim())};
  // The check of the rank is the caller's; this only stays inside.
  const int rank = std::min(view.rank, cross_attn::kMaxRank);
  for (int i = 0; i < rank; ++i) {
    const auto at = static_cast<size_t>(i);
    view.sizes[i] = t.sizes()[at];
    view.strides[i] = t.strides()[at];
  }
  return view;
}

// The stack holds `count` tensors, named for the message, and at most one
// entry more.
Refusal CheckStack(Span<EValue*> stack, size_t count,
                   const char* const* names) {
  if (stack.size() != count && stack.size() != count + 1)
    return {Error::InvalidProgram,
            std::to_string(stack.size()) + " arguments, want " +
                std::to_string(count) + " or " + std::to_string(count + 1)};
  for (size_t i = 0; i < count; ++i) {
    const std::string name = names[i];
    if (stack[i] == nullptr || !stack[i]->isTensor())
      return {Error::InvalidType, name + " is no tensor"};
    if (stack[i]->toTensor().device_type() !=
        ::executorch::aten::DeviceType::CPU)
      return {Error::NotSupported, name + " is not in the CPU's memory"};
  }
  return {};
}

// Gives an out of bounded dynamic shape the sizes it is to have.
Refusal Resize(const char* name, const Tensor& out, const Tensor& like) {
  if (out.shape_dynamism() == et::TensorShapeDynamism::STATIC) return {};
  const Error error = et::resize_tensor(out, like.sizes());
  if (error == Error::Ok) return {};
  return {error, std::string(name) + " cannot take the sizes of its input"};
}

bool SameLayout(const Tensor& a, const Tensor& b) {
  return std::equal(a.strides().begin(), a.strides().end(), b.strides().begin(),
                    b.strides().end());
}

enum class Way {
  kCopy,     // also where nothing need be moved
  kRepoint,  // the out is made to show the argument's memory
  kRefuse,
};

// How `out` comes to hold what `in` holds. Both passed the checks.
Way WayOf(const Tensor& in, const Tensor& out) {
  if (in.const_data_ptr() == out.const_data_ptr() || in.nbytes() == 0)
    return Way::kCopy;
  if (IsKept(in.const_data_ptr(), in.nbytes()) && SameLayout(in, out))
    return Way::kRepoint;
  // note: an out in kept memory was made to show another buffer before;
  // copying would write through it into that buffer.
  return IsKept(out.const_data_ptr(), out.nbytes()) ? Way::kRefuse : Way::kCopy;
}

Refusal RefuseKept(const char* name) {
  return {Error::InvalidState,
          std::string(name) +
              " shows kept memory, its input is not kept; want both kept"};
}

Refusal Repoint(const char* name, const Tensor& in, const Tensor& out) {
  const Error error =
      et::internal::set_tensor_data(out, in.mutable_data_ptr(), in.nbytes());
  if (error == Error::Ok) return {};
  return {error, std::string(name) + " cannot be made to show its input"};
}

Refusal DoAlias(Span<EValue*> stack) {
  constexpr const char* kNames[] = {"x", "y", "out_x", "out_y"};
  if (Refusal r = CheckStack(stack, 4, kNames)) return r;
  const Tensor* in[] = {&stack[0]->toTensor(), &stack[1]->toTensor()};
  const Tensor* out[] = {&stack[2]->toTensor(), &stack[3]->toTensor()};
  cross_attn::View in_view[2], out_view[2];
  Way ways[2];
  for (int i = 0; i < 2; ++i) {
    if (Refusal r = Resize(kNames[2 + i], *out[i], *in[i])) return r;
    in_view[i] = ViewOf(*in[i]);
    out_view[i] = ViewOf(*out[i]);
    // By itself first: ways are only asked of pairs that fit.
    std::string why = cross_attn::CheckAliasOut(in_view[i], out_view[i]);
    if (!why.empty())
      return {Error::InvalidArgument,
              std::string(i == 0 ? "x: " : "y: ") + why};
    ways[i] = WayOf(*in[i], *out[i]);
    if (ways[i] == Way::kRefuse) return RefuseKept(kNames[2 + i]);
    if (ways[i] == Way::kRepoint) out_view[i] = in_view[i];
  }
  std::string why = cross_attn::CheckAliasOut(in_view[0], in_view[1],
                                              out_view[0], out_view[1]);
  if (!why.empty()) return {Error::InvalidArgument, std::move(why)};
  cross_attn::Counters counters;
  cross_attn::AliasOut(in_view[0], in_view[1], out_view[0], out_view[1],
                       &counters);
  uint64_t shown = 0;
  for (int i = 0; i < 2; ++i) {
    if (ways[i] != Way::kRepoint) continue;
    if (Refusal r = Repoint(kNames[2 + i], *in[i], *out[i])) return r;
    ++shown;
  }
  Count(counters, shown);
  return {};
}

Refusal DoUpdate(Span<EValue*> stack) {
  constexpr const char* kNames[] = {"value", "cache", "out"};
  if (Refusal r = CheckStack(stack, 3, kNames)) return r;
  const Tensor& value = stack[0]->toTensor();
  const Tensor& cache = stack[1]->toTensor();
  const Tensor& out = stack[2]->toTensor();
  if (stack.size() == 4 &&
      (stack[3] == nullptr || !stack[3]->isTensor() ||
       stack[3]->toTensor().unsafeGetTensorImpl() != out.unsafeGetTensorImpl()))
    return {Error::InvalidProgram, "the value returned is not out"};
  if (Refusal r = Resize("out", out, cache)) return r;
  const cross_attn::View value_view = ViewOf(value), cache_view = ViewOf(cache),
                         out_view = ViewOf(out);
  std::string why =
      cross_attn::CheckUpdateOut(value_view, cache_view, out_view);
  if (!why.empty()) return {Error::InvalidArgument, std::move(why)};
  if (value.nbytes() > 0 && !IsWritable(cache.mutable_data_ptr()))
    return {Error::InvalidProgram,
            "cache is in read-only memory, as a buffer is that the program "
            "does not declare mutated; want cache.copy_(result) in the model"};
  cross_attn::Counters counters;
  uint64_t shown = 0;
  switch (WayOf(cache, out)) {
    case Way::kRefuse:
      return RefuseKept("out");
    case Way::kRepoint:
      if (Refusal r = Repoint("out", cache, out)) return r;
      cross_attn::UpdateInPlace(value_view, cache_view, &counters);
      shown = 1;
      break;
    case Way::kCopy:
      cross_attn::UpdateOut(value_view, cache_view, out_view, &counters);
      break;
  }
  Count(counters, shown);
  return {};
}

// The runtime is built without exceptions: none may reach it.
template <typename Do>
void Run(KernelRuntimeContext& context, const char* name, const Do& run) {
  try {
    const Refusal refusal = run();
    if (!refusal) return;
    ET_LOG(Error, "%s: %s", name, refusal.why.c_str());
    context.fail(refusal.error);
  } catch (const std::exception&) {  // no memory for a message
    context.fail(Error::MemoryAllocationFailed);
  }
  const std::lock_guard lock(counts_mutex);
  ++refused;
}

}  // namespace

void AliasKernel(KernelRuntimeContext& context, Span<EValue*> stack) {
  Run(context, kAliasName, [&] { return DoAlias(stack); });
}

void UpdateKernel(KernelRuntimeContext& context, Span<EValue*> stack) {
  Run(context, kUpdateName, [&] { return DoUpdate(stack); });
}

sotto_executorch_counts ReadCounts() {
  const std::lock_guard lock(counts_mutex);
  return {.alias_calls = moved.alias_calls,
          .update_calls = moved.update_calls,
          .alias_bytes_copied = moved.alias_bytes_copied,
          .value_bytes_written = moved.value_bytes_written,
          .out_bytes_copied = moved.out_bytes_copied,
          .repointed = repointed,
          .refused = refused};
}

void ResetCounts() {
  const std::lock_guard lock(counts_mutex);
  moved = {};
  repointed = 0;
  refused = 0;
}

}  // namespace sotto::pte
