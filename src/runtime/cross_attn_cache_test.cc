// SPDX-License-Identifier: MIT
// The rows of the acceptance table for the cache operators that need no
// runtime of ExecuTorch: RowNN in a name is the row.
#include "runtime/cross_attn_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>

namespace sotto::cross_attn {
namespace {

using ::testing::HasSubstr;
using Sizes = std::vector<int64_t>;
using Random = std::mt19937;

struct Type {
  const char* name;
  size_t bytes;
};
constexpr Type kTypes[] = {{"float", 4},      {"half", 2}, {"bfloat16", 2},
                           {"double", 8},     {"char", 1}, {"bool", 1},
                           {"complex128", 16}};

int64_t Pick(Random& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

// A view and the memory around it, filled with random bytes.
struct Block {
  std::vector<std::byte> bytes;
  View view;

  std::byte* At(const Sizes& index) const {
    int64_t at = 0;
    for (size_t i = 0; i < index.size(); ++i) at += index[i] * view.strides[i];
    return static_cast<std::byte*>(view.data) +
           at * static_cast<int64_t>(view.element_bytes);
  }
};

View ViewOf(void* data, int type, const Sizes& sizes) {
  View v{.data = data,
         .dtype = type,
         .dtype_name = kTypes[type].name,
         .element_bytes = kTypes[type].bytes,
         .rank = static_cast<int>(sizes.size())};
  int64_t stride = 1;
  for (int i = v.rank - 1; i >= 0; --i) {
    v.sizes[i] = sizes[static_cast<size_t>(i)];
    v.strides[i] = stride;
    stride *= v.sizes[i];
  }
  return v;
}

constexpr int64_t kGuard = 32;  // elements before and after

void Fill(std::vector<std::byte>& bytes, Random& random) {
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
}

// Dense, row-major, with guards.
Block MakeDense(Random& random, int type, const Sizes& sizes) {
  Block b;
  const int64_t elements = std::accumulate(sizes.begin(), sizes.end(),
                                           int64_t{1}, std::multiplies<>());
  b.bytes.resize(static_cast<size_t>(elements + 2 * kGuard) *
                 kTypes[type].bytes);
  Fill(b.bytes, random);
  b.view = ViewOf(b.bytes.data() + kGuard * kTypes[type].bytes, type, sizes);
  return b;
}

// Permuted, padded, stepped and sometimes reversed dimensions.
Block MakeStrided(Random& random, int type, const Sizes& sizes) {
  Block b;
  std::vector<int> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  if (Pick(random, 0, 3) != 0) std::shuffle(order.begin(), order.end(), random);
  b.view = ViewOf(nullptr, type, sizes);
  int64_t extent = 1, first = 0;
  for (auto at = order.rbegin(); at != order.rend(); ++at) {
    const int64_t size = std::max<int64_t>(b.view.sizes[*at], 1);
    int64_t stride =
        extent + (Pick(random, 0, 2) == 0 ? Pick(random, 0, 3) : 0);
    extent = stride * size;
    if (Pick(random, 0, 5) == 0) {
      first += stride * (size - 1);
      stride = -stride;
    }
    b.view.strides[*at] = stride;
  }
  b.bytes.resize(static_cast<size_t>(extent + 2 * kGuard) * kTypes[type].bytes);
  Fill(b.bytes, random);
  b.view.data =
      b.bytes.data() + static_cast<size_t>(kGuard + first) * kTypes[type].bytes;
  return b;
}

template <typename Visit>
void ForEachIndex(const Sizes& sizes, const Visit& visit) {
  const int64_t elements = std::accumulate(sizes.begin(), sizes.end(),
                                           int64_t{1}, std::multiplies<>());
  Sizes index(sizes.size());
  for (int64_t n = 0; n < elements; ++n) {
    int64_t rest = n;
    for (size_t i = sizes.size(); i-- > 0;) {
      index[i] = rest % sizes[i];
      rest /= sizes[i];
    }
    visit(index);
  }
}

// The bytes of `to` after every element of `from` is put at its index.
std::vector<std::byte> Expected(const Block& from, const Block& to) {
  std::vector<std::byte> bytes = to.bytes;
  ForEachIndex(Sizes(from.view.sizes, from.view.sizes + from.view.rank),
               [&](const Sizes& index) {
                 std::memcpy(bytes.data() + (to.At(index) - to.bytes.data()),
                             from.At(index), from.view.element_bytes);
               });
  return bytes;
}

uint64_t Bytes(const View& v) {
  uint64_t bytes = v.element_bytes;
  for (int i = 0; i < v.rank; ++i) bytes *= static_cast<uint64_t>(v.sizes[i]);
  return bytes;
}

class EveryType : public ::testing::TestWithParam<int> {
 protected:
  int type() const { return GetParam(); }
  Random random_{GetParam() + 7u};
};
INSTANTIATE_TEST_SUITE_P(CrossAttn, EveryType,
                         ::testing::Range(0, int(std::size(kTypes))),
                         [](const auto& test) {
                           return std::string(kTypes[test.param].name);
                         });

// ---- alias ----

TEST_P(EveryType, Row01AliasGivesItsArguments) {
  for (const Sizes& sizes :
       {Sizes{3}, Sizes{2, 5}, Sizes{2, 0, 4}, Sizes{1, 2, 3, 4}, Sizes{}}) {
    const Block x = MakeStrided(random_, type(), sizes);
    const Block y = MakeDense(random_, type(), {2, 2});
    const std::vector<std::byte> before = x.bytes;
    const auto [a, b] = Alias(x.view, y.view);
    EXPECT_EQ(a.data, x.view.data);
    EXPECT_EQ(b.data, y.view.data);
    EXPECT_EQ(a.rank, x.view.rank);
    EXPECT_TRUE(std::equal(a.sizes, a.sizes + kMaxRank, x.view.sizes));
    EXPECT_TRUE(std::equal(a.strides, a.strides + kMaxRank, x.view.strides));
    EXPECT_EQ(x.bytes, before);
  }
}

TEST_P(EveryType, Row02AliasOutOfTheSameMemoryMovesNothing) {
  Block x = MakeStrided(random_, type(), {2, 3, 4});
  Block y = MakeDense(random_, type(), {5});
  Counters counters;
  ASSERT_EQ(CheckAliasOut(x.view, y.view, x.view, y.view), "");
  AliasOut(x.view, y.view, x.view, y.view, &counters);
  EXPECT_EQ(counters.alias_calls, 1u);
  EXPECT_EQ(counters.alias_bytes_copied, 0u);
}

TEST_P(EveryType, Row02AliasOutOfOtherMemoryCopies) {
  for (const Sizes& sizes :
       {Sizes{3}, Sizes{2, 5}, Sizes{2, 0, 4}, Sizes{1, 2, 3, 4}, Sizes{}}) {
    const Block in = MakeDense(random_, type(), sizes);
    Block out = MakeDense(random_, type(), sizes);
    const std::vector<std::byte> want = Expected(in, out);
    ASSERT_EQ(CheckAliasOut(in.view, out.view), "");
    Counters counters;
    AliasOut(in.view, out.view, &counters);
    EXPECT_EQ(out.bytes, want);
    EXPECT_EQ(counters.alias_bytes_copied, Bytes(in.view));
  }
}

TEST(CrossAttn, Row02TimeOf24CachesOfSmall) {
  std::vector<float> memory(size_t{12} * 1500 * 64);
  const View cache = ViewOf(memory.data(), 0, {1, 12, 1500, 64});
  Counters counters;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 24; ++i) {
    ASSERT_EQ(CheckAliasOut(cache, cache), "");
    AliasOut(cache, cache, &counters);
  }
  const std::chrono::duration<double, std::milli> time =
      std::chrono::steady_clock::now() - start;
  EXPECT_EQ(counters.alias_bytes_copied, 0u);
  std::printf("24 aliases of [1,12,1500,64] f32: %.4f ms\n", time.count());
}

TEST(CrossAttn, Row03AliasOutSaysWhatItRefuses) {
  Random random(3);
  const Block x = MakeDense(random, 0, {2, 3});
  Block out = MakeDense(random, 1, {2, 3});
  EXPECT_EQ(CheckAliasOut(x.view, out.view),
            "in is float, out is half, want the same dtype");
  out = MakeDense(random, 0, {2, 4});
  EXPECT_EQ(CheckAliasOut(x.view, out.view),
            "in is [2,3], out is [2,4], want the same sizes");
  out = MakeDense(random, 0, {6});
  EXPECT_EQ(CheckAliasOut(x.view, out.view),
            "in is [2,3], out is [6], want the same sizes");
  out = MakeDense(random, 0, {2, 3});
  out.view.strides[0] = 1;
  out.view.strides[1] = 2;
  EXPECT_EQ(CheckAliasOut(x.view, out.view),
            "in has strides [3,1], out has [1,2], want the same dim order");
  out.view = x.view;
  out.view.data = static_cast<float*>(out.view.data) + 2;
  EXPECT_THAT(CheckAliasOut(x.view, out.view), HasSubstr("in part"));
  out.view.data = nullptr;
  EXPECT_EQ(CheckAliasOut(x.view, out.view), "out [2,3] has no memory");
}

TEST(CrossAttn, Row03AliasPairsDoNotMixMemory) {
  Random random(4);
  const Block x = MakeDense(random, 0, {2, 3});
  const Block y = MakeDense(random, 0, {2, 3});
  const Block z = MakeDense(random, 0, {2, 3});
  const Block w = MakeDense(random, 0, {2, 3});
  const auto why = [](const Block& a, const Block& b, const Block& c,
                      const Block& d) {
    return CheckAliasOut(a.view, b.view, c.view, d.view);
  };
  EXPECT_EQ(why(x, y, z, w), "");
  EXPECT_EQ(why(x, y, x, y), "");
  EXPECT_EQ(why(x, x, x, x), "");
  EXPECT_EQ(why(x, y, x, w), "");
  EXPECT_EQ(why(x, y, y, w), "out_x overlaps y, want none in common");
  EXPECT_EQ(why(x, y, z, x), "out_y overlaps x, want none in common");
  EXPECT_EQ(why(x, y, z, z), "out_x overlaps out_y, want none in common");
}

// ---- update ----

struct Dims {
  int64_t b, h, s_max, s, d;
};

TEST_P(EveryType, Row04And05FunctionalAndOutGiveTheSame) {
  for (const Dims& n :
       {Dims{1, 2, 10, 5, 8}, Dims{4, 4, 8, 3, 16}, Dims{2, 1, 16, 10, 32},
        Dims{1, 2, 6, 6, 8}, Dims{2, 3, 7, 0, 4}, Dims{0, 2, 3, 1, 4}}) {
    const Block value = MakeDense(random_, type(), {n.b, n.h, n.s, n.d});
    Block a = MakeDense(random_, type(), {n.b, n.h, n.s_max, n.d});
    Block b = MakeDense(random_, type(), {n.b, n.h, n.s_max, n.d});
    Block out = MakeDense(random_, type(), {n.b, n.h, n.s_max, n.d});
    std::copy(a.bytes.begin(), a.bytes.end(), b.bytes.begin());
    const std::vector<std::byte> want = Expected(value, a);

    ASSERT_EQ(CheckUpdate(value.view, a.view), "");
    std::vector<std::byte> storage;
    const View copy = Update(value.view, a.view, &storage, nullptr);
    ASSERT_EQ(CheckUpdateOut(value.view, b.view, out.view), "");
    UpdateOut(value.view, b.view, out.view, nullptr);
    EXPECT_EQ(a.bytes, want);
    EXPECT_EQ(b.bytes, want);
    const size_t bytes = Bytes(a.view);
    if (bytes == 0) continue;
    EXPECT_EQ(std::memcmp(copy.data, a.view.data, bytes), 0);
    EXPECT_EQ(std::memcmp(out.view.data, a.view.data, bytes), 0);
  }
}

TEST(CrossAttn, Row04UpdateSaysWhatItRefuses) {
  Random random(5);
  const Block cache = MakeDense(random, 0, {2, 3, 5, 4});
  const auto why = [&](int type, const Sizes& sizes) {
    const Block value = MakeDense(random, type, sizes);
    return CheckUpdate(value.view, cache.view);
  };
  EXPECT_EQ(why(0, {2, 3, 5, 4}), "");
  EXPECT_EQ(why(0, {2, 3, 6, 4}),
            "value has 6 positions (S), cache has room for 5 (S_max), want S "
            "<= S_max");
  EXPECT_EQ(why(1, {2, 3, 5, 4}),
            "value is half, cache is float, want the same dtype");
  EXPECT_EQ(why(0, {3, 5, 4}),
            "value has rank 3, cache has rank 4, want 4 and 4");
  EXPECT_EQ(why(0, {1, 3, 5, 4}),
            "value has batch size (B) 1, cache has 2, want the same");
  EXPECT_EQ(why(0, {2, 4, 5, 4}),
            "value has number of heads (H) 4, cache has 3, want the same");
  EXPECT_EQ(why(0, {2, 3, 5, 8}),
            "value has head size (D) 8, cache has 4, want the same");
}

TEST(CrossAttn, RefusesViewsThatAreNone) {
  Random random(6);
  const Block value = MakeDense(random, 0, {1, 2, 3, 4});
  Block cache = MakeDense(random, 0, {1, 2, 3, 4});
  cache.view.rank = 17;
  EXPECT_EQ(CheckUpdate(value.view, cache.view),
            "cache has rank 17, want 0 to 16");
  cache.view.rank = 4;
  cache.view.element_bytes = 0;
  EXPECT_THAT(CheckUpdate(value.view, cache.view), HasSubstr("of 0 bytes"));
  cache.view.element_bytes = 4;
  cache.view.strides[1] = int64_t{1} << 62;
  EXPECT_THAT(CheckUpdate(value.view, cache.view), HasSubstr("more memory"));
  cache.view.strides[1] = 0;  // expanded: two heads in one place
  EXPECT_THAT(CheckUpdate(value.view, cache.view),
              HasSubstr("overlaps itself"));
  cache.view.sizes[1] = -1;
  EXPECT_THAT(CheckUpdate(value.view, cache.view), HasSubstr("none below 0"));
}

TEST_P(EveryType, Row06OnlyThePrefixIsWritten) {
  const Block value = MakeDense(random_, type(), {2, 3, 4, 5});
  Block cache = MakeDense(random_, type(), {2, 3, 9, 5});
  const std::vector<std::byte> want = Expected(value, cache);
  Counters counters;
  ASSERT_EQ(CheckUpdate(value.view, cache.view), "");
  UpdateInPlace(value.view, cache.view, &counters);
  EXPECT_EQ(cache.bytes, want);  // the tail and the guards are as they were
  EXPECT_EQ(counters.update_calls, 1u);
  EXPECT_EQ(counters.value_bytes_written, 2 * 3 * 4 * 5 * kTypes[type()].bytes);
  EXPECT_EQ(counters.out_bytes_copied, 0u);
}

TEST_P(EveryType, Row07OutThatIsTheCacheIsNotCopied) {
  const Block value = MakeDense(random_, type(), {1, 6, 15, 8});
  Block cache = MakeDense(random_, type(), {1, 6, 20, 8});
  const std::vector<std::byte> want = Expected(value, cache);
  Counters counters;
  ASSERT_EQ(CheckUpdateOut(value.view, cache.view, cache.view), "");
  UpdateOut(value.view, cache.view, cache.view, &counters);
  EXPECT_EQ(cache.bytes, want);
  EXPECT_EQ(counters.value_bytes_written, Bytes(value.view));
  EXPECT_EQ(counters.out_bytes_copied, 0u);
}

TEST(CrossAttn, Row07TimeOf24CachesOfSmallAgainstMemcpy) {
  const size_t elements = size_t{12} * 1500 * 64;
  std::vector<float> from(elements, 1), to(elements);
  const View value = ViewOf(from.data(), 0, {1, 12, 1500, 64});
  const View cache = ViewOf(to.data(), 0, {1, 12, 1500, 64});
  const auto best = [](const auto& run) {
    double least = 1e9;
    for (int repeat = 0; repeat < 5; ++repeat) {
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < 24; ++i) run();
      const std::chrono::duration<double, std::milli> time =
          std::chrono::steady_clock::now() - start;
      least = std::min(least, time.count());
    }
    return least;
  };
  const double update = best([&] {
    ASSERT_EQ(CheckUpdateOut(value, cache, cache), "");
    UpdateOut(value, cache, cache, nullptr);
  });
  const double plain =
      best([&] { std::memcpy(to.data(), from.data(), elements * 4); });
  std::printf("24 updates of [1,12,1500,64] f32: %.2f ms, memcpy %.2f ms\n",
              update, plain);
}

TEST_P(EveryType, Row08OtherOutGetsTheWholeCache) {
  const Block value = MakeDense(random_, type(), {2, 2, 3, 4});
  Block cache = MakeDense(random_, type(), {2, 2, 5, 4});
  Block out = MakeDense(random_, type(), {2, 2, 5, 4});
  const std::vector<std::byte> want = Expected(value, cache);
  Counters counters;
  ASSERT_EQ(CheckUpdateOut(value.view, cache.view, out.view), "");
  UpdateOut(value.view, cache.view, out.view, &counters);
  EXPECT_EQ(cache.bytes, want);
  EXPECT_EQ(std::memcmp(out.view.data, cache.view.data, Bytes(cache.view)), 0);
  EXPECT_EQ(counters.out_bytes_copied, Bytes(cache.view));
}

TEST(CrossAttn, Row08OutThatOverlapsInPartIsRefused) {
  Random random(8);
  const Block value = MakeDense(random, 0, {1, 2, 3, 4});
  const Block cache = MakeDense(random, 0, {1, 2, 5, 4});
  View out = cache.view;
  for (const int64_t shift : {-39, -4, -1, 1, 7, 39}) {
    out.data = static_cast<float*>(cache.view.data) + shift;
    EXPECT_THAT(CheckUpdateOut(value.view, cache.view, out),
                HasSubstr("overlaps the cache in part"))
        << shift;
  }
  out.data = static_cast<float*>(cache.view.data) + 40;
  EXPECT_EQ(CheckUpdateOut(value.view, cache.view, out), "");
  // The same memory under other strides is not the same cache.
  out = cache.view;
  std::swap(out.strides[2], out.strides[3]);
  out.strides[3] = 5;
  out.strides[2] = 1;
  EXPECT_THAT(CheckUpdateOut(value.view, cache.view, out), HasSubstr("cache"));
  out.data = value.view.data;
  EXPECT_EQ(CheckUpdateOut(value.view, cache.view, out),
            "out overlaps the value, want none in common");
}

TEST(CrossAttn, Row09StridedViewsEqualANaiveLoop) {
  Random random(9);
  for (int i = 0; i < 1000; ++i) {
    const int type = static_cast<int>(Pick(random, 0, std::size(kTypes) - 1));
    const int64_t s_max = Pick(random, 1, 9), s = Pick(random, 0, s_max);
    const int64_t b = Pick(random, 1, 3), h = Pick(random, 1, 4);
    const int64_t d = Pick(random, 1, 8);
    const Block value = MakeStrided(random, type, {b, h, s, d});
    Block cache = MakeStrided(random, type, {b, h, s_max, d});
    Block out = MakeStrided(random, type, {b, h, s_max, d});
    const std::vector<std::byte> source = value.bytes;
    const std::vector<std::byte> want = Expected(value, cache);
    ASSERT_EQ(CheckUpdateOut(value.view, cache.view, out.view), "") << i;
    Counters counters;
    UpdateOut(value.view, cache.view, out.view, &counters);
    ASSERT_EQ(cache.bytes, want) << i;
    ASSERT_EQ(value.bytes, source) << i;
    const std::vector<std::byte> out_want = Expected(cache, out);
    ASSERT_EQ(out.bytes, out_want) << i;
    ASSERT_EQ(counters.value_bytes_written, Bytes(value.view)) << i;
    ASSERT_EQ(counters.out_bytes_copied, Bytes(cache.view)) << i;
  }
}

TEST(CrossAttn, Row09SelfUpdateMovesNothingAndShiftsAreRefused) {
  Random random(10);
  Block cache = MakeDense(random, 0, {2, 2, 6, 4});
  const std::vector<std::byte> before = cache.bytes;
  View value = cache.view;
  value.sizes[2] = 4;
  Counters counters;
  ASSERT_EQ(CheckUpdate(value, cache.view), "");
  UpdateInPlace(value, cache.view, &counters);
  EXPECT_EQ(cache.bytes, before);
  EXPECT_EQ(counters.value_bytes_written, 0u);
  value.data = static_cast<float*>(value.data) + 4;
  EXPECT_THAT(CheckUpdate(value, cache.view), HasSubstr("value overlaps"));
  // Positions 3 to 5 lie behind what is written.
  value.sizes[2] = 3;
  value.data = static_cast<float*>(cache.view.data) + 12;
  ASSERT_EQ(CheckUpdate(value, cache.view), "");
  const Block source{.bytes = {}, .view = value};
  const std::vector<std::byte> want = Expected(source, cache);
  UpdateInPlace(value, cache.view, nullptr);
  EXPECT_EQ(cache.bytes, want);
}

// ---- overlap ----

bool OverlapByBytes(const View& a, const View& b, size_t memory,
                    const std::byte* base) {
  std::vector<char> used(memory);
  bool shared = false;
  for (const View* v : {&a, &b})
    ForEachIndex(Sizes(v->sizes, v->sizes + v->rank), [&](const Sizes& index) {
      const Block block{.bytes = {}, .view = *v};
      const auto at = static_cast<size_t>(block.At(index) - base);
      for (size_t i = 0; i < v->element_bytes; ++i) {
        shared = shared || (v == &b && used[at + i] != 0);
        if (v == &a) used[at + i] = 1;
      }
    });
  return shared;
}

TEST(CrossAttn, OverlapIsExactOnRandomViewsOfOneMemory) {
  Random random(11);
  std::vector<std::byte> memory(4096);
  int shared = 0;
  for (int i = 0; i < 4000; ++i) {
    View views[2];
    for (View& v : views) {
      const int rank = static_cast<int>(Pick(random, 1, 4));
      Sizes sizes(static_cast<size_t>(rank));
      for (int64_t& size : sizes) size = Pick(random, 1, 4);
      v = ViewOf(nullptr, static_cast<int>(Pick(random, 0, 6)), sizes);
      int64_t low = 0;
      for (int d = 0; d < rank; ++d) {
        v.strides[d] = Pick(random, -6, 9);
        low += std::min<int64_t>(v.strides[d] * (v.sizes[d] - 1), 0);
      }
      v.data = memory.data() + 2048 + Pick(random, -300, 300);
    }
    const bool want =
        OverlapByBytes(views[0], views[1], memory.size(), memory.data());
    ASSERT_EQ(Overlap(views[0], views[1]), want) << i;
    ASSERT_EQ(Overlap(views[1], views[0]), want) << i;
    shared += want;
  }
  EXPECT_GT(shared, 400);
  EXPECT_LT(shared, 3600);
}

TEST(CrossAttn, OverlapSeesThatInterleavedCachesAreApart) {
  // Keys and values side by side in one allocation: [B,S,2,H,D].
  std::vector<float> memory(size_t{2} * 1500 * 2 * 6 * 64);
  View keys = ViewOf(memory.data(), 0, {2, 6, 1500, 64});
  keys.strides[0] = 1500 * 2 * 6 * 64;
  keys.strides[1] = 64;
  keys.strides[2] = 2 * 6 * 64;
  View values = keys;
  values.data = memory.data() + 6 * 64;
  EXPECT_FALSE(Overlap(keys, values));
  EXPECT_EQ(CheckUpdateOut(keys, values, values), "");
  values.data = memory.data() + 5 * 64;
  EXPECT_TRUE(Overlap(keys, values));
}

// As the engine and an exported model write it: sizes of Whisper, the value as
// the projection leaves it.
TEST_P(EveryType, Row23SameAsElementWise) {
  for (const Dims& n : {Dims{1, 6, 1500, 1500, 64}, Dims{2, 3, 40, 17, 80}}) {
    const Block value = MakeDense(random_, type(), {n.b, n.s, n.h, n.d});
    Block heads_first;
    heads_first.bytes = value.bytes;
    heads_first.view =
        ViewOf(heads_first.bytes.data() + kGuard * kTypes[type()].bytes, type(),
               {n.b, n.h, n.s, n.d});
    // As the projection leaves it: [B,S,H,D] seen as [B,H,S,D].
    heads_first.view.strides[1] = n.d;
    heads_first.view.strides[2] = n.h * n.d;
    heads_first.view.strides[0] = n.s * n.h * n.d;
    Block cache = MakeDense(random_, type(), {n.b, n.h, n.s_max, n.d});
    const std::vector<std::byte> want = Expected(heads_first, cache);
    ASSERT_EQ(CheckUpdate(heads_first.view, cache.view), "");
    UpdateInPlace(heads_first.view, cache.view, nullptr);
    EXPECT_EQ(cache.bytes, want);
  }
}

}  // namespace
}  // namespace sotto::cross_attn
