// SPDX-License-Identifier: MIT
// The runner's parts on the small programs of testdata (testdata/make.py says
// what they compute). Names carry the rows of requirement 0's table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <fstream>
#include <random>

#include "audio/log_mel.h"
#include "base/error.h"
#include "base/file.h"
#include "flags.h"
#include "phase_clock.h"
#include "pte_model.h"
#include "pte_program.h"
#include "report.h"
#include "runtime.h"

namespace sotto {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kFolder =
    SOTTO_SOURCE_DIR "/extension/executorch/runner/testdata/";
const std::string kTokenizers = SOTTO_SOURCE_DIR "/data/tokenizers";

class Runtime : public testing::Environment {
  void SetUp() override { StartRuntime(false); }
};
[[maybe_unused]] const auto* const kRuntime =
    testing::AddGlobalTestEnvironment(std::make_unique<Runtime>().release());

template <typename F>
std::string ErrorOf(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    return what;
  }
  return "no error";
}

// One model with all it needs.
struct Loaded {
  explicit Loaded(const std::string& name)
      : program(kFolder + name + ".pte"), model(program, {}, clock) {}
  PteProgram program;
  PhaseClock clock;
  PteModel model;

  void Encode(float loudest) {
    const std::span<float> mel = model.mel();
    std::fill(mel.begin(), mel.end(), -1.5f);
    mel[mel.size() / 3] = loudest;
    model.Encode();
  }
};

int Best(std::span<const float> logits) {
  return static_cast<int>(std::max_element(logits.begin(), logits.end()) -
                          logits.begin());
}

// The inputs of one text_decoder call, to be spoilt one by one.
struct Inputs {
  int64_t token = 50257, position = 0;
  std::vector<float> states = std::vector<float>(1500 * 4, 0.5f);
  std::vector<PteTensor> all = {
      {{PteScalar::kI64, {1, 1}}, &token},
      {{PteScalar::kF32, {1, 1500, 4}}, states.data()},
      {{PteScalar::kI64, {1}}, &position}};
};

// Row 19.
TEST(Row19, TextDecoderAloneGivesLogits) {
  Loaded loaded("english");
  const Inputs inputs;
  const std::span<float> logits = loaded.model.RunTextDecoder(inputs.all);
  ASSERT_EQ(logits.size(), 51864u);
  for (const float logit : logits) ASSERT_TRUE(std::isfinite(logit));
  EXPECT_EQ(Best(logits), 50363);
}

TEST(Row19, OneInputNamesTheMissingOne) {
  Loaded loaded("english");
  const Inputs inputs;
  const std::string error = ErrorOf(
      [&] { loaded.model.RunTextDecoder(std::span(inputs.all).first(1)); });
  EXPECT_THAT(error,
              AllOf(HasSubstr("english.pte: text_decoder takes 3 inputs"),
                    HasSubstr("encoder_hidden_states f32[1,1500,4]"),
                    HasSubstr("got 1: encoder_hidden_states is missing")));
  std::vector<PteTensor> four = inputs.all;
  four.push_back(four[0]);
  EXPECT_THAT(ErrorOf([&] { loaded.model.RunTextDecoder(four); }),
              HasSubstr("takes 3 inputs"));
}

TEST(Row19, EachWrongShapeAndTypeNamesItsInput) {
  Loaded loaded("english");
  const std::array<const char*, 3> names = {
      "decoder_input_ids", "encoder_hidden_states", "cache_position"};
  const std::vector<float> zeros(1500 * 8);
  for (size_t i = 0; i < 3; ++i) {
    Inputs inputs;
    const PteTensorType right = inputs.all[i].type;
    std::vector<PteTensorType> wrong = {right, right, right, right, right};
    wrong[0].scalar = PteScalar::kI32;
    wrong[1].scalar = i == 1 ? PteScalar::kF16 : PteScalar::kF32;
    wrong[2].shape.push_back(1);
    wrong[3].shape.back() += 1;
    wrong[4].shape.back() -= 1;
    for (const PteTensorType& type : wrong) {
      inputs.all[i] = {type, zeros.data()};
      const std::string error =
          ErrorOf([&] { loaded.model.RunTextDecoder(inputs.all); });
      EXPECT_THAT(error, AllOf(HasSubstr(names[i]), HasSubstr(type.text()),
                               HasSubstr("want " + right.text())));
    }
    // And the model still runs.
    EXPECT_EQ(Best(loaded.model.RunTextDecoder(Inputs().all)), 50363);
  }
}

