// SPDX-License-Identifier: MIT
// A device that encodes the next window while the CPU decodes this one: begun
// in time, the same text, errors and ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "audio/mel_source.h"
#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "engine/engine.h"
#include "engine/test_sounds.h"
#include "engine/transcribe.h"
#include "engine/window_model.h"
#include "tensor/buffer.h"
#include "tiny_model.h"

namespace sotto {
namespace {

using testing::HasSubstr;

// Waits are for what must happen soon; a test that gets no answer fails.
constexpr std::chrono::seconds kLong{60};

// Counts what goes by; others wait for a count.
class Counter {
 public:
  int Add() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
    return ++count_;
  }
  bool WaitFor(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return count_ >= count; });
  }
  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

// Some function of the log-mel in place of an encoder. `hook` gets the number
// of the run, from 1 on, and may wait or throw.
class FakeRunner : public npu::EncoderRunner {
 public:
  using Hook = std::function<void(int)>;
  explicit FakeRunner(Hook hook = {}) : hook_(std::move(hook)) {}
  std::string name() const override { return "npu1 (test)"; }
  size_t WorkBytes(const npu::PackedEncoder&) const override { return 64; }
  void Run(const npu::PackedEncoder& encoder, const float* mel, float* audio,
           std::byte*, ThreadPool&) const override {
    const int run = begun.Add();
    const npu::EncoderShape& s = encoder.shape;
    for (int t = 0; t < s.positions(); ++t)
      for (int c = 0; c < s.width; ++c)
        audio[t * s.width + c] =
            mel[(c * 7 % s.n_mels) * s.frames + 2 * t] +
            0.3F * mel[(c * 11 % s.n_mels) * s.frames + 2 * t + 1];
    if (hook_) hook_(run);
    ended.Add();
  }

  mutable Counter begun, ended;

 private:
  Hook hook_;
};

MelSource Sound(int seconds, unsigned seed) {
  return MelSource(std::span<const float>(Noise(seconds, seed)), 80);
}

std::string ProfileWith(const std::string& overlap) {
  static const TestFolder folder;
  return folder
      .Write(overlap + ".toml",
             "backend = \"npu\"\nprecision = \"bf16\"\noverlap = \"" + overlap +
                 "\"\n")
      .string();
}

constexpr int kVocab = 51865;  // multilingual: languages are detected

std::unique_ptr<Engine> MakeEngine(
    std::shared_ptr<const npu::EncoderRunner> runner,
    const std::string& overlap = "auto", unsigned seed = 1) {
  static std::map<unsigned, std::shared_ptr<const WeightStore>> stores;
  auto& store = stores[seed];
  if (store == nullptr)
    store = MakeTinyStore({.seed = seed, .text_layers = 1, .n_vocab = kVocab});
  EngineOptions options{.profile = ProfileWith(overlap), .device = "npu"};
  options.threads = 2;
  options.npu_runner = std::move(runner);
  return std::make_unique<Engine>(store, Tokenizer::Load({}, {}, kVocab),
                                  options);
}

DecodePlan PlanOf(const Engine& engine, Options options) {
  options.temperature_increment_on_fallback.reset();
  options.no_speech_threshold.reset();
  options.sample_len = 12;
  DecodePlan plan = MakeDecodePlan(options, engine.tokenizer());
  // A trained model writes no time where none is asked for; this one may, and
  // where nothing is suppressed it shall.
  const bool free = options.suppress_tokens.empty();
  const int first = engine.tokenizer().timestamp_begin();
  for (int i = first; options.without_timestamps && !free && i < kVocab; ++i)
    plan.search.suppress_tokens.push_back(i);
  return plan;
}

