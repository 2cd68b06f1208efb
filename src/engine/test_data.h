// SPDX-License-Identifier: MIT
// What the engine's tests share: real models, real speech and the oracle.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sotto {

// SOTTO_TEST_DATA; empty where it is unset.
std::filesystem::path TestData();
// SOTTO_MODELS or its default, with `name` in it; empty where it is not there.
std::filesystem::path TestModel(const std::string& name);

// One segment as OpenAI's program gave it.
struct OracleSegment {
  int seek = 0;
  double start = 0, end = 0;
  std::vector<int> tokens;
  std::string text;
  double temperature = 0, avg_logprob = 0, no_speech_prob = 0,
         compression_ratio = 0;
};

struct OracleResult {
  std::string text;
  std::string language;
  std::vector<OracleSegment> segments;
  // All tokens of all segments.
  std::vector<int> Tokens() const;
};

struct OracleClip {
  std::string file;    // relative to the data folder
  std::string member;  // name inside the zip; empty where it is no zip
  std::string given_language;  // empty: the model detects it
  std::string reference;
  std::map<std::string, OracleResult> results;  // by option set
  std::vector<std::pair<std::string, double>> detect;
  // The file whose samples the model got: `file`, or its 16 kHz copy.
  std::filesystem::path Audio() const;
};

// Lines of oracle/<model>/<dataset>.jsonl. The long file's lines come as one
// clip with one result per option set.
std::vector<OracleClip> ReadOracle(const std::string& model,
                                   const std::string& dataset);

// The same from a file.
std::vector<OracleClip> ReadOracleLines(const std::filesystem::path& path);

}  // namespace sotto
