// SPDX-License-Identifier: MIT
// What a user may say about decoding. Defaults are those of openai-whisper
// 20250625 (its command line's where that differs from the library), but for
// the beam, which is 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/task.h"

namespace sotto {

// How one window is searched.
struct SearchOptions {
  // What to write: the language spoken, or English.
  Task task = Task::kTranscribe;
  // Tokens to sample at most in a window; 0 means half the text context.
  int sample_len = 0;
  // Tokens every window's text starts with; they are not part of the result.
  std::vector<int> prefix = {};
  // Tokens that are never chosen; -1 stands for the model's non-speech symbols,
  // and an empty list forbids nothing at all.
  std::vector<int> suppress_tokens = {-1};
  // Whether a window may not start with a blank or with its end.
  bool suppress_blank = true;
  // Whether to ask the model for text only, one segment a window.
  bool without_timestamps = false;
  // Latest time in seconds of a window's first timestamp; 0 means no bound.
  double max_initial_timestamp = 1.0;
  // Seed of the sampling at temperatures above 0.
  uint64_t seed = 0;
};

// When an attempt at a window is not good enough, and what is tried then.
struct FallbackOptions {
  // Temperatures to try in turn; 0 takes the likeliest token, others sample.
  std::vector<double> temperatures = {0.0, 0.2, 0.4, 0.6, 0.8, 1.0};
  // Text that zlib packs better than this is repetition, and has failed.
  std::optional<double> compression_ratio_threshold = 2.4;
  // An attempt whose mean token log-probability is lower has failed.
  std::optional<double> logprob_threshold = -1.0;
  // Above this no-speech probability a window of low log-probability is
  // silence: neither tried again nor written.
  std::optional<double> no_speech_threshold = 0.6;
};

// How windows follow each other through a file.
struct LongFormOptions {
  // Whether a window is given the text before it.
  bool condition_on_previous_text = true;
  // Tokens given to the first window as if they had been said before it.
  std::vector<int> initial_prompt = {};
  // Whether every window is given the initial prompt, before its own text.
  bool carry_initial_prompt = false;
  // Seconds at which clips start and end in turn; a missing last end is the
  // end of the file.
  std::vector<double> clip_timestamps = {0.0};
};

// "-1", "1,2,3", "". Throws kBadInput naming the first part that is no token
// id.
std::vector<int> ParseSuppressTokens(std::string_view text);

// "0", "start,end,start,...", "" in seconds. Throws kBadInput naming the first
// part that is no time, or the first clip that ends before it starts.
std::vector<double> ParseClipTimestamps(std::string_view text);

// first, first + increment, ... up to 1.0, in the arithmetic of
// numpy.arange(first, 1.0 + 1e-6, increment), so that the temperatures written
// are OpenAI's to the last digit; always at least `first`. No increment: no
// fallback. Throws kBadInput where first < 0 or increment <= 0.
std::vector<double> TemperatureLadder(double first,
                                      std::optional<double> increment);

}  // namespace sotto
