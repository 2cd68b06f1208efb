// SPDX-License-Identifier: MIT
// E3 on the host: the decoder's cache grows by one position a step, and what
// it gives are the tokens of computing everything again each time.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "acceptance_row.h"
#include "stage_runner.h"
#include "tiny_model.h"

namespace sotto {
namespace {

std::shared_ptr<const WeightStore> SharpStore() {
  TinyOptions options = MicroOptions();
  options.n_audio_ctx = 40;
  options.n_text_ctx = 448;
  options.heads = 1;
  options.deviation = 0.2f;  // sharp attention: every position matters
  return MakeTinyStore(options);
}

using Bytes = std::vector<std::byte>;

// Every self-attention cache as it stands.
std::map<std::string, Bytes> Caches(StageModel& model, StageRunner& runner,
                                    int frames) {
  std::map<std::string, Bytes> caches;
  const auto decode =
      model.Get(Stage::kDecode, {.kv_extent = 0, .frames = frames});
  for (const ir::Value& value : decode->graph().values) {
    if (value.kind != ir::ValueKind::kState || !value.name.starts_with("self_"))
      continue;
    const Buffer& state = runner.session().State(value.name);
    caches[value.name].assign(state.data(), state.data() + state.size());
  }
  return caches;
}

// Greedy tokens by the cache, and by a prefill of the whole prefix each time.
void Compare(StageModel& model, std::span<const float> mel, int frames,
             std::vector<int> prompt, int steps) {
  StageRunner cached(model, 1, frames), whole(model, 1, frames);
  for (StageRunner* runner : {&cached, &whole}) {
    runner->Encode(mel);
    runner->CrossKv();
  }
  std::vector<int> tokens = prompt;
  std::vector<float> logits = cached.Prefill(prompt);
  for (int i = 0; i < steps; ++i) {
    const int token = static_cast<int>(BestIndex(logits));
    const int again = static_cast<int>(BestIndex(whole.Prefill(tokens)));
    ASSERT_EQ(token, again) << "token " << tokens.size();
    tokens.push_back(token);
    const int before = cached.positions()[0];
    logits = cached.Step(std::span(&token, 1));
    EXPECT_EQ(cached.positions()[0], before + 1);
  }
  EXPECT_EQ(cached.positions()[0], static_cast<int>(tokens.size()));
}

TEST(NpuDecoder, E3TokensEqualAFullRecompute) {
  StageModel model(SharpStore(), LoadProfile("cpu-f32"));
  for (const unsigned seed : {1U, 2U, 3U}) {
    std::mt19937 random(seed);
    std::vector<int> prompt(4);
    for (int& token : prompt)
      token = static_cast<int>(random() %
                               static_cast<unsigned>(model.spec().n_vocab));
    Compare(model, NoiseMel(model.spec(), 80, 1, seed), 80, prompt, 60);
  }
  ReportRow("E3", "180 greedy tokens of three inputs equal a full recompute",
            RowTag::kMeasured);
}

TEST(NpuDecoder, E3TokensOfRealSpeechEqualAFullRecompute) {
  const auto folder = RealModel("tiny.en");
  const auto mel = TestData("oracle/numeric/jfk-mel80.safetensors");
  const auto numbers = TestData("oracle/numeric/jfk-tiny.en.safetensors");
  if (!folder || !mel || !numbers)
    GTEST_SKIP() << "no model tiny.en or no SOTTO_TEST_DATA";
  StageModel model(WeightStore::Load(*folder), LoadProfile("cpu-f32"), 2);
  std::vector<int> prompt = Numbers(*numbers).Ints("logits_input");
  prompt.resize(prompt.size() - 7);
  Compare(model, Numbers(*mel).Floats("mel"), 3000, prompt, 24);
}

// The bytes of the caches that a step changes are those of one position: as
// many, and never one that an earlier step wrote.
TEST(NpuDecoder, E3AStepWritesOnePosition) {
  constexpr int kFrames = 80;
  StageModel model(SharpStore(), LoadProfile("cpu-f32"));
  StageRunner runner(model, 1, kFrames);
  runner.Encode(NoiseMel(model.spec(), kFrames, 1, 1));
  runner.CrossKv();
  const int first[] = {1, 2, 3};
  runner.Prefill(first);
  const auto one =
      static_cast<size_t>(model.spec().n_text_heads * model.spec().head_dim()) *
      sizeof(float);
  std::map<std::string, std::vector<bool>> written;
  size_t sizes = 0;
  for (int token = 10; token < 30; ++token) {
    const auto before = Caches(model, runner, kFrames);
    ASSERT_EQ(before.size(), 2u * model.spec().n_text_layers);
    runner.Step(std::span(&token, 1));
    const auto after = Caches(model, runner, kFrames);
    for (const auto& [name, bytes] : after) {
      ASSERT_EQ(bytes.size(), before.at(name).size()) << name;
      sizes += bytes.size();
      std::vector<bool>& seen = written[name];
      seen.resize(bytes.size());
      size_t changed = 0;
      // Whole numbers, so that a value which keeps a byte counts once.
      for (size_t i = 0; i < bytes.size(); i += sizeof(float)) {
        if (std::memcmp(&bytes[i], &before.at(name)[i], sizeof(float)) == 0)
          continue;
        changed += sizeof(float);
        EXPECT_FALSE(seen[i]) << name << " byte " << i << " again";
        seen[i] = true;
      }
      EXPECT_EQ(changed, one) << name << " token " << token;
    }
  }
  EXPECT_GT(sizes, 0u);
}

}  // namespace
}  // namespace sotto
