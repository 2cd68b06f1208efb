// SPDX-License-Identifier: MIT
// Phases of the encoder's array, bit for bit what the kernels give when they
// are called on the host in the order of their tiles.
#include "npu/design/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>

#include "base/error.h"
#include "npu/design/planner.h"
#include "npu/sim/array.h"

namespace sotto::npu {
namespace {

constexpr int64_t kTile = kEncoderTileBytes;

// A layer of `rows` row tiles, four heads, on random data.
class Layer {
 public:
  static constexpr int kWidth = 4;
  static constexpr int kFfn = 8;

  explicit Layer(int rows) : rows_(rows) {
    const int64_t row = kWidth * kTile;
    x_ = RowsOfTiles("work", Take(rows * row), kWidth);
    normed_ = RowsOfTiles("work", Take(rows * row), kWidth);
    // Heads of q, then of k, then of v; each all its rows.
    qkv_ = {"work", Take(3 * kWidth * rows * kTile), kTile, rows * kTile};
    hidden_ = RowsOfTiles("work", Take(rows * kFfn * kTile), kFfn);
    Random(0, rows * row, 1.0F);
    work_bytes_ = static_cast<int64_t>(bytes_.size());
    norm_[0] = Norms();
    norm_[1] = Norms();
    qkv_w_ = Matrix(kWidth, 3 * kWidth);
    out_w_ = Matrix(kWidth, kWidth);
    fc1_w_ = Matrix(kWidth, kFfn);
    fc2_w_ = Matrix(kFfn, kWidth);
  }

  // One buffer for all that the host has, so that offsets are its own.
  EncoderPhases Phases(int positions) {
    EncoderPhases phases("layer", rows_, kWidth);
    phases.AddHostBuffer("work", static_cast<int64_t>(bytes_.size()), true);
    phases.Norm(x_, "work", norm_[0], normed_);
    phases.Gemm(normed_, qkv_w_, qkv_, nullptr, false);
    TileTensor k = qkv_;
    TileTensor v = qkv_;
    k.offset += kWidth * qkv_.column_stride;
    v.offset += 2 * kWidth * qkv_.column_stride;
    phases.Attention(qkv_, k, v, normed_, kWidth, positions);
    phases.Gemm(normed_, out_w_, x_, &x_, false);
    phases.Norm(x_, "work", norm_[1], normed_);
    phases.Gemm(normed_, fc1_w_, hidden_, nullptr, true);
    phases.Gemm(hidden_, fc2_w_, x_, &x_, false);
    return phases;
  }

  void OnHost(int positions) {
    HostNorm(norm_[0]);
    HostGemm(normed_, qkv_w_, qkv_, false, false);
    HostAttention(positions);
    HostGemm(normed_, out_w_, x_, true, false);
    HostNorm(norm_[1]);
    HostGemm(normed_, fc1_w_, hidden_, false, true);
    HostGemm(hidden_, fc2_w_, x_, true, false);
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }
  int64_t work_bytes() const { return work_bytes_; }

 private:
  int64_t Take(int64_t bytes) {
    const auto at = static_cast<int64_t>(bytes_.size());
    bytes_.resize(bytes_.size() + static_cast<size_t>(bytes));
    return at;
  }
  void Random(int64_t at, int64_t bytes, float scale) {
    std::normal_distribution<float> normal(0, scale);
    for (int64_t i = 0; i < bytes; i += 2) {
      const uint32_t bits = std::bit_cast<uint32_t>(normal(rng_)) >> 16;
      std::memcpy(bytes_.data() + at + i, &bits, 2);
    }
  }
  int64_t RandomFloats(int64_t count, float mean, float scale) {
    std::normal_distribution<float> normal(mean, scale);
    const int64_t at = Take(4 * count);
    for (int64_t i = 0; i < count; ++i) {
      const float value = normal(rng_);
      std::memcpy(bytes_.data() + at + 4 * i, &value, 4);
    }
    return at;
  }
  int64_t Norms() { return RandomFloats(kWidth * 128, 0.5F, 0.5F); }
  TileMatrix Matrix(int k, int n) {
    TileMatrix m{"work", Take(k * n * kTile), k, n};
    Random(m.offset, k * n * kTile, 0.08F);
    m.params_bytes = 3 * 64 * 4;
    m.params_offset = static_cast<int64_t>(bytes_.size());
    for (int i = 0; i < n; ++i) {
      // The same in each of the three rows: multipliers and scales are not
      // used in bf16.
      const int64_t first = RandomFloats(64, 0, 0.2F);
      for (int row = 1; row < 3; ++row) {
        const int64_t at = Take(256);
        std::memcpy(bytes_.data() + at, bytes_.data() + first, 256);
      }
    }
    return m;
  }