void ExpectSame(const Transcript& a, const Transcript& b) {
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.language, b.language);
  ASSERT_EQ(a.segments.size(), b.segments.size());
  for (size_t i = 0; i < a.segments.size(); ++i) {
    EXPECT_EQ(a.segments[i].tokens, b.segments[i].tokens);
    EXPECT_EQ(a.segments[i].seek, b.segments[i].seek);
    EXPECT_EQ(a.segments[i].start, b.segments[i].start);
    EXPECT_EQ(a.segments[i].end, b.segments[i].end);
    EXPECT_EQ(a.segments[i].avg_logprob, b.segments[i].avg_logprob);
  }
}

// Behind every window but the last, decoding does not end before the next
// window's run has begun.
TEST(Overlap, BeginsAWindowBeforeTheOneBeforeItIsDecoded) {
  const auto runner = std::make_shared<FakeRunner>();
  const auto engine = MakeEngine(runner);
  ASSERT_TRUE(engine->encodes_ahead());
  WindowModel model(*engine);
  const DecodePlan plan =
      PlanOf(*engine, {.language = "en", .without_timestamps = true});
  MelSource sound = Sound(95, 1);
  int windows = 0;
  TranscribeEvents events;
  events.progress = [&](double, double) {
    ++windows;
    EXPECT_TRUE(windows == 4 || runner->begun.WaitFor(windows + 1));
  };
  Transcribe(model, sound, plan, events);
  EXPECT_EQ(windows, 4);
  EXPECT_EQ(runner->begun.count(), 4);
  const AheadTimes times = model.ahead_times();
  EXPECT_EQ(times.encoded, 3);
  EXPECT_EQ(times.used, 3);
  EXPECT_EQ(times.dropped, 0);
  EXPECT_EQ(model.times().calls[static_cast<size_t>(Stage::kEncoder)], 4);
}

// The device is in the middle of a window while tokens of another come.
TEST(Overlap, DecodesWhileARunIsUnderWay) {
  Counter decoded;
  const auto runner = std::make_shared<FakeRunner>(
      [&](int run) { EXPECT_TRUE(run != 2 || decoded.WaitFor(1)); });
  const auto engine = MakeEngine(runner);
  WindowModel model(*engine);
  const MelSource sound = Sound(60, 2);
  sound.Window(0, model.mel());
  model.Encode();
  const int prompt[] = {50258, 50259};
  const auto row = model.Prefill(prompt, -1, nullptr);
  const std::vector<float> want(row.begin(), row.end());
  sound.Window(3000, model.next_mel());
  model.EncodeAhead();
  ASSERT_TRUE(runner->begun.WaitFor(2));
  for (int i = 0; i < 5; ++i) model.Step(1000 + i);
  const auto again = model.Prefill(prompt, -1, nullptr);
  EXPECT_EQ(want, std::vector<float>(again.begin(), again.end()));
  EXPECT_EQ(runner->ended.count(), 1);
  decoded.Add();
  sound.Window(3000, model.mel());
  model.Encode();
  EXPECT_EQ(runner->begun.count(), 2);
  EXPECT_EQ(model.ahead_times().used, 1);
}

TEST(Overlap, ChangesNoTextOfAnyOption) {
  const Options cases[] = {
      {.language = "en"},
      {.language = "en", .without_timestamps = true},
      {.language = "en", .suppress_tokens = "", .without_timestamps = true},
      {.language = "en", .condition_on_previous_text = false},
      {.clip_timestamps = "0,10,20,70,75"},
      {},
  };
  int64_t used = 0, dropped = 0;
  for (const unsigned seed : {1U, 5U})
    for (const Options& options : cases) {
      std::vector<Transcript> results[2];
      for (const bool overlap : {false, true}) {
        const auto engine = MakeEngine(std::make_shared<FakeRunner>(),
                                       overlap ? "auto" : "off", seed);
        WindowModel model(*engine);
        MelSource sounds[] = {Sound(100, seed), Sound(12, 8), Sound(0, 1),
                              Sound(41, 3)};
        results[overlap] =
            TranscribeAll(model, PlanOf(*engine, options), sounds);
        const AheadTimes times = model.ahead_times();
        EXPECT_EQ(times.used + times.dropped, times.encoded);
        EXPECT_TRUE(overlap || times.encoded == 0);
        used += times.used;
        dropped += times.dropped;
      }
      ASSERT_EQ(results[0].size(), results[1].size());
      for (size_t i = 0; i < results[0].size(); ++i)
        ExpectSame(results[0][i], results[1][i]);
    }
  // Both ways were gone.
  EXPECT_GT(used, 10);
  EXPECT_GT(dropped, 0);
}

