// SPDX-License-Identifier: MIT
// The passes over graphs as text; rlx.md section 6, rows 16, 17 and 24.
#include "compile/passes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "compile/compiler.h"
#include "compile/test_backend.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace sotto {
namespace {

// Runs one pass over a text and gives the text behind it, without the title.
std::string Behind(ir::Graph (*pass)(const ir::Graph&, const PassContext&),
                   const std::string& text, const StageOptions& options = {},
                   FusionReport* report = nullptr, DType kv = DType::kF32) {
  const ir::Graph graph = ir::Parse("stage t\n" + text);
  const ir::Graph after =
      pass(graph, {.options = options, .kv = kv, .report = report});
  ir::Verify(after);
  const std::string printed = ir::Print(after);
  return printed.substr(printed.find('\n') + 1);
}

TEST(Fold, RemovesWhatDoesNothingAndWhatNobodyReads) {
  const std::string text = R"(input x : f32[2,4]
weight @zero : f32[4] {:4}
weight @w : f32[4,4]
%c = cast(x) : f32[2,4]
%r = reshape(%c) shape=[2,4] : f32[2,4]
%s = slice(%r) end=4 : f32[2,4]
%a = add(%s, @zero) : f32[2,4]
%dead = gelu(%a) : f32[2,4]
%deader = gelu(%dead) : f32[2,4]
%y = linear(%a, @w, @zero) : f32[2,4]
%out = cast(%y) : f32[2,4]
output %out
)";
  EXPECT_EQ(Behind(Fold, text), R"(input x : f32[2,4]
weight @w : f32[4,4]
%y = linear(x, @w, _) : f32[2,4]
%out = cast(%y) : f32[2,4]
output %out
)");
  StageOptions options;
  options.passes.constant_folding = false;
  EXPECT_NE(Behind(Fold, text, options).find("%c = cast"), std::string::npos);
  EXPECT_EQ(Behind(Fold, text, options).find("%dead"), std::string::npos);
  options.passes = {.dce = false};
  EXPECT_NE(Behind(Fold, text, options).find("%deader"), std::string::npos);
}

TEST(Fold, KeepsStateWrites) {
  const std::string text = R"(input q : f32[1,1,8]
input i : i32[1]
state !k : f32[1,2,16,4]
%k2 = kv_write(!k, q, i, i) : f32[1,2,16,4] in !k
)";
  EXPECT_EQ(Behind(Fold, text), text);
}

constexpr const char* kAttention = R"(input x : f32[1,3,8]
weight @l.q.w : f32[8,8]
weight @l.q.b : f32[8]
weight @l.k.w : f32[8,8]
weight @l.v.w : f32[8,8]
weight @l.v.b : f32[8]
%l.q = linear(x, @l.q.w, @l.q.b) : f32[1,3,8]
%l.k = linear(x, @l.k.w) : f32[1,3,8]
%l.v = linear(x, @l.v.w, @l.v.b) : f32[1,3,8]
%a = attention(%l.q, %l.k, %l.v) heads=2 scale=0.5 : f32[1,3,8]
output %a
)";

TEST(RlxDefect, D06FusedQkvKeepsBiases) {
  FusionReport report;
  EXPECT_EQ(Behind(Fuse, kAttention, {}, &report), R"(input x : f32[1,3,8]
weight @l.qkv.w : f32[24,8] {l.q.w:8|l.k.w:8|l.v.w:8}
weight @l.qkv.b : f32[24] {l.q.b:8|:8|l.v.b:8}
%l.qkv = linear(x, @l.qkv.w, @l.qkv.b) : f32[1,3,24]
%l.q = slice(%l.qkv) end=8 : f32[1,3,8]
%l.k = slice(%l.qkv) begin=8 end=16 : f32[1,3,8]
%l.v = slice(%l.qkv) begin=16 end=24 : f32[1,3,8]
%a = attention(%l.q, %l.k, %l.v) heads=2 scale=0.5 : f32[1,3,8]
output %a
)");
  EXPECT_EQ(report.ToString(), "fused: qkv=1\n  qkv l.qkv\n");
}

TEST(Fuse, LeavesQkvOfDifferentInputsAlone) {
  std::string text = kAttention;
  text.replace(text.find("%l.k = linear(x"), 15,
               "%g = gelu(x) : f32[1,3,8]\n"
               "%l.k = linear(%g");
  FusionReport report;
  Behind(Fuse, text, {}, &report);
  EXPECT_EQ(report.Count("qkv"), 0);
}

