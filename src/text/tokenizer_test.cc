// SPDX-License-Identifier: MIT
// Against OpenAI's tokenizer (tests/data/tokenizer, made by
// tools/make_tokenizer_golden.py) and between the sources of one vocabulary.
#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "text/shipped.h"
#include "text/utf8.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using TokenizerPtr = std::shared_ptr<const Tokenizer>;

constexpr int kEnglish = 51864;
constexpr int kMultilingual = 51865;

json Golden(const char* name) {
  const char* folder = std::getenv("SOTTO_TOKENIZER_GOLDEN");
  const fs::path path = folder != nullptr ? fs::path(folder)
                                          : fs::path(SOTTO_SOURCE_DIR) /
                                                "tests" / "data" / "tokenizer";
  return json::parse(ReadFile(path / name));
}

// Empty where this machine has no such file.
fs::path TestData(const char* path) {
  const char* root = std::getenv("SOTTO_TEST_DATA");
  if (root == nullptr || !fs::exists(fs::path(root) / path)) return {};
  return fs::path(root) / path;
}

fs::path Model(const char* name) {
  const char* root = std::getenv("SOTTO_MODELS");
  const fs::path models = root != nullptr
                              ? fs::path(root)
                              : HomeDirectory() / ".cache/sotto/models";
  return fs::exists(models / name) ? models / name : fs::path();
}

// Text of every script, valid UTF-8, often with runs of spaces.
std::string RandomText(std::mt19937& rng) {
  static constexpr char32_t kRanges[][2] = {
      {0x20, 0x7E},     {0x20, 0x7E},     {0xA1, 0x24F},     {0x370, 0x52F},
      {0x590, 0x6FF},   {0x900, 0x10FF},  {0x2000, 0x2BFF},  {0x3000, 0x30FF},
      {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0x1F300, 0x1FAFF}};
  std::string text;
  const size_t length = rng() % 60;
  while (text.size() < length) {
    const auto& range = kRanges[rng() % std::size(kRanges)];
    for (size_t run = rng() % 6; run > 0; --run)
      AppendUtf8(text, range[0] + static_cast<char32_t>(
                                      rng() % (range[1] - range[0] + 1)));
    if (rng() % 2 == 0) text.append(rng() % 3, ' ');
    if (rng() % 8 == 0) text += "'s";
  }
  return text;
}

// The list of a ggml file: hyper-parameters, filters, count, then each token
// with its length before it.
std::vector<std::string> GgmlTokens(const fs::path& path) {
  const std::string file = ReadFile(path);
  size_t pos = 12 * 4;
  const auto next = [&] {
    uint32_t value = 0;
    std::copy_n(file.data() + pos, 4, reinterpret_cast<char*>(&value));
    pos += 4;
    return size_t{value};
  };
  const size_t mels = next();
  pos += 4 * mels * next();
  std::vector<std::string> tokens(next());
  for (std::string& token : tokens) {
    const size_t size = next();
    token = file.substr(pos, size);
    pos += size;
  }
  return tokens;
}

// Every token as raw bytes, as a ggml file holds them.
std::vector<std::string> RawTokens(const Tokenizer& tokenizer) {
  std::vector<std::string> tokens;
  for (int id = 0; id < tokenizer.eot(); ++id)
    tokens.emplace_back(tokenizer.Bytes(id));
  return tokens;
}