// Row 20: nothing is built in.
TEST(Row20, NumbersComeFromTheFile) {
  struct Case {
    const char* file;
    int sot, eot, vocab, mels;
    size_t languages;
    bool multilingual;
  };
  for (const Case& c :
       {Case{"english", 50257, 50256, 51864, 80, 99, false},
        Case{"multilingual", 50258, 50257, 51865, 80, 99, true},
        Case{"large_v3", 50258, 50257, 51866, 128, 100, true}}) {
    SCOPED_TRACE(c.file);
    Loaded loaded(c.file);
    const SpecialTokens& tokens = loaded.model.special_tokens();
    EXPECT_EQ(tokens.sot, c.sot);
    EXPECT_EQ(tokens.eot, c.eot);
    EXPECT_EQ(tokens.multilingual, c.multilingual);
    EXPECT_EQ(tokens.language_tokens.size(), c.languages);
    EXPECT_EQ(loaded.model.vocab_size(), c.vocab);
    EXPECT_EQ(loaded.model.n_mels(), c.mels);
    EXPECT_EQ(loaded.model.mel().size(), size_t{3000} * c.mels);
    EXPECT_EQ(loaded.model.n_text_ctx(), 448);
    EXPECT_EQ(loaded.model.n_audio_ctx(), 1500);
  }
}

TEST(Row20, MethodsAndConstantsAreListed) {
  const std::string list = MethodList(PteProgram(kFolder + "large_v3.pte"));
  EXPECT_THAT(
      list,
      AllOf(HasSubstr("encoder(input_features f32[1,128,3000]) -> "
                      "f32[1,1500,4]\n"),
            HasSubstr("text_decoder(decoder_input_ids i64[1,1], "
                      "encoder_hidden_states f32[1,1500,4], cache_position "
                      "i64[1]) -> f32[1,1,51866]\n"),
            HasSubstr("get_sot_id = 50258\n"),
            HasSubstr("get_is_multilingual = true\n"),
            HasSubstr("get_languages = 'en,zh,"),
            HasSubstr("get_begin_suppress_tokens = [220,50257]\n")));
}

TEST(Row20, ConstantsThatContradictTheTokenizerAreNamed) {
  const std::string text = ReadFile(kFolder + "english.pte");
  // The id of <|startoftranscript|>, in constants and table alike.
  const std::string id("\x51\xc4\0\0\0\0\0\0", 8),
      other("\x52\xc4\0\0\0\0\0\0", 8);
  std::string wrong = text;
  for (size_t at = 0; (at = wrong.find(id, at)) != std::string::npos; ++at)
    wrong.replace(at, 8, other);
  ASSERT_NE(wrong, text);
  const auto path = std::filesystem::temp_directory_path() /
                    fmt::format("sotto-pte-{}.pte", ::getpid());
  std::ofstream(path, std::ios::binary) << wrong;
  PteProgram program(path);
  PhaseClock clock;
  EXPECT_THAT(ErrorOf([&] { PteModel model(program, kTokenizers, clock); }),
              AllOf(HasSubstr("is 50258, but "), HasSubstr("gpt2.tiktoken"),
                    HasSubstr("says 50257")));
  std::filesystem::remove(path);
}

TEST(Model, ForeignFileSaysWhatItLacks) {
  Loaded loaded("foreign");
  EXPECT_THAT(fmt::format("{}", fmt::join(loaded.model.derived(), "\n")),
              AllOf(HasSubstr("special tokens"), HasSubstr("get_n_text_ctx"),
                    HasSubstr("get_suppress_tokens")));
  // config.json beside the tokenizer knows the model's positions.
  const auto folder = std::filesystem::temp_directory_path() /
                      fmt::format("sotto-pte-{}", ::getpid());
  std::filesystem::create_directories(folder);
  std::filesystem::copy(kTokenizers + "/gpt2.tiktoken", folder);
  std::ofstream(folder / "config.json") << R"({"max_target_positions": 448})";
  PteModel model(loaded.program, folder, loaded.clock);
  EXPECT_EQ(model.n_text_ctx(), 448);
  std::filesystem::remove_all(folder);
}