  std::byte* At(const TileTensor& t, int64_t row, int64_t column) {
    return bytes_.data() + t.offset + row * t.row_stride +
           column * t.column_stride;
  }
  static void Call(std::string_view kernel, std::vector<std::byte*> pointers,
                   std::vector<int32_t> ints) {
    const KernelInfo* info = FindKernel(kernel);
    size_t want = 0;
    for (const KernelArg& arg : info->args) {
      want += arg.kind == KernelArg::Kind::kInt ? 1 : 0;
    }
    ints.resize(want);  // later versions of a kernel may take one more flag
    info->call({pointers, ints});
  }

  void HostNorm(int64_t params) {
    alignas(64) std::byte stats[64 * 16 * 4];
    for (int row = 0; row < rows_; ++row) {
      for (int c = 0; c < kWidth; ++c) {
        Call("layer_norm_stats", {At(x_, row, c), stats},
             {64, 64, c, 64 * kWidth});
      }
      for (int c = 0; c < kWidth; ++c) {
        Call("layer_norm_apply_bf16",
             {At(x_, row, c), stats, bytes_.data() + params + c * 512,
              At(normed_, row, c)},
             {64, 64});
      }
    }
  }

  void HostGemm(const TileTensor& a, const TileMatrix& w, const TileTensor& out,
                bool residual, bool gelu) {
    alignas(64) std::byte sums[64 * 64 * 4];
    for (int row = 0; row < rows_; ++row) {
      for (int n = 0; n < w.n_tiles; ++n) {
        for (int k = 0; k < w.k_tiles; ++k) {
          Call("gemm_bf16",
               {At(a, row, k),
                bytes_.data() + w.offset + (n * w.k_tiles + k) * kTile, sums},
               {64, 64, 64, k});
        }
        std::byte* params =
            bytes_.data() + w.params_offset + n * w.params_bytes;
        std::byte* to = At(out, row, n);
        if (residual) {
          Call("finish_bf16_residual", {sums, params, to, to},
               {64, 64, gelu ? 1 : 0});
        } else {
          Call("finish_bf16_bf16", {sums, params, to}, {64, 64, gelu ? 1 : 0});
        }
      }
    }
  }

  void HostAttention(int positions) {
    alignas(64) std::byte state[64 * 72 * 4];
    alignas(64) std::byte scratch[12 * 64 * 4];
    for (int head = 0; head < kWidth; ++head) {
      for (int row = 0; row < rows_; ++row) {
        Call("flash_start", {state}, {64, 64});
        for (int block = 0; block < rows_; ++block) {
          Call("flash_block_bf16",
               {At(qkv_, row, head), At(qkv_, block, kWidth + head),
                At(qkv_, block, 2 * kWidth + head), state, scratch},
               {64, 64, 64, block, positions});
        }
        Call("flash_finish_bf16", {state, At(normed_, row, head)}, {64, 64});
      }
    }
  }

  int rows_;
  std::mt19937 rng_{11};
  std::vector<std::byte> bytes_;
  int64_t work_bytes_ = 0;
  TileTensor x_, normed_, qkv_, hidden_;
  int64_t norm_[2] = {};
  TileMatrix qkv_w_, out_w_, fc1_w_, fc2_w_;
};

TEST(EncoderArray, L8LayerEqualsItsKernelsInTurn) {
  for (const auto& [rows, positions] : {std::pair(4, 256), std::pair(8, 470)}) {
    SCOPED_TRACE(rows);
    Layer layer(rows);
    EncoderPhases phases = layer.Phases(positions);
    std::vector<std::byte> control(4 * phases.control().size());
    std::memcpy(control.data(), phases.control().data(), control.size());
    const Plan plan = MakePlan(phases.Take());
    std::vector<std::byte> work = layer.bytes();
    Array array(std::make_shared<const ArrayConfig>(plan.config), {});
    const std::span<std::byte> buffers[] = {work, control};
    const SimRun run = array.Run(plan.stream, buffers);
    ASSERT_EQ(run.state, RunState::kCompleted) << run.detail;
    layer.OnHost(positions);
    const auto tiles = static_cast<size_t>(layer.work_bytes());
    EXPECT_TRUE(
        std::equal(work.begin(), work.begin() + tiles, layer.bytes().begin()));
    RecordProperty("cycles", static_cast<int>(run.report.cycles));
  }
}

TEST(EncoderArray, OneConfigurationFitsAllPhases) {
  Layer layer(4);
  const Plan plan = MakePlan(layer.Phases(256).Take());
  int cores = 0;
  for (const auto& [tile, config] : plan.config.tiles) {
    if (config.program.empty()) continue;
    ++cores;
    EXPECT_LE(config.program_bytes, 16 * 1024);
  }
  EXPECT_EQ(cores, 16);
}

TEST(EncoderArray, ShapesThatDoNotFitAreRefused) {
  EXPECT_THROW(EncoderPhases("x", 6, 8), Error);
  EncoderPhases phases("x", 4, 4);
  EXPECT_THROW(
      phases.Gemm({}, {.k_tiles = 3, .n_tiles = 4}, {}, nullptr, false), Error);
  EXPECT_THROW(
      phases.Gemm({}, {.k_tiles = 60, .n_tiles = 4}, {}, nullptr, false),
      Error);
}

}  // namespace
}  // namespace sotto::npu
