// SPDX-License-Identifier: MIT
// Against OpenAI's writers: tests/golden/output, made by
// tools/make_output_golden.py.
#include "output/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "output/timestamp.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Transcript FromJson(const json& result) {
  Transcript transcript;
  transcript.text = result["text"];
  transcript.language = result["language"];
  for (const json& row : result["segments"]) {
    Segment segment;
    segment.id = row["id"];
    segment.seek = row["seek"];
    segment.start = row["start"];
    segment.end = row["end"];
    segment.text = row["text"];
    segment.tokens = row["tokens"].get<std::vector<int>>();
    segment.temperature = row["temperature"];
    segment.avg_logprob = row["avg_logprob"];
    segment.compression_ratio = row["compression_ratio"];
    segment.no_speech_prob = row["no_speech_prob"];
    for (const json& word : row.value("words", json::array()))
      segment.words.push_back(
          {word["word"], word["start"], word["end"], word["probability"]});
    transcript.segments.push_back(std::move(segment));
  }
  return transcript;
}

WriterOptions FromOptions(const json& row, bool words) {
  WriterOptions options;
  options.max_line_width = row.value("max_line_width", 0);
  options.max_line_count = row.value("max_line_count", 0);
  options.max_words_per_line = row.value("max_words_per_line", 0);
  options.highlight_words = row.value("highlight_words", false);
  options.word_timestamps = words;
  return options;
}

Segment Spoken(double end, const char* text) {
  Segment segment;
  segment.end = end;
  segment.text = text;
  return segment;
}

TEST(Writers, GiveOpenAisBytes) {
  const json cases = json::parse(
      ReadFile(fs::path(SOTTO_SOURCE_DIR) / "tests/golden/output/cases.json"));
  ASSERT_GE(cases.size(), 12u);
  for (const json& one : cases) {
    const json& out = one["out"];
    const bool words = one["words"];
    // The golden JSON is the result itself.
    const Transcript transcript =
        FromJson(json::parse(out["json"].get<std::string>()));
    const WriterOptions plain = {.word_timestamps = words};
    for (const char* name : {"txt", "tsv", "json"})
      ASSERT_EQ(Render(name, transcript, plain), out[name].get<std::string>());
    for (const json& row : one["subtitles"]) {
      const WriterOptions options = FromOptions(row["options"], words);
      for (const char* name : {"srt", "vtt"})
        ASSERT_EQ(Render(name, transcript, options),
                  row[name].get<std::string>())
            << row["options"];
    }
  }
}

TEST(Writers, WriteBesideEachOtherUnderTheStem) {
  const TestFolder folder;
  const fs::path& root = folder.path();
  Transcript transcript;
  transcript.language = "en";
  transcript.segments.push_back(Spoken(1.5, " Hello."));
  const auto paths =
      WriteTranscript("all", transcript, root / "a" / "b", "in/talk.v2.mp3");
  ASSERT_EQ(paths.size(), OutputFormats().size());
  for (size_t i = 0; i < paths.size(); ++i) {
    const auto format = OutputFormats()[i].name;
    EXPECT_EQ(paths[i], root / "a" / "b" / ("talk.v2." + std::string(format)));
    EXPECT_EQ(ReadFile(paths[i]), Render(format, transcript));
  }
  EXPECT_EQ(WriteTranscript("txt", transcript, root, "x").front(),
            root / "x.txt");
  try {
    WriteTranscript("txt", transcript, root / "x.txt", "y");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("cannot make the folder"));
  }
}

TEST(Writers, NameTheFormatsThereAre) {
  try {
    Render("xml", {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "unknown output format 'xml', want one of txt, vtt, srt, tsv, "
                 "json, all");
  }
}

TEST(Timestamps, ShowHoursWhereThereAreAny) {
  EXPECT_EQ(SegmentLine(Spoken(11, " And so")),
            "[00:00.000 --> 00:11.000]  And so");
  EXPECT_EQ(FormatTimestamp(3599.9996), "01:00:00.000");
  EXPECT_EQ(FormatTimestamp(0.0005), "00:00.000");  // half to even
  EXPECT_EQ(FormatTimestamp(0.0015), "00:00.002");
  EXPECT_EQ(FormatTimestamp(1, true, ','), "00:00:01,000");
  EXPECT_EQ(FormatTimestamp(360000), "100:00:00.000");
  EXPECT_EQ(FormatTimestamp(-1), "00:00.000");
}

}  // namespace
}  // namespace sotto
