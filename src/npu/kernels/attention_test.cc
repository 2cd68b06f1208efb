// SPDX-License-Identifier: MIT
// K5 on real data: Q, K and V of Whisper-base's encoder on real speech, all
// layers and heads, 1500 positions and the masked tail behind them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "acceptance_row.h"
#include "npu/kernels/kernel_testing.h"
#include "stage_runner.h"

namespace sotto {
namespace {

using namespace npu;  // NOLINT: the kernels' test helpers

constexpr int kPositions = 1500;
constexpr int kWidth = 64;  // of a head
constexpr int kBlock = 64;
constexpr int kBlocks = (kPositions + kBlock - 1) / kBlock;
const double kLog2Scale = 0.125 * 1.4426950408889634;

struct Layer {
  std::vector<float> q, k, v;  // [1500][heads * 64]
};

std::vector<Layer> RealLayers(const std::filesystem::path& folder,
                              const std::filesystem::path& mel) {
  Profile profile = LoadProfile("cpu-f32");
  profile.Of(Stage::kEncoder).fuse.qkv = false;
  StageModel model(WeightStore::Load(folder), profile);
  StageRunner runner(model);
  std::vector<Layer> layers;
  runner.hook = [&](const Program& program, size_t step, const Frame& frame) {
    for (const ir::NodeId id : program.steps()[step]->info().nodes) {
      const ir::Node& node = program.graph().node(id);
      if (node.op != ir::Op::kAttention) continue;
      const auto copy = [&](size_t input) {
        const ir::ValueId value = node.inputs[input];
        const Shape shape = program.graph().value(value).shape;
        const float* at = frame.At<const float>(value);
        return std::vector<float>(at, at + shape[1] * shape[2]);
      };
      layers.push_back({copy(0), copy(1), copy(2)});
    }
  };
  runner.Encode(Numbers(mel).Floats("mel"));
  return layers;
}

// One head's columns of every position.
std::vector<double> Head(const std::vector<float>& x, int head) {
  const size_t width = x.size() / kPositions;
  std::vector<double> out;
  for (size_t i = 0; i < kPositions; ++i) {
    for (size_t j = 0; j < kWidth; ++j) {
      out.push_back(x[i * width + static_cast<size_t>(head) * kWidth + j]);
    }
  }
  return out;
}

// Rows of these query blocks are compared; the last one ends at row 1499.
constexpr int kQueryBlocks[] = {0, 9, 16, 23};

std::vector<double> Exact(const std::vector<double>& q,
                          const std::vector<double>& k,
                          const std::vector<double>& v) {
  std::vector<double> out, p(kPositions);
  for (const int block : kQueryBlocks) {
    for (int i = block * kBlock; i < std::min((block + 1) * kBlock, kPositions);
         ++i) {
      double best = -1e300, sum = 0;
      for (int j = 0; j < kPositions; ++j) {
        double s = 0;
        for (int l = 0; l < kWidth; ++l) s += q[i * 64 + l] * k[j * 64 + l];
        p[j] = s * 0.125;
        best = std::max(best, p[j]);
      }
      for (double& x : p) sum += x = std::exp(x - best);
      std::vector<double> row(kWidth);
      for (int j = 0; j < kPositions; ++j) {
        for (int l = 0; l < kWidth; ++l) row[l] += p[j] / sum * v[j * 64 + l];
      }
      out.insert(out.end(), row.begin(), row.end());
    }
  }
  return out;
}

// Rows padded with what a careless caller would leave there.
template <typename T, typename Convert>
std::vector<T> Tiles(const std::vector<double>& x, const Convert& convert) {
  std::vector<T> out(static_cast<size_t>(kBlocks) * kBlock * kWidth,
                     convert(1e4));
  std::transform(x.begin(), x.end(), out.begin(), convert);
  return ToBlocks(out, kBlocks * kBlock, kWidth);
}

struct Moves {
  int64_t moved = 0, seen = 0;
};

// Streams the keys of one head past the chosen query blocks. `add_block` calls
// the kernel of the precision for (query tile, block of keys).
template <typename AddBlock>
std::vector<double> Stream(const AddBlock& add_block, Moves* moves) {
  std::vector<double> out;
  std::vector<float> state(kBlock * (12 + kWidth));
  Bf16s p(kBlock * kBlock);
  for (const int block : kQueryBlocks) {
    for (int b = 0; b < kBlocks; ++b) {
      const std::vector<float> before(state.begin(),
                                      state.begin() + kBlock * 8);
      add_block(block, b, state.data(), p.data());
      // References are whole numbers, kept as such, of 4 rows in 32 lanes.
      // Rows behind the last one do not count.
      const int valid = std::min(kBlock, kPositions - block * kBlock);
      for (int rows = 0; b > 0 && rows + 16 <= valid; rows += 16) {
        moves->moved +=
            std::memcmp(&before[rows * 8], &state[rows * 8], 128 * 4) != 0;
        ++moves->seen;
      }
    }
    Bf16s tile(kBlock * kWidth);
    Call("flash_finish_bf16", {state.data(), tile.data()}, {kBlock, kWidth});
    const std::vector<double> rows =
        FromBf16s(FromBlocks(tile, kBlock, kWidth));
    const int valid = std::min(kBlock, kPositions - block * kBlock);
    out.insert(out.end(), rows.begin(), rows.begin() + valid * kWidth);
  }
  return out;
}

class NpuAttention : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto folder = RealModel("base");
    const auto mel = TestData("oracle/numeric/jfk-mel80.safetensors");
    if (folder && mel) layers_ = RealLayers(*folder, *mel);
  }
  static void TearDownTestSuite() { layers_.reset(); }
  void SetUp() override {
    if (!layers_) GTEST_SKIP() << "no model base or no SOTTO_TEST_DATA";
    ASSERT_EQ(layers_->size(), 6u);
  }

