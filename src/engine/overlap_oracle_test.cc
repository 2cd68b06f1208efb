// SPDX-License-Identifier: MIT
// Real speech with the next window encoded ahead or not: the same text to the
// last bit. The device is a second engine on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "audio/decode.h"
#include "audio/mel_source.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "engine/engine.h"
#include "engine/test_data.h"
#include "engine/test_sounds.h"
#include "engine/transcribe.h"
#include "engine/window_model.h"

namespace sotto {
namespace {

class SecondEngine : public npu::EncoderRunner {
 public:
  explicit SecondEngine(const std::filesystem::path& model)
      : engine_(model, {"cpu-f32", "cpu", 1}), model_(engine_) {}
  std::string name() const override { return "npu1 (a second engine)"; }
  size_t WorkBytes(const npu::PackedEncoder&) const override { return 64; }
  void Run(const npu::PackedEncoder&, const float* mel, float* audio,
           std::byte*, ThreadPool&) const override {
    const std::lock_guard lock(mutex_);
    std::copy_n(mel, model_.mel().size(), model_.mel().begin());
    model_.Encode();
    std::ranges::copy(model_.audio(), audio);
  }

 private:
  mutable std::mutex mutex_;
  mutable Engine engine_;
  mutable WindowModel model_;
};

std::vector<Transcript> TranscribeFiles(
    const std::filesystem::path& model_path,
    const std::vector<std::filesystem::path>& files, const std::string& overlap,
    const Options& options, AheadTimes* times) {
  const TestFolder folder;
  const auto profile =
      folder.Write("p.toml", "overlap = \"" + overlap +
                                 "\"\nbackend = \"npu\"\n[encoder]\n"
                                 "precision = \"bf16\"\n");
  EngineOptions engine_options{.profile = profile.string(), .device = "npu"};
  engine_options.npu_runner = std::make_shared<SecondEngine>(model_path);
  Engine engine(model_path, engine_options);
  WindowModel model(engine);
  const DecodePlan plan = MakeDecodePlan(options, engine.tokenizer());
  std::vector<MelSource> sounds;
  for (const auto& file : files) {
    AudioReader reader(file, {.duration_s = 100});  // of the long one
    sounds.emplace_back(reader, engine.spec().n_mels);
  }
  auto all = TranscribeAll(model, plan, sounds);
  *times = model.ahead_times();
  return all;
}

TEST(OverlapOracle, ChangesNoBitOfRealSpeech) {
  const auto model = TestModel("tiny.en");
  if (TestData().empty() || model.empty())
    GTEST_SKIP() << "no SOTTO_TEST_DATA or no model tiny.en";
  std::vector<std::filesystem::path> files = {
      TestData() / "oracle/long/librispeech-long.flac"};
  for (const OracleClip& clip : ReadOracle("tiny.en", "librispeech-mini"))
    if (files.size() < 5 && clip.member.empty()) files.push_back(clip.Audio());
  Options timeless;
  timeless.without_timestamps = true;
  for (const Options& options : {Options{}, timeless}) {
    AheadTimes off, on;
    const auto want = TranscribeFiles(model, files, "off", options, &off);
    const auto got = TranscribeFiles(model, files, "auto", options, &on);
    EXPECT_EQ(off.encoded, 0);
    // At least from file to file, and without times all but the first.
    EXPECT_GE(on.used, static_cast<int64_t>(files.size()) - 1);
    if (options.without_timestamps) {
      EXPECT_EQ(on.dropped, 0);
    }
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      SCOPED_TRACE(files[i]);
      EXPECT_NE(want[i].text, "");
      EXPECT_EQ(got[i].text, want[i].text);
      ASSERT_EQ(got[i].segments.size(), want[i].segments.size());
      for (size_t k = 0; k < want[i].segments.size(); ++k) {
        EXPECT_EQ(got[i].segments[k].tokens, want[i].segments[k].tokens);
        EXPECT_EQ(got[i].segments[k].end, want[i].segments[k].end);
        EXPECT_EQ(got[i].segments[k].avg_logprob,
                  want[i].segments[k].avg_logprob);
      }
    }
  }
}

}  // namespace
}  // namespace sotto