// The first window of the next recording is begun with this one's last; clips
// follow each other.
TEST(Overlap, KnowsTheNextRecordingAndTheNextClip) {
  for (const Options& options :
       {Options{.language = "en", .without_timestamps = true},
        Options{.clip_timestamps = "0,9,40,50", .without_timestamps = true}}) {
    const auto engine = MakeEngine(std::make_shared<FakeRunner>());
    WindowModel model(*engine);
    MelSource sounds[] = {Sound(20, 1), Sound(70, 2), Sound(50, 3)};
    TranscribeAll(model, PlanOf(*engine, options), sounds);
    const AheadTimes times = model.ahead_times();
    // All but the very first.
    EXPECT_EQ(times.used,
              model.times().calls[static_cast<size_t>(Stage::kEncoder)] - 1);
    EXPECT_EQ(times.dropped, 0);
  }
}

TEST(Overlap, AWrongGuessIsDropped) {
  const auto runner = std::make_shared<FakeRunner>();
  const auto engine = MakeEngine(runner);
  WindowModel fresh(*engine), model(*engine);
  const MelSource sound = Sound(60, 4);
  for (WindowModel* m : {&fresh, &model}) {
    sound.Window(1234, m->mel());
    if (m == &model) {
      sound.Window(1235, m->next_mel());
      m->EncodeAhead();
    }
    m->Encode();
  }
  EXPECT_TRUE(std::ranges::equal(fresh.audio(), model.audio()));
  EXPECT_EQ(model.ahead_times().dropped, 1);
  EXPECT_EQ(model.ahead_times().used, 0);
  // Nothing is left of it: the same guess does not come true later.
  sound.Window(1235, model.mel());
  model.Encode();
  EXPECT_EQ(runner->begun.count(), 4);
}

// The second run fails, begun ahead or not: the window is done again by the
// CPU, and the reason is there to be read.
TEST(Overlap, AFailureAheadFallsBack) {
  std::vector<Transcript> results;
  for (const char* overlap : {"off", "on"}) {
    const auto runner = std::make_shared<FakeRunner>([](int run) {
      if (run == 2) Fail(ErrorCode::kDevice, "npu: TIMEOUT: no progress");
    });
    const auto engine = MakeEngine(runner, overlap);
    WindowModel model(*engine);
    MelSource sound = Sound(95, 6);
    results.push_back(Transcribe(
        model, sound,
        PlanOf(*engine, {.language = "en", .without_timestamps = true})));
    EXPECT_EQ(runner->begun.count(), 2);
    EXPECT_THAT(engine->fallback(), HasSubstr("TIMEOUT"));
    EXPECT_EQ(engine->encoder_device(), "cpu");
    EXPECT_FALSE(engine->encodes_ahead());
    EXPECT_TRUE(model.next_mel().empty());
    EXPECT_EQ(model.ahead_times().dropped, overlap == std::string("on"));
  }
  ExpectSame(results[0], results[1]);
}

TEST(Overlap, AnErrorOfOursIsThrownByEncode) {
  const auto engine = MakeEngine(std::make_shared<FakeRunner>(
      [](int) { Fail(ErrorCode::kInternal, "a bug"); }));
  WindowModel model(*engine);
  model.next_mel();
  model.EncodeAhead();
  try {
    model.Encode();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
  }
  EXPECT_EQ(engine->fallback(), "");
}