  // Worst cosine and relative error over all heads.
  template <typename RunHead>
  void CheckHeads(const char* type, double cosine, double error,
                  const RunHead& run) {
    Agreement worst{1, 0};
    Moves moves;
    for (const Layer& layer : *layers_) {
      for (int head = 0; head < 8; ++head) {
        const auto q = Head(layer.q, head), k = Head(layer.k, head),
                   v = Head(layer.v, head);
        const Agreement a = Agree(run(q, k, v, &moves), Exact(q, k, v));
        EXPECT_GE(a.cosine, cosine)
            << "layer " << &layer - layers_->data() << " head " << head;
        EXPECT_LE(a.relative_rms, error)
            << "layer " << &layer - layers_->data() << " head " << head;
        worst.cosine = std::min(worst.cosine, a.cosine);
        worst.relative_rms = std::max(worst.relative_rms, a.relative_rms);
      }
    }
    ReportRow("K5",
              fmt::format("{}: worst cosine {:.6f}, worst error {:.2f} %, of 6 "
                          "layers x 8 heads",
                          type, worst.cosine, 100 * worst.relative_rms),
              RowTag::kMeasured);
    const double share =
        static_cast<double>(moves.moved) / static_cast<double>(moves.seen);
    RecordProperty("move_share", std::to_string(share));
    // costs_flash.cc, kFlashMoveShare.
    EXPECT_LE(share, 0.001);
  }

  static inline std::optional<std::vector<Layer>> layers_;
};

TEST_F(NpuAttention, K5Bf16OnRealHeads) {
  CheckHeads("bf16", 0.9999, 0.01,
             [](const auto& q, const auto& k, const auto& v, Moves* moves) {
               const auto narrow = [](double x) { return NearestBf16(x); };
               const auto qs = Tiles<uint16_t>(
                   q, [&](double x) { return NearestBf16(x * kLog2Scale); });
               const auto ks = Tiles<uint16_t>(k, narrow);
               const auto vs = Tiles<uint16_t>(v, narrow);
               return Stream(
                   [&](int query, int b, float* state, uint16_t* p) {
                     const size_t tile = kBlock * kWidth;
                     Call("flash_scores_bf16",
                          {&qs[static_cast<size_t>(query) * tile],
                           &ks[static_cast<size_t>(b) * tile], p, state},
                          {kBlock, kBlock, kWidth, b, kPositions});
                     Call("flash_values",
                          {p, &vs[static_cast<size_t>(b) * tile], state},
                          {kBlock, kBlock, kWidth, b});
                   },
                   moves);
             });
}

double AbsMax(const std::vector<double>& x) {
  double out = 0;
  for (double v : x) out = std::max(out, std::abs(v));
  return out;
}

TEST_F(NpuAttention, K5Int8OnRealHeads) {
  CheckHeads(
      "int8", 0.999, 0.04,
      [](const auto& q, const auto& k, const auto& v, Moves* moves) {
        // The smallest scales whose product, with the softmax's own, is
        // a power of two.
        const double q0 = AbsMax(q) / 127, k0 = AbsMax(k) / 127;
        const int shift =
            static_cast<int>(std::floor(-std::log2(q0 * k0 * kLog2Scale)));
        const double stretch =
            std::sqrt(std::ldexp(1.0, -shift) / (q0 * k0 * kLog2Scale));
        const auto quantise = [&](double scale) {
          return [scale](double x) {
            return static_cast<int8_t>(
                std::clamp(std::nearbyint(x / scale), -128.0, 127.0));
          };
        };
        const auto qs = Tiles<int8_t>(q, quantise(q0 * stretch));
        const auto ks = Tiles<int8_t>(k, quantise(k0 * stretch));
        const auto vs =
            Tiles<uint16_t>(v, [](double x) { return NearestBf16(x); });
        return Stream(
            [&](int query, int b, float* state, uint16_t* p) {
              const size_t tile = kBlock * kWidth;
              Call("flash_scores_i8",
                   {&qs[static_cast<size_t>(query) * tile],
                    &ks[static_cast<size_t>(b) * tile], p, state},
                   {kBlock, kBlock, kWidth, b, kPositions, shift, kWidth});
              Call("flash_values",
                   {p, &vs[static_cast<size_t>(b) * tile], state},
                   {kBlock, kBlock, kWidth, b});
            },
            moves);
      });
}

}  // namespace
}  // namespace sotto
