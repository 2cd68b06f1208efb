// SPDX-License-Identifier: MIT
#include "audio/mel_source.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "acceptance_row.h"
#include "audio/fixtures_test.h"
#include "base/error.h"

namespace sotto {
namespace {

using testing::MakeSound;
using testing::MaxDifference;
using testing::TestData;

constexpr size_t kFrames = kWindowFrames;

std::vector<float> WindowOf(const MelSource& source, int64_t seek) {
  std::vector<float> mel(source.n_mels() * kFrames);
  source.Window(seek, mel);
  return mel;
}

std::vector<float> PaddedOf(const MelSource& source, int64_t seek) {
  std::vector<float> mel(source.n_mels() * kFrames);
  source.PaddedWindow(seek, mel);
  return mel;
}

// The oracle itself lies up to 4.4e-5 from the definition in double: a few
// bands near the clamp hold the rounding of its float32 FFT.
void ExpectOracle(std::span<const float> got, std::span<const float> want) {
  EXPECT_LT(MaxDifference(got, want), 1e-4);
  size_t apart = 0;
  for (size_t i = 0; i < want.size(); ++i)
    apart += std::abs(got[i] - want[i]) > 1e-5f;
  EXPECT_LT(apart, want.size() / 5000 + 3);
}

// rlx.md defects 10 and 11.
TEST(RlxDefect, D10D11WindowsAreOpenAis) {
  const auto oracle = TestData("oracle/numeric/jfk-mel80.safetensors");
  const auto clip = TestData("jfk/jfk.wav");
  if (!oracle || !clip) GTEST_SKIP() << "SOTTO_TEST_DATA/oracle/numeric";
  AudioReader reader(*clip);
  const MelSource source(reader, 80);
  ExpectOracle(WindowOf(source, 0), testing::ReadF32Tensor(*oracle, "mel"));
  std::vector<float> mel(80 * kFrames);
  source.DetectionWindow(mel);
  ExpectOracle(mel, testing::ReadF32Tensor(*oracle, "mel_padded_audio"));
}

TEST(MelSource, K16WindowIsOpenAis) {
  const auto oracle = TestData("oracle/numeric/jfk-mel80.safetensors");
  const auto clip = TestData("jfk/jfk.wav");
  if (!oracle || !clip) GTEST_SKIP() << "SOTTO_TEST_DATA/oracle/numeric";
  AudioReader reader(*clip);
  const std::vector<float> mel = WindowOf(MelSource(reader, 80), 0);
  const double apart =
      MaxDifference(mel, testing::ReadF32Tensor(*oracle, "mel"));
  EXPECT_LE(apart, 1e-4);
  ReportRow(
      "K16",
      fmt::format("log-mel of the JFK clip within {:.1e} of OpenAI's", apart),
      RowTag::kMeasured);
}

TEST(MelSource, K16TheRepositorysClipIsOpenAis) {
  const std::filesystem::path folder =
      std::filesystem::path(SOTTO_SOURCE_DIR) / "tests/data/jfk";
  AudioReader reader(folder / "jfk-16k.flac");
  const MelSource source(reader, 80);
  ASSERT_EQ(source.content_frames(), 1100);
  const std::vector<float> mel = WindowOf(source, 0);
  std::vector<float> first, last, frame_mean(1100), band_mean(80);
  for (size_t m = 0; m < 80; ++m) {
    const auto row = mel.begin() + static_cast<ptrdiff_t>(m * kFrames);
    first.insert(first.end(), row, row + 40);
    last.insert(last.end(), row + 1060, row + 1100);
    for (int f = 0; f < 1100; ++f) {
      frame_mean[f] += row[f] / 80;
      band_mean[m] += row[f] / 1100;
    }
    EXPECT_TRUE(
        std::all_of(row + 1100, row + 3000, [](float x) { return x == 0; }));
  }
  const auto oracle = [&](const char* name) {
    return testing::ReadF32Tensor(folder / "mel80.safetensors", name);
  };
  ExpectOracle(first, oracle("first"));
  ExpectOracle(last, oracle("last"));
  ExpectOracle(frame_mean, oracle("frame_mean"));
  ExpectOracle(band_mean, oracle("band_mean"));
}

// Thirty values that transformers' tests publish, of audio padded to 30 s.
TEST(MelSource, PublishedValuesOfMrQuilter) {
  const auto folder = TestData("whisper-reference-outputs");
  if (!folder) GTEST_SKIP() << "SOTTO_TEST_DATA/whisper-reference-outputs";
  const std::string npy =
      testing::ReadBytes(*folder / "ctranslate2/mr_quilter.npy");
  std::vector<float> pcm((npy.size() - 128) / 4);
  std::memcpy(pcm.data(), npy.data() + 128, pcm.size() * 4);
  const auto expected = nlohmann::json::parse(
      testing::ReadBytes(*folder / "expected_values.json"));
  const std::vector<float> want =
      expected.at("log_mel_80").at("values").get<std::vector<float>>();
  const MelSource source(pcm, 80);
  std::vector<float> got = PaddedOf(source, 0);
  got.resize(want.size());
  EXPECT_LT(MaxDifference(got, want), 1e-4);
}

// All frames of everything at once, as openai's log_mel_spectrogram.
std::vector<float> Whole(std::span<const float> pcm, int n_mels,
                         int64_t frames) {
  LogMelStream stream(n_mels);
  std::vector<float> raw;
  stream.Push(pcm, raw);
  stream.Finish(raw);
  raw.resize(static_cast<size_t>(frames) * n_mels, kSilenceLog);
  const float maximum = *std::ranges::max_element(raw);
  for (float& x : raw) x = (std::max(x, maximum - 8) + 4) / 4;
  return raw;
}

TEST(RlxDefect, D10WindowsOfAnyLengthEqualTheWhole) {
  for (const int n_mels : {80, 128})
    for (const size_t length :
         {size_t{0}, size_t{1}, size_t{159}, size_t{160}, size_t{161},
          size_t{399}, size_t{400}, size_t{401}, size_t{479999}, size_t{480000},
          size_t{480001}, size_t{2'000'123}}) {
      const std::vector<float> pcm = MakeSound(length, 16000, 9);
      const MelSource source(pcm, n_mels);
      const auto content = static_cast<int64_t>(length / 160);
      ASSERT_EQ(source.content_frames(), content);
      ASSERT_EQ(source.samples(), static_cast<int64_t>(length));
      const auto whole = Whole(pcm, n_mels, content + 9100);
      // Forwards, backwards, across the memory's end (6000), past the end.
      for (const int64_t seek : {content - 1, int64_t{0}, int64_t{5999},
                                 int64_t{3456}, content, content + 6000}) {
        if (seek < 0) continue;
        const auto window = WindowOf(source, seek);
        const auto padded = PaddedOf(source, seek);
        for (size_t m = 0; m < static_cast<size_t>(n_mels); ++m)
          for (size_t f = 0; f < kFrames; ++f) {
            const auto frame = static_cast<size_t>(seek) + f;
            const float want = whole.at(frame * n_mels + m);
            ASSERT_EQ(padded[m * kFrames + f], want) << length << " " << frame;
            ASSERT_EQ(window[m * kFrames + f],
                      static_cast<int64_t>(frame) < content ? want : 0.0f);
          }
      }
    }
}

TEST(MelSource, MaximumIsTheWholeFiles) {
  // Quiet, and one loud second far behind the first window.
  std::vector<float> pcm = MakeSound(1'600'000, 16000, 2);
  for (size_t i = 0; i < pcm.size(); ++i)
    if (i < 1'500'000) pcm[i] *= 1e-6f;
  const MelSource source(pcm, 80);
  const auto window = WindowOf(source, 0);
  const float floor = (source.maximum() - 8 + 4) / 4;
  EXPECT_EQ(*std::ranges::min_element(window), floor);
  EXPECT_NEAR(source.maximum(),
              MelSource(std::span(pcm).subspan(1'500'000), 80).maximum(), 0.1);
}

TEST(MelSource, FileAndSamplesAgree) {
  const TestFolder folder;
  const auto pcm = MakeSound(100'000, 16000, 4);
  testing::WriteBytes(folder / "a.wav",
                      testing::Wav(pcm, {.bits = 32, .real = true}));
  AudioReader reader(folder / "a.wav");
  const MelSource file(reader, 80);
  EXPECT_EQ(WindowOf(file, 0),
            WindowOf(MelSource(ReadAudio(folder / "a.wav"), 80), 0));
}

TEST(MelSource, NanIsZero) {
  auto pcm = MakeSound(9000, 16000);
  pcm[77] = std::numeric_limits<float>::quiet_NaN();
  const MelSource source(pcm, 80);
  EXPECT_TRUE(source.saw_nan());
  for (const float x : WindowOf(source, 0)) ASSERT_TRUE(std::isfinite(x));
}

TEST(MelSource, ManyThreadsReadTheSame) {
  const auto pcm = MakeSound(1'300'000, 16000, 6);  // 81 s: partly in the file
  const MelSource source(pcm, 80);
  const auto want = WindowOf(source, 4500);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] { EXPECT_EQ(WindowOf(source, 4500), want); });
}

size_t ResidentBytes() {
  size_t all = 0;
  size_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

// A WAV of `seconds` through a pipe, as a live recorder writes one.
MelSource FromPipe(const std::filesystem::path& pipe, int seconds) {
  std::jthread writer([&] {
    std::ofstream out(pipe, std::ios::binary);
    const auto second = MakeSound(16000, 16000);
    std::string head = testing::Wav({});
    head.replace(4, 4, "\xff\xff\xff\xff");
    head.replace(40, 4, "\xff\xff\xff\xff");
    out << head;
    const std::string data = testing::Wav(second).substr(44);
    for (int i = 0; i < seconds; ++i) out << data;
  });
  AudioReader reader(pipe);
  MelSource source(reader, 80);
  EXPECT_EQ(reader.damage(), "");
  return source;
}

TEST(MelSource, MemoryIsFlatForTwoHours) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer keeps freed memory";
#endif
  const TestFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  FromPipe(folder / "pipe", 600);
  const size_t before = ResidentBytes();
  const MelSource source = FromPipe(folder / "pipe", 7200);
  EXPECT_EQ(source.content_frames(), 720'000);
  EXPECT_EQ(WindowOf(source, 700'000), WindowOf(source, 500'000));
  EXPECT_LT(ResidentBytes(), before + 8'000'000);
}

TEST(LiveLogMel, AFinishedStreamEqualsTheFile) {
  const auto pcm = MakeSound(500'123, 16000, 8);
  const MelSource source(pcm, 80);
  LiveLogMel live(80);
  for (size_t at = 0; at < pcm.size(); at += 1234)
    live.Push(
        std::span(pcm).subspan(at, std::min<size_t>(1234, pcm.size() - at)));
  live.Finish();
  EXPECT_EQ(live.frames(), source.content_frames());
  std::vector<float> mel(80 * kFrames);
  for (const int64_t seek : {0, 77, 1000}) {
    live.Window(seek, mel);
    EXPECT_EQ(mel, WindowOf(source, seek));
  }
}

TEST(LiveLogMel, TheMaximumRuns) {
  LiveLogMel live(80);
  auto quiet = MakeSound(16000, 16000, 1);
  for (float& x : quiet) x *= 1e-4f;
  live.Push(quiet);
  const float before = live.maximum();
  std::vector<float> first(80 * kFrames), second(80 * kFrames);
  EXPECT_EQ(live.frames(), (16000 - 200) / 160 + 1);
  live.Window(0, first);
  live.Push(MakeSound(16000, 16000, 1));
  EXPECT_GT(live.maximum(), before + 4);
  live.Window(0, second);
  // The same frames, now clamped higher.
  EXPECT_GT(*std::ranges::min_element(second),
            *std::ranges::min_element(first));
}

TEST(LiveLogMel, OldFramesGo) {
  LiveLogMel live(80, kWindowFrames);
  const auto minute = MakeSound(960'000, 16000);
  for (int i = 0; i < 5; ++i) live.Push(minute);
  EXPECT_GE(live.frames() - live.first_frame(), kWindowFrames);
  EXPECT_LT(live.frames() - live.first_frame(), 3 * kWindowFrames);
  std::vector<float> mel(80 * kFrames);
  live.Window(live.first_frame(), mel);
  EXPECT_THROW(live.Window(live.first_frame() - 1, mel), Error);
}

}  // namespace
}  // namespace sotto
