// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "ir/graph.h"

namespace sotto::ir {
namespace {

// A graph whose inputs have the given types; `Try` infers one node over them.
struct Bench {
  Graph g;
  ValueId F(const Shape& shape, DType type = DType::kF32) {
    return g.Input("in" + std::to_string(g.values.size()), type, shape);
  }
  ValueId I(const Shape& shape) { return F(shape, DType::kI32); }
  Inferred Try(Op op, std::vector<ValueId> in, Attrs attrs = NoAttrs{}) {
    return Infer(g, Node{.op = op,
                         .inputs = std::move(in),
                         .output = kNoValue,
                         .attrs = std::move(attrs),
                         .backend = {}});
  }
  std::string Why(Op op, std::vector<ValueId> in, Attrs attrs = NoAttrs{}) {
    try {
      Try(op, std::move(in), std::move(attrs));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInternal);
      return error.what();
    }
    return "";
  }
};

TEST(Infer, ConvHalvesTimeAsWhisperDoes) {
  for (const int64_t t : {1, 2, 3, 8, 2999, 3000}) {
    Bench bench;
    const ValueId x = bench.F({2, t, 6});
    const ValueId w = bench.F({5, 6, 3});
    const ValueId b = bench.F({5});
    const Inferred out = bench.Try(Op::kConv1d, {x, w, b},
                                   ConvAttrs{.stride = 2, .out = DType::kBF16});
    EXPECT_EQ(out.shape, (Shape{2, (t - 1) / 2 + 1, 5}));
    EXPECT_EQ(out.dtype, DType::kBF16);
    EXPECT_EQ(bench.Try(Op::kConv1d, {x, w, b}, ConvAttrs{}).shape,
              (Shape{2, t, 5}));
  }
}

TEST(Infer, LinearTakesAnyLeadingDimensions) {
  Bench bench;
  const ValueId w = bench.F({7, 4});
  for (const Shape& lead : {Shape{4}, Shape{3, 4}, Shape{2, 3, 4}}) {
    Shape want = lead;
    want[-1] = 7;
    EXPECT_EQ(bench.Try(Op::kLinear, {bench.F(lead), w}, LinearAttrs{}).shape,
              want);
  }
}

TEST(Infer, ErrorsNameOpAndOperands) {
  Bench bench;
  const ValueId x = bench.F({2, 3, 5});
  const ValueId w = bench.F({7, 4});
  EXPECT_EQ(bench.Why(Op::kLinear, {x, w}, LinearAttrs{}),
            "linear(in0 f32[2,3,5], in1 f32[7,4]): x's last dimension is 5, "
            "want 4");
  EXPECT_EQ(bench.Why(Op::kLinear, {x}, LinearAttrs{}),
            "linear(in0 f32[2,3,5]): has 1 operands, want 2 to 4");
  EXPECT_EQ(bench.Why(Op::kLinear, {x, w}, ConvAttrs{}),
            "linear(in0 f32[2,3,5], in1 f32[7,4]): has the attributes of "
            "another op");
}

TEST(Infer, RefusesWhatDoesNotFit) {
  Bench b;
  const ValueId x = b.F({2, 6, 8});
  const ValueId row = b.F({8});
  const ValueId ids = b.I({2, 6});
  const ValueId pos = b.I({2});
  const ValueId state = b.F({2, 2, 16, 4});
  EXPECT_NE(b.Why(Op::kTranspose, {row}), "");
  EXPECT_NE(b.Why(Op::kTranspose, {ids}), "");
  EXPECT_NE(b.Why(Op::kLayerNorm, {x, row, b.F({7})}, NormAttrs{}), "");
  EXPECT_NE(b.Why(Op::kLayerNorm, {x, row, row}, NormAttrs{.epsilon = 0}), "");
  EXPECT_NE(b.Why(Op::kAdd, {x, b.F({6})}, CastAttrs{}), "");
  EXPECT_NE(b.Why(Op::kCast, {x}, CastAttrs{DType::kI32}), "");
  EXPECT_NE(b.Why(Op::kSlice, {x}, SliceAttrs{3, 3}), "");
  EXPECT_NE(b.Why(Op::kSlice, {x}, SliceAttrs{0, 9}), "");
  EXPECT_NE(b.Why(Op::kReshape, {x}, ReshapeAttrs{{2, 47}}), "");
  EXPECT_NE(
      b.Why(Op::kReshape, {x}, ReshapeAttrs{{INT64_MAX, INT64_MAX, INT64_MAX}}),
      "");
  EXPECT_NE(b.Why(Op::kAttention, {x, x, x}, AttentionAttrs{.heads = 3}), "");
  EXPECT_NE(
      b.Why(Op::kAttention, {x, x, b.F({2, 5, 8})}, AttentionAttrs{.heads = 2}),
      "");
  EXPECT_NE(
      b.Why(Op::kKvWrite, {state, b.F({2, 17, 8}), pos, pos}, KvWriteAttrs{}),
      "");
  EXPECT_NE(b.Why(Op::kKvWrite, {state, x, pos, b.I({3})}, KvWriteAttrs{}), "");
  EXPECT_NE(b.Why(Op::kCachedAttention, {x, state, state, pos, pos},
                  CachedAttentionAttrs{.extent = 17}),
            "");
  EXPECT_NE(b.Why(Op::kCachedAttention, {x, state, state, pos, pos},
                  CachedAttentionAttrs{.extent = 0}),
            "");
  EXPECT_NE(b.Why(Op::kEmbed, {x, x, x, pos}, CastAttrs{}), "");
  EXPECT_NE(b.Why(Op::kSelectRows, {x, b.I({3, 1})}), "");
}

TEST(Infer, TokenIdsStayWhole) {
  // RLX defect 16: its mixed precision cast token ids to f16.
  Bench b;
  const ValueId table = b.F({11, 8});
  const ValueId ids = b.F({1, 3}, DType::kF16);
  EXPECT_NE(b.Why(Op::kEmbed, {ids, table, table, b.I({1})}, CastAttrs{})
                .find("tokens are f16, want i32"),
            std::string::npos);
}

TEST(Infer, EveryOpHasDefaultAttributes) {
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    EXPECT_FALSE(Info(op).name.empty());
    EXPECT_LE(Info(op).min_inputs, Info(op).max_inputs);
    Node node{.op = op, .inputs = {}, .attrs = DefaultAttrs(op), .backend = {}};
    // Without operands each refuses by naming itself, and none crashes.
    EXPECT_THROW(Infer(Graph{}, node), Error);
  }
}

}  // namespace
}  // namespace sotto::ir