std::string LoadError(const fs::path& folder,
                      const std::vector<std::string>& tokens, int n_vocab) {
  try {
    Tokenizer::Load(folder, tokens, n_vocab);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

struct Case {
  const char* golden;
  int n_vocab;
};

class OpenAiGolden : public ::testing::TestWithParam<Case> {
 protected:
  const json golden_ = Golden(GetParam().golden);
  const TokenizerPtr tokenizer_ = Tokenizer::Load({}, {}, GetParam().n_vocab);
};

TEST_P(OpenAiGolden, SpecialTokenIds) {
  const json& want = golden_["special"];
  const Tokenizer& t = *tokenizer_;
  EXPECT_EQ(t.eot(), want["eot"]);
  EXPECT_EQ(t.sot(), want["sot"]);
  EXPECT_EQ(t.translate(), want["translate"]);
  EXPECT_EQ(t.transcribe(), want["transcribe"]);
  EXPECT_EQ(t.sot_lm(), want["sot_lm"]);
  EXPECT_EQ(t.sot_prev(), want["sot_prev"]);
  EXPECT_EQ(t.no_speech(), want["no_speech"]);
  EXPECT_EQ(t.no_timestamps(), want["no_timestamps"]);
  EXPECT_EQ(t.timestamp_begin(), want["timestamp_begin"]);
  // OpenAI lists them in the order of a set.
  auto languages = golden_["languages"].get<std::vector<int>>();
  std::sort(languages.begin(), languages.end());
  EXPECT_THAT(t.LanguageTokens(), ::testing::ElementsAreArray(languages));
}

TEST_P(OpenAiGolden, NonSpeechTokens) {
  EXPECT_EQ(tokenizer_->NonSpeechTokens(),
            golden_["non_speech"].get<std::vector<int>>());
}

TEST_P(OpenAiGolden, Encodes) {
  for (const json& row : golden_["encode"]) {
    const std::string text = row[0];
    const auto ids = tokenizer_->Encode(text);
    ASSERT_EQ(ids, row[1].get<std::vector<int>>()) << text;
    ASSERT_EQ(tokenizer_->Decode(ids), text);
  }
}

TEST_P(OpenAiGolden, Decodes) {
  for (const json& row : golden_["decode"]) {
    const auto ids = row[0].get<std::vector<int>>();
    ASSERT_EQ(tokenizer_->Decode(ids), row[1].get<std::string>());
    ASSERT_EQ(tokenizer_->DecodeWithTimestamps(ids), row[2].get<std::string>());
  }
}

TEST_P(OpenAiGolden, SplitsToWords) {
  const auto as_json = [](const std::vector<WordTokens>& words) {
    json rows = json::array();
    for (const WordTokens& word : words)
      rows.push_back(json::array({word.text, word.tokens}));
    return rows;
  };
  for (const json& row : golden_["words"]) {
    const auto ids = row[0].get<std::vector<int>>();
    ASSERT_EQ(as_json(tokenizer_->SplitTokensOnUnicode(ids)), row[1]);
    ASSERT_EQ(as_json(tokenizer_->SplitTokensOnSpaces(ids)), row[2]);
    ASSERT_EQ(as_json(tokenizer_->SplitToWordTokens(ids, "ja")), row[1]);
    ASSERT_EQ(as_json(tokenizer_->SplitToWordTokens(ids, "en")), row[2]);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, OpenAiGolden,
                         ::testing::Values(Case{"gpt2.json", kEnglish},
                                           Case{"multilingual.json",
                                                kMultilingual}));

void ExpectSame(const Tokenizer& a, const Tokenizer& b) {
  SCOPED_TRACE(a.origin() + " and " + b.origin());
  EXPECT_EQ(a.eot(), b.eot());
  EXPECT_EQ(a.timestamp_begin(), b.timestamp_begin());
  EXPECT_THAT(a.LanguageCodes(),
              ::testing::ElementsAreArray(b.LanguageCodes()));
  EXPECT_EQ(a.SuppressedTokens(), b.SuppressedTokens());
  for (int id = 0; id < a.eot(); ++id)
    ASSERT_EQ(a.Bytes(id), b.Bytes(id)) << id;
  std::mt19937 rng(7);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = RandomText(rng);
    ASSERT_EQ(a.Encode(text), b.Encode(text)) << text;
    ASSERT_EQ(a.Decode(a.Encode(text)), text);
  }
}

TEST(Sources, HuggingFaceFilesAgreeWithTheRanks) {
  const fs::path folder = TestData("tokenizers/hf-whisper-large-v2");
  if (folder.empty()) GTEST_SKIP() << "SOTTO_TEST_DATA has no tokenizers";
  const TokenizerPtr ranks = Tokenizer::Load({}, {}, kMultilingual);
  ExpectSame(*ranks, *Tokenizer::Load(folder, {}, kMultilingual));
  TestFolder split;
  for (const char* name : {"vocab.json", "merges.txt", "added_tokens.json"})
    fs::copy_file(folder / name, split.path() / name);
  const TokenizerPtr merged = Tokenizer::Load(split.path(), {}, kMultilingual);
  EXPECT_THAT(merged->origin(), ::testing::HasSubstr("vocab.json"));
  ExpectSame(*ranks, *merged);
}

TEST(Sources, TiktokenInTheFolderIsTaken) {
  TestFolder folder;
  folder.Write("multilingual.tiktoken",
               ShippedFile("tokenizers/multilingual.tiktoken"));
  const TokenizerPtr read = Tokenizer::Load(folder.path(), {}, kMultilingual);
  EXPECT_THAT(read->origin(), ::testing::HasSubstr(folder.path().string()));
  ExpectSame(*Tokenizer::Load({}, {}, kMultilingual), *read);
}

TEST(Sources, RawListsAgreeWithTheRanks) {
  for (const int n_vocab : {kEnglish, kMultilingual, kMultilingual + 1}) {
    const TokenizerPtr ranks = Tokenizer::Load({}, {}, n_vocab);
    std::vector<std::string> tokens = RawTokens(*ranks);
    ExpectSame(*ranks, *Tokenizer::Load({}, tokens, n_vocab));
    // The published English ggml file goes one entry further.
    tokens.push_back("<|endoftext|>");
    ExpectSame(*ranks, *Tokenizer::Load({}, tokens, n_vocab));
  }
}

TEST(Sources, GgmlFilesOfOldAreMended) {
  const fs::path folder = TestData("ggml");
  if (folder.empty()) GTEST_SKIP() << "SOTTO_TEST_DATA has no ggml";
  const auto english = GgmlTokens(folder / "for-tests-ggml-base.en.bin");
  ExpectSame(*Tokenizer::Load({}, {}, kEnglish),
             *Tokenizer::Load({}, english, kEnglish));
  const auto all = GgmlTokens(folder / "for-tests-ggml-base.bin");
  ExpectSame(*Tokenizer::Load({}, {}, kMultilingual),
             *Tokenizer::Load({}, all, kMultilingual));
}

TEST(Sources, CTranslate2FoldersAgreeWithTheRanks) {
  for (const auto& [name, n_vocab] :
       {std::pair("tiny.en", kEnglish), std::pair("base", kMultilingual)}) {
    const fs::path folder = Model(name);
    if (folder.empty()) GTEST_SKIP() << "no model " << name;
    const TokenizerPtr ranks = Tokenizer::Load({}, {}, n_vocab);
    ExpectSame(*ranks, *Tokenizer::Load(folder, {}, n_vocab));
    TestFolder list;
    for (const char* file : {"vocabulary.json", "vocabulary.txt"})
      if (fs::exists(folder / file))
        fs::copy_file(folder / file, list.path() / file);
    const TokenizerPtr read = Tokenizer::Load(list.path(), {}, n_vocab);
    EXPECT_THAT(read->origin(), ::testing::HasSubstr("vocabulary."));
    ExpectSame(*ranks, *read);
  }
}

TEST(Sources, PublishedSuppressListsComeOut) {
  for (const auto& [name, n_vocab] :
       {std::pair("tiny.en", kEnglish), std::pair("base", kMultilingual)}) {
    const fs::path folder = Model(name);
    if (folder.empty()) GTEST_SKIP() << "no model " << name;
    const json config = json::parse(ReadFile(folder / "config.json"));
    EXPECT_EQ(Tokenizer::Load(folder, {}, n_vocab)->SuppressedTokens(),
              config["suppress_ids"].get<std::vector<int>>());
  }
}

TEST(Tokenizer, DecodesWhatWhisperHeard) {
  int segments = 0;
  for (const auto& [file, n_vocab] :
       {std::pair("oracle/tiny.en/common-voice-en-mini.jsonl", kEnglish),
        std::pair("oracle/base/multilingual-azure.jsonl", kMultilingual),
        std::pair("oracle/base/multilingual-leopard.jsonl", kMultilingual)}) {
    const fs::path path = TestData(file);
    if (path.empty()) GTEST_SKIP() << "SOTTO_TEST_DATA has no " << file;
    const TokenizerPtr tokenizer = Tokenizer::Load({}, {}, n_vocab);
    std::ifstream lines(path);
    for (std::string line; std::getline(lines, line);) {
      const json record = json::parse(line);
      for (const json& result : record["results"])
        for (const json& segment : result["segments"]) {
          const auto tokens = segment["tokens"].get<std::vector<int>>();
          ASSERT_EQ(tokenizer->Decode(tokens),
                    segment["text"].get<std::string>());
          ++segments;
        }
    }
  }
  EXPECT_GT(segments, 500);
}

TEST(Tokenizer, LargeV3HasOneLanguageMore) {
  const TokenizerPtr t = Tokenizer::Load({}, {}, 51866);
  EXPECT_EQ(t->LanguageTokens().size(), 100u);
  EXPECT_EQ(t->LanguageToken("Cantonese"), 50358);
  EXPECT_EQ(t->timestamp_begin(), 50365);
  EXPECT_EQ(t->timestamp_begin() + kTimestampTokens, 51866);
  try {
    Tokenizer::Load({}, {}, kMultilingual)->LanguageToken("yue");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  }
}

TEST(Tokenizer, SotSequenceIsThatOfTheModel) {
  const TokenizerPtr t = Tokenizer::Load({}, {}, kMultilingual);
  EXPECT_THAT(t->SotSequence("en", Task::kTranscribe),
              ::testing::ElementsAre(50258, 50259, 50359));
  EXPECT_THAT(t->SotSequence("German", Task::kTranslate),
              ::testing::ElementsAre(50258, 50261, 50358));
  EXPECT_EQ(t->LanguageOfToken(50261), "de");
  EXPECT_EQ(t->LanguageOfToken(50258), "");
  const TokenizerPtr english = Tokenizer::Load({}, {}, kEnglish);
  EXPECT_THAT(english->SotSequence("en", Task::kTranscribe),
              ::testing::ElementsAre(50257));
}

TEST(Tokenizer, TakesSpecialsFromTheFile) {
  // A fine-tuned model: other ids, another name, a language less.
  json vocab;
  for (int byte = 0; byte < 256; ++byte) {
    const bool plain = (byte >= 0x21 && byte <= 0x7E) ||
                       (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    static char32_t next;
    if (byte == 0) next = 0x100;
    vocab[EncodeUtf8(plain ? static_cast<char32_t>(byte) : next++)] = byte;
  }
  vocab["ab"] = 256;
  json added = json::array();
  int id = 300;
  for (const char* text :
       {"<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|iw|>",
        "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>",
        "<|nocaptions|>", "<|notimestamps|>"})
    added.push_back({{"id", id++}, {"content", text}});
  const json file = {
      {"added_tokens", added},
      {"model",
       {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array({"a b"})}}}};
  const Tokenizer t(ParseTokenizerJson(file.dump(), "x"), id + 1501);
  EXPECT_EQ(t.eot(), 300);
  EXPECT_EQ(t.no_speech(), 308);
  EXPECT_EQ(t.timestamp_begin(), id);
  EXPECT_THAT(t.LanguageCodes(), ::testing::ElementsAre("en", "he"));
  EXPECT_THAT(t.Encode("abba"), ::testing::ElementsAre(256, 'b', 'a'));
  EXPECT_EQ(t.DecodeWithTimestamps(std::vector{256, 303, 308, id + 5}),
            "ab<|iw|><|nocaptions|><|0.10|>");
}

TEST(Bpe, MergesRankWhereTheyDifferFromTheIds) {
  Vocabulary vocabulary("x");
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.Add(byte, std::string(1, static_cast<char>(byte)));
  vocabulary.Add(256, "ab");
  vocabulary.Add(257, "bc");
  EXPECT_THAT(Bpe(vocabulary, 258).Encode("abc"),
              ::testing::ElementsAre(256, 'c'));
  vocabulary.AddMerge("b", "c");
  vocabulary.AddMerge("a", "b");
  EXPECT_THAT(Bpe(vocabulary, 258).Encode("abc"),
              ::testing::ElementsAre('a', 257));
  EXPECT_THAT(Bpe(vocabulary, 257).Encode("abc"),  // 257 is a special there
              ::testing::ElementsAre(256, 'c'));
}

TEST(Tokenizer, EncodesAnyLengthInReasonableTime) {
  const TokenizerPtr t = Tokenizer::Load({}, {}, kMultilingual);
  const std::string letters(200000, 'a');
  EXPECT_EQ(t->Decode(t->Encode(letters)), letters);
  const std::string spaces(200000, ' ');
  EXPECT_EQ(t->Decode(t->Encode(spaces)), spaces);
}

TEST(Tokenizer, IgnoresIdsThatAreNone) {
  const TokenizerPtr t = Tokenizer::Load({}, {}, kMultilingual);
  EXPECT_EQ(t->Decode(std::vector{-1, -2147483647 - 1, 99999999}), "");
  EXPECT_EQ(t->Bytes(50258), "");
  EXPECT_EQ(t->Encode("\xFF"), t->Encode("\uFFFD"));
}

TEST(Sources, BadOnesAreNamed) {
  TestFolder folder;
  const std::string at = folder.path().string();
  folder.Write("tokenizer.json", "{\"model\": {\"vocab\": {\"a\": \"b\"}}}");
  EXPECT_THAT(LoadError(folder.path(), {}, kEnglish),
              ::testing::StartsWith(at + "/tokenizer.json: not a tokenizer"));
  folder.Write("tokenizer.json", "{\"version\": 1}");
  EXPECT_EQ(LoadError(folder.path(), {}, kEnglish),
            at + "/tokenizer.json: no model");
  folder.Write("tokenizer.json", "{\"model\": {\"type\": \"Unigram\"}}");
  EXPECT_EQ(LoadError(folder.path(), {}, kEnglish),
            at + "/tokenizer.json: model type 'Unigram', want BPE");
  folder.Write("tokenizer.json", "{\"model\": {\"vocab\": {\"a\": -4}}}");
  EXPECT_THAT(LoadError(folder.path(), {}, kEnglish),
              ::testing::HasSubstr("token id -4, want 0 to"));
  folder.Write("tokenizer.json", "{\"model\": {\"vocab\": {\"a\": 4}}}");
  EXPECT_EQ(LoadError(folder.path(), {}, kEnglish),
            at + "/tokenizer.json: no token for the byte 0x00, want all 256");
  EXPECT_THAT(LoadError({}, {}, 60000),
              ::testing::HasSubstr("60000 tokens fit no layout"));
  fs::remove(folder.path() / "tokenizer.json");
  folder.Write("gpt2.tiktoken", "IQ== 0\n!!! 1\n");
  EXPECT_EQ(LoadError(folder.path(), {}, kEnglish),
            at + "/gpt2.tiktoken:2: want 'base64 rank'");
}

TEST(Utf8, FindsWhatAStreamMustHoldBack) {
  const std::string text = "a\u00e9\u20ac\U0001F600";
  for (size_t n = 0; n <= text.size(); ++n) {
    const std::string_view head = std::string_view(text).substr(0, n);
    const size_t kept = IncompleteUtf8Suffix(head);
    EXPECT_TRUE(IsValidUtf8(head.substr(0, n - kept))) << n;
    EXPECT_EQ(kept == 0, IsValidUtf8(head)) << n;
  }
  EXPECT_EQ(IncompleteUtf8Suffix("\xE0\x80"), 0u);  // nothing completes it
}

// executorch.md, row 25: 10,000 lines of every script come back, and what a
// stream prints of their tokens ends on whole characters.
TEST(Row25RoundTrip, TenThousandLinesAndWholeCharacters) {
  // Clusters that a tokenizer may tear apart.
  const std::string kClusters[] = {
      "\u4f60\u597d\u4e16\u754c", "\u65e5\u672c\u8a9e", "\ud55c\uad6d\uc5b4",
      "e\u0301", "n\u0303\u0323", "\u0939\u093f\u0928\u094d\u0926\u0940",
      "\U0001F600", "\U0001F468\u200D\U0001F469\u200D\U0001F467",
      "\U0001F44D\U0001F3FD", "\U0001F1E9\U0001F1EA", "\u0e01\u0e33",
      "\U00020BB7", " ", "  ", "\t", "word"};
  std::mt19937 rng(25);
  std::vector<std::string> lines;
  for (int i = 0; i < 10'000; ++i) {
    std::string line = RandomText(rng);
    for (size_t n = rng() % 6; n > 0; --n)
      line += kClusters[rng() % std::size(kClusters)];
    lines.push_back(std::move(line));
  }
  std::vector<TokenizerPtr> tokenizers = {
      Tokenizer::Load({}, {}, kEnglish), Tokenizer::Load({}, {}, kMultilingual)};
  for (const char* name : {"tiny.en", "base"})  // their tokenizer.json
    if (const fs::path folder = Model(name); !folder.empty())
      tokenizers.push_back(Tokenizer::Load(
          folder, {}, name == std::string("base") ? kMultilingual : kEnglish));
  for (const TokenizerPtr& tokenizer : tokenizers) {
    SCOPED_TRACE(tokenizer->origin());
    for (const std::string& line : lines) {
      const std::vector<int> ids = tokenizer->Encode(line);
      ASSERT_EQ(tokenizer->Decode(ids), line);
      std::string held, printed;
      for (const int id : ids) {
        held += tokenizer->Bytes(id);
        const size_t whole = held.size() - IncompleteUtf8Suffix(held);
        ASSERT_TRUE(IsValidUtf8(std::string_view(held).substr(0, whole)));
        printed += held.substr(0, whole);
        held.erase(0, whole);
      }
      ASSERT_EQ(printed, line);
      ASSERT_EQ(held, "");
    }
  }
}

TEST(Row25RoundTrip, SpecialsAreHiddenUnlessAskedFor) {
  const TokenizerPtr tokenizer = Tokenizer::Load({}, {}, kMultilingual);
  std::vector<int> ids = {tokenizer->sot(), tokenizer->LanguageToken("de"),
                          tokenizer->transcribe(),
                          tokenizer->timestamp_begin() + 54};
  for (const int id : tokenizer->Encode(" caf\u00e9")) ids.push_back(id);
  ids.push_back(tokenizer->eot());
  EXPECT_EQ(tokenizer->Decode(ids), " caf\u00e9");
  EXPECT_EQ(tokenizer->DecodeWithTimestamps(ids),
            "<|startoftranscript|><|de|><|transcribe|><|1.08|> caf\u00e9"
            "<|endoftext|>");
}

}  // namespace
}  // namespace sotto
