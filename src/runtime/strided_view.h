// SPDX-License-Identifier: MIT
// Strided views of memory: what is wrong with one, whether two share a byte,
// and copying. Standard library only, no exceptions thrown, nothing allocated
// but the text of a refusal: the ExecuTorch library is built from this too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sotto::cross_attn {

inline constexpr int kMaxRank = 16;

// A strided view of memory somebody else owns. `dtype` is any number that
// tells the types of one caller apart; only equality is asked of it. Strides
// are in elements, may be padded or permuted, and are ignored where a size is
// 0 or 1.
struct View {
  void* data = nullptr;
  int dtype = 0;
  const char* dtype_name = "";  // for messages
  size_t element_bytes = 0;
  int rank = 0;
  int64_t sizes[kMaxRank] = {};
  int64_t strides[kMaxRank] = {};
};

bool IsEmpty(const View& v);
// "[1,6,1500,64]".
std::string SizesText(const View& v);
std::string StridesText(const View& v);

// What is wrong with the view by itself, in one line; empty where nothing is.
std::string CheckView(const char* name, const View& v);
// Whether the same index means the same element, for all indices of `a`. For
// views of one rank.
bool SameElements(const View& a, const View& b);
// Whether two indices of the view mean one element.
bool OverlapsItself(const View& v);
// True where the two share a byte. Exact for the layouts of real tensors: the
// search of an element of each at one address is bounded, and views so
// entangled that the bound is reached count as overlapping.
bool Overlap(const View& a, const View& b);

// Copies every element of `from` to the same index of `to`, whole contiguous
// runs by memcpy. Returns the bytes moved: none where both are the same
// elements. The two must not overlap otherwise.
uint64_t Copy(const View& from, const View& to);

}  // namespace sotto::cross_attn
