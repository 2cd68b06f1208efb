// SPDX-License-Identifier: MIT
// Published models written again, against the published files.
#include "model/convert.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

#include "model/test_folder.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json Parse(const fs::path& path) { return json::parse(ReadFile(path)); }

// Byte for byte: the writer knows everything that the reader drops.
TEST(RealConvert, BaseComesBackAsItWas) {
  if (!fs::exists(TestModel("base"))) GTEST_SKIP() << "no model base";
  const auto store = WeightStore::Load(TestModel("base"));
  TestFolder folder;
  ConvertModel(*store, ModelFormat::kCt2, folder / "ct2");
  for (const char* name :
       {"model.bin", "config.json", "vocabulary.json", "tokenizer.json"}) {
    const MappedFile a(TestModel("base") / name), b(folder / "ct2" / name);
    ASSERT_EQ(a.size(), b.size()) << name;
    EXPECT_EQ(0, std::memcmp(a.bytes().data(), b.bytes().data(), a.size()))
        << name;
  }
}

// What no file tells is derived: through .pt, which holds weights alone, the
// configuration and the vocabulary of the published folder come out again.
TEST(RealConvert, TextFilesAreMadeAsPublished) {
  if (!fs::exists(TestModel("base"))) GTEST_SKIP() << "no model base";
  TestFolder folder;
  const auto published = WeightStore::Load(TestModel("base"));
  const auto bare = WeightStore::Load(
      ConvertModel(*published, ModelFormat::kOpenAi, folder / "pt"));
  ConvertModel(*bare, ModelFormat::kCt2, folder / "ct2");
  const json got = Parse(folder / "ct2/config.json");
  const json want = Parse(TestModel("base") / "config.json");
  EXPECT_EQ(got["suppress_ids"], want["suppress_ids"]);
  EXPECT_EQ(got["suppress_ids_begin"], want["suppress_ids_begin"]);
  EXPECT_EQ(got["lang_ids"], want["lang_ids"]);
  EXPECT_EQ(got["alignment_heads"], want["alignment_heads"]);
  json ours = Parse(folder / "ct2/vocabulary.json");
  json theirs = Parse(TestModel("base") / "vocabulary.json");
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    // The files of that time write Hebrew as "iw".
    if (theirs[i] == "<|iw|>") theirs[i] = "<|he|>";
    EXPECT_EQ(ours[i], theirs[i]) << i;
  }
  const json made = Parse(folder / "ct2/tokenizer.json")["model"];
  const json model = Parse(TestModel("base") / "tokenizer.json")["model"];
  EXPECT_EQ(made["merges"].size(), model["merges"].size());
  for (size_t i = 0; i < made["merges"].size(); ++i) {
    const json& pair = model["merges"][i];
    const std::string merge =
        pair.is_string()
            ? pair.get<std::string>()
            : pair[0].get<std::string>() + " " + pair[1].get<std::string>();
    ASSERT_EQ(made["merges"][i], merge) << i;
  }
  for (const auto& [token, id] : made["vocab"].items())
    ASSERT_EQ(model["vocab"].value(token, -1), id) << token;
}

// The tokens of a ggml file, read by hand from behind its filters.
std::vector<std::string> GgmlTokens(const MappedFile& file) {
  constexpr size_t kTokens = 48 + 8 + 80 * 201 * 4;
  const std::byte* at = file.bytes().data() + kTokens;
  const auto number = [&] {
    uint32_t value;
    std::memcpy(&value, at, 4);
    at += 4;
    return value;
  };
  std::vector<std::string> tokens(number());
  for (std::string& token : tokens) {
    token.resize(number());
    std::memcpy(token.data(), at, token.size());
    at += token.size();
  }
  return tokens;
}

// whisper.cpp's own header for base: numbers, filters, vocabulary. Its old
// converter turned bytes that are no UTF-8 into U+FFFD; those tokens differ.
TEST(RealConvert, GgmlHeaderIsThatOfWhisperCpp) {
  const fs::path published = TestData("ggml/for-tests-ggml-base.bin");
  if (!fs::exists(published)) GTEST_SKIP() << "no for-tests-ggml-base.bin";
  if (!fs::exists(TestModel("base"))) GTEST_SKIP() << "no model base";
  TestFolder folder;
  const auto store = WeightStore::Load(TestModel("base"));
  const MappedFile ours(
      ConvertModel(*store, ModelFormat::kGgml, folder / "ggml"));
  const MappedFile theirs(published);
  constexpr size_t kFilters = 48 + 8;
  const std::byte* a = ours.bytes().data();
  const std::byte* b = theirs.bytes().data();
  EXPECT_EQ(0, std::memcmp(a, b, kFilters));
  for (size_t at = kFilters; at < kFilters + 80 * 201 * 4; at += 4) {
    float x, y;
    std::memcpy(&x, a + at, 4);
    std::memcpy(&y, b + at, 4);
    ASSERT_NEAR(x, y, 1e-7) << at;
  }
  const auto got = GgmlTokens(ours), want = GgmlTokens(theirs);
  ASSERT_EQ(got.size(), want.size());
  size_t lost = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (want[i].find("\xef\xbf\xbd") != std::string::npos) {
      ++lost;
    } else {
      ASSERT_EQ(got[i], want[i]) << i;
    }
  }
  EXPECT_LT(lost, 1500u);
}

