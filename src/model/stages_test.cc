// SPDX-License-Identifier: MIT
#include "model/stages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ir/text.h"
#include "ir/verify.h"

namespace sotto {
namespace {

ModelSpec Tiny() {
  ModelSpec spec;
  spec.name = "tiny test";
  spec.n_mels = 20;
  spec.n_audio_ctx = 30;
  spec.n_audio_state = spec.n_text_state = 32;
  spec.n_audio_heads = spec.n_text_heads = 2;
  spec.n_audio_layers = 2;
  spec.n_text_layers = 3;
  spec.n_audio_ffn = spec.n_text_ffn = 64;
  spec.n_text_ctx = 24;
  spec.n_vocab = 51;
  return spec;
}

int Count(const ir::Graph& graph, ir::Op op) {
  return static_cast<int>(
      std::count_if(graph.nodes.begin(), graph.nodes.end(),
                    [op](const ir::Node& node) { return node.op == op; }));
}

StageShape ShapeOf(Stage stage, int batch) {
  StageShape shape{.batch = batch, .slots = batch + 1, .frames = 60};
  if (stage == Stage::kPrefill) {
    shape.tokens = 5;
    shape.logit_rows = 2;
  }
  return shape;
}

TEST(Stages, AreVerifiedAndRoundTripForEveryBatch) {
  const ModelSpec spec = Tiny();
  for (const Stage stage : kStages)
    for (int batch = 1; batch <= 8; ++batch) {
      const StageShape shape = ShapeOf(stage, batch);
      const ir::Graph graph = BuildStage(spec, stage, shape);
      VerifyStage(spec, stage, shape, graph);
      const std::string text = ir::Print(graph);
      EXPECT_EQ(ir::Print(ir::Parse(text)), text);
    }
}

TEST(Stages, EncoderPositionsAreHalfTheFrames) {
  EXPECT_EQ(EncoderPositions(3000), 1500);
  EXPECT_EQ(EncoderPositions(8), 4);
  EXPECT_EQ(EncoderPositions(7), 4);
  EXPECT_EQ(EncoderPositions(1), 1);
  const ir::Graph graph = BuildStage(Tiny(), Stage::kEncoder, {.frames = 7});
  EXPECT_EQ(graph.value(graph.Find("audio")).shape, (Shape{1, 4, 32}));
  EXPECT_EQ(graph.value(graph.Find("enc.pos")).shape, (Shape{4, 32}));
}

TEST(Stages, KeysHaveNoBiasAndLogitsAreTied) {
  const ModelSpec spec = Tiny();
  for (const Stage stage : kStages) {
    const ir::Graph graph = BuildStage(spec, stage, ShapeOf(stage, 1));
    for (const ir::Node& node : graph.nodes) {
      if (node.op != ir::Op::kLinear) continue;
      const std::string& name = graph.value(node.inputs[1]).name;
      const bool key = name.ends_with(".k.w");
      const bool tied = name == "dec.tok_emb";
      EXPECT_EQ(node.inputs.size(), key || tied ? 2u : 3u) << name;
    }
  }
}

TEST(Stages, HaveTheLayersOfTheSpec) {
  const ModelSpec spec = Tiny();
  const ir::Graph encoder =
      BuildStage(spec, Stage::kEncoder, ShapeOf(Stage::kEncoder, 1));
  EXPECT_EQ(Count(encoder, ir::Op::kConv1d), 2);
  EXPECT_EQ(Count(encoder, ir::Op::kAttention), 2);
  EXPECT_EQ(Count(encoder, ir::Op::kLinear), 2 * 6);
  EXPECT_EQ(Count(encoder, ir::Op::kLayerNorm), 2 * 2 + 1);
  const ir::Graph cross =
      BuildStage(spec, Stage::kCrossKv, ShapeOf(Stage::kCrossKv, 1));
  EXPECT_EQ(Count(cross, ir::Op::kLinear), 3 * 2);
  EXPECT_EQ(Count(cross, ir::Op::kKvWrite), 3 * 2);
  const ir::Graph decode =
      BuildStage(spec, Stage::kDecode, ShapeOf(Stage::kDecode, 1));
  EXPECT_EQ(Count(decode, ir::Op::kCachedAttention), 3 * 2);
  EXPECT_EQ(Count(decode, ir::Op::kLinear), 3 * 8 + 1);
  EXPECT_EQ(Count(decode, ir::Op::kSelectRows), 0);
  const ir::Graph prefill =
      BuildStage(spec, Stage::kPrefill, ShapeOf(Stage::kPrefill, 1));
  EXPECT_EQ(Count(prefill, ir::Op::kSelectRows), 1);
}

TEST(Stages, ScaleStandsOnceInTheAttention) {
  const ir::Graph decode =
      BuildStage(Tiny(), Stage::kDecode, ShapeOf(Stage::kDecode, 1));
  for (const ir::Node& node : decode.nodes) {
    if (node.op != ir::Op::kCachedAttention) continue;
    EXPECT_FLOAT_EQ(std::get<ir::CachedAttentionAttrs>(node.attrs).scale,
                    1 / std::sqrt(16.0f));
  }
}

TEST(Stages, RefuseShapesTheModelCannotHave) {
  const ModelSpec spec = Tiny();
  const auto why = [&](Stage stage, const StageShape& shape) -> std::string {
    try {
      BuildStage(spec, stage, shape);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(why(Stage::kEncoder, {.frames = 62}), "frames is 62, want 1 to 60");
  EXPECT_EQ(why(Stage::kEncoder, {.batch = 0, .frames = 60}),
            "batch is 0, want 1 to 65536");
  EXPECT_EQ(why(Stage::kDecode, {.kv_extent = 25, .frames = 60}),
            "the KV extent is 25, want 0 to 24");
  EXPECT_EQ(why(Stage::kDecode, {.tokens = 2, .frames = 60}),
            "tokens is 2, want 1 to 1");
  EXPECT_EQ(why(Stage::kPrefill, {.tokens = 9, .kv_extent = 8, .frames = 60}),
            "tokens is 9, want 1 to 8");
  EXPECT_EQ(why(Stage::kPrefill, {.tokens = 1, .logit_rows = 2, .frames = 60}),
            "logit rows is 2, want 1 to 1");
}

TEST(Stages, VerifyStageMissesNothing) {
  const ModelSpec spec = Tiny();
  const StageShape shape = ShapeOf(Stage::kPrefill, 2);
  ir::Graph graph = BuildStage(spec, Stage::kPrefill, shape);
  EXPECT_THROW(VerifyStage(spec, Stage::kDecode, shape, graph), Error);
  graph.outputs.clear();
  EXPECT_THROW(VerifyStage(spec, Stage::kPrefill, shape, graph), Error);
  graph = BuildStage(spec, Stage::kPrefill, shape);
  graph.values[static_cast<size_t>(graph.Find("rows"))].name = "row";
  EXPECT_THROW(VerifyStage(spec, Stage::kPrefill, shape, graph), Error);
}

}  // namespace
}  // namespace sotto
