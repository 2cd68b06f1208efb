// SPDX-License-Identifier: MIT
// The stages against OpenAI's own numbers for the JFK clip (rlx.md section 6,
// rows 6, 10, 12, 17, 22, 24). Skipped where the models or the data are
// missing.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "stage_runner.h"

namespace sotto {
namespace {

class RlxOracle : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    const auto model = RealModel(name);
    const auto mel = TestData("oracle/numeric/jfk-mel80.safetensors");
    const auto numbers =
        TestData("oracle/numeric/jfk-" + name + ".safetensors");
    if (!model || !mel || !numbers)
      GTEST_SKIP() << "no model " << name << " or no SOTTO_TEST_DATA";
    store_ = WeightStore::Load(*model);
    mel_ = Numbers(*mel).Floats("mel");
    numbers_.emplace(*numbers);
  }

  std::shared_ptr<const WeightStore> store_;
  std::vector<float> mel_;
  std::optional<Numbers> numbers_;
};

TEST_P(RlxOracle, Row10EncoderEqualsOpenAi) {
  StageModel model(store_, LoadProfile("cpu-f32"), 2);
  StageRunner runner(model);
  const std::vector<float> want = numbers_->Floats("encoder");
  const std::vector<float> audio = runner.Encode(mel_);
  EXPECT_LE(MaxAbsDiff(audio, want), 2e-3);
  EXPECT_GE(Cosine(audio, want), 0.99999);
}

// Feeds the prompt, then the oracle's tokens one by one.
std::vector<std::vector<float>> Decode(StageRunner& runner,
                                       const Numbers& numbers) {
  const std::vector<int> input = numbers.Ints("logits_input");
  const size_t rows = 8;
  const size_t prompt = input.size() - (rows - 1);
  std::vector<std::vector<float>> logits;
  logits.push_back(runner.Prefill(std::span(input).first(prompt)));
  for (size_t i = prompt; i < input.size(); ++i)
    logits.push_back(runner.Step(std::span(input).subspan(i, 1)));
  return logits;
}

TEST_P(RlxOracle, Row12LogitsEqualOpenAi) {
  StageModel model(store_, LoadProfile("cpu-f32"), 2);
  StageRunner runner(model);
  runner.Encode(mel_);
  runner.CrossKv();
  const std::vector<float> want = numbers_->Floats("logits");
  const auto logits = Decode(runner, *numbers_);
  const auto vocab = static_cast<size_t>(store_->spec().n_vocab);
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto row = std::span(want).subspan(i * vocab, vocab);
    EXPECT_LE(MaxAbsDiff(logits[i], row), 1e-3) << i;
    EXPECT_EQ(BestIndex(logits[i]), BestIndex(row)) << i;
  }
}

TEST_P(RlxOracle, Row17LowPrecisionStaysNear) {
  for (const char* name : {"cpu-bf16", "cpu-f16", "cpu-mixed"}) {
    StageModel model(store_, LoadProfile(name), 2);
    StageRunner runner(model);
    const std::vector<float> audio = runner.Encode(mel_);
    EXPECT_GE(Cosine(audio, numbers_->Floats("encoder")), 0.999) << name;
    runner.CrossKv();
    const std::vector<float> want = numbers_->Floats("logits");
    const auto logits = Decode(runner, *numbers_);
    const auto vocab = static_cast<size_t>(store_->spec().n_vocab);
    for (size_t i = 0; i < logits.size(); ++i)
      EXPECT_GE(Cosine(logits[i], std::span(want).subspan(i * vocab, vocab)),
                0.999)
          << name << " " << i;
  }
}

TEST_P(RlxOracle, Row06EveryBucketGivesTheSameBitsOnRealWeights) {
  for (const char* name : {"cpu-f32", "cpu-bf16"}) {
    StageModel model(store_, LoadProfile(name), 2);
    StageRunner runner(model);
    runner.Encode(mel_);
    runner.CrossKv();
    std::vector<int> tokens = numbers_->Ints("tokens");
    while (tokens.size() < 448) tokens.push_back(tokens[tokens.size() % 20]);
    runner.Prefill(tokens);
    for (const int past : {0, 1, 2, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128,
                           129, 256, 257, 447}) {
      std::vector<float> first;
      for (const int extent : {past + 1, 257, 448}) {
        if (extent <= past) continue;
        runner.positions() = {past};
        const std::vector<float> logits = runner.StepAt(
            std::span(tokens).subspan(static_cast<size_t>(past), 1), extent);
        if (first.empty()) first = logits;
        EXPECT_EQ(logits, first) << name << " " << past << " in " << extent;
      }
    }
  }
}

TEST_P(RlxOracle, Row24FusedEqualsSeparateOnRealWeights) {
  std::vector<float> want;
  for (const bool fused : {true, false}) {
    Profile profile = LoadProfile("cpu-f32");
    for (StageOptions& options : profile.stages) options.fuse.skip = !fused;
    StageModel model(store_, profile, 2);
    StageRunner runner(model);
    std::vector<float> all = runner.Encode(mel_);
    runner.CrossKv();
    for (const std::vector<float>& logits : Decode(runner, *numbers_))
      all.insert(all.end(), logits.begin(), logits.end());
    if (want.empty()) want = all;
    EXPECT_LE(MaxAbsDiff(all, want), 1e-5);
  }
}

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t pages = 0;
  file >> pages >> pages;
  return pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

// Programs of all stages and buckets, and a thousand users of them, hold one
// copy of the weights: 2 % of it and 1 MB are all that they may add.
TEST_P(RlxOracle, Row22ProgramsAddNextToNothing) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep memory of their own";
#endif
  StageModel model(store_, LoadProfile("cpu-bf16"), 2);
  model.Get(Stage::kEncoder, {});
  model.Get(Stage::kCrossKv, {});
  model.Get(Stage::kDecode, {.kv_extent = 1});
  const size_t packed = model.backend->packed_bytes();
  const size_t copied = model.backend->weight_bytes_copied();
  const size_t before = ResidentBytes();
  model.cache->Warmup(1, 447);
  for (const int tokens : {1, 3, 4, 224})
    model.Get(Stage::kPrefill, {.tokens = tokens});
  EXPECT_LT(ResidentBytes(), before + packed / 50);
  const size_t built = ResidentBytes();
  std::vector<std::shared_ptr<const Program>> users;
  for (int i = 0; i < 1000; ++i)
    users.push_back(model.Get(Stage::kDecode, {.kv_extent = i % 448}));
  EXPECT_LT(ResidentBytes(), built + (size_t{1} << 20));
  EXPECT_EQ(model.backend->packed_bytes(), packed);
  EXPECT_EQ(model.backend->weight_bytes_copied(), copied);
}

INSTANTIATE_TEST_SUITE_P(Models, RlxOracle, testing::Values("tiny.en", "base"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::erase(name, '.');
                           return name;
                         });

}  // namespace
}  // namespace sotto