constexpr const char* kMlp = R"(input x : f32[1,3,8]
weight @f1.w : f32[16,8]
weight @f1.b : f32[16]
weight @f2.w : f32[8,16]
%h = linear(x, @f1.w, @f1.b) : f32[1,3,16]
%g = gelu(%h) : f32[1,3,16]
%m = linear(%g, @f2.w) : f32[1,3,8]
%y = add(x, %m) : f32[1,3,8]
output %y
)";

TEST(Fuse, TakesGeluAndResidualIntoTheMatrix) {
  FusionReport report;
  EXPECT_EQ(Behind(Fuse, kMlp, {}, &report), R"(input x : f32[1,3,8]
weight @f1.w : f32[16,8]
weight @f1.b : f32[16]
weight @f2.w : f32[8,16]
%g = linear(x, @f1.w, @f1.b) act=gelu : f32[1,3,16]
%y = linear(%g, @f2.w, _, x) : f32[1,3,8]
output %y
)");
  EXPECT_EQ(report.Count("gelu"), 1);
  EXPECT_EQ(report.Count("residual", "f2.w"), 1);
}

TEST(Fuse, LeavesValuesThatOthersReadAlone) {
  std::string text = kMlp;
  text += "%other = gelu(%h) : f32[1,3,16]\noutput %other\n";
  FusionReport report;
  const std::string after = Behind(Fuse, text, {}, &report);
  EXPECT_EQ(report.Count("gelu"), 0);
  EXPECT_EQ(report.Count("residual"), 1);
}

TEST(Fuse, AddsPositionsWithinTheConvolution) {
  FusionReport report;
  EXPECT_EQ(Behind(Fuse, R"(input x : f32[2,7,3]
weight @w : f32[5,3,3]
weight @b : f32[5]
weight @p : f32[4,5]
%c = conv1d(x, @w, @b) stride=2 : f32[2,4,5]
%g = gelu(%c) : f32[2,4,5]
%s = add(%g, @p) : f32[2,4,5]
output %s
)",
                   {}, &report),
            R"(input x : f32[2,7,3]
weight @w : f32[5,3,3]
weight @b : f32[5]
weight @p : f32[4,5]
%s = conv1d(x, @w, @b, @p) stride=2 act=gelu : f32[2,4,5]
output %s
)");
  EXPECT_EQ(report.ToString(),
            "fused: gelu=1 position=1\n  gelu w\n"
            "  position w\n");
}

TEST(Rlx, Row16FusionSwitches) {
  StageOptions options;
  const std::string both = std::string(kMlp);
  options.fuse.skip = true;
  EXPECT_EQ(Behind(Fuse, both, options), both);
  options.fuse = {.unfuse = true};
  EXPECT_EQ(Behind(Fuse, both, options), both);
  FusionReport report;
  Behind(Fuse, kAttention, options, &report);
  EXPECT_EQ(report.Count("qkv"), 1);  // unfuse is for elementwise parts
  options.fuse = {.bias_gelu = false};
  report = {};
  Behind(Fuse, both, options, &report);
  EXPECT_EQ(report.ToString(), "fused: residual=1\n  residual f2.w\n");
}

TEST(Rlx, Row16AssertCleanFailsOnAPlantedPattern) {
  StageOptions options;
  options.fuse.assert_clean = true;
  Behind(Fuse, kMlp, options);
  Behind(Fuse, kAttention, options);
  options.fuse.bias_gelu = false;
  try {
    Behind(Fuse, kMlp, options);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "t: 1 patterns are left unfused, the first is gelu %g");
  }
  options.fuse = {.assert_clean = true, .qkv = false};
  EXPECT_THROW(Behind(Fuse, kAttention, options), Error);
}

ModelSpec TinyEn() {
  ModelSpec spec;
  spec.name = "tiny.en";
  spec.n_mels = 80;
  spec.n_audio_ctx = 1500;
  spec.n_audio_state = spec.n_text_state = 384;
  spec.n_audio_heads = spec.n_text_heads = 6;
  spec.n_audio_layers = spec.n_text_layers = 4;
  spec.n_audio_ffn = spec.n_text_ffn = 1536;
  spec.n_text_ctx = 448;
  spec.n_vocab = 51864;
  return spec;
}

