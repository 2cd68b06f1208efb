// SPDX-License-Identifier: MIT
// Options: every option a user has, once. VisitOptions is the one list: the
// command line, the C API's keys, completion and the man page come from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sotto {

// As the user wrote it; nothing here knows a model. Names and defaults are
// OpenAI's but for the beam. engine/decode_plan.h turns it into what the
// searches need.
struct Options {
  // What to load.
  std::string model = "tiny.en";
  std::string profile;  // empty: the one that suits the machine
  std::string device = "cpu";
  int threads = 0;

  // What to hear.
  double offset = 0;
  double duration = 0;
  std::string clip_timestamps = "0";
  std::string language;  // empty: detected
  std::string task = "transcribe";

  // How to decode.
  double temperature = 0;
  std::optional<double> temperature_increment_on_fallback = 0.2;
  int best_of = 1;
  int beam_size = 1;
  std::optional<double> compression_ratio_threshold = 2.4;
  std::optional<double> logprob_threshold = -1.0;
  std::optional<double> no_speech_threshold = 0.6;
  bool condition_on_previous_text = true;
  std::string initial_prompt;
  bool carry_initial_prompt = false;
  std::string prefix;
  std::string suppress_tokens = "-1";
  bool suppress_blank = true;
  bool without_timestamps = false;
  double max_initial_timestamp = 1.0;
  int sample_len = 0;
  uint64_t seed = 0;
};

// Calls v(name, field, help) for each option, in the order of --help. Fields
// are std::string, int, uint64_t, double, bool or std::optional<double> (the
// word None empties it). Names are written with '-'; '_' is taken alike.
template <typename O, typename V>
void VisitOptions(O& o, V&& v) {
  v("model", o.model,
    "name, path or org/name of the model (`sotto models` lists those here)");
  v("profile", o.profile,
    "compile profile: a shipped name (cpu-f32, cpu-bf16, cpu-f16, cpu-mixed, "
    "npu-bf16, npu-int8, npu-sim) or a .toml path; "
    "default: what suits this machine");
  v("device", o.device,
    "device that runs the encoder: cpu; npu (falls back to cpu, saying why); "
    "npu-sim (the NPU's kernels on the CPU, bit for bit); npu-array (the "
    "whole simulated array, the same bits, slow)");
  v("threads", o.threads, "threads to use; 0: all physical cores");
  v("language", o.language,
    "language spoken, as code or English name; default: detected from the "
    "first 30 seconds");
  v("task", o.task, "transcribe, or translate into English");
  v("offset", o.offset, "seconds to skip at the start of each file");
  v("duration", o.duration, "seconds to transcribe; 0: to the end");
  v("clip-timestamps", o.clip_timestamps,
    "clips to transcribe: start,end,start,end,... in seconds; a missing last "
    "end is the end of the file");
  v("temperature", o.temperature,
    "temperature of the first attempt; 0 takes the likeliest token");
  v("temperature-increment-on-fallback", o.temperature_increment_on_fallback,
    "raise of the temperature after a failed attempt; None: one attempt");
  v("best-of", o.best_of,
    "samples per temperature above 0; 1 for now, more comes later");
  v("beam-size", o.beam_size,
    "hypotheses kept per step; 1 (greedy) for now, more comes later");
  v("compression-ratio-threshold", o.compression_ratio_threshold,
    "text that zlib packs better than this has failed; None: no such test");
  v("logprob-threshold", o.logprob_threshold,
    "an attempt of a lower mean log-probability has failed; None: no such "
    "test");
  v("no-speech-threshold", o.no_speech_threshold,
    "above this no-speech probability a failed window is silence; None: no "
    "such test");
  v("condition-on-previous-text", o.condition_on_previous_text,
    "give each window the text before it");
  v("initial-prompt", o.initial_prompt,
    "text given to the first window as if it had been said before");
  v("carry-initial-prompt", o.carry_initial_prompt,
    "give the initial prompt to every window");
  v("prefix", o.prefix, "text that every window's transcript starts with");
  v("suppress-tokens", o.suppress_tokens,
    "token ids never chosen, with commas; -1: all but common punctuation; "
    "empty: none");
  v("suppress-blank", o.suppress_blank,
    "forbid a window to start with a blank or its end");
  v("without-timestamps", o.without_timestamps,
    "ask the model for text only, one segment a window");
  v("max-initial-timestamp", o.max_initial_timestamp,
    "latest time in seconds of a window's first timestamp; 0: no bound");
  v("sample-len", o.sample_len,
    "tokens per window at most; 0: half the text context");
  v("seed", o.seed, "seed of the sampling at temperatures above 0");
}

// Sets one option from text. '-' and '_' are alike. Throws kBadInput with a
// did-you-mean for an unknown name, or naming option, value and what is
// wanted.
void SetOption(Options& options, std::string_view name, std::string_view value);

// Throws kBadInput naming the first option whose value cannot be: a beam over
// 1, an unknown task or device, a negative time.
void CheckOptions(const Options& options);

// Names in the order of VisitOptions.
std::span<const std::string_view> OptionNames();

// OpenAI's options that Sotto knows but cannot serve yet, with the reason;
// empty where `name` is none of them.
std::string_view LaterOption(std::string_view name);

}  // namespace sotto
