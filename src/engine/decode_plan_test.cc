// SPDX-License-Identifier: MIT
#include "engine/decode_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audio/mel_source.h"
#include "base/error.h"
#include "decode/prompt.h"
#include "engine/engine.h"
#include "engine/transcribe.h"
#include "engine/window_model.h"
#include "tiny_model.h"

namespace sotto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const Tokenizer> English() {
  return Tokenizer::Load({}, {}, 51864);
}
std::shared_ptr<const Tokenizer> Multilingual() {
  return Tokenizer::Load({}, {}, 51865);
}

std::string PlanError(const Options& options, const Tokenizer& tokenizer) {
  try {
    MakeDecodePlan(options, tokenizer);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// rlx.md row 27: an English-only prompt is <|startoftranscript|> alone; a
// multilingual model without a language detects it.
TEST(Rlx, Row27PromptsFollowTheModel) {
  const auto english = English();
  const DecodePlan plan = MakeDecodePlan({}, *english);
  EXPECT_EQ(plan.language, "en");
  EXPECT_THAT(SotSequence(plan.search, SpecialTokensOf(*english, 51864), -1),
              ElementsAre(50257));

  const auto many = Multilingual();
  EXPECT_EQ(MakeDecodePlan({}, *many).language, "");
  const DecodePlan german =
      MakeDecodePlan({.language = "German", .task = "translate"}, *many);
  EXPECT_EQ(german.language, "de");
  EXPECT_THAT(SotSequence(german.search, SpecialTokensOf(*many, 51865),
                          many->LanguageToken("de")),
              ElementsAre(50258, 50261, 50358));
}

// executorch.md, row 20: what the file says decides; no option is given.
// English models, multilingual ones and large-v3 differ in every number asked
// for here.
TEST(Row20FromTheFile, TokensLanguagesAndBandsOfThreeFamilies) {
  const struct {
    int n_vocab, n_mels, sot, eot;
    size_t languages;
  } kFamilies[] = {{51864, 80, 50257, 50256, 0},
                   {51865, 80, 50258, 50257, 99},
                   {51866, 128, 50258, 50257, 100}};
  for (const auto& family : kFamilies) {
    SCOPED_TRACE(family.n_vocab);
    Engine engine(MakeTinyStore({.n_mels = family.n_mels,
                                 .audio_layers = 1,
                                 .text_layers = 1,
                                 .n_vocab = family.n_vocab}),
                  Tokenizer::Load({}, {}, family.n_vocab),
                  {"cpu-f32", "cpu", 1});
    EXPECT_EQ(engine.spec().n_mels, family.n_mels);
    EXPECT_EQ(engine.spec().n_vocab, family.n_vocab);
    EXPECT_EQ(engine.special_tokens().sot, family.sot);
    EXPECT_EQ(engine.special_tokens().eot, family.eot);
    EXPECT_EQ(engine.special_tokens().multilingual, family.languages > 0);
    EXPECT_EQ(engine.tokenizer().is_multilingual()
                  ? engine.special_tokens().language_tokens.size()
                  : 0,
              family.languages);
    WindowModel model(engine);
    const std::vector<float> silence(16000);
    MelSource sound(silence, engine.spec().n_mels);
    Options options;
    SetOption(options, "temperature-increment-on-fallback", "None");
    EXPECT_NO_THROW(
        Transcribe(model, sound, MakeDecodePlan(options, engine.tokenizer())));
  }
}

TEST(DecodePlan, DefaultsAreOpenAis) {
  const DecodePlan plan = MakeDecodePlan({}, *English());
  ASSERT_EQ(plan.fallback.temperatures.size(), 6u);
  EXPECT_EQ(plan.fallback.temperatures[3], 0.6000000000000001);
  EXPECT_EQ(plan.fallback.compression_ratio_threshold, 2.4);
  EXPECT_EQ(plan.fallback.logprob_threshold, -1.0);
  EXPECT_EQ(plan.fallback.no_speech_threshold, 0.6);
  EXPECT_TRUE(plan.long_form.condition_on_previous_text);
  EXPECT_THAT(plan.search.suppress_tokens, ElementsAre(-1));
}

TEST(DecodePlan, PromptsBecomeTokensAfterASpace) {
  const auto tokenizer = English();
  const DecodePlan plan = MakeDecodePlan(
      {.initial_prompt = "Kubernetes", .prefix = "And so"}, *tokenizer);
  EXPECT_EQ(tokenizer->Decode(plan.long_form.initial_prompt), " Kubernetes");
  EXPECT_EQ(tokenizer->Decode(plan.search.prefix), " And so");
}

TEST(DecodePlan, RefusesWhatTheModelCannot) {
  EXPECT_THAT(PlanError({.language = "de"}, *English()),
              HasSubstr("--language is 'de', but this model knows English"));
  EXPECT_THAT(PlanError({.task = "translate"}, *English()),
              HasSubstr("knows English only"));
  EXPECT_THAT(PlanError({.language = "germn"}, *Multilingual()),
              HasSubstr("german"));
  EXPECT_THAT(PlanError({.language = "yue"}, *Multilingual()),
              HasSubstr("yue"));
  EXPECT_NE(PlanError({.suppress_tokens = "1,x"}, *English()), "");
  EXPECT_NE(PlanError({.clip_timestamps = "5,2"}, *English()), "");
  EXPECT_THAT(PlanError({.suppress_tokens = "9999999"}, *English()),
              HasSubstr("no token 9999999"));
}

}  // namespace
}  // namespace sotto