CompileReport Report(Stage stage, Profile profile = LoadProfile("cpu-bf16")) {
  for (StageOptions& options : profile.stages) options.fuse.assert_clean = true;
  TestBackend backend;
  CompileReport report;
  Backend* const backends[] = {&backend};
  Compile(TinyEn(), NoWeights(), stage,
          {.tokens = stage == Stage::kPrefill ? 4 : 1}, profile, backends,
          &report);
  return report;
}

TEST(Rlx, Row16FusionsOfEachStageOfTiny) {
  const FusionReport decode = Report(Stage::kDecode).fusion;
  EXPECT_EQ(decode.Count("qkv"), 4);
  EXPECT_EQ(decode.Count("residual", ".attn.o.w"), 4);
  EXPECT_EQ(decode.Count("residual", ".cross.o.w"), 4);
  EXPECT_EQ(decode.Count("gelu", ".fc1.w"), 4);  // the MLP: 8 matrices
  EXPECT_EQ(decode.Count("residual", ".fc2.w"), 4);
  EXPECT_EQ(decode.entries.size(), 20u);
  EXPECT_EQ(Report(Stage::kPrefill).fusion.ToString(), decode.ToString());
  const FusionReport encoder = Report(Stage::kEncoder).fusion;
  EXPECT_EQ(encoder.Count("qkv"), 4);
  EXPECT_EQ(encoder.Count("gelu"), 4 + 2);  // and the convolutions
  EXPECT_EQ(encoder.Count("residual"), 8);
  EXPECT_EQ(encoder.Count("position", "enc.conv2.w"), 1);
  const FusionReport cross = Report(Stage::kCrossKv).fusion;
  EXPECT_EQ(cross.ToString().substr(0, 18), "fused: cross_kv=4\n");
}

TEST(Rlx, Row16EveryMatrixOfADecoderStepHasItsBias) {
  TestBackend backend;
  Backend* const backends[] = {&backend};
  const auto program = Compile(TinyEn(), NoWeights(), Stage::kDecode, {},
                               LoadProfile("cpu-f32"), backends);
  int cross_q = 0, without = 0, linears = 0;
  for (const ir::Node& node : program->graph().nodes) {
    if (node.op != ir::Op::kLinear) continue;
    ++linears;
    const std::string& w = program->graph().value(node.inputs[1]).name;
    const bool bias = node.inputs.size() > 2 && node.inputs[2] != ir::kNoValue;
    cross_q += w.ends_with(".cross.q.w") && bias;
    without += !bias;
  }
  EXPECT_EQ(cross_q, 4);
  EXPECT_EQ(without, 1);  // the logits
  EXPECT_EQ(linears, 4 * 6 + 1);
}

TEST(SetPrecision, WritesLowPrecisionWhereOnlyMatricesRead) {
  StageOptions options;
  options.precision = Precision::kBF16;
  options.mixed = Mixed::kAuto;
  EXPECT_EQ(Behind(SetPrecision, R"(input x : f32[1,3,8]
weight @ln : f32[8]
weight @f1.w : f32[16,8]
weight @f1.b : f32[16]
weight @f2.w : f32[8,16]
%n = layer_norm(x, @ln, @ln) : f32[1,3,8]
%g = linear(%n, @f1.w, @f1.b) act=gelu : f32[1,3,16]
%y = linear(%g, @f2.w, _, x) : f32[1,3,8]
output %y
)",
                   options),
            R"(input x : f32[1,3,8]
weight @ln : f32[8]
weight @f1.w : bf16[16,8]
weight @f1.b : f32[16]
weight @f2.w : bf16[8,16]
%n = layer_norm(x, @ln, @ln) out=bf16 : bf16[1,3,8]
%g = linear(%n, @f1.w, @f1.b) act=gelu out=bf16 : bf16[1,3,16]
%y = linear(%g, @f2.w, _, x) : f32[1,3,8]
output %y
)");
}

TEST(SetPrecision, CastsAnInputOnceForAllItsMatrices) {
  StageOptions options;
  options.precision = Precision::kBF16;
  options.mixed = Mixed::kAuto;
  EXPECT_EQ(Behind(SetPrecision, R"(input x : f32[1,3,8]
weight @a : f32[8,8]
weight @b : f32[8,8]
%p = linear(x, @a) : f32[1,3,8]
%q = linear(x, @b) : f32[1,3,8]
%y = add(%p, %q) : f32[1,3,8]
output %y
)",
                   options),
            R"(input x : f32[1,3,8]
weight @a : bf16[8,8]
weight @b : bf16[8,8]
%x.bf16 = cast(x) out=bf16 : bf16[1,3,8]
%p = linear(%x.bf16, @a) : f32[1,3,8]
%q = linear(%x.bf16, @b) : f32[1,3,8]
%y = add(%p, %q) : f32[1,3,8]
output %y
)");
}

