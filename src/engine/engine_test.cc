// SPDX-License-Identifier: MIT
// The engine on a small model from a seed: what must hold for any weights.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "audio/mel_source.h"
#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "decode/test_util.h"
#include "engine/test_sounds.h"
#include "engine/transcribe.h"
#include "engine/window_model.h"
#include "model/convert.h"
#include "tensor/buffer.h"
#include "tiny_model.h"

namespace sotto {
namespace {

// Logits of a prompt and some forced tokens after encoding noise.
std::vector<float> Logits(WindowModel& model, uint64_t seed, int tokens = 6) {
  const std::vector<float> pcm = Noise(5, seed);
  const MelSource sound(pcm, static_cast<int>(model.mel().size() / 3000));
  sound.Window(0, model.mel());
  model.Encode();
  std::span<float> sot;
  const int prompt[] = {50257, 11, 400 + static_cast<int>(seed % 100)};
  std::span<float> row = model.Prefill(prompt, 0, &sot);
  std::vector<float> all(sot.begin(), sot.end());
  all.insert(all.end(), row.begin(), row.end());
  for (int i = 0; i < tokens; ++i) {
    row = model.Step(1000 + 37 * i);
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> LogitsOf(std::shared_ptr<const WeightStore> store,
                            const std::string& profile, int threads = 1) {
  Engine engine(std::move(store), nullptr, {profile, "cpu", threads});
  WindowModel model(engine);
  return Logits(model, 1);
}

// rlx.md row 25: the same weights through every format.
TEST(Rlx, Row25FiveFormatsGiveEqualBits) {
  const TestFolder folder;
  for (const DType dtype : {DType::kF32, DType::kF16}) {
    const auto store = MakeTinyStore({.dtype = dtype});
    const std::vector<float> want = LogitsOf(store, "cpu-f32");
    for (const ModelFormat format :
         {ModelFormat::kHf, ModelFormat::kOpenAi, ModelFormat::kCt2,
          ModelFormat::kGgml, ModelFormat::kGguf}) {
      SCOPED_TRACE(std::string(Name(format)) + " " + std::string(Name(dtype)));
      const auto path =
          ConvertModel(*store, format,
                       folder.path() / (std::string(Name(format)) +
                                        std::string(Name(dtype))),
                       {.dtype = dtype, .name = "tiny"});
      EXPECT_TRUE(SameBits(LogitsOf(WeightStore::Load(path), "cpu-f32"), want));
    }
  }
}

TEST(Engine, ThreadsChangeNoBit) {
  const auto store = MakeTinyStore({.seed = 7, .width = 128, .heads = 2});
  for (const char* profile : {"cpu-f32", "cpu-bf16", "cpu-f16"}) {
    SCOPED_TRACE(profile);
    const std::vector<float> one = LogitsOf(store, profile, 1);
    EXPECT_TRUE(SameBits(LogitsOf(store, profile, 2), one));
    EXPECT_TRUE(SameBits(LogitsOf(store, profile, 3), one));
  }
}

// rlx.md row 11 and defect 7: nothing of a window is left to the next.
TEST(Rlx, Row11SecondWindowIsAsFresh) {
  const auto store = MakeTinyStore({.seed = 3});
  Engine engine(store, nullptr, {"cpu-bf16", "cpu", 2});
  WindowModel fresh(engine);
  const std::vector<float> want = Logits(fresh, 2);
  WindowModel used(engine);
  const std::vector<float> other = Logits(used, 1, 20);
  EXPECT_FALSE(SameBits(other, want));
  EXPECT_TRUE(SameBits(Logits(used, 2), want));
}

// rlx.md rows 9 and 11: stages are counted and timed apart, building is not in
// their times, and cross K and V are made once a window.
TEST(Rlx, Row09Row11StagesAreCountedApart) {
  Engine engine(MakeTinyStore(), nullptr, {"cpu-f32", "cpu", 1});
  WindowModel model(engine);
  const int prompt[] = {50257, 11};
  model.Encode();
  model.Prefill(prompt, -1, nullptr);
  std::vector<float> first;
  for (int i = 0; i < 100; ++i) {
    const std::span<float> row = model.Step(100 + i);
    first.assign(row.begin(), row.end());
  }
  using Calls = decltype(StageTimes::calls);
  EXPECT_EQ(model.times().calls, (Calls{1, 1, 1, 100}));
  const double before = model.times().total_ms();
  for (int tokens = 3; tokens < 20; ++tokens)
    engine.ProgramFor(Stage::kPrefill, {.tokens = tokens});
  EXPECT_EQ(model.times().total_ms(), before);
  for (const double ms : model.times().ms) EXPECT_GT(ms, 0);
  // Made anew before every step, they change no bit.
  model.Prefill(prompt, -1, nullptr);
  std::vector<float> again;
  for (int i = 0; i < 100; ++i) {
    if (i % 10 == 0) model.Encode();
    const std::span<float> row = model.Step(100 + i);
    again.assign(row.begin(), row.end());
  }
  EXPECT_TRUE(SameBits(again, first));
}

TEST(Rlx, Row22SteadyDecodingAllocatesNothing) {
  const auto store = MakeTinyStore({.seed = 5});
  Engine engine(store, nullptr, {"cpu-f32", "cpu", 2});
  engine.Warmup();
  WindowModel model(engine);
  Logits(model, 1, 440);  // every bucket once
  const int prompt[] = {50257};
  model.Prefill(prompt, -1, nullptr);
  model.Step(11);
  const long news = testing::Allocations();
  const uint64_t buffers = Buffer::allocations();
  for (int i = 0; i < 400; ++i) model.Step(1000 + i);
  EXPECT_EQ(testing::Allocations() - news, 0);
  EXPECT_EQ(Buffer::allocations() - buffers, 0u);
}

TEST(Engine, RefusesBucketsThatEndTooEarly) {
  const TestFolder folder;
  const auto path = (folder.path() / "p.toml").string();
  const auto why = [&](const char* toml) -> std::string {
    WriteFileAtomic(path, toml);
    try {
      Engine engine(MakeTinyStore(), nullptr, {path, "cpu", 1});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(why("buckets.extents = [8, 447]\n"), "");
  EXPECT_EQ(why("buckets.extents = [8]\n"),
            path +
                ": the decode buckets end at 8, want 447, the model's last "
                "position");
}

// rlx.md row 5: builds and hits per decode step, end of text disabled.
TEST(Rlx, Row05CacheHitCounts) {
  struct Case {
    int prompt, steps;
    int64_t builds, hits;
  };
  for (const Case& c :
       {Case{4, 440, 8, 432}, Case{3, 28, 4, 24}, Case{1, 447, 9, 438}}) {
    SCOPED_TRACE(c.prompt);
    Engine engine(MakeTinyStore(), nullptr, {"cpu-f32", "cpu", 2});
    WindowModel model(engine);
    model.Encode();
    const std::vector<int> prompt(static_cast<size_t>(c.prompt), 50257);
    for (int utterance = 0; utterance < 2; ++utterance) {
      const auto before = engine.programs().counters(Stage::kDecode);
      const auto packed = engine.backend().weight_bytes_copied();
      model.Prefill(prompt, -1, nullptr);
      for (int i = 0; i < c.steps; ++i) model.Step(100 + i % 50);
      const auto after = engine.programs().counters(Stage::kDecode);
      EXPECT_EQ(after.builds - before.builds, utterance == 0 ? c.builds : 0);
      EXPECT_EQ(after.hits - before.hits,
                utterance == 0 ? c.hits : c.builds + c.hits);
      if (utterance == 1) {
        EXPECT_EQ(engine.backend().weight_bytes_copied(), packed);
      }
    }
  }
}

// rlx.md row 22: every program over the same weights shares one copy.
TEST(Rlx, Row22ProgramsShareWeights) {
  Engine engine(MakeTinyStore({.width = 128, .heads = 2}), nullptr,
                {"cpu-bf16", "cpu", 2});
  engine.ProgramFor(Stage::kEncoder, {});
  engine.ProgramFor(Stage::kCrossKv, {});
  engine.ProgramFor(Stage::kDecode, {.kv_extent = 1});
  const size_t packed = engine.backend().packed_bytes();
  const size_t copied = engine.backend().weight_bytes_copied();
  engine.programs().Warmup(1, 447);
  for (const int tokens : {1, 3, 17, 224})
    engine.ProgramFor(Stage::kPrefill, {.tokens = tokens});
  EXPECT_EQ(engine.backend().packed_bytes(), packed);
  EXPECT_EQ(engine.backend().weight_bytes_copied(), copied);
}

}  // namespace
}  // namespace sotto
