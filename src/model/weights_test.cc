// SPDX-License-Identifier: MIT
#include "model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "model/names.h"
#include "tiny_model.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

fs::path Data(const char* name) {
  const char* root = std::getenv("SOTTO_TEST_DATA");
  return root == nullptr ? fs::path() : fs::path(root) / name;
}

fs::path Model(const char* name) {
  const char* root = std::getenv("SOTTO_MODELS");
  return (root != nullptr ? fs::path(root)
                          : HomeDirectory() / ".cache/sotto/models") /
         name;
}

std::string ErrorOf(const fs::path& path, bool encoder_only = false) {
  try {
    WeightStore::Load(path, encoder_only);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<float> All(const WeightStore& store, std::string_view name) {
  const int64_t n = store.Get(name).tensor.Elements();
  std::vector<float> values(static_cast<size_t>(n));
  store.Read(name, 0, n, values.data());
  return values;
}

// Bits, not values: -0 and NaN count.
void ExpectSameBits(const WeightStore& a, const WeightStore& b,
                    std::string_view name) {
  const auto x = All(a, name), y = All(b, name);
  ASSERT_EQ(x.size(), y.size()) << name;
  EXPECT_EQ(0, std::memcmp(x.data(), y.data(), 4 * x.size())) << name;
}

// The published tiny.en through two formats from two sources.
TEST(RealModels, TinyEnAgreesWithItsHuggingFaceBlocks) {
  const fs::path blocks = Data("whisper-tiny.en-blocks");
  if (!fs::exists(blocks)) GTEST_SKIP() << "no whisper-tiny.en-blocks";
  if (!fs::exists(Model("tiny.en"))) GTEST_SKIP() << "no model tiny.en";
  const auto ct2 = WeightStore::Load(Model("tiny.en"));
  const auto hf = WeightStore::Load(blocks, /*encoder_only=*/true);
  EXPECT_EQ(ct2->format(), "ct2");
  EXPECT_EQ(hf->format(), "hf");
  EXPECT_EQ(ct2->spec().n_vocab, 51864);
  EXPECT_FALSE(ct2->spec().is_multilingual());
  EXPECT_EQ(ct2->spec().n_text_heads, 6);
  EXPECT_EQ(ct2->spec().alignment_heads.size(), 8u);
  // 167 tensors, all but the token embedding.
  EXPECT_EQ(ct2->entries().size(), 167u);
  EXPECT_EQ(hf->entries().size(), 166u);
  for (const auto& [name, entry] : hf->entries())
    ExpectSameBits(*ct2, *hf, name);
}

TEST(RealModels, BaseAgreesWithItsHuggingFaceEncoder) {
  const fs::path encoder = Data("whisper-base-encoder");
  if (!fs::exists(encoder)) GTEST_SKIP() << "no whisper-base-encoder";
  if (!fs::exists(Model("base"))) GTEST_SKIP() << "no model base";
  const auto ct2 = WeightStore::Load(Model("base"));
  const auto hf = WeightStore::Load(encoder, /*encoder_only=*/true);
  EXPECT_TRUE(ct2->spec().is_multilingual());
  EXPECT_EQ(ct2->spec().n_languages(), 99);
  EXPECT_EQ(ct2->entries().size(), 245u);
  EXPECT_EQ(hf->entries().size(), 97u);
  for (const auto& [name, entry] : hf->entries())
    ExpectSameBits(*ct2, *hf, name);
}

TEST(RealModels, RefusesIncompleteModelsNamingTheFirstMissingTensor) {
  if (Data("").empty()) GTEST_SKIP() << "no SOTTO_TEST_DATA";
  EXPECT_EQ(ErrorOf(Data("whisper-tiny.en-blocks")),
            "whisper-tiny.en-blocks/model.safetensors: no tensor "
            "model.decoder.embed_tokens.weight");
  EXPECT_EQ(ErrorOf(Data("whisper-base-encoder")),
            "whisper-base-encoder/model.safetensors: no tensor "
            "model.decoder.embed_tokens.weight");
}

TEST(RealModels, ReadsRangesAndHalves) {
  if (!fs::exists(Model("tiny.en"))) GTEST_SKIP() << "no model tiny.en";
  const auto store = WeightStore::Load(Model("tiny.en"));
  const char* name = "dec.1.cross.v.w";
  const auto all = All(*store, name);
  std::vector<float> part(100);
  store->Read(name, 777, 100, part.data());
  EXPECT_EQ(0, std::memcmp(part.data(), all.data() + 777, 400));
  std::vector<F16> half(100);
  store->ReadF16(name, 777, 100, half.data());
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(ToFloat(half[i]), part[i]);
  store->Release(name);
  EXPECT_EQ(All(*store, name), all);
  EXPECT_THROW(store->Get("dec.9.fc1.w"), Error);
}

TEST(TinyModel, IsTheSameForTheSameSeed) {
  const auto a = MakeTinyStore(MicroOptions());
  const auto b = MakeTinyStore(MicroOptions());
  TinyOptions other = MicroOptions();
  other.seed = 2;
  const auto c = MakeTinyStore(other);
  for (const auto& [name, entry] : a->entries()) {
    ExpectSameBits(*a, *b, name);
    if (name == "enc.pos") continue;
    EXPECT_NE(All(*a, name), All(*c, name)) << name;
  }
  EXPECT_EQ(a->entries().size(), 7u + 15u + 4u + 24u);
}

}  // namespace
}  // namespace sotto
