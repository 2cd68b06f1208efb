// SPDX-License-Identifier: MIT
#include "runtime/strided_view.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace sotto::cross_attn {
namespace {

// No process maps more; sums of a few such numbers fit 64 bits.
constexpr int64_t kMostBytes = int64_t{1} << 48;

// The bytes of a view lie in [data + low, data + high).
struct Reach {
  int64_t low = 0, high = 0;
};

// False where the view is larger than any memory. Not for empty views.
bool FindReach(const View& v, Reach& reach) {
  const auto bytes = static_cast<int64_t>(v.element_bytes);
  reach = {.low = 0, .high = bytes};
  int64_t total = bytes;
  for (int i = 0; i < v.rank; ++i) {
    if (v.sizes[i] <= 1) continue;
    int64_t far = 0;
    if (__builtin_mul_overflow(total, v.sizes[i], &total) ||
        __builtin_mul_overflow(v.sizes[i] - 1, v.strides[i], &far) ||
        __builtin_mul_overflow(far, bytes, &far))
      return false;
    if (total > kMostBytes || far > kMostBytes || far < -kMostBytes)
      return false;
    (far < 0 ? reach.low : reach.high) += far;
  }
  return true;
}

std::string Number(int64_t n) { return std::to_string(n); }

// One summand step * x, 0 <= x <= most, of a difference of addresses.
struct Term {
  int64_t step = 0, most = 0;
};

// Is there a choice of all x whose sum lies in [low, high]? Takes the largest
// step first, so that for nested layouts each term leaves one or two choices;
// gives up, with yes, after `kMostTries`.
class SumSearch {
 public:
  void Add(int64_t step, int64_t most) {
    if (step == 0 || most == 0) return;
    for (int i = 0; i < count_; ++i) {
      if (terms_[i].step != step) continue;
      terms_[i].most += most;
      return;
    }
    terms_[count_++] = {.step = step, .most = most};
  }

  bool Find(int64_t low, int64_t high) {
    std::sort(terms_, terms_ + count_,
              [](const Term& a, const Term& b) { return a.step > b.step; });
    for (int i = count_ - 1; i >= 0; --i) {
      rest_[i] = rest_[i + 1] + terms_[i].step * terms_[i].most;
      divisor_[i] = std::gcd(divisor_[i + 1], terms_[i].step);
    }
    return FindFrom(0, low, high);
  }

 private:
  static constexpr int kMostTries = 100'000;

  bool FindFrom(int i, int64_t low, int64_t high) {
    low = std::max<int64_t>(low, 0);
    high = std::min(high, rest_[i]);
    if (low > high) return false;
    if (low == 0 || high == rest_[i]) return true;
    // note: here 0 < low, so a term is left and the divisor is not 0.
    if (high / divisor_[i] * divisor_[i] < low) return false;
    const auto [step, most] = terms_[i];
    const int64_t least = std::max<int64_t>(low - rest_[i + 1], 0);
    const int64_t last = std::min(most, high / step);
    for (int64_t x = (least + step - 1) / step; x <= last; ++x) {
      if (++tries_ > kMostTries) return true;
      if (FindFrom(i + 1, low - x * step, high - x * step)) return true;
    }
    return false;
  }

  Term terms_[2 * kMaxRank];
  int64_t rest_[2 * kMaxRank + 1] = {};  // largest sum of terms i and later
  int64_t divisor_[2 * kMaxRank + 1] = {};
  int count_ = 0;
  int tries_ = 0;
};

struct CopyDim {
  int64_t size = 0, from = 0, to = 0;  // steps in bytes
};

// The dimensions of a copy, outermost first, those that follow each other in
// both views made one. Returns how many.
int FindCopyDims(const View& from, const View& to, CopyDim* dims) {
  const auto bytes = static_cast<int64_t>(from.element_bytes);
  int count = 0;
  for (int i = 0; i < from.rank; ++i)
    if (from.sizes[i] > 1)
      dims[count++] = {.size = from.sizes[i],
                       .from = from.strides[i] * bytes,
                       .to = to.strides[i] * bytes};
  // By insertion: a stable sort of the library would allocate.
  for (int i = 1; i < count; ++i)
    for (int j = i; j > 0 && std::abs(dims[j].to) > std::abs(dims[j - 1].to);
         --j)
      std::swap(dims[j], dims[j - 1]);
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    CopyDim& outer = dims[kept - (kept > 0)];
    if (kept > 0 && outer.from == dims[i].size * dims[i].from &&
        outer.to == dims[i].size * dims[i].to) {
      outer = {.size = outer.size * dims[i].size,
               .from = dims[i].from,
               .to = dims[i].to};
    } else {
      dims[kept++] = dims[i];
    }
  }
  return kept;
}

template <size_t kBytes>
void CopyRow(const std::byte* from, std::byte* to, const CopyDim& dim, size_t) {
  for (int64_t i = 0; i < dim.size; ++i)
    std::memcpy(to + i * dim.to, from + i * dim.from, kBytes);
}

void CopyRowOfAny(const std::byte* from, std::byte* to, const CopyDim& dim,
                  size_t bytes) {
  for (int64_t i = 0; i < dim.size; ++i)
    std::memcpy(to + i * dim.to, from + i * dim.from, bytes);
}

using CopyRowFn = void (*)(const std::byte*, std::byte*, const CopyDim&,
                           size_t);

CopyRowFn CopyRowOf(size_t bytes) {
  switch (bytes) {
    case 1:
      return CopyRow<1>;
    case 2:
      return CopyRow<2>;
    case 4:
      return CopyRow<4>;
    case 8:
      return CopyRow<8>;
    default:
      return CopyRowOfAny;
  }
}

}  // namespace