TEST(Model, HalfTypesAreConverted) {
  for (const char* name : {"half", "bfloat"}) {
    SCOPED_TRACE(name);
    Loaded half(name),
        full(name == std::string("half") ? "english" : "multilingual");
    for (const float loudest : {0.7f, -0.4f}) {
      half.Encode(loudest);
      full.Encode(loudest);
      const std::vector<int> prompt = {full.model.special_tokens().sot};
      const int want = Best(full.model.Prefill(prompt, -1, nullptr));
      EXPECT_EQ(Best(half.model.Prefill(prompt, -1, nullptr)), want);
    }
  }
}

// Prompts of one window share what of them is in the cache already.
TEST(Model, ReusedPromptsGiveTheSameLogits) {
  Loaded used("multilingual");
  const SpecialTokens& tokens = used.model.special_tokens();
  const std::vector<std::vector<int>> prompts = {
      {tokens.sot},
      {tokens.sot, tokens.language_tokens[2], tokens.transcribe},
      {tokens.sot, tokens.language_tokens[2], tokens.translate},
      {tokens.sot_prev, 11, tokens.sot, tokens.language_tokens[2],
       tokens.transcribe},
      {tokens.sot, tokens.language_tokens[2], tokens.transcribe}};
  used.Encode(0.7f);
  for (const std::vector<int>& prompt : prompts) {
    Loaded fresh("multilingual");
    fresh.Encode(0.7f);
    const int sot = prompt[0] == tokens.sot ? 0 : 2;
    std::span<float> sot_logits, want_sot;
    const std::span<float> want = fresh.model.Prefill(prompt, sot, &want_sot);
    const std::span<float> logits =
        used.model.Prefill(prompt, sot, &sot_logits);
    EXPECT_TRUE(std::equal(logits.begin(), logits.end(), want.begin()));
    EXPECT_TRUE(
        std::equal(sot_logits.begin(), sot_logits.end(), want_sot.begin()));
    used.model.Step(Best(logits));
  }
  EXPECT_GT(used.model.counters().reused_tokens, 0);
  // Another window shares nothing.
  const int64_t reused = used.model.counters().reused_tokens;
  used.Encode(-0.5f);
  used.model.Prefill(prompts.back(), 0, nullptr);
  EXPECT_EQ(used.model.counters().reused_tokens, reused);
}

// Rows 13, 14, 17: all that is missing is named when the method is loaded, and
// the same process can mend it.
TEST(Row14, MissingOperatorsAreNamedAndMended) {
  // Registered once, they stay for the process: another test may have been
  // first.
  try {
    PteProgram(kFolder + "operators.pte").Load("text_decoder");
    GTEST_SKIP() << "the operators are here already";
  } catch (const Error&) {
  }
  for (const char* name : {"operators", "stale"}) {
    PteProgram program(kFolder + name + ".pte");
    program.Load("encoder");
    if (std::string(name) == "operators") {
      EXPECT_THAT(ErrorOf([&] { program.Load("text_decoder"); }),
                  AllOf(HasSubstr("text_decoder needs operators"),
                        HasSubstr("executorch::update_cross_attn_cache.out "
                                  "(--ops"),
                        Not(HasSubstr("aten::"))));
    }
    LoadOperators(SOTTO_OPERATORS);
    LoadOperators(SOTTO_OPERATORS);  // again is harmless
    EXPECT_EQ(ErrorOf([&] { program.Load("text_decoder"); }), "no error");
  }
}

// Row 11: a program that keeps its cross K/V for ever is stale by itself, and
// right in the runner's hands.
TEST(Row11, StaleProgramHearsTheSecondWindow) {
  LoadOperators(SOTTO_OPERATORS);
  PteProgram program(kFolder + "stale.pte");
  std::vector<std::vector<float>> logits;
  for (const float loudest : {0.7f, -0.5f}) {
    Inputs inputs;
    std::fill(inputs.states.begin(), inputs.states.end(), loudest);
    inputs.token = 50363;
    const auto outputs = program.Run("text_decoder", inputs.all);
    const auto* row = static_cast<const float*>(outputs[0].data);
    logits.emplace_back(row, row + 51864);
  }
  EXPECT_EQ(logits[0], logits[1]);

  Loaded stale("stale"), right("operators");
  for (const float loudest : {0.7f, -0.5f, 0.2f}) {
    stale.Encode(loudest);
    right.Encode(loudest);
    const std::vector<int> prompt = {50257, 50363};
    EXPECT_EQ(Best(stale.model.Prefill(prompt, 0, nullptr)),
              Best(right.model.Prefill(prompt, 0, nullptr)));
  }
}