// Whoever ends while a run is under way waits for it.
TEST(Overlap, EndsWithTheRunUnderWay) {
  Counter release;
  const auto runner = std::make_shared<FakeRunner>(
      [&](int) { EXPECT_TRUE(release.WaitFor(1)); });
  const auto engine = MakeEngine(runner);
  auto model = std::make_unique<WindowModel>(*engine);
  model->next_mel();
  model->EncodeAhead();
  ASSERT_TRUE(runner->begun.WaitFor(1));
  std::thread other([&] { release.Add(); });
  model = nullptr;
  EXPECT_EQ(runner->ended.count(), 1);
  other.join();
  // One that was asked for and perhaps never begun.
  model = std::make_unique<WindowModel>(*engine);
  model->next_mel();
  model->EncodeAhead();
  model = nullptr;
  EXPECT_EQ(runner->ended.count(), runner->begun.count());
}

// A caller that stops a transcription in the middle may begin another one.
TEST(Overlap, StoppedTranscriptionLeavesNothing) {
  const auto engine = MakeEngine(std::make_shared<FakeRunner>());
  const DecodePlan plan = PlanOf(*engine, {.language = "en"});
  MelSource first = Sound(95, 9), second = Sound(70, 10);
  WindowModel fresh(*engine), model(*engine);
  const Transcript want = Transcribe(fresh, second, plan);
  TranscribeEvents events;
  events.segment = [](const Segment&) {
    Fail(ErrorCode::kCancelled, "enough");
  };
  EXPECT_THROW(Transcribe(model, first, plan, events), Error);
  ExpectSame(Transcribe(model, second, plan), want);
}

TEST(Overlap, OnlyWhereCoresAreLeftAlone) {
  class OnCpu : public FakeRunner {
    bool on_cpu() const override { return true; }
  };
  EXPECT_FALSE(MakeEngine(std::make_shared<OnCpu>())->encodes_ahead());
  EXPECT_TRUE(MakeEngine(std::make_shared<OnCpu>(), "on")->encodes_ahead());
  EXPECT_FALSE(
      MakeEngine(std::make_shared<FakeRunner>(), "off")->encodes_ahead());
  Engine sim(MakeTinyStore(), nullptr, {.device = "npu-sim", .threads = 1});
  EXPECT_FALSE(sim.encodes_ahead());
  Engine cpu(MakeTinyStore(), nullptr, {"cpu-f32", "cpu", 1});
  WindowModel model(cpu);
  EXPECT_TRUE(model.next_mel().empty());
  // An encoder that the device refuses runs on the CPU, and not twice at once.
  const TestFolder folder;
  const auto path =
      folder.Write("f32.toml", "backend = \"npu\"\noverlap = \"on\"\n");
  Engine refused(MakeTinyStore(), nullptr,
                 {.profile = path.string(),
                  .device = "npu",
                  .threads = 1,
                  .npu_runner = std::make_shared<FakeRunner>()});
  WindowModel on_cpu(refused);
  EXPECT_TRUE(on_cpu.next_mel().empty());
}

// One window's room, made with the model: no window makes more.
TEST(Overlap, MakesNoMemoryAlongTheWay) {
  const auto engine = MakeEngine(std::make_shared<FakeRunner>());
  engine->Warmup();
  WindowModel model(*engine);
  const DecodePlan plan = PlanOf(*engine, {.language = "en",
                                           .condition_on_previous_text = false,
                                           .without_timestamps = true});
  MelSource sound = Sound(125, 11);
  uint64_t after_first = 0;
  TranscribeEvents events;
  events.progress = [&](double, double) {
    if (after_first == 0) after_first = Buffer::allocations();
  };
  Transcribe(model, sound, plan, events);
  EXPECT_EQ(Buffer::allocations(), after_first);
  EXPECT_EQ(model.ahead_times().used, 4);
}

}  // namespace
}  // namespace sotto