TEST(SetPrecision, HalfIsForWeightsAlone) {
  StageOptions options;
  options.precision = Precision::kF16;
  options.mixed = Mixed::kAuto;
  const std::string after = Behind(SetPrecision, kMlp, options);
  EXPECT_NE(after.find("weight @f1.w : f16"), std::string::npos);
  EXPECT_EQ(after.find("out="), std::string::npos);
  EXPECT_EQ(after.find("cast"), std::string::npos);
}

TEST(RlxDefect, D16TokenIdsAreNeverCast) {
  for (const char* name : {"cpu-bf16", "cpu-f16"}) {
    TestBackend backend;
    Backend* const backends[] = {&backend};
    for (const Stage stage : {Stage::kPrefill, Stage::kDecode}) {
      const auto program = Compile(TinyEn(), NoWeights(), stage,
                                   {.tokens = stage == Stage::kPrefill ? 4 : 1},
                                   LoadProfile(name), backends);
      const ir::Graph& g = program->graph();
      for (const ir::Node& node : g.nodes) {
        const ir::Value& first = g.value(node.inputs[0]);
        if (node.op == ir::Op::kCast) {
          EXPECT_TRUE(ir::IsFloat(first.dtype));
        }
        if (node.op == ir::Op::kEmbed) {
          EXPECT_EQ(first.name, "tokens");
        }
      }
      EXPECT_EQ(g.value(g.Find("tokens")).dtype, DType::kI32);
    }
  }
}

TEST(SetLayout, TheTiedTableIsOneValueInPanels) {
  TestBackend backend;
  Backend* const backends[] = {&backend};
  const auto program = Compile(TinyEn(), NoWeights(), Stage::kDecode, {},
                               LoadProfile("cpu-bf16"), backends);
  const ir::Graph& g = program->graph();
  const ir::ValueId table = g.Find("dec.tok_emb");
  EXPECT_EQ(g.value(table).layout, ir::Layout::kPanel);
  EXPECT_EQ(g.value(table).dtype, DType::kBF16);
  EXPECT_EQ(std::count_if(g.nodes.begin(), g.nodes.end(),
                          [&](const ir::Node& node) {
                            return node.inputs.size() > 1 &&
                                   node.inputs[1] == table;
                          }),
            2);  // embed and logits
  EXPECT_EQ(g.value(g.Find("dec.pos")).layout, ir::Layout::kPlain);
}

TEST(Place, TakesTheFirstBackendAndListsAllReasons) {
  const ir::Graph graph = ir::Parse(std::string("stage t\n") + kMlp);
  TestBackend fast("fast", [](const ir::Graph&, const ir::Node& node) {
    return node.op == ir::Op::kGelu ? "" : "fast: only gelu";
  });
  TestBackend slow("slow");
  Backend* const both[] = {&fast, &slow};
  const ir::Graph placed =
      Place(graph, {.options = StageOptions(), .backends = both});
  EXPECT_EQ(placed.nodes[0].backend, "slow");
  EXPECT_EQ(placed.nodes[1].backend, "fast");
  TestBackend none("none", [](const ir::Graph&, const ir::Node&) {
    return "none: not today";
  });
  Backend* const refusing[] = {&none, &fast};
  try {
    Place(graph, {.options = StageOptions(), .backends = refusing});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_STREQ(error.what(),
                 "t: no backend runs %h: none: not today; fast: "
                 "only gelu");
  }
}

TEST(Compile, OneGraphMayMixBackends) {
  TestBackend fast("fast", [](const ir::Graph&, const ir::Node& node) {
    return node.op == ir::Op::kLinear ? "" : "fast: only linear";
  });
  TestBackend slow("slow");
  Backend* const both[] = {&fast, &slow};
  const auto program = Compile(TinyEn(), NoWeights(), Stage::kDecode, {},
                               LoadProfile("cpu-f32"), both);
  for (const ir::Node& node : program->graph().nodes)
    EXPECT_EQ(node.backend, node.op == ir::Op::kLinear ? "fast" : "slow");
}