TEST(Program, WrongMethodNamesThoseThereAre) {
  PteProgram program(kFolder + "english.pte");
  EXPECT_THAT(ErrorOf([&] { program.Method("forward"); }),
              HasSubstr("no method forward, it has encoder, text_decoder"));
}

TEST(Program, CutFilesAreRefusedAtEveryLength) {
  const std::string text = ReadFile(kFolder + "english.pte");
  const auto path = std::filesystem::temp_directory_path() /
                    fmt::format("sotto-cut-{}.pte", ::getpid());
  for (size_t size = 0; size < text.size(); size += 97) {
    std::ofstream(path, std::ios::binary) << text.substr(0, size);
    EXPECT_THAT(ErrorOf([&] { PteProgram program(path); }),
                AllOf(HasSubstr(path.string()),
                      HasSubstr(fmt::format("{} bytes", size))));
  }
  std::filesystem::remove(path);
}

TEST(Row32, PhasesAddUpToTheWhole) {
  PhaseClock clock;
  std::minstd_rand random(7);
  for (int i = 0; i < 2000; ++i)
    clock.Switch(static_cast<Phase>(random() % kPhases));
  double sum = 0;
  for (size_t i = 0; i < kPhases; ++i) sum += clock.ms(static_cast<Phase>(i));
  EXPECT_NEAR(sum, clock.total_ms(), 1e-6);
}

std::string FlagError(std::vector<const char*> args) {
  args.insert(args.begin(), "runner");
  std::string text;
  return ErrorOf(
      [&] { ParseFlags(static_cast<int>(args.size()), args.data(), &text); });
}

// Row 28.
TEST(Row28, ThreadsAreCheckedWordByWord) {
  for (const char* good : {"1", "2", "4", "-1"})
    EXPECT_EQ(FlagError({"--model_path", "m", "--audio_path", "a",
                         "--cpu_threads", good}),
              "no error");
  for (const char* bad : {"0", "-2", "two", "1.5", "", "99999999999", "2x"})
    EXPECT_THAT(FlagError({"--model_path", "m", "--audio_path", "a",
                           "--cpu_threads", bad}),
                AllOf(HasSubstr("--cpu_threads"), HasSubstr(bad)));
  for (const int threads : {1, 2, 4, 1})
    EXPECT_EQ(SetRuntimeThreads(threads), threads);
  EXPECT_GE(SetRuntimeThreads(-1), 1);
}

TEST(Flags, BothSpellingsAndOtherErrors) {
  for (const char* dash : {"--model_path", "--model-path"})
    EXPECT_EQ(FlagError({dash, "m", "--audio-path=a", "--max-new-tokens", "5"}),
              "no error");
  EXPECT_THAT(FlagError({"--audio_path", "a"}), HasSubstr("--model_path"));
  EXPECT_THAT(FlagError({"--model_path", "m"}), HasSubstr("--audio_path"));
  EXPECT_EQ(FlagError({"--model_path", "m", "--list-methods"}), "no error");
  EXPECT_THAT(
      FlagError({"--model_path", "m", "--audio_path", "a", "--stats", "xml"}),
      HasSubstr("'xml', want json"));
  EXPECT_THAT(FlagError({"--model_path", "m", "--audio_path", "a",
                         "--max_new_tokens", "0"}),
              HasSubstr("--max_new_tokens"));
  EXPECT_THAT(
      FlagError({"--model_path", "m", "--audio_path", "a", "--task", "sing"}),
      HasSubstr("sing"));
  EXPECT_THAT(FlagError({"--modle_path", "m"}), HasSubstr("--modle_path"));
}

}  // namespace
}  // namespace sotto
