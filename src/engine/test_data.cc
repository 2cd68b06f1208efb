// SPDX-License-Identifier: MIT
#include "engine/test_data.h"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace sotto {
namespace {

using nlohmann::json;

OracleResult ReadResult(const json& value) {
  OracleResult result{value.at("text"), value.at("language"), {}};
  for (const json& s : value.at("segments"))
    result.segments.push_back({s.at("seek"), s.at("start"), s.at("end"),
                               s.at("tokens"), s.at("text"),
                               s.at("temperature"), s.at("avg_logprob"),
                               s.at("no_speech_prob"),
                               s.at("compression_ratio")});
  return result;
}

std::string Text(const json& line, const char* key) {
  const auto it = line.find(key);
  return it == line.end() || it->is_null() ? "" : it->get<std::string>();
}

}  // namespace

std::filesystem::path TestData() {
  const char* folder = std::getenv("SOTTO_TEST_DATA");
  return folder == nullptr ? "" : folder;
}

std::filesystem::path TestModel(const std::string& name) {
  const char* root = std::getenv("SOTTO_MODELS");
  const std::filesystem::path folder =
      (root == nullptr ? HomeDirectory() / ".cache/sotto/models"
                       : std::filesystem::path(root)) /
      name;
  return std::filesystem::exists(folder / "model.bin")
             ? folder
             : std::filesystem::path();
}

std::vector<int> OracleResult::Tokens() const {
  std::vector<int> all;
  for (const OracleSegment& segment : segments)
    all.insert(all.end(), segment.tokens.begin(), segment.tokens.end());
  return all;
}

std::filesystem::path OracleClip::Audio() const {
  const std::filesystem::path copy =
      (TestData() / "oracle/audio-16k" / file).replace_extension(".flac");
  return std::filesystem::exists(copy) ? copy : TestData() / file;
}

std::vector<OracleClip> ReadOracle(const std::string& model,
                                   const std::string& dataset) {
  return ReadOracleLines(TestData() / "oracle" / model / (dataset + ".jsonl"));
}

std::vector<OracleClip> ReadOracleLines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<OracleClip> clips;
  for (std::string text; std::getline(file, text);) {
    const json line = json::parse(text);
    const std::string name = line.at("file");
    if (line.contains("options")) {  // the long file: a line an option set
      if (clips.empty()) clips.push_back({.file = name});
      clips[0].given_language = Text(line, "given_language");
      clips[0].results[line.at("options")] = ReadResult(line.at("result"));
      continue;
    }
    OracleClip clip{.file = name};
    clip.member = Text(line, "member");
    clip.given_language = Text(line, "given_language");
    clip.reference = Text(line, "reference");
    for (const auto& [set, value] : line.at("results").items())
      clip.results[set] = ReadResult(value);
    if (line.contains("detect") && !line["detect"].is_null())
      for (const json& pair : line["detect"])
        clip.detect.emplace_back(pair.at(0), pair.at(1));
    clips.push_back(std::move(clip));
  }
  return clips;
}

}  // namespace sotto