TEST(RealConvert, HeadersWithoutTensorsAreRefusedByName) {
  if (TestData("ggml").empty()) GTEST_SKIP() << "no SOTTO_TEST_DATA";
  EXPECT_EQ(LoadError(TestData("ggml/for-tests-ggml-base.bin")),
            "ggml/for-tests-ggml-base.bin: no tensor encoder.conv1.weight");
}

TEST(RealConvert, HuggingFaceConfigNamesWhatGenerationNeeds) {
  if (!fs::exists(TestModel("base"))) GTEST_SKIP() << "no model base";
  const fs::path published = TestData("tokenizers/hf-whisper-large-v2");
  if (!fs::exists(published)) GTEST_SKIP() << "no hf-whisper-large-v2";
  TestFolder folder;
  const auto store = WeightStore::Load(TestModel("base"));
  ConvertModel(*store, ModelFormat::kHf, folder / "hf");
  // One vocabulary, so all but the lengths and heads agree.
  const json got = Parse(folder / "hf/generation_config.json");
  const json want = Parse(published / "generation_config.json");
  for (const char* key :
       {"suppress_tokens", "begin_suppress_tokens", "lang_to_id", "task_to_id",
        "no_timestamps_token_id", "eos_token_id", "decoder_start_token_id",
        "is_multilingual", "max_length"})
    EXPECT_EQ(got.value(key, json()), want.value(key, json())) << key;
  const json config = Parse(folder / "hf/config.json");
  const json large = Parse(published / "config.json");
  for (const char* key :
       {"vocab_size", "num_mel_bins", "max_source_positions", "model_type",
        "architectures", "bos_token_id", "pad_token_id"})
    EXPECT_EQ(config.value(key, json()), large.value(key, json())) << key;
  EXPECT_EQ(config["torch_dtype"], "float16");
}

// Resident bytes of this process.
int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// How often `part` stands in `whole`.
int Occurrences(std::span<const std::byte> whole,
                std::span<const std::byte> part) {
  int count = 0;
  for (auto at = whole.begin();;) {
    at = std::search(at, whole.end(),
                     std::boyer_moore_searcher(part.begin(), part.end()));
    if (at == whole.end()) return count;
    ++count;
    ++at;
  }
}

// executorch.md, row 21 (with base): sizes, the tied embedding once, and
// opening maps the file.
TEST(Row21Base, FilesAreSmallTiedAndMapped) {
  if (!fs::exists(TestModel("base"))) GTEST_SKIP() << "no model base";
  const auto base = WeightStore::Load(TestModel("base"));
  const struct {
    ModelFormat format;
    DType type;
    double megabytes;
  } kCases[] = {{ModelFormat::kHf, DType::kF32, 297},
                {ModelFormat::kHf, DType::kF16, 149},
                {ModelFormat::kCt2, DType::kI8, 80}};
  for (const auto& c : kCases) {
    SCOPED_TRACE(Name(c.type));
    TestFolder folder;
    ConvertOptions options;
    if (c.type == DType::kI8)
      options.quantisation = c.type;
    else
      options.dtype = c.type;
    const fs::path path =
        ConvertModel(*base, c.format, folder / "out", options);
    const fs::path file =
        path / (c.format == ModelFormat::kHf ? "model.safetensors"
                                             : "model.bin");
    EXPECT_LE(static_cast<double>(fs::file_size(file)) * 1e-6, c.megabytes);

    const int64_t before = ResidentBytes();
    const auto store = WeightStore::Load(path);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(ResidentBytes() - before, 20'000'000);
#else
    static_cast<void>(before);
#endif
    const WeightEntry& embedding = store->Get("dec.tok_emb");
    const size_t row = embedding.tensor.Bytes() /
                       static_cast<size_t>(embedding.tensor.shape[0]);
    const MappedFile bytes(file);
    for (const size_t token : {size_t{400}, size_t{30'000}, size_t{50'000}})
      EXPECT_EQ(Occurrences(bytes.bytes(),
                            std::span(static_cast<const std::byte*>(
                                          embedding.tensor.data) +
                                          token * row,
                                      row)),
                1)
          << token;
  }
}

}  // namespace
}  // namespace sotto
