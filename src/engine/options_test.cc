// SPDX-License-Identifier: MIT
#include "engine/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace sotto {
namespace {

std::string ErrorOf(std::string_view name, std::string_view value) {
  Options options;
  try {
    SetOption(options, name, value);
    CheckOptions(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(Options, NamesTakeEitherDash) {
  Options options;
  SetOption(options, "initial_prompt", "hello there");
  SetOption(options, "no-speech_threshold", "0.25");
  SetOption(options, "logprob_threshold", "None");
  SetOption(options, "condition_on_previous_text", "False");
  SetOption(options, "seed", "18446744073709551615");
  EXPECT_EQ(options.initial_prompt, "hello there");
  EXPECT_EQ(options.no_speech_threshold, 0.25);
  EXPECT_FALSE(options.logprob_threshold.has_value());
  EXPECT_FALSE(options.condition_on_previous_text);
  EXPECT_EQ(options.seed, 18446744073709551615u);
}

TEST(Options, ErrorsNameOptionValueAndWant) {
  EXPECT_EQ(ErrorOf("beam-size", "5"),
            "--beam-size is 5, want 1: beam search is not there yet");
  EXPECT_EQ(ErrorOf("threads", "two"),
            "--threads is 'two', want a whole number");
  EXPECT_EQ(ErrorOf("temperature", "0.2x"),
            "--temperature is '0.2x', want a number");
  EXPECT_EQ(ErrorOf("temperature", "nan"),
            "--temperature is 'nan', want a finite number");
  EXPECT_EQ(ErrorOf("suppress-blank", "perhaps"),
            "--suppress-blank is 'perhaps', want True or False");
  EXPECT_EQ(ErrorOf("langauge", "en"),
            "unknown option --langauge, did you mean --language?");
  EXPECT_EQ(ErrorOf("temperature-increment-on-fallback", "0"),
            "--temperature-increment-on-fallback is '0', want more than 0, or "
            "None");
}

TEST(Options, EveryNameCanBeSet) {
  for (const std::string_view name : OptionNames()) {
    Options options;
    bool found = false;
    for (const char* value : {"1", "0.5", "True", "text"}) {
      try {
        SetOption(options, name, value);
        found = true;
      } catch (const Error&) {
      }
    }
    EXPECT_TRUE(found) << name;
  }
  EXPECT_EQ(LaterOption("word_timestamps"), "word times are not there yet");
  EXPECT_EQ(LaterOption("model"), "");
}

}  // namespace
}  // namespace sotto
