// SPDX-License-Identifier: MIT
#include "npu/sim/walk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "npu/registers.h"

namespace sotto::npu {
namespace {

std::vector<uint32_t> Numbered(size_t words) {
  std::vector<uint32_t> memory(words);
  for (size_t i = 0; i < words; ++i) memory[i] = static_cast<uint32_t>(i + 1);
  return memory;
}

// Plain loops over the padded dimensions.
std::vector<uint32_t> Naive(const BufferDescriptor& d, int64_t iteration,
                            const std::vector<uint32_t>& memory) {
  std::vector<uint32_t> out;
  int64_t size[4];
  for (int i = 0; i < 4; ++i) {
    const int64_t n = d.dims[static_cast<size_t>(i)].size;
    size[i] = n == 0 ? 1 : n;
  }
  const auto before = [&](int i) {
    return i < 3 ? d.pad_before[static_cast<size_t>(i)] : 0;
  };
  const auto padded = [&](int i) {
    return size[i] +
           (i < 3 ? before(i) + d.pad_after[static_cast<size_t>(i)] : 0);
  };
  const auto inside = [&](int i, int64_t x) {
    return x >= before(i) && x < before(i) + size[i];
  };
  for (int64_t w = 0; w < padded(3); ++w) {
    for (int64_t z = 0; z < padded(2); ++z) {
      for (int64_t y = 0; y < padded(1); ++y) {
        for (int64_t x = 0; x < padded(0); ++x) {
          if (!inside(2, z) || !inside(1, y) || !inside(0, x)) {
            out.push_back(0);
            continue;
          }
          const int64_t at = d.address / 4 + iteration * d.iteration.stride +
                             w * d.dims[3].stride +
                             (z - before(2)) * d.dims[2].stride +
                             (y - before(1)) * d.dims[1].stride +
                             (x - before(0)) * d.dims[0].stride;
          out.push_back(memory[static_cast<size_t>(at)]);
        }
      }
    }
  }
  return out;
}

BufferDescriptor RandomWalk(std::mt19937* random, bool pads) {
  const auto up_to = [&](int n) {
    return static_cast<int>((*random)() % static_cast<unsigned>(n + 1));
  };
  BufferDescriptor d;
  d.address = 4 * up_to(20);
  d.words = 1;
  for (size_t i = 0; i < 4; ++i) {
    d.dims[i] = {1 + up_to(5), 1 + up_to(9)};
    // Often one dimension continues the one below.
    if (i > 0 && up_to(1) != 0) {
      d.dims[i].stride = d.dims[i - 1].size * d.dims[i - 1].stride;
    }
    d.words *= d.dims[i].size;
  }
  d.iteration = {3, 1 + up_to(7)};
  if (pads) {
    for (size_t i = 0; i < 3; ++i) {
      d.pad_before[i] = up_to(2);
      d.pad_after[i] = up_to(2);
    }
  }
  return d;
}

std::span<std::byte> AsBytes(std::vector<uint32_t>* words) {
  return std::as_writable_bytes(std::span(*words));
}

TEST(Walk, ReadsAsPlainLoopsDo) {
  std::mt19937 random(3);
  std::vector<uint32_t> memory = Numbered(60000);
  for (int i = 0; i < 3000; ++i) {
    const BufferDescriptor d = RandomWalk(&random, i % 2 == 0);
    const int64_t iteration = i % 3;
    const std::vector<uint32_t> want = Naive(d, iteration, memory);
    Walk walk(d, iteration);
    ASSERT_EQ(walk.remaining(), static_cast<int64_t>(want.size()));
    ASSERT_EQ(walk.remaining(), StreamWords(d));
    // In pieces of any length.
    std::vector<uint32_t> got(want.size());
    for (size_t at = 0; at < got.size();) {
      const size_t n = std::min<size_t>(got.size() - at, 1 + random() % 17);
      walk.Read(AsBytes(&memory), std::span(got).subspan(at, n));
      at += n;
    }
    ASSERT_EQ(got, want) << "walk " << i;
    EXPECT_EQ(walk.remaining(), 0);
  }
}

TEST(Walk, WritesWhatItWouldRead) {
  std::mt19937 random(4);
  for (int i = 0; i < 1000; ++i) {
    BufferDescriptor d = RandomWalk(&random, false);
    // Distinct addresses: each dimension steps over all below it.
    int64_t span = 1;
    for (DmaDim& dim : d.dims) {
      dim.stride = span + static_cast<int64_t>(random() % 3);
      span = dim.stride * dim.size;
    }
    std::vector<uint32_t> memory(static_cast<size_t>(span + 100), 0);
    const std::vector<uint32_t> in = Numbered(static_cast<size_t>(d.words));
    Walk write(d, 0);
    ASSERT_LE(write.end_byte(), static_cast<int64_t>(4 * memory.size()));
    write.Write(AsBytes(&memory), in);
    EXPECT_EQ(Naive(d, 0, memory), in);
    // And nothing else.
    EXPECT_EQ(std::count(memory.begin(), memory.end(), 0U),
              static_cast<int64_t>(memory.size()) - d.words);
  }
}

TEST(Walk, KnowsItsRange) {
  std::mt19937 random(6);
  const std::vector<uint32_t> memory = Numbered(60000);
  for (int i = 0; i < 500; ++i) {
    const BufferDescriptor d = RandomWalk(&random, false);
    const std::vector<uint32_t> visited = Naive(d, 1, memory);
    const Walk walk(d, 1);
    const auto [low, high] =
        std::minmax_element(visited.begin(), visited.end());
    EXPECT_EQ(walk.first_byte(), 4 * (int64_t{*low} - 1));
    EXPECT_EQ(walk.end_byte(), 4 * int64_t{*high});
  }
}

}  // namespace
}  // namespace sotto::npu
