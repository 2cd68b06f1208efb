// SPDX-License-Identifier: MIT
// Decoding over caches: rlx.md section 6, rows 6-8, 12 and 21, and section
// 5.3, defects 2, 3, 7 and 8. Random weights, every path of this machine.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "cpu/kernel.h"
#include "reference_model.h"
#include "stage_runner.h"
#include "tiny_model.h"

namespace sotto {
namespace {

constexpr int kContext = 448;

std::shared_ptr<const WeightStore> MakeStore(int heads) {
  TinyOptions options = MicroOptions();
  options.n_audio_ctx = 40;
  options.n_text_ctx = kContext;
  options.heads = heads;
  options.audio_layers = options.text_layers = 2;
  options.deviation = 0.2f;  // sharp attention: masks and positions matter
  return MakeTinyStore(options);
}

// `heads` 1: a head of 64, as every Whisper has; tile kernels want that. 4:
// several heads, on the kernels that take any size.
std::shared_ptr<const WeightStore> Store(int heads = 4) {
  static const std::shared_ptr<const WeightStore> one = MakeStore(1);
  static const std::shared_ptr<const WeightStore> four = MakeStore(4);
  return heads == 1 ? one : four;
}

std::vector<int> Tokens(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<int> tokens(count);
  for (int& token : tokens)
    token = static_cast<int>(random() %
                             static_cast<unsigned>(Store()->spec().n_vocab));
  return tokens;
}

// A model under a profile, and a runner that has heard something.
struct Heard {
  explicit Heard(const std::string& profile = "cpu-f32", int batch = 1,
                 uint64_t seed = 1, int heads = 4)
      : model(Store(heads), LoadProfile(profile)), runner(model, batch) {
    Hear(seed, batch);
  }
  void Hear(uint64_t seed, int batch = 1) {
    runner.Encode(
        NoiseMel(model.spec(), 2 * model.spec().n_audio_ctx, batch, seed));
    runner.CrossKv();
  }
  StageModel model;
  StageRunner runner;
};

class RlxProfiles
    : public testing::TestWithParam<std::tuple<const char*, int>> {
 protected:
  std::string profile() const { return std::get<0>(GetParam()); }
  int heads() const { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Profiles, RlxProfiles,
                         testing::Combine(testing::Values("cpu-f32", "cpu-bf16",
                                                          "cpu-f16"),
                                          testing::Values(1, 4)),
                         [](const auto& param) {
                           std::string name = std::get<0>(param.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name + "_heads" +
                                  std::to_string(std::get<1>(param.param));
                         });

TEST_P(RlxProfiles, Row06EveryBucketGivesTheSameBits) {
  Heard heard(profile(), 1, 1, heads());
  const std::vector<int> tokens = Tokens(kContext, 3);
  heard.runner.Prefill(tokens);
  const BucketLadder ladder = BucketLadder::PowersOfTwo(kContext);
  for (const int past :
       {0, 1, 2, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 256, 257, 447}) {
    std::vector<float> first;
    for (const Bucket& bucket : ladder.buckets()) {
      if (bucket.extent < past) continue;
      heard.runner.positions() = {past};
      const int extent =
          static_cast<int>(std::min<int64_t>(bucket.extent + 1, kContext));
      const std::vector<float> logits = heard.runner.StepAt(
          std::span(tokens).subspan(static_cast<size_t>(past), 1), extent);
      if (first.empty()) first = logits;
      ASSERT_EQ(logits, first) << "past " << past << " in " << extent;
    }
  }
}

TEST(Rlx, Row06Row08StepsEqualTheWholeSequence) {
  Heard heard;
  const std::vector<int> tokens = Tokens(kContext, 3);
  const ReferenceModel reference(*Store());
  const int frames = 2 * Store()->spec().n_audio_ctx;
  const std::vector<float> want =
      reference
          .Decode(tokens, reference.Encode(
                              NoiseMel(Store()->spec(), frames, 1, 1), frames))
          .Floats();
  const auto vocab = static_cast<size_t>(Store()->spec().n_vocab);
  // Row 8: positions 0 to 447, each with its own embedding.
  heard.runner.positions() = {0};
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::vector<float> logits =
        heard.runner.Step(std::span(tokens).subspan(i, 1));
    ASSERT_LE(MaxAbsDiff(logits, std::span(want).subspan(i * vocab, vocab)),
              1e-4)
        << "position " << i;
  }
  EXPECT_EQ(heard.model.cache->counters(Stage::kDecode).builds, 9);
  EXPECT_THROW(heard.runner.Step(std::span(tokens).first(1)), Error);
}

TEST_P(RlxProfiles, Row07PaddingMayHoldAnything) {
  const std::vector<int> tokens = Tokens(40, 5);
  std::vector<std::vector<float>> clean;
  for (const float poison :
       {0.0f, std::numeric_limits<float>::quiet_NaN(), 1e30f}) {
    StageModel model(Store(heads()), LoadProfile(profile()));
    StageRunner runner(model);
    // Every row of every cache, before anything is written.
    const auto decode =
        model.Get(Stage::kDecode,
                  {.kv_extent = 0, .frames = 2 * model.spec().n_audio_ctx});
    const auto cross =
        model.Get(Stage::kCrossKv, {.frames = 2 * model.spec().n_audio_ctx});
    runner.session().Prepare(*decode);
    runner.session().Prepare(*cross);
    for (const ir::Value& value : decode->graph().values) {
      if (value.kind != ir::ValueKind::kState) continue;
      Buffer& state = runner.session().State(value.name);
      const size_t count = state.size() / SizeOf(value.dtype);
      for (size_t i = 0; i < count; ++i)
        if (value.dtype == DType::kF32)
          state.As<float>()[i] = poison;
        else
          state.As<BF16>()[i] = ToBF16(poison);
    }
    runner.Encode(NoiseMel(model.spec(), 2 * model.spec().n_audio_ctx, 1, 1));
    runner.CrossKv();
    std::vector<std::vector<float>> seen = {
        runner.Prefill(std::span(tokens).first(3))};
    for (size_t i = 3; i < tokens.size(); ++i)
      seen.push_back(runner.Step(std::span(tokens).subspan(i, 1)));
    for (const auto& logits : seen)
      for (const float value : logits) ASSERT_TRUE(std::isfinite(value));
    if (clean.empty()) clean = seen;
    EXPECT_EQ(seen, clean) << poison;
  }
}

// Writes NaN to one position of layer 0's values, between the write of the
// new row and the attention.
std::vector<float> StepWithNan(Heard& heard, int past, int extent, int position,
                               int token) {
  const ModelSpec& spec = heard.model.spec();
  const int64_t stride = cpu::KvPositions(kContext) * spec.head_dim();
  heard.runner.hook = [&](const Program& program, size_t step,
                          const Frame& frame) {
    const ir::Node& node =
        program.graph().node(program.steps()[step]->info().nodes.back());
    if (node.op != ir::Op::kKvWrite ||
        program.graph().value(node.inputs[0]).name != "self_v.0")
      return;
    for (int64_t h = 0; h < spec.n_text_heads; ++h)
      for (int64_t d = 0; d < spec.head_dim(); ++d)
        frame.At<float>(
            node.inputs[0])[h * stride +
                            cpu::KvIndex(DType::kF32, ir::KvKind::kValue,
                                         spec.head_dim(), position, d)] =
            std::numeric_limits<float>::quiet_NaN();
  };
  heard.runner.positions() = {past};
  std::vector<float> logits = heard.runner.StepAt(std::span(&token, 1), extent);
  heard.runner.hook = nullptr;
  return logits;
}

TEST(RlxDefect, D02ATokenSeesThePastAndItself) {
  // keep(i) = i <= past, for the pairs of row 7.
  const std::pair<int, int> pairs[] = {{0, 1}, {1, 1}, {2, 4},
                                       {4, 4}, {5, 8}, {257, 512}};
  const std::vector<int> tokens = Tokens(kContext, 7);
  Heard heard;
  for (const auto& [past, upper] : pairs) {
    const int extent = std::min(upper + 1, kContext);
    for (int position = 0; position < extent; ++position) {
      if (past > 8 && position > 2 && std::abs(position - past) > 1 &&
          position < extent - 1)
        continue;
      heard.runner.Prefill(
          std::span(tokens).first(static_cast<size_t>(past) + 1));
      const std::vector<float> logits = StepWithNan(
          heard, past, extent, position, tokens[static_cast<size_t>(past)]);
      EXPECT_EQ(std::isnan(logits[0]), position <= past)
          << "past " << past << ", position " << position;
    }
  }
}

TEST_P(RlxProfiles, Row07D03RaggedBatchEqualsSingleRuns) {
  // Defect 3: each row has its own past, its own mask and its own slot.
  const std::vector<int> pasts = {3, 17, 120};
  const int batch = static_cast<int>(pasts.size());
  StageModel model(Store(heads()), LoadProfile(profile()));
  const int frames = 2 * model.spec().n_audio_ctx;
  StageRunner together(model, batch);
  std::vector<float> mels;
  std::vector<StageRunner> alone;
  for (int b = 0; b < batch; ++b) {
    const std::vector<float> mel =
        NoiseMel(model.spec(), frames, 1, static_cast<uint64_t>(b) + 1);
    mels.insert(mels.end(), mel.begin(), mel.end());
    alone.emplace_back(model);
    alone.back().Encode(mel);
    alone.back().CrossKv();
    alone.back().Prefill(
        Tokens(static_cast<size_t>(pasts[static_cast<size_t>(b)]),
               static_cast<unsigned>(b)));
  }
  together.Encode(mels);
  together.CrossKv();
  // Row by row to different lengths: the others' tokens are overwritten later.
  for (int position = 0; position < 120; ++position) {
    std::vector<int> now;
    for (int b = 0; b < batch; ++b) {
      const int past = pasts[static_cast<size_t>(b)];
      const std::vector<int> row =
          Tokens(static_cast<size_t>(past), static_cast<unsigned>(b));
      const int at = std::min(position, past - 1);
      now.push_back(row[static_cast<size_t>(at)]);
      together.positions()[static_cast<size_t>(b)] = at;
    }
    together.Step(now);
  }
  together.positions() = pasts;
  for (int step = 0; step < 5; ++step) {
    const std::vector<int> tokens =
        Tokens(pasts.size(), static_cast<unsigned>(100 + step));
    const std::vector<float> all = together.Step(tokens);
    const auto vocab = static_cast<size_t>(model.spec().n_vocab);
    for (size_t b = 0; b < pasts.size(); ++b) {
      const std::vector<float> one =
          alone[b].Step(std::span(tokens).subspan(b, 1));
      EXPECT_EQ(MaxAbsDiff(one, std::span(all).subspan(b * vocab, vocab)), 0)
          << "row " << b << ", step " << step;
    }
  }
}

TEST_P(RlxProfiles, Row12PrefillEqualsSteps) {
  for (const size_t count : {1, 2, 3, 4, 5, 6, 7, 8, 224}) {
    const std::vector<int> tokens = Tokens(count + 1, 11);
    Heard whole(profile(), 1, 1, heads());
    Heard steps(profile(), 1, 1, heads());
    whole.runner.Prefill(std::span(tokens).first(count));
    std::vector<float> last;
    for (size_t i = 0; i < count; ++i)
      last = steps.runner.Step(std::span(tokens).subspan(i, 1));
    const auto next = std::span(tokens).subspan(count, 1);
    EXPECT_EQ(whole.runner.Step(next), steps.runner.Step(next)) << count;
  }
}

TEST(Rlx, Row12OnlyAskedRowsMeetTheVocabulary) {
  Heard heard;
  const auto flops = [&](int rows) {
    return heard.model
        .Get(Stage::kPrefill, {.tokens = 8,
                               .logit_rows = rows,
                               .frames = 2 * heard.model.spec().n_audio_ctx})
        ->flops();
  };
  const double row =
      2.0 * heard.model.spec().n_vocab * heard.model.spec().n_text_state;
  EXPECT_NEAR(flops(8) - flops(1), 7 * row, 1);
  // Rows of the prompt that are asked for are the rows a step would give.
  const std::vector<int> tokens = Tokens(8, 13);
  const std::vector<float> all = heard.runner.Prefill(tokens, 0, 8);
  const auto vocab = static_cast<size_t>(heard.model.spec().n_vocab);
  heard.runner.positions() = {0};
  for (size_t i = 0; i < tokens.size(); ++i)
    EXPECT_LE(MaxAbsDiff(heard.runner.Step(std::span(tokens).subspan(i, 1)),
                         std::span(all).subspan(i * vocab, vocab)),
              1e-4);
}

TEST(RlxDefect, D07AWindowLeavesNothingToTheNext) {
  const std::vector<int> tokens = Tokens(30, 17);
  const auto decode = [&](StageRunner& runner) {
    std::vector<std::vector<float>> logits = {
        runner.Prefill(std::span(tokens).first(4))};
    for (size_t i = 4; i < tokens.size(); ++i)
      logits.push_back(runner.Step(std::span(tokens).subspan(i, 1)));
    return logits;
  };
  Heard warm("cpu-f32", 1, 1);
  const auto first = decode(warm.runner);
  warm.Hear(2);
  const auto second = decode(warm.runner);
  Heard cold("cpu-f32", 1, 2);
  EXPECT_EQ(second, decode(cold.runner));
  EXPECT_NE(second, first);
}

TEST(RlxDefect, D08ProgramsOfAllLengthsShareASession) {
  // Short and long windows in turn: no program reads what another left.
  StageModel model(Store(), LoadProfile("cpu-f32"));
  const std::vector<int> tokens = Tokens(5, 19);
  std::vector<std::vector<float>> cold;
  const int lengths[] = {80, 22, 80, 23, 22};
  std::map<int, std::vector<float>> want;
  for (const int frames : lengths) {
    StageRunner runner(model, 1, frames);
    runner.Encode(NoiseMel(model.spec(), frames, 1, 1));
    runner.CrossKv();
    want[frames] = runner.Prefill(tokens);
  }
  StageRunner shared(model);
  for (const int frames : lengths) {
    // One session, programs of another geometry: keys hold every field.
    StageRunner view(model, 1, frames);
    std::swap(view.session(), shared.session());
    const int zero = 0;
    std::memcpy(view.session().Io("slot", 4), &zero, 4);
    std::memcpy(view.session().Io("zero", 4), &zero, 4);
    view.Encode(NoiseMel(model.spec(), frames, 1, 1));
    view.CrossKv();
    EXPECT_EQ(view.Prefill(tokens), want[frames]) << frames;
    std::swap(view.session(), shared.session());
  }
  EXPECT_EQ(model.cache->counters(Stage::kPrefill).builds, 3);
}

// What crosses the border of a device: named inputs and outputs. K and V are
// states, which stay.
TEST(Rlx, Row21OnlyTokenAndLogitsCrossTheBorder) {
  StageModel model(Store(), LoadProfile("cpu-f32"));
  const size_t vocab = static_cast<size_t>(model.spec().n_vocab);
  int states = 0;
  for (int past = 0; past < kContext; ++past) {
    const auto program =
        model.Get(Stage::kDecode,
                  {.kv_extent = past, .frames = 2 * model.spec().n_audio_ctx});
    size_t in = 0, out = 0;
    std::set<std::string> seen;
    states = 0;
    for (const ValueHome& home : program->homes()) {
      states += home.kind == ValueHome::Kind::kState;
      if (home.kind != ValueHome::Kind::kIo || !seen.insert(home.name).second)
        continue;
      (home.name == "logits" ? out : in) += home.bytes;
    }
    EXPECT_EQ(in, 3 * sizeof(int32_t)) << "token, position and slot";
    EXPECT_EQ(out, vocab * sizeof(float));
  }
  EXPECT_GE(states, 4 * model.spec().n_text_layers);
}

// Another engine's way over the host: at every change of the bucket all K and
// V are copied out, and into a fresh session.
TEST(Rlx, Row21StayingEqualsCarryingThroughTheHost) {
  Heard stays, carried;
  const std::vector<int> tokens = Tokens(kContext, 29);
  const BucketLadder& ladder = stays.model.cache->ladder();
  stays.runner.Prefill(std::span(tokens).first(4));
  carried.runner.Prefill(std::span(tokens).first(4));
  int changes = 0;
  for (size_t past = 4; past < 444; ++past) {
    const auto at = static_cast<int64_t>(past);
    if (ladder.BucketFor(at) != ladder.BucketFor(at - 1)) {
      ++changes;
      StageRunner fresh(carried.model);
      const auto program = carried.model.Get(
          Stage::kDecode, {.kv_extent = static_cast<int>(past),
                           .frames = 2 * stays.model.spec().n_audio_ctx});
      fresh.session().Prepare(*program);
      for (const ValueHome& home : program->homes()) {
        if (home.kind != ValueHome::Kind::kState) continue;
        const Buffer& from = carried.runner.session().State(home.name);
        Buffer& to = fresh.session().State(home.name);
        ASSERT_EQ(to.size(), from.size());
        std::memcpy(to.data(), from.data(), from.size());
      }
      std::swap(carried.runner.session(), fresh.session());
      const int slot = 0;
      std::memcpy(carried.runner.session().Io("slot", sizeof slot), &slot,
                  sizeof slot);
    }
    const auto next = std::span(tokens).subspan(past, 1);
    ASSERT_EQ(stays.runner.Step(next), carried.runner.Step(next)) << past;
  }
  EXPECT_EQ(changes, 7);
}

TEST(Rlx, Row21CachesStayWhereTheyAre) {
  Heard heard;
  const std::vector<int> tokens = Tokens(kContext, 23);
  heard.runner.Prefill(std::span(tokens).first(4));
  heard.runner.Step(std::span(tokens).subspan(4, 1));
  heard.model.cache->Warmup(1, kContext - 1,
                            {.frames = 2 * heard.model.spec().n_audio_ctx});
  const auto address = [&](const char* name) {
    return heard.runner.session().State(name).data();
  };
  const std::byte* self = address("self_k.0");
  const std::byte* cross = address("cross_v.1");
  const uint64_t buffers = Buffer::allocations();
  const size_t bytes = heard.runner.session().bytes();
  for (size_t i = 5; i < tokens.size(); ++i)  // through all buckets
    heard.runner.Step(std::span(tokens).subspan(i, 1));
  EXPECT_EQ(address("self_k.0"), self);
  EXPECT_EQ(address("cross_v.1"), cross);
  EXPECT_EQ(heard.runner.session().bytes(), bytes);
  // The caches did not move; only scratch of larger buckets may have grown.
  EXPECT_LE(Buffer::allocations() - buffers, 1u);
}

}  // namespace
}  // namespace sotto
