// SPDX-License-Identifier: MIT
#include "model/weights.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "model/names.h"
#include "model/test_folder.h"
#include "tiny_model.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// The published tiny.en through two formats from two sources.
TEST(RealModels, TinyEnAgreesWithItsHuggingFaceBlocks) {
  const fs::path blocks = TestData("whisper-tiny.en-blocks");
  if (!fs::exists(blocks)) GTEST_SKIP() << "no whisper-tiny.en-blocks";
  if (!fs::exists(TestModel("tiny.en"))) GTEST_SKIP() << "no model tiny.en";
  const auto ct2 = WeightStore::Load(TestModel("tiny.en"));
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
  const fs::path encoder = TestData("whisper-base-encoder");
  if (!fs::exists(encoder)) GTEST_SKIP() << "no whisper-base-encoder";
  if (!fs::exists(TestModel("base"))) GTEST_SKIP() << "no model base";
  const auto ct2 = WeightStore::Load(TestModel("base"));
  const auto hf = WeightStore::Load(encoder, /*encoder_only=*/true);
  EXPECT_TRUE(ct2->spec().is_multilingual());
  EXPECT_EQ(ct2->spec().n_languages(), 99);
  EXPECT_EQ(ct2->entries().size(), 245u);
  EXPECT_EQ(hf->entries().size(), 97u);
  for (const auto& [name, entry] : hf->entries())
    ExpectSameBits(*ct2, *hf, name);
}

TEST(RealModels, RefusesIncompleteModelsNamingTheFirstMissingTensor) {
  if (TestData("").empty()) GTEST_SKIP() << "no SOTTO_TEST_DATA";
  EXPECT_EQ(LoadError(TestData("whisper-tiny.en-blocks")),
            "whisper-tiny.en-blocks/model.safetensors: no tensor "
            "model.decoder.embed_tokens.weight");
  EXPECT_EQ(LoadError(TestData("whisper-base-encoder")),
            "whisper-base-encoder/model.safetensors: no tensor "
            "model.decoder.embed_tokens.weight");
}

TEST(RealModels, ReadsRangesAndHalves) {
  if (!fs::exists(TestModel("tiny.en"))) GTEST_SKIP() << "no model tiny.en";
  const auto store = WeightStore::Load(TestModel("tiny.en"));
  const char* name = "dec.1.cross.v.w";
  const auto all = AllValues(*store, name);
  std::vector<float> part(100);
  store->Read(name, 777, 100, part.data());
  EXPECT_EQ(0, std::memcmp(part.data(), all.data() + 777, 400));
  std::vector<F16> half(100);
  store->ReadF16(name, 777, 100, half.data());
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(ToFloat(half[i]), part[i]);
  store->Release(name);
  EXPECT_EQ(AllValues(*store, name), all);
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
    EXPECT_NE(AllValues(*a, name), AllValues(*c, name)) << name;
  }
  EXPECT_EQ(a->entries().size(), 7u + 15u + 4u + 24u);
}

}  // namespace
}  // namespace sotto