bool IsEmpty(const View& v) {
  return std::any_of(v.sizes, v.sizes + v.rank,
                     [](int64_t size) { return size == 0; });
}

std::string SizesText(const View& v) {
  std::string text = "[";
  for (int i = 0; i < v.rank; ++i)
    text += (i > 0 ? "," : "") + Number(v.sizes[i]);
  return text + "]";
}

std::string StridesText(const View& v) {
  View as_sizes = v;
  std::copy_n(v.strides, v.rank, as_sizes.sizes);
  return SizesText(as_sizes);
}

std::string CheckView(const char* name, const View& v) {
  const std::string is = name;
  if (v.rank < 0 || v.rank > kMaxRank)
    return is + " has rank " + Number(v.rank) + ", want 0 to " +
           Number(kMaxRank);
  if (v.element_bytes == 0 || v.element_bytes > 1024)
    return is + " has elements of " + std::to_string(v.element_bytes) +
           " bytes, want 1 to 1024";
  for (int i = 0; i < v.rank; ++i)
    if (v.sizes[i] < 0)
      return is + " has sizes " + SizesText(v) + ", want none below 0";
  if (IsEmpty(v)) return "";
  if (v.data == nullptr) return is + " " + SizesText(v) + " has no memory";
  Reach reach;
  if (!FindReach(v, reach))
    return is + " " + SizesText(v) + " spans more memory than there is";
  return "";
}

bool SameElements(const View& a, const View& b) {
  if (a.data != b.data) return false;
  for (int i = 0; i < a.rank; ++i)
    if (a.sizes[i] > 1 && a.strides[i] != b.strides[i]) return false;
  return true;
}

bool OverlapsItself(const View& v) {
  if (IsEmpty(v)) return false;
  Term dims[kMaxRank];  // by rising step
  int rank = 0;
  for (int i = 0; i < v.rank; ++i)
    if (v.sizes[i] > 1)
      dims[rank++] = {.step = std::abs(v.strides[i]), .most = v.sizes[i] - 1};
  std::sort(dims, dims + rank,
            [](const Term& a, const Term& b) { return a.step < b.step; });
  bool nested = true;
  for (int64_t i = 0, inner = 0; i < rank; ++i) {
    nested = nested && dims[i].step > inner;
    inner += dims[i].step * dims[i].most;
  }
  if (nested) return false;
  if (dims[0].step == 0) return true;
  // Two indices that differ by 1..most in dimension `first`, by -most..most in
  // those of smaller steps and in no other, at no distance.
  for (int first = 0; first < rank; ++first) {
    SumSearch search;
    int64_t target = -dims[first].step;
    search.Add(dims[first].step, dims[first].most - 1);
    for (int i = 0; i < first; ++i) {
      search.Add(dims[i].step, 2 * dims[i].most);
      target += dims[i].step * dims[i].most;
    }
    if (search.Find(target, target)) return true;
  }
  return false;
}

bool Overlap(const View& a, const View& b) {
  if (IsEmpty(a) || IsEmpty(b)) return false;
  Reach of_a, of_b;
  if (!FindReach(a, of_a) || !FindReach(b, of_b)) return true;
  const auto bytes_a = static_cast<int64_t>(a.element_bytes);
  const auto bytes_b = static_cast<int64_t>(b.element_bytes);
  // Distances from b's lowest element to a's lowest one.
  const int64_t apart = static_cast<const std::byte*>(a.data) -
                        static_cast<const std::byte*>(b.data) + of_a.low -
                        of_b.low;
  const int64_t span_a = of_a.high - of_a.low;
  const int64_t span_b = of_b.high - of_b.low;
  if (apart >= span_b || -apart >= span_a) return false;
  // apart + sum(a) - sum(b) in (-bytes_a, bytes_b); b's indices are counted
  // from its far end, which makes all summands positive.
  SumSearch search;
  for (const View* v : {&a, &b})
    for (int i = 0; i < v->rank; ++i)
      if (v->sizes[i] > 1)
        search.Add(
            std::abs(v->strides[i]) * static_cast<int64_t>(v->element_bytes),
            v->sizes[i] - 1);
  const int64_t offset = apart - (span_b - bytes_b);
  return search.Find(1 - bytes_a - offset, bytes_b - 1 - offset);
}

uint64_t Copy(const View& from, const View& to) {
  if (IsEmpty(from) || SameElements(from, to)) return 0;
  CopyDim dims[kMaxRank];
  int count = FindCopyDims(from, to, dims);
  size_t run = from.element_bytes;
  uint64_t total = run;
  for (int i = 0; i < count; ++i) total *= static_cast<uint64_t>(dims[i].size);
  const auto step = static_cast<int64_t>(run);
  if (count > 0 && dims[count - 1].from == step && dims[count - 1].to == step)
    run *= static_cast<size_t>(dims[--count].size);
  const CopyRowFn copy_row = CopyRowOf(run);
  const CopyDim row = count > 0 ? dims[--count] : CopyDim{.size = 1};

  const auto* source = static_cast<const std::byte*>(from.data);
  auto* target = static_cast<std::byte*>(to.data);
  int64_t index[kMaxRank] = {};
  for (;;) {
    copy_row(source, target, row, run);
    int i = count - 1;
    for (; i >= 0; --i) {
      source += dims[i].from;
      target += dims[i].to;
      if (++index[i] < dims[i].size) break;
      source -= dims[i].size * dims[i].from;
      target -= dims[i].size * dims[i].to;
      index[i] = 0;
    }
    if (i < 0) return total;
  }
}

}  // namespace sotto::cross_attn