TEST(Compile, AFusableStageGoesWithoutFusionWhereItMust) {
  TestBackend backend("test", [](const ir::Graph&, const ir::Node& node) {
    const bool gelu =
        node.op == ir::Op::kLinear &&
        std::get<ir::LinearAttrs>(node.attrs).act == ir::Activation::kGelu;
    return gelu ? "test: no gelu in matrices" : "";
  });
  Backend* const backends[] = {&backend};
  const Profile profile = LoadProfile("cpu-f32");
  CompileReport report;
  Compile(TinyEn(), NoWeights(), Stage::kDecode, {}, profile, backends,
          &report);
  EXPECT_NE(report.without_fusion.find("test: no gelu in matrices"),
            std::string::npos);
  EXPECT_TRUE(report.fusion.entries.empty());
  EXPECT_THROW(Compile(TinyEn(), NoWeights(), Stage::kPrefill, {.tokens = 2},
                       profile, backends),
               Error);  // direct
}

TEST(Rlx, Row26QueryChunksReachTheAttention) {
  TestBackend backend;
  Backend* const backends[] = {&backend};
  Profile profile = LoadProfile("cpu-f32");
  profile.Of(Stage::kEncoder).q_chunk = 64;
  const auto program =
      Compile(TinyEn(), NoWeights(), Stage::kEncoder, {}, profile, backends);
  int seen = 0;
  for (const ir::Node& node : program->graph().nodes)
    if (node.op == ir::Op::kAttention)
      seen += std::get<ir::AttentionAttrs>(node.attrs).q_chunk == 64;
  EXPECT_EQ(seen, 4);
}

TEST(Rlx, Row26ChunksOfCrossAttentionAreTheirOwnOption) {
  TestBackend backend;
  Backend* const backends[] = {&backend};
  Profile profile = LoadProfile("cpu-f32");
  profile.Of(Stage::kPrefill).q_chunk = 64;
  profile.Of(Stage::kPrefill).cross_chunk = 9;
  const auto chunks = [&](Stage stage) {
    std::vector<std::string> seen;
    const auto program = Compile(TinyEn(), NoWeights(), stage,
                                 {.tokens = stage == Stage::kPrefill ? 20 : 1},
                                 profile, backends);
    for (const ir::Node& node : program->graph().nodes)
      if (const auto* attrs =
              std::get_if<ir::CachedAttentionAttrs>(&node.attrs))
        seen.push_back(fmt::format("{}{}", attrs->causal ? "self " : "cross ",
                                   attrs->q_chunk));
    return seen;
  };
  using Chunks = std::vector<std::string>;
  EXPECT_EQ(chunks(Stage::kPrefill),
            (Chunks{"self 0", "cross 9", "self 0", "cross 9", "self 0",
                    "cross 9", "self 0", "cross 9"}));
  EXPECT_EQ(chunks(Stage::kDecode),
            (Chunks{"self 0", "cross 0", "self 0", "cross 0", "self 0",
                    "cross 0", "self 0", "cross 0"}));
}

// Bytes of the arena for values alone, as once recorded: a pass that makes
// more of them alive at once shows here. 3 % either way.
TEST(Compile, ArenasOfTinyStayTheirSize) {
  TestBackend backend;
  Backend* const backends[] = {&backend};
  const auto arena = [&](Stage stage, const char* profile) {
    const StageShape shape = {.tokens = stage == Stage::kPrefill ? 224 : 1};
    return static_cast<double>(Compile(TinyEn(), NoWeights(), stage, shape,
                                       LoadProfile(profile), backends)
                                   ->plan()
                                   .arena_bytes);
  };
  const auto expect = [&](Stage stage, const char* profile, double bytes) {
    EXPECT_NEAR(arena(stage, profile), bytes, 0.03 * bytes)
        << StageName(stage) << " " << profile;
  };
  // Residual and the MLP's hidden rows: 1500 x (384 + 384 + 1536).
  expect(Stage::kEncoder, "cpu-f32", 1500.0 * (384 + 384 + 1536) * 4);
  expect(Stage::kCrossKv, "cpu-f32", 1500.0 * 2 * 384 * 4);
  expect(Stage::kPrefill, "cpu-f32", 224.0 * (384 + 384 + 1536) * 4);
  expect(Stage::kDecode, "cpu-f32", (384 + 384 + 1536) * 4);
  expect(Stage::kCrossKv, "cpu-bf16", 1500.0 * 3 * 384 * 2);
}

}  // namespace
}  // namespace sotto
