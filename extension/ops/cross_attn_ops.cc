// SPDX-License-Identifier: MIT
// libsotto_cross_attn_ops: `executorch::alias` and
// `executorch::update_cross_attn_cache`, functional and out forms, for Sotto's
// programs of operators. What they mean is runtime/cross_attn_cache.h, the same
// as in the ExecuTorch library.
#include <stdexcept>
#include <string>
#include <tuple>

#include "runtime/cross_attn_cache.h"
#include "sotto/ops.hpp"

namespace {

using sotto::cross_attn::Counters;
using sotto::cross_attn::View;
using sotto::ops::Context;
using sotto::ops::Op;
using sotto::ops::Tensor;

struct DTypeInfo {
  const char* name;
  size_t bytes;
};
// In the order of sotto_op_dtype.
constexpr DTypeInfo kDTypes[] = {
    {"f32", 4}, {"f16", 2}, {"bf16", 2}, {"f64", 8}, {"i8", 1},
    {"u8", 1},  {"i16", 2}, {"i32", 4},  {"i64", 8}, {"bool", 1}};

View ViewOf(const Tensor& tensor, const char* name) {
  if (tensor.dtype < 0 || tensor.dtype > SOTTO_OP_BOOL || tensor.rank < 0 ||
      tensor.rank > SOTTO_OPS_MAX_RANK)
    throw std::invalid_argument(
        std::string(name) + " has dtype " + std::to_string(tensor.dtype) +
        " and rank " + std::to_string(tensor.rank) + ", which are unknown");
  View view;
  view.data = tensor.data;
  view.dtype = tensor.dtype;
  const DTypeInfo& info = kDTypes[tensor.dtype];
  view.dtype_name = info.name;
  view.element_bytes = info.bytes;
  view.rank = tensor.rank;
  for (int i = 0; i < tensor.rank; ++i) {
    view.sizes[i] = tensor.sizes[i];
    view.strides[i] = tensor.strides[i];
  }
  return view;
}

void Require(const std::string& refusal) {
  if (!refusal.empty()) throw std::invalid_argument(refusal);
}

void Report(const Counters& counters, const Context& context) {
  context.Count(SOTTO_OP_BYTES_WRITTEN, counters.value_bytes_written);
  context.Count(SOTTO_OP_BYTES_COPIED,
                counters.alias_bytes_copied + counters.out_bytes_copied);
}

bool IsView(const Tensor& tensor) {
  return (tensor.flags & SOTTO_OP_TENSOR_IS_VIEW) != 0;
}

// `out`, were it to show what `in` does: its own type over that memory.
Tensor Pointed(const Tensor& out, const Tensor& in) {
  Tensor pointed = out;
  pointed.data = in.data;
  for (int i = 0; i < in.rank && i < SOTTO_OPS_MAX_RANK; ++i)
    pointed.strides[i] = in.strides[i];
  return pointed;
}

// alias(x, y) -> (x, y): the same memory.
std::tuple<Tensor, Tensor> Alias(const Tensor& x, const Tensor& y) {
  return {x, y};
}

// A view is pointed at its input; memory of its own is copied to.
void AliasOut(Context& context, const Tensor& x, const Tensor& y, Tensor& out_x,
              Tensor& out_y) {
  const Tensor to_x = IsView(out_x) ? Pointed(out_x, x) : out_x;
  const Tensor to_y = IsView(out_y) ? Pointed(out_y, y) : out_y;
  const View in_x = ViewOf(x, "x"), in_y = ViewOf(y, "y");
  const View view_x = ViewOf(to_x, "out_x"), view_y = ViewOf(to_y, "out_y");
  // Both before either is touched.
  Require(sotto::cross_attn::CheckAliasOut(in_x, view_x));
  Require(sotto::cross_attn::CheckAliasOut(in_y, view_y));
  Counters counters;
  sotto::cross_attn::AliasOut(in_x, view_x, &counters);
  sotto::cross_attn::AliasOut(in_y, view_y, &counters);
  out_x = to_x;
  out_y = to_y;
  Report(counters, context);
}

// update_cross_attn_cache(value, cache) -> cache, written in place.
Tensor Update(Context& context, const Tensor& value, Tensor& cache) {
  const View from = ViewOf(value, "value"), to = ViewOf(cache, "cache");
  Require(sotto::cross_attn::CheckUpdate(from, to));
  Counters counters;
  sotto::cross_attn::UpdateInPlace(from, to, &counters);
  Report(counters, context);
  return cache;
}

// The cache in place; then `out` shows it, or has a copy where it has memory of
// its own.
void UpdateOut(Context& context, const Tensor& value, Tensor& cache,
               Tensor& out) {
  const Tensor to_out = IsView(out) ? Pointed(out, cache) : out;
  const View from = ViewOf(value, "value"), to = ViewOf(cache, "cache");
  const View copy = ViewOf(to_out, "out");
  Require(sotto::cross_attn::CheckUpdateOut(from, to, copy));
  Counters counters;
  sotto::cross_attn::UpdateOut(from, to, copy, &counters);
  out = to_out;
  Report(counters, context);
}

constexpr sotto_op kOps[] = {
    Op<Alias>("executorch::alias"),
    Op<AliasOut>("executorch::alias.out"),
    Op<Update>("executorch::update_cross_attn_cache"),
    Op<UpdateOut>("executorch::update_cross_attn_cache.out"),
};
constexpr sotto_ops_library kLibrary = {
    SOTTO_OPS_ABI, sizeof(sotto_ops_library),     "cross_attn", "1",
    kOps,          sizeof(kOps) / sizeof(kOps[0])};

}  // namespace

const sotto_ops_library* sotto_ops_entry(void) { return &kLibrary; }
