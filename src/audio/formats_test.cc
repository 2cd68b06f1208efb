// SPDX-License-Identifier: MIT
// Containers and codecs, whole, from a pipe, and cut off, made by libav's own
// encoders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <fstream>
#include <random>
#include <thread>

#include "audio/decode.h"
#include "audio/fixtures_test.h"
#include "base/error.h"

namespace sotto {
namespace {

using testing::EncodeOptions;
using ::testing::HasSubstr;
using testing::MakeSound;

struct Format {
  const char* codec;
  const char* muxer;
  bool lossless = false;
  bool cut_is_seen = false;  // libav or the file tells
  EncodeOptions options = {};
};

std::string NameOf(const ::testing::TestParamInfo<Format>& info) {
  std::string name =
      fmt::format("{}_{}_{}", info.param.codec, info.param.muxer, info.index);
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

constexpr int kSeconds = 9;

class Formats : public ::testing::TestWithParam<Format> {
 protected:
  void SetUp() override {
    const Format& format = GetParam();
    pcm_ = MakeSound(static_cast<size_t>(kSeconds * format.options.rate),
                     format.options.rate);
    if (!testing::Encode(folder_ / "a", format.codec, format.muxer, pcm_,
                         format.options))
      GTEST_SKIP() << "this libav has no " << format.codec << " in "
                   << format.muxer;
  }

  std::vector<float> Read(const char* name, std::string* damage) {
    AudioReader reader(folder_ / name);
    std::vector<float> pcm(size_t{10} * kSeconds * 16000);
    pcm.resize(reader.Read(pcm));
    *damage = reader.damage();
    return pcm;
  }

  TestFolder folder_;
  std::vector<float> pcm_;
};

TEST_P(Formats, WholeFileIsReadWithoutComplaint) {
  std::string damage;
  const std::vector<float> got = Read("a", &damage);
  EXPECT_EQ(damage, "");
  if (GetParam().lossless) {
    ASSERT_EQ(got.size(), pcm_.size());
    EXPECT_LE(testing::MaxDifference(got, pcm_), 1.0 / 32768);
    return;
  }
  // Lossy: as long up to the codec's frames, and nearly as loud.
  EXPECT_NEAR(static_cast<double>(got.size()), kSeconds * 16000, 3000);
  const auto power = [](const std::vector<float>& x) {
    double sum = 0;
    for (const float v : x) sum += double{v} * v;
    return sum / static_cast<double>(x.size());
  };
  EXPECT_NEAR(10 * std::log10(power(got) / power(pcm_)), 0, 1.5);
}

TEST_P(Formats, PipeGivesTheSame) {
  std::string damage;
  const std::vector<float> file = Read("a", &damage);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  std::thread writer([&] {
    std::ofstream(folder_ / "pipe", std::ios::binary)
        << testing::ReadBytes(folder_ / "a");
  });
  const std::vector<float> piped = Read("pipe", &damage);
  writer.join();
  EXPECT_EQ(damage, "");
  // note: without seeking, libav does not read an mp3's table of lengths, so
  // the encoder's padding at the end stays; its ffmpeg does the same.
  ASSERT_GE(piped.size(), file.size());
  EXPECT_LE(piped.size() - file.size(), 1152u);
  EXPECT_TRUE(std::equal(file.begin(), file.end() - 1152, piped.begin()));
}

TEST_P(Formats, CutFileGivesWhatThereIs) {
  const std::string whole = testing::ReadBytes(folder_ / "a");
  std::string damage;
  const std::vector<float> all = Read("a", &damage);
  for (const double part : {0.93, 0.61, 0.33}) {
    testing::WriteBytes(
        folder_ / "cut",
        whole.substr(
            0, static_cast<size_t>(part * static_cast<double>(whole.size()))));
    try {
      const std::vector<float> got = Read("cut", &damage);
      EXPECT_LT(got.size(), all.size());
      // All but the last frames, which a decoder may end in its own way.
      const size_t sure = got.size() < 3000 ? 0 : got.size() - 3000;
      EXPECT_TRUE(std::equal(got.begin(), got.begin() + sure, all.begin()));
      // wavpack's blocks are 4 s long, an mpeg-ts or avi buffers a second.
      EXPECT_GT(static_cast<double>(got.size()) + 4.5 * 16000,
                part * static_cast<double>(all.size()));
      if (GetParam().cut_is_seen) {
        EXPECT_THAT(damage, HasSubstr("cut: "));
        EXPECT_EQ(damage.find('\n'), damage.npos);
      }
    } catch (const Error& error) {  // an mp4 without its index
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("cut: cannot be read as"));
      EXPECT_STREQ(GetParam().muxer, "mp4");
    }
  }
}

// Damaged bytes may give any sound or any of our errors, but nothing else.
TEST_P(Formats, FlippedBytesAreSurvived) {
  const std::string whole = testing::ReadBytes(folder_ / "a");
  std::mt19937 random(11);
  for (int round = 0; round < 6; ++round) {
    std::string bytes = whole;
    const size_t reach = round < 3 ? 600 : bytes.size();
    for (int i = 0; i < 20; ++i)
      bytes[random() % std::min(reach, bytes.size())] =
          static_cast<char>(random());
    testing::WriteBytes(folder_ / "bad", bytes);
    try {
      std::string damage;
      Read("bad", &damage);
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
    }
  }
}

constexpr bool kLossless = true;
constexpr bool kCutSeen = true;
INSTANTIATE_TEST_SUITE_P(
    All, Formats,
    ::testing::Values(
        Format{"pcm_s16le", "wav", kLossless, kCutSeen},
        Format{"pcm_s24le", "wav", kLossless, kCutSeen},
        Format{"flac", "flac", kLossless, kCutSeen},
        Format{"libmp3lame", "mp3", false, kCutSeen},
        Format{"libmp3lame",
               "mp3",
               false,
               kCutSeen,
               {.muxer_options = "write_xing=0"}},
        Format{"libmp3lame",
               "mp3",
               false,
               kCutSeen,
               {.rate = 44100, .channels = 1}},
        Format{"mp2", "mp2", false, kCutSeen},
        Format{"aac", "mp4", false, false},
        Format{"aac",
               "mp4",
               false,
               kCutSeen,
               {.muxer_options = "movflags=faststart"}},
        Format{"aac",
               "mp4",
               false,
               kCutSeen,
               {.muxer_options = "movflags=frag_keyframe+empty_moov,"
                                 "frag_duration=1000000"}},
        Format{"aac", "mp4", false, false, {.video_frames = 60}},
        Format{"aac", "adts", false, kCutSeen},
        Format{"alac",
               "mp4",
               kLossless,
               kCutSeen,
               {.muxer_options = "movflags=faststart"}},
        Format{"libvorbis", "ogg", false, kCutSeen},
        Format{"libopus", "ogg", false, kCutSeen, {.rate = 48000}},
        Format{"flac", "ogg", kLossless, kCutSeen},
        Format{"libopus", "webm", false, kCutSeen},
        Format{"aac", "matroska", false, kCutSeen, {.video_frames = 60}},
        Format{"pcm_s16le", "matroska", kLossless, kCutSeen},
        Format{"pcm_s16be", "aiff", kLossless, kCutSeen},
        Format{"pcm_s16be", "au", kLossless, kCutSeen},
        Format{"wavpack", "wv", kLossless, kCutSeen},
        Format{"tta", "tta", kLossless, kCutSeen},
        Format{"pcm_s16be", "caf", kLossless},
        Format{"pcm_s16le", "w64", kLossless}, Format{"aac", "mpegts"},
        Format{"wmav2", "asf"},
        Format{"ac3", "ac3", false, false, {.rate = 48000}},
        Format{"aac", "flv", false, false, {.rate = 44100}}),
    NameOf);

TEST(Streams, VideoAloneIsRefusedWithWhatWasFound) {
  const TestFolder folder;
  if (!testing::Encode(folder / "talk.mp4", "aac", "mp4", {},
                       {.video_frames = 10, .audio = false}))
    GTEST_SKIP() << "this libav has no mpeg4 encoder";
  try {
    AudioReader reader(folder / "talk.mp4");
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(),
                HasSubstr("talk.mp4: no audio stream, found 1 video stream, "
                          "want a file with sound"));
  }
}

TEST(Damage, MissingMiddleOfAnOggIsSeen) {
  const TestFolder folder;
  const auto pcm = MakeSound(6 * 16000, 16000);
  if (!testing::Encode(folder / "a.ogg", "libvorbis", "ogg", pcm))
    GTEST_SKIP() << "this libav has no vorbis encoder";
  std::string bytes = testing::ReadBytes(folder / "a.ogg");
  bytes[bytes.size() / 2] ^= 0x5a;
  testing::WriteBytes(folder / "a.ogg", bytes);
  AudioReader reader(folder / "a.ogg");
  std::vector<float> got(pcm.size());
  reader.Read(got);
  EXPECT_EQ(reader.Read(got), 0u);
  EXPECT_THAT(reader.damage(), HasSubstr("a.ogg: damaged near"));
}

TEST(Damage, TagsAroundAnMp3AreNone) {
  const TestFolder folder;
  if (!testing::Encode(folder / "a.mp3", "libmp3lame", "mp3",
                       MakeSound(32000, 16000),
                       {.muxer_options = "write_xing=0"}))
    GTEST_SKIP() << "this libav has no mp3 encoder";
  std::string tag = "TAG" + std::string(125, 'x');
  testing::WriteBytes(folder / "b.mp3",
                      testing::ReadBytes(folder / "a.mp3") + tag);
  AudioReader reader(folder / "b.mp3");
  std::vector<float> got(64000);
  EXPECT_GE(reader.Read(got), 32000u);
  EXPECT_EQ(reader.damage(), "");
}

}  // namespace
}  // namespace sotto
