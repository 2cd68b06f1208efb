// SPDX-License-Identifier: MIT
// Logits of real exports beside those of Sotto's own engine in f32, and beside
// OpenAI's tokens. Run by model_test.py:
//   pte_logits_test PROGRAMS   (a folder with tiny.en-f32.pte and base-f32.pte)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "audio/decode.h"
#include "audio/mel_source.h"
#include "engine/engine.h"
#include "engine/test_data.h"
#include "engine/window_model.h"
#include "pte_model.h"
#include "pte_program.h"
#include "runtime.h"

namespace sotto {

// From the command line.
std::filesystem::path g_programs;

namespace {

class Logits : public testing::TestWithParam<const char*> {};

int Best(std::span<const float> logits) {
  return static_cast<int>(std::max_element(logits.begin(), logits.end()) -
                          logits.begin());
}

float MaxAbsDiff(std::span<const float> a, std::span<const float> b) {
  float most = 0;
  for (size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

// Row 22: f32 logits at most 1e-3 apart on three clips, with base in place of
// small, the text forced to be the engine's own.
TEST_P(Logits, Row22EqualTheEngines) {
  const std::string name = GetParam();
  auto path = g_programs / (name + ".pte");
  if (!std::filesystem::exists(path)) path = g_programs / (name + "-f32.pte");
  const auto weights = TestModel(name);
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  if (weights.empty()) GTEST_SKIP() << "no model " << name;
  if (TestData().empty()) GTEST_SKIP() << "no SOTTO_TEST_DATA";
  PteProgram program(path);
  PhaseClock clock;
  PteModel exported(program, g_programs / "hf" / name, clock);
  Engine engine(weights, {"cpu-f32", "cpu", 0});
  WindowModel own(engine);

  std::vector<std::filesystem::path> clips = {TestData() / "jfk/jfk.wav"};
  for (const OracleClip& clip : ReadOracle(name, "librispeech-mini"))
    if (clips.size() < 3) clips.push_back(clip.Audio());
  ASSERT_EQ(clips.size(), 3u);
  const SpecialTokens& tokens = own.special_tokens();
  std::vector<int> prompt = {tokens.sot};
  if (tokens.multilingual) {
    prompt.push_back(tokens.language_tokens[0]);
    prompt.push_back(tokens.transcribe);
  }
  for (const auto& clip : clips) {
    SCOPED_TRACE(clip);
    AudioReader reader(clip);
    MelSource sound(reader, exported.n_mels());
    sound.Window(0, own.mel());
    sound.Window(0, exported.mel());
    own.Encode();
    exported.Encode();
    std::span<float> a = own.Prefill(prompt, 0, nullptr);
    std::span<float> b = exported.Prefill(prompt, 0, nullptr);
    float worst = MaxAbsDiff(a, b);
    int steps = 0;
    for (; steps < 60 && Best(a) != tokens.eot; ++steps) {
      EXPECT_EQ(Best(a), Best(b)) << "step " << steps;
      const int token = Best(a);
      a = own.Step(token);
      b = exported.Step(token);
      worst = std::max(worst, MaxAbsDiff(a, b));
    }
    EXPECT_GT(steps, 5);
    EXPECT_LE(worst, 1e-3f);
    RecordProperty(clip.stem().string(), fmt::format("{:.2e}", worst));
  }
}

INSTANTIATE_TEST_SUITE_P(Exports, Logits, testing::Values("tiny.en", "base"),
                         [](const auto& row) {
                           return std::string(row.param) == "base" ? "Base"
                                                                   : "TinyEn";
                         });

}  // namespace
}  // namespace sotto

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) sotto::g_programs = argv[1];
  sotto::StartRuntime(false);
  sotto::SetRuntimeThreads(-1);
  sotto::LoadOperators(SOTTO_OPERATORS);
  return RUN_ALL_TESTS();
}
