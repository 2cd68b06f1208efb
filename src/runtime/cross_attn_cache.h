// SPDX-License-Identifier: MIT
// The meaning of `executorch::alias` and `executorch::update_cross_attn_cache`,
// once: plain functions over strided views. The ExecuTorch library, Sotto's own
// operator registry and the engine's cross K/V all call these. Standard library
// only, no exceptions thrown: the ExecuTorch library is built from this file
// and must link nothing but its runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/strided_view.h"

namespace sotto::cross_attn {

// What was really moved, added up over calls.
struct Counters {
  uint64_t alias_calls = 0;
  uint64_t update_calls = 0;
  uint64_t alias_bytes_copied = 0;   // alias.out that had to copy
  uint64_t value_bytes_written = 0;  // value elements written into a cache
  uint64_t out_bytes_copied = 0;     // whole caches copied to a distinct out
};

// Each check returns the reason of refusal in one line, naming both values;
// empty where the call is right. Nothing is touched by a check.
//
// value [B,H,S,D] into cache [B,H,S_max,D]: both of rank 4, the same dtype,
// B, H and D, S <= S_max; the cache must not overlap itself, nor the part of
// it that is written the value, unless the two are the same elements.
std::string CheckUpdate(const View& value, const View& cache);
// The same for the out form: `out` is like the cache and is either the same
// memory with the same strides or does not overlap cache or value at all.
std::string CheckUpdateOut(const View& value, const View& cache,
                           const View& out);
// in and out: the same dtype, sizes and dim order; the same memory or none in
// common.
std::string CheckAliasOut(const View& in, const View& out);
// Both pairs of alias.out; an out that must be copied to shares no memory with
// the other pair.
std::string CheckAliasOut(const View& x, const View& y, const View& out_x,
                          const View& out_y);

// In place: writes value into cache[:, :, :S, :]. Only those elements are
// written. The value may be the cache's own prefix (then nothing moves). Must
// have passed CheckUpdate.
void UpdateInPlace(const View& value, const View& cache, Counters* counters);
// UpdateInPlace, then, only where out is other memory, copies the cache to it.
void UpdateOut(const View& value, const View& cache, const View& out,
               Counters* counters);
// Functional: UpdateInPlace, then a row-major copy of the whole cache, kept in
// `storage`. This is what upstream's eager form returns.
View Update(const View& value, const View& cache,
            std::vector<std::byte>* storage, Counters* counters);

// out = in; nothing moves where they are the same memory.
void AliasOut(const View& in, const View& out, Counters* counters);
// Both pairs, counted as one call.
void AliasOut(const View& x, const View& y, const View& out_x,
              const View& out_y, Counters* counters);
// Functional: the two views themselves.
inline std::pair<View, View> Alias(const View& x, const View& y) {
  return {x, y};
}

}  // namespace sotto::cross_attn
