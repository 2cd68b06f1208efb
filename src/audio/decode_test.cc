// SPDX-License-Identifier: MIT
#include "audio/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <random>
#include <thread>

#include "audio/fixtures_test.h"
#include "base/error.h"

namespace sotto {
namespace {

using ::testing::HasSubstr;
using testing::MakeSound;
using testing::MaxDifference;
using testing::TestData;
using testing::Wav;
using testing::WavFormat;
using testing::WriteBytes;

std::vector<nlohmann::json> Lines(const std::filesystem::path& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    lines.push_back(nlohmann::json::parse(line));
  return lines;
}

struct Outcome {
  std::vector<float> pcm;
  std::string damage;
  std::vector<std::string> warnings;
};

Outcome ReadAll(const std::filesystem::path& path,
                const AudioOptions& options = {}, size_t piece = 16000) {
  AudioReader reader(path, options);
  Outcome outcome;
  std::vector<float> block(piece);
  while (const size_t n = reader.Read(block))
    outcome.pcm.insert(outcome.pcm.end(), block.begin(),
                       block.begin() + static_cast<ptrdiff_t>(n));
  EXPECT_EQ(reader.Read(block), 0u);
  outcome.damage = reader.damage();
  outcome.warnings = reader.warnings();
  return outcome;
}

// The error of opening or reading, as "code: message".
std::string ErrorOf(const std::filesystem::path& path,
                    const AudioOptions& options = {}) {
  try {
    ReadAll(path, options);
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return fmt::format("{}: {}", ErrorCodeName(error.code()), error.what());
  }
  return "no error";
}

TEST(Oracle, JfkSamplesAreOpenAis) {
  const std::filesystem::path root = SOTTO_SOURCE_DIR;
  const auto lines = Lines(root / "tests/data/jfk/base.jsonl");
  ASSERT_EQ(lines.size(), 2u);
  const char* const files[] = {"tests/data/jfk/jfk-16k.flac", "data/jfk.flac"};
  for (int i = 0; i < 2; ++i) {
    const Outcome clip = ReadAll(root / files[i]);
    EXPECT_EQ(clip.pcm.size(), lines[i]["n_samples"].get<size_t>());
    EXPECT_EQ(testing::PcmSha256(clip.pcm), lines[i]["pcm_sha256"]) << files[i];
    EXPECT_EQ(clip.damage, "");
  }
}

TEST(Oracle, SamplesAreOpenAis) {
  const auto oracle = TestData("oracle/base");
  if (!oracle) GTEST_SKIP() << "SOTTO_TEST_DATA/oracle/base";
  const std::filesystem::path data = oracle->parent_path().parent_path();
  int clips = 0;
  for (const auto& list : std::filesystem::directory_iterator(*oracle))
    for (const auto& clip : Lines(list.path())) {
      if (clip.contains("member") && !clip["member"].is_null()) continue;
      const std::string file = clip["file"];
      const Outcome got = ReadAll(data / file);
      EXPECT_EQ(got.pcm.size(), clip["n_samples"].get<size_t>()) << file;
      EXPECT_EQ(testing::PcmSha256(got.pcm), clip["pcm_sha256"]) << file;
      EXPECT_EQ(got.damage, "");
      ++clips;
    }
  EXPECT_GE(clips, 140);
}

TEST(Oracle, MembersOfZipFilesToo) {
  const auto data = TestData("oracle/base/multilingual-azure.jsonl");
  if (!data || std::system("command -v unzip >/dev/null") != 0)
    GTEST_SKIP() << "SOTTO_TEST_DATA/multilingual-azure or unzip";
  const std::filesystem::path root =
      data->parent_path().parent_path().parent_path();
  const TestFolder folder;
  for (const auto& clip : Lines(*data)) {
    const std::string file = clip["file"];
    const std::string wav = (folder / "audio.wav").string();
    ASSERT_EQ(
        std::system(fmt::format("unzip -p {} {} > {}", (root / file).string(),
                                clip["member"].get<std::string>(), wav)
                        .c_str()),
        0);
    EXPECT_EQ(testing::PcmSha256(ReadAll(wav).pcm), clip["pcm_sha256"]) << file;
  }
}

// Sample formats and rates, against the sine that was written.
struct PcmCase {
  WavFormat format;
  double tolerance;
};

class PcmFormats : public ::testing::TestWithParam<PcmCase> {};

TEST_P(PcmFormats, ResampleToTheSameSine) {
  const auto& [format, tolerance] = GetParam();
  const auto wave = [](double t) {
    return 0.5 * std::sin(2 * std::numbers::pi * 440 * t);
  };
  std::vector<float> sine(static_cast<size_t>(format.rate));
  for (size_t i = 0; i < sine.size(); ++i)
    sine[i] = static_cast<float>(wave(static_cast<double>(i) / format.rate));
  const TestFolder folder;
  WriteBytes(folder / "a.wav", Wav(sine, format));
  const Outcome got = ReadAll(folder / "a.wav");
  EXPECT_EQ(got.damage, "");
  ASSERT_NEAR(static_cast<double>(got.pcm.size()), 16000, 2);
  double worst = 0;  // the filter rings at both ends
  for (size_t i = 500; i < 15500; ++i)
    worst = std::max(
        worst, std::abs(got.pcm[i] - wave(static_cast<double>(i) / 16000)));
  EXPECT_LT(worst, tolerance);
}

// One step of the coarser of file and s16, and the filter's ripple.
INSTANTIATE_TEST_SUITE_P(
    All, PcmFormats,
    ::testing::Values(
        PcmCase{{.rate = 16000, .bits = 8}, 1.0 / 128},
        PcmCase{{.rate = 16000, .bits = 16}, 1.0 / 32768},
        PcmCase{{.rate = 16000, .bits = 24}, 1.0 / 32768},
        PcmCase{{.rate = 16000, .bits = 32}, 1.0 / 32768},
        PcmCase{{.rate = 16000, .bits = 32, .real = true}, 1.0 / 32768},
        PcmCase{{.rate = 16000, .bits = 64, .real = true}, 1.0 / 32768},
        PcmCase{{.rate = 8000}, 1e-3}, PcmCase{{.rate = 11025}, 1e-3},
        PcmCase{{.rate = 22050}, 1e-3}, PcmCase{{.rate = 44100}, 1e-3},
        PcmCase{{.rate = 48000, .bits = 24}, 1e-3},
        PcmCase{{.rate = 96000, .bits = 32, .real = true}, 1e-3},
        PcmCase{{.rate = 192000}, 1e-3}));

TEST(Channels, AreAveraged) {
  const TestFolder folder;
  // For 12 and 32 libav knows no layout.
  for (const int channels : {2, 12, 32}) {
    const std::vector<float> voice = MakeSound(8000, 16000);
    std::vector<float> all;
    for (const float x : voice)
      for (int c = 0; c < channels; ++c) all.push_back(c == 0 ? x : 0.0f);
    WriteBytes(folder / "a.wav", Wav(all, {.channels = channels}));
    const Outcome got = ReadAll(folder / "a.wav");
    ASSERT_EQ(got.pcm.size(), voice.size()) << channels;
    std::vector<float> want;
    for (const float x : voice)
      want.push_back(x / static_cast<float>(channels));
    EXPECT_LT(MaxDifference(got.pcm, want), 2.0 / 32768) << channels;
  }
}

TEST(Channels, TooManyAreRefused) {
  const TestFolder folder;
  const std::vector<float> silence(100 * 80);
  WriteBytes(folder / "a.wav", Wav(silence, {.channels = 80}));
  EXPECT_THAT(ErrorOf(folder / "a.wav"),
              HasSubstr("a.wav: 80 channels, want 1 to 64"));
}

TEST(Samples, NanIsZeroAndWarnedOfOnce) {
  const TestFolder folder;
  std::vector<float> pcm = MakeSound(20000, 16000);
  for (auto& x : pcm) x = std::nearbyint(x * 32768) / 32768;
  std::vector<float> want = pcm;
  for (const size_t i : {0u, 5u, 9000u, 19999u}) {
    pcm[i] = std::numeric_limits<float>::quiet_NaN();
    want[i] = 0;
  }
  WriteBytes(folder / "a.wav", Wav(pcm, {.bits = 32, .real = true}));
  const Outcome got = ReadAll(folder / "a.wav");
  EXPECT_EQ(MaxDifference(got.pcm, want), 0);
  ASSERT_EQ(got.warnings.size(), 1u);
  EXPECT_THAT(got.warnings[0], HasSubstr("a.wav: NaN samples, taken as 0"));
}

TEST(Samples, BeyondFullScaleIsFullScale) {
  const TestFolder folder;
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> pcm = {2, -2, infinity, -infinity, 1e30f, -1e30f};
  WriteBytes(folder / "a.wav", Wav(pcm, {.bits = 32, .real = true}));
  const float top = 32767.0f / 32768;
  EXPECT_THAT(ReadAll(folder / "a.wav").pcm,
              ::testing::ElementsAre(top, -1, top, -1, top, -1));
}

TEST(Reading, OffsetAndDurationAreSampleExact) {
  const TestFolder folder;
  const std::vector<float> sound = MakeSound(3 * 44100, 44100);
  ASSERT_TRUE(testing::Encode(folder / "a.mp3", "libmp3lame", "mp3", sound,
                              {.rate = 44100}));
  const std::vector<float> whole = ReadAll(folder / "a.mp3").pcm;
  const auto part =
      ReadAll(folder / "a.mp3", {.offset_s = 1.2345, .duration_s = 0.5}).pcm;
  const auto from = whole.begin() + std::lround(1.2345 * 16000);
  EXPECT_EQ(part, std::vector<float>(from, from + 8000));
  const auto rest = ReadAll(folder / "a.mp3", {.offset_s = 2.5}).pcm;
  EXPECT_EQ(rest, std::vector<float>(whole.begin() + 40000, whole.end()));
  EXPECT_TRUE(ReadAll(folder / "a.mp3", {.offset_s = 100}).pcm.empty());
  EXPECT_THAT(ErrorOf(folder / "a.mp3", {.offset_s = -1}),
              HasSubstr("bad_input: offset: -1 s, want 0 to"));
}

TEST(Reading, PiecesDoNotMatter) {
  const TestFolder folder;
  WriteBytes(folder / "a.wav", Wav(MakeSound(30000, 44100), {.rate = 44100}));
  const auto whole = ReadAll(folder / "a.wav").pcm;
  EXPECT_EQ(ReadAll(folder / "a.wav", {}, 1).pcm, whole);
  EXPECT_EQ(ReadAll(folder / "a.wav", {}, 997).pcm, whole);
}

TEST(Reading, StandardInput) {
  const TestFolder folder;
  WriteBytes(folder / "a.wav", Wav(MakeSound(50000, 16000)));
  const auto whole = ReadAll(folder / "a.wav").pcm;
  const int saved = ::dup(STDIN_FILENO);
  // A file given with "<" is read from where it stands.
  std::FILE* file = std::fopen((folder / "a.wav").c_str(), "rb");
  ::dup2(::fileno(file), STDIN_FILENO);
  EXPECT_EQ(ReadAll("-").pcm, whole);
  std::fclose(file);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::dup2(ends[0], STDIN_FILENO);
  ::close(ends[0]);
  std::thread writer([&] {
    const std::string bytes = testing::ReadBytes(folder / "a.wav");
    for (size_t at = 0; at < bytes.size(); at += 777)  // short reads
      EXPECT_GT(::write(ends[1], bytes.data() + at,
                        std::min<size_t>(777, bytes.size() - at)),
                0);
    ::close(ends[1]);
  });
  EXPECT_EQ(ReadAll("-").pcm, whole);
  writer.join();
  EXPECT_EQ(ErrorOf("-"), "bad_input: stdin: empty, want a file with sound");
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);
}

TEST(Reading, ZeroSamplesAreNoError) {
  const TestFolder folder;
  WriteBytes(folder / "a.wav", Wav({}));
  const Outcome got = ReadAll(folder / "a.wav");
  EXPECT_TRUE(got.pcm.empty());
  EXPECT_EQ(got.damage, "");
}

TEST(Errors, NameTheFileAndTheCause) {
  const TestFolder folder;
  EXPECT_THAT(ErrorOf(folder / "none.wav"),
              HasSubstr("not_found: " + (folder / "none.wav").string() +
                        ": cannot open: No such file"));
  EXPECT_THAT(ErrorOf(folder / ""), HasSubstr("is a folder"));
  WriteBytes(folder / "empty.wav", "");
  EXPECT_THAT(ErrorOf(folder / "empty.wav"), HasSubstr("bad_input"));
  EXPECT_THAT(ErrorOf(folder / "empty.wav"), HasSubstr("empty.wav: empty"));
  std::mt19937 random(7);
  std::string noise(50000, 0);
  for (char& c : noise) c = static_cast<char>(random());
  const std::string bad[] = {"just some words\n",     "RIFF", noise,
                             std::string(5000, '\0'), "ID3",  "fLaC",
                             Wav({}).substr(0, 20)};
  for (const std::string& bytes : bad) {
    WriteBytes(folder / "notes.wav", bytes);
    EXPECT_THAT(ErrorOf(folder / "notes.wav"),
                ::testing::MatchesRegex("bad_input: .*notes.wav: .*"));
  }
  WriteBytes(folder / "ok.wav", Wav(MakeSound(100, 16000)));
  EXPECT_THAT(ErrorOf(folder / "ok.wav", {.stream = 3}),
              HasSubstr("ok.wav: audio stream 3, want 0 to 0"));
}

TEST(Errors, NothingInsideAFileIsOpened) {
  const TestFolder folder;
  WriteBytes(folder / "real.wav", Wav(MakeSound(16000, 16000)));
  const std::string real = (folder / "real.wav").string();
  const std::string scripts[] = {
      "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n" + real +
          "\n#EXT-X-ENDLIST\n",
      "ffconcat version 1.0\nfile " + real + "\n",
      "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" "
      "profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" "
      "type=\"static\"><Period><AdaptationSet mimeType=\"audio/mp4\">"
      "<Representation><BaseURL>" +
          real +
          "</BaseURL></Representation>"
          "</AdaptationSet></Period></MPD>",
      "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
      "m=audio 5004 RTP/AVP 0\n"};
  const char* const names[] = {"HTTP Live Streaming", "concatenation script",
                               "", "SDP"};
  for (int i = 0; i < 4; ++i) {
    WriteBytes(folder / "list.mp3", scripts[i]);
    const std::string error = ErrorOf(folder / "list.mp3");
    EXPECT_THAT(error, HasSubstr("bad_input: "));
    EXPECT_THAT(error, HasSubstr(names[i]));
    EXPECT_THAT(error, HasSubstr("want a file with sound"));
  }
}

}  // namespace
}  // namespace sotto
