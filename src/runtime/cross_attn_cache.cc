// SPDX-License-Identifier: MIT
#include "runtime/cross_attn_cache.h"

#include <algorithm>
#include <cstdlib>

namespace sotto::cross_attn {
namespace {

std::string Number(int64_t n) { return std::to_string(n); }

std::string CheckDtype(const char* a_name, const View& a, const char* b_name,
                       const View& b) {
  if (a.dtype == b.dtype && a.element_bytes == b.element_bytes) return "";
  return std::string(a_name) + " is " + a.dtype_name + ", " + b_name + " is " +
         b.dtype_name + ", want the same dtype";
}

std::string CheckSizes(const char* a_name, const View& a, const char* b_name,
                       const View& b) {
  if (a.rank == b.rank && std::equal(a.sizes, a.sizes + a.rank, b.sizes))
    return "";
  return std::string(a_name) + " is " + SizesText(a) + ", " + b_name + " is " +
         SizesText(b) + ", want the same sizes";
}

View WrittenPart(const View& value, const View& cache) {
  View part = cache;
  part.sizes[2] = value.sizes[2];
  return part;
}

// The same order of dimensions in memory, where both have one.
bool SameDimOrder(const View& a, const View& b) {
  if (IsEmpty(a)) return true;
  for (int i = 0; i < a.rank; ++i) {
    for (int j = 0; j < i; ++j) {
      if (a.sizes[i] < 2 || a.sizes[j] < 2) continue;
      const int64_t of_a = std::abs(a.strides[i]) - std::abs(a.strides[j]);
      const int64_t of_b = std::abs(b.strides[i]) - std::abs(b.strides[j]);
      if ((of_a < 0 && of_b > 0) || (of_a > 0 && of_b < 0)) return false;
    }
  }
  return true;
}

std::string CheckAlias(const char* in_name, const View& in,
                       const char* out_name, const View& out) {
  std::string why = CheckView(in_name, in);
  if (why.empty()) why = CheckView(out_name, out);
  if (why.empty()) why = CheckDtype(in_name, in, out_name, out);
  if (why.empty()) why = CheckSizes(in_name, in, out_name, out);
  if (!why.empty()) return why;
  if (!SameDimOrder(in, out))
    return std::string(in_name) + " has strides " + StridesText(in) + ", " +
           out_name + " has " + StridesText(out) + ", want the same dim order";
  if (SameElements(in, out)) return "";
  if (OverlapsItself(out))
    return std::string(out_name) + " " + SizesText(out) + " with strides " +
           StridesText(out) + " overlaps itself";
  if (Overlap(in, out))
    return std::string(out_name) + " overlaps " + in_name +
           " in part, want the same memory or none in common";
  return "";
}

}  // namespace

std::string CheckUpdate(const View& value, const View& cache) {
  std::string why = CheckView("value", value);
  if (why.empty()) why = CheckView("cache", cache);
  if (!why.empty()) return why;
  if (value.rank != 4 || cache.rank != 4)
    return "value has rank " + Number(value.rank) + ", cache has rank " +
           Number(cache.rank) + ", want 4 and 4";
  why = CheckDtype("value", value, "cache", cache);
  if (!why.empty()) return why;
  constexpr const char* kNames[] = {"batch size (B)", "number of heads (H)",
                                    nullptr, "head size (D)"};
  for (const int i : {0, 1, 3})
    if (value.sizes[i] != cache.sizes[i])
      return "value has " + std::string(kNames[i]) + " " +
             Number(value.sizes[i]) + ", cache has " + Number(cache.sizes[i]) +
             ", want the same";
  if (value.sizes[2] > cache.sizes[2])
    return "value has " + Number(value.sizes[2]) +
           " positions (S), cache has room for " + Number(cache.sizes[2]) +
           " (S_max), want S <= S_max";
  if (OverlapsItself(cache))
    return "cache " + SizesText(cache) + " with strides " + StridesText(cache) +
           " overlaps itself";
  const View part = WrittenPart(value, cache);
  if (!SameElements(value, part) && Overlap(value, part))
    return "value overlaps the part of the cache it is to be written to, want "
           "the same elements or none in common";
  return "";
}

std::string CheckUpdateOut(const View& value, const View& cache,
                           const View& out) {
  std::string why = CheckUpdate(value, cache);
  if (why.empty()) why = CheckView("out", out);
  if (why.empty()) why = CheckDtype("cache", cache, "out", out);
  if (why.empty()) why = CheckSizes("cache", cache, "out", out);
  if (!why.empty() || SameElements(cache, out)) return why;
  if (OverlapsItself(out))
    return "out " + SizesText(out) + " with strides " + StridesText(out) +
           " overlaps itself";
  if (Overlap(cache, out))
    return "out overlaps the cache in part, want the same memory or none in "
           "common";
  if (Overlap(value, out)) return "out overlaps the value, want none in common";
  return "";
}

std::string CheckAliasOut(const View& in, const View& out) {
  return CheckAlias("in", in, "out", out);
}

std::string CheckAliasOut(const View& x, const View& y, const View& out_x,
                          const View& out_y) {
  std::string why = CheckAlias("x", x, "out_x", out_x);
  if (why.empty()) why = CheckAlias("y", y, "out_y", out_y);
  if (!why.empty()) return why;
  const bool moves_x = !SameElements(x, out_x);
  const bool moves_y = !SameElements(y, out_y);
  if (moves_x && Overlap(out_x, y))
    return "out_x overlaps y, want none in common";
  if (moves_y && Overlap(out_y, x))
    return "out_y overlaps x, want none in common";
  if ((moves_x || moves_y) && Overlap(out_x, out_y))
    return "out_x overlaps out_y, want none in common";
  return "";
}

void UpdateInPlace(const View& value, const View& cache, Counters* counters) {
  const uint64_t bytes = Copy(value, WrittenPart(value, cache));
  if (counters == nullptr) return;
  ++counters->update_calls;
  counters->value_bytes_written += bytes;
}

void UpdateOut(const View& value, const View& cache, const View& out,
               Counters* counters) {
  UpdateInPlace(value, cache, counters);
  const uint64_t bytes = Copy(cache, out);
  if (counters != nullptr) counters->out_bytes_copied += bytes;
}

View Update(const View& value, const View& cache,
            std::vector<std::byte>* storage, Counters* counters) {
  View result = cache;
  int64_t elements = 1;
  for (int i = cache.rank - 1; i >= 0; --i) {
    result.strides[i] = elements;
    elements *= cache.sizes[i];
  }
  storage->resize(static_cast<size_t>(elements) * cache.element_bytes);
  result.data = storage->data();
  UpdateOut(value, cache, result, counters);
  return result;
}

void AliasOut(const View& in, const View& out, Counters* counters) {
  const uint64_t bytes = Copy(in, out);
  if (counters == nullptr) return;
  ++counters->alias_calls;
  counters->alias_bytes_copied += bytes;
}

void AliasOut(const View& x, const View& y, const View& out_x,
              const View& out_y, Counters* counters) {
  AliasOut(x, out_x, counters);
  const uint64_t bytes = Copy(y, out_y);
  if (counters != nullptr) counters->alias_bytes_copied += bytes;
}

}  // namespace sotto::cross_attn
