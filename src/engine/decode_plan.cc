// SPDX-License-Identifier: MIT
#include "engine/decode_plan.h"

#include "base/error.h"
#include "decode/rules.h"
#include "text/languages.h"

namespace sotto {

SpecialTokens SpecialTokensOf(const Tokenizer& tokenizer, int n_vocab) {
  SpecialTokens t;
  t.eot = tokenizer.eot();
  t.sot = tokenizer.sot();
  t.translate = tokenizer.translate();
  t.transcribe = tokenizer.transcribe();
  t.sot_lm = tokenizer.sot_lm();
  t.sot_prev = tokenizer.sot_prev();
  t.no_speech = tokenizer.no_speech();
  t.no_timestamps = tokenizer.no_timestamps();
  t.timestamp_begin = tokenizer.timestamp_begin();
  t.n_vocab = n_vocab;
  t.multilingual = tokenizer.is_multilingual();
  t.language_tokens.assign(tokenizer.LanguageTokens().begin(),
                           tokenizer.LanguageTokens().end());
  t.blank = tokenizer.Encode(" ");
  t.non_speech = tokenizer.NonSpeechTokens();
  return t;
}

TextOf TextOfTokens(const Tokenizer& tokenizer) {
  return [&tokenizer](std::span<const int> tokens) {
    return tokenizer.Decode(tokens);
  };
}

DecodePlan MakeDecodePlan(const Options& options, const Tokenizer& tokenizer) {
  CheckOptions(options);
  DecodePlan plan;
  plan.offset = options.offset;
  SearchOptions& search = plan.search;
  search.task =
      options.task == "translate" ? Task::kTranslate : Task::kTranscribe;
  if (search.task == Task::kTranslate && !tokenizer.is_multilingual())
    Fail(ErrorCode::kBadInput,
         "--task is translate, but this model knows English only; want a "
         "multilingual one, such as base");
  search.sample_len = options.sample_len;
  if (!options.prefix.empty())
    search.prefix = tokenizer.Encode(" " + options.prefix);
  search.suppress_tokens = ParseSuppressTokens(options.suppress_tokens);
  SuppressedTokens(search, SpecialTokensOf(tokenizer, tokenizer.n_vocab()));
  search.suppress_blank = options.suppress_blank;
  search.without_timestamps = options.without_timestamps;
  search.max_initial_timestamp = options.max_initial_timestamp;
  search.seed = options.seed;

  plan.fallback.temperatures = TemperatureLadder(
      options.temperature, options.temperature_increment_on_fallback);
  plan.fallback.compression_ratio_threshold =
      options.compression_ratio_threshold;
  plan.fallback.logprob_threshold = options.logprob_threshold;
  plan.fallback.no_speech_threshold = options.no_speech_threshold;

  plan.long_form.condition_on_previous_text =
      options.condition_on_previous_text;
  if (!options.initial_prompt.empty())
    plan.long_form.initial_prompt =
        tokenizer.Encode(" " + options.initial_prompt);
  plan.long_form.carry_initial_prompt = options.carry_initial_prompt;
  plan.long_form.clip_timestamps = ParseClipTimestamps(options.clip_timestamps);

  if (!tokenizer.is_multilingual()) {
    plan.language = "en";
    if (!options.language.empty() && ParseLanguage(options.language) != "en")
      Fail(ErrorCode::kBadInput,
           "--language is '{}', but this model knows English only; want a "
           "multilingual one, such as base",
           options.language);
  } else if (!options.language.empty()) {
    plan.language = ParseLanguage(options.language);
    tokenizer.LanguageToken(plan.language);  // throws where it has none such
  }
  return plan;
}

}  // namespace sotto
