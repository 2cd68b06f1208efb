// SPDX-License-Identifier: MIT
// Transcript: what was said, when, and how sure the model is. A value.
#pragma once

#include <string>
#include <vector>

namespace sotto {

struct Word {
  std::string text;  // with its leading space, as the tokenizer gives it
  double start = 0;  // seconds from the start of the file
  double end = 0;
  double probability = 0;
};

struct Segment {
  int id = 0;
  int seek = 0;  // frame of 10 ms at which this segment's window starts
  double start = 0;
  double end = 0;
  std::string text;
  std::vector<int> tokens;  // timestamp tokens included
  double temperature = 0;
  double avg_logprob = 0;
  double compression_ratio = 0;
  double no_speech_prob = 0;
  std::vector<Word> words;
};

struct Transcript {
  std::string text;      // all segments joined, as OpenAI's result["text"]
  std::string language;  // code, as "en"
  std::vector<Segment> segments;
};

}  // namespace sotto
