// SPDX-License-Identifier: MIT
// The same weights through five formats, and the ways in which files differ.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
#include "model/convert.h"
#include "model/names.h"
#include "model/test_folder.h"
#include "tiny_model.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

TinyOptions Small() {
  TinyOptions options = MicroOptions();
  options.audio_layers = 2;
  options.text_layers = 3;
  options.width = 128;
  options.heads = 2;
  return options;
}

std::shared_ptr<const WeightStore> Through(const WeightStore& store,
                                           ModelFormat format,
                                           const TestFolder& folder,
                                           const ConvertOptions& options = {}) {
  return WeightStore::Load(
      ConvertModel(store, format, folder / std::string(Name(format)), options));
}

constexpr ModelFormat kAll[] = {ModelFormat::kHf, ModelFormat::kOpenAi,
                                ModelFormat::kCt2, ModelFormat::kGgml,
                                ModelFormat::kGguf};

class Formats : public testing::TestWithParam<DType> {};

TEST_P(Formats, Row25HoldTheSameBits) {
  TinyOptions options = Small();
  options.dtype = GetParam();
  const auto store = MakeTinyStore(options);
  TestFolder folder;
  for (const ModelFormat format : kAll) {
    if (format == ModelFormat::kGgml && GetParam() == DType::kBF16) continue;
    const auto other = Through(*store, format, folder);
    EXPECT_EQ(other->format(), Name(format));
    // note: small tensors are f32 in ggml and GGUF, which f16 fits into, and
    // a bf16 convolution becomes f16, which it does not quite.
    for (const auto& [name, entry] : store->entries())
      if (format != ModelFormat::kGguf || GetParam() != DType::kBF16 ||
          entry.tensor.shape.rank() != 3)
        ExpectSameBits(*store, *other, name);
    ModelSpec spec = other->spec();
    spec.name = store->spec().name;
    if (format == ModelFormat::kGgml)  // no place for them there
      spec.alignment_heads = store->spec().alignment_heads;
    EXPECT_EQ(spec, store->spec()) << Name(format);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Types, Formats, testing::Values(DType::kF32, DType::kF16, DType::kBF16),
    [](const auto& test) { return std::string(Name(test.param)); });

// Chained, each reader feeding the next writer.
TEST(FormatChain, LosesNothingOnTheWayRound) {
  TinyOptions options = Small();
  options.dtype = DType::kF16;
  const auto store = MakeTinyStore(options);
  TestFolder folder;
  std::shared_ptr<const WeightStore> last =
      Through(*store, ModelFormat::kGguf, folder);
  EXPECT_EQ(last->vocabulary().tokens, store->vocabulary().tokens);
  last = Through(*last, ModelFormat::kGgml, folder);
  EXPECT_EQ(last->vocabulary().tokens, store->vocabulary().tokens);
  ExpectSameModel(*store, *last);
}

TEST(FormatTypes, RoundAsAsked) {
  const auto store = MakeTinyStore(Small());
  TestFolder folder;
  for (const ModelFormat format : kAll) {
    const auto half = Through(*store, format, folder, {.dtype = DType::kF16});
    const auto want = AllValues(*store, "dec.1.cross.v.w");
    const auto got = AllValues(*half, "dec.1.cross.v.w");
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_EQ(got[i], ToFloat(ToF16(want[i]))) << Name(format);
  }
}

// A quantised file gives what its blocks mean, whatever the container.
TEST(FormatTypes, QuantisedFilesAgreeAcrossContainers) {
  TinyOptions options = MicroOptions();
  options.width = 256;
  options.heads = 4;
  options.dtype = DType::kF16;
  const auto store = MakeTinyStore(options);
  for (const DType type :
       {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
        DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    TestFolder folder;
    const ConvertOptions quantise{.quantisation = type};
    const auto ggml = Through(*store, ModelFormat::kGgml, folder, quantise);
    const auto gguf = Through(*store, ModelFormat::kGguf, folder, quantise);
    EXPECT_EQ(ggml->Get("dec.tok_emb").tensor.dtype, type);
    EXPECT_EQ(gguf->Get("enc.0.fc2.w").tensor.dtype, type);
    ExpectSameModel(*ggml, *gguf);
    // Kept as it is by default, dequantised where asked.
    const auto kept = Through(*gguf, ModelFormat::kGguf, folder);
    EXPECT_EQ(kept->Get("dec.tok_emb").tensor.dtype, type);
    ExpectSameModel(*gguf, *kept);
    const auto plain =
        Through(*ggml, ModelFormat::kHf, folder, {.dtype = DType::kF32});
    ExpectSameModel(*ggml, *plain);
    // Ranges begin at any block.
    const int64_t block = Info(type).block_elements;
    std::vector<float> part(static_cast<size_t>(2 * block));
    ggml->Read("dec.0.fc1.w", 5 * block, 2 * block, part.data());
    const auto all = AllValues(*ggml, "dec.0.fc1.w");
    EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + 5 * block));
  }
}

TEST(FormatTypes, Int8KeepsEachRowWithinHalfAStep) {
  const auto store = MakeTinyStore(Small());
  TestFolder folder;
  const auto int8 =
      Through(*store, ModelFormat::kCt2, folder, {.quantisation = DType::kI8});
  for (const char* name : {"enc.conv2.w", "dec.1.attn.k.w", "dec.tok_emb"}) {
    const WeightEntry& entry = int8->Get(name);
    ASSERT_EQ(entry.tensor.dtype, DType::kI8);
    const auto want = AllValues(*store, name), got = AllValues(*int8, name);
    const size_t row = want.size() / static_cast<size_t>(entry.tensor.shape[0]);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(got[i], want[i], 0.501f * entry.row_scales[i / row]) << name;
  }
  ExpectSameBits(*store, *int8, "dec.1.attn.v.b");
  // Written again it stays int8, and within rounding the same.
  const auto again = Through(*int8, ModelFormat::kCt2, folder);
  EXPECT_EQ(again->Get("dec.tok_emb").tensor.dtype, DType::kI8);
}

TEST(FormatTypes, RefusesWhatAFormatLacks) {
  const auto store = MakeTinyStore(Small());
  TestFolder folder;
  const auto refusal = [&](ModelFormat format, const ConvertOptions& options) {
    return ErrorFrom(
        [&] { ConvertModel(*store, format, folder / "no", options); });
  };
  EXPECT_THAT(refusal(ModelFormat::kHf, {.quantisation = DType::kQ8_0}),
              HasSubstr("hf has no q8_0"));
  EXPECT_THAT(refusal(ModelFormat::kGguf, {.quantisation = DType::kI8}),
              HasSubstr("gguf has no i8"));
  EXPECT_THAT(refusal(ModelFormat::kGgml, {.dtype = DType::kBF16}),
              HasSubstr("ggml has no bf16"));
  EXPECT_THAT(refusal(ModelFormat::kGgml, {.quantisation = DType::kQ4_K}),
              HasSubstr("rows of 128, q4_K wants multiples of 256"));
  // Nothing half-written stays, not even the folder.
  EXPECT_FALSE(fs::exists(folder / "no"));
  EXPECT_EQ(ParseWeightType("Q4_k"), DType::kQ4_K);
  EXPECT_THROW(ParseWeightType("q3_K"), Error);
  EXPECT_THROW(ParseModelFormat("onnx"), Error);
}

TEST(FormatTypes, RowsThatAreNoKBlocksTakeTheNextTypeInGguf) {
  const auto store = MakeTinyStore(Small());  // 128 wide, fc2 has 512
  TestFolder folder;
  const auto gguf = Through(*store, ModelFormat::kGguf, folder,
                            {.quantisation = DType::kQ4_K});
  EXPECT_EQ(gguf->Get("dec.0.fc1.w").tensor.dtype, DType::kQ5_0);
  EXPECT_EQ(gguf->Get("dec.0.fc2.w").tensor.dtype, DType::kQ4_K);
}

// Rebuilds a tiny checkpoint with every name changed.
std::shared_ptr<const WeightStore> Renamed(
    const std::function<std::string(const CanonicalTensor&)>& rename) {
  Checkpoint source = MakeTinyCheckpoint(Small());
  std::map<std::string, SourceTensor, std::less<>> renamed;
  for (const Side side : {Side::kEncoder, Side::kDecoder})
    for (const CanonicalTensor& tensor : CanonicalTensors(source.spec, side))
      renamed.emplace(
          rename(tensor),
          source.tensors.at("model." + NameIn(Naming::kHf, tensor.name).name));
  source.tensors = std::move(renamed);
  source.spec = {};  // from the shapes
  source.spec.name = "renamed";
  return WeightStoreBuilder::Build(std::move(source), "renamed", false);
}

// Row 25 of the requirements: every prefix and embedding name, same weights.
TEST(Rlx, Row25PrefixesAndEmbeddingNamesAreDetected) {
  const auto want = MakeTinyStore(Small());
  for (const Naming naming : {Naming::kHf, Naming::kOpenAi, Naming::kStt}) {
    for (const char* prefix : {"model.", "", "module.model."}) {
      const auto store = Renamed([&](const CanonicalTensor& tensor) {
        return prefix + NameIn(naming, tensor.name).name;
      });
      ExpectSameModel(*want, *store);
      EXPECT_EQ(store->spec().n_audio_layers, 2);
      EXPECT_EQ(store->spec().n_text_layers, 3);
      EXPECT_EQ(store->spec().n_text_heads, 2);
      EXPECT_EQ(store->spec().n_text_ffn, 512);
    }
  }
  // OpenAI's names for the tables among Hugging Face layers, and the reverse.
  for (const auto& [tables, layers] :
       {std::pair(Naming::kOpenAi, Naming::kHf),
        std::pair(Naming::kHf, Naming::kOpenAi)}) {
    const auto store =
        Renamed([&, t = tables, l = layers](const CanonicalTensor& tensor) {
          const bool table =
              tensor.name.ends_with(".pos") || tensor.name == "dec.tok_emb";
          return "model." + NameIn(table ? t : l, tensor.name).name;
        });
    ExpectSameModel(*want, *store);
  }
  EXPECT_THAT(ErrorFrom([&] {
                Renamed([](const CanonicalTensor& tensor) {
                  return "bert." + tensor.name;
                });
              }),
              HasSubstr("none with a name of Whisper (the first is bert."));
}

TEST(Rlx, Row25TheOutputMatrixMayStandThereTwiceIfItIsTied) {
  const auto with = [](auto change) {
    Checkpoint source = MakeTinyCheckpoint(Small());
    SourceTensor copy = source.tensors.at("model.decoder.embed_tokens.weight");
    change(&copy, &source);
    source.tensors.emplace("proj_out.weight", copy);
    return ErrorFrom(
        [&] { WeightStoreBuilder::Build(std::move(source), "tied", false); });
  };
  EXPECT_EQ(with([](SourceTensor*, Checkpoint*) {}), "no error");
  EXPECT_THAT(with([](SourceTensor* t, Checkpoint*) { t->tensor.shape[0]--; }),
              HasSubstr("proj_out.weight is f32[299,128], want [300,128]"));
  EXPECT_THAT(with([](SourceTensor* t, Checkpoint* source) {
                t->tensor.data = source->Allocate(t->tensor.Bytes());
              }),
              HasSubstr("differs from the token embedding"));
}

TEST(Rlx, Row25GgufTakesBothNamingsInUse) {
  const auto store = MakeTinyStore(Small());
  TestFolder folder;
  const auto a = Through(*store, ModelFormat::kGguf, folder);
  const auto b =
      Through(*store, ModelFormat::kGguf, folder, {.gguf_openai_names = true});
  EXPECT_THAT(a->Get("dec.0.fc1.w").origin,
              HasSubstr("tensor dec.blocks.0.ffn.fc1.weight"));
  EXPECT_THAT(b->Get("dec.0.fc1.w").origin,
              HasSubstr("tensor decoder.blocks.0.mlp.0.weight"));
  ExpectSameModel(*a, *b);
}

// Row 27: the numbers come from the file, and what cannot be is refused.
TEST(Rlx, Row27ConfigIsReadAndChecked) {
  const auto store = MakeTinyStore(Small());
  TestFolder folder;
  ConvertModel(*store, ModelFormat::kHf, folder / "hf");
  const fs::path config = folder / "hf/config.json";
  json value = json::parse(ReadFile(config));
  const auto error_with = [&](const char* key, const json& number) {
    json changed = value;
    changed[key] = number;
    WriteFileAtomic(config, changed.dump());
    return LoadError(folder / "hf");
  };
  EXPECT_EQ(error_with("decoder_attention_heads", 3),
            "hf/model.safetensors: 3 decoder attention heads do not divide the "
            "width 128");
  EXPECT_EQ(error_with("num_mel_bins", 80),
            "hf/model.safetensors: tensor model.encoder.conv1.weight is "
            "f32[128,8,3], want f16|bf16|f32[128,80,3]");
  EXPECT_EQ(error_with("encoder_layers", 3),
            "hf/model.safetensors: no tensor "
            "model.encoder.layers.2.self_attn_layer_norm.weight");
  EXPECT_EQ(error_with("vocab_size", "many"),
            "hf/config.json: vocab_size is string, want a number");
  EXPECT_EQ(error_with("vocab_size", -1),
            "hf/config.json: vocab_size is -1, want a number");
  WriteFileAtomic(config, "{\"d_model\": }");
  EXPECT_EQ(LoadError(folder / "hf"), "hf/config.json: not JSON at byte 13");
  fs::remove(config);  // a bare file: dims from the shapes, heads of 64
  EXPECT_EQ(
      WeightStore::Load(folder / "hf/model.safetensors")->spec().n_text_heads,
      2);
}

TEST(Rlx, Row27ReadsTheLargeModelsOfTheHub) {
  const fs::path folder = TestData("tokenizers/hf-whisper-large-v2");
  if (!fs::exists(folder)) GTEST_SKIP() << "no hf-whisper-large-v2";
  ModelSpec spec;
  ReadConfigFiles(folder, &spec);
  EXPECT_EQ(spec.n_text_state, 1280);
  EXPECT_EQ(spec.n_text_layers, 32);
  EXPECT_EQ(spec.n_audio_heads, 20);
  EXPECT_EQ(spec.n_mels, 80);
  EXPECT_EQ(spec.n_vocab, 51865);
  spec.Check();
}

// Cuts model.safetensors in two and writes the index of transformers.
TEST(Rlx, Row25ShardsAreJoined) {
  const auto store = MakeTinyStore(Small());
  TestFolder folder;
  ConvertModel(*store, ModelFormat::kHf, folder / "hf");
  const std::string whole = ReadFile(folder / "hf/model.safetensors");
  uint64_t length;
  std::memcpy(&length, whole.data(), 8);
  const json header = json::parse(whole.substr(8, length));
  json index = {{"weight_map", json::object()}};
  std::array<json, 2> headers = {json::object(), json::object()};
  std::array<std::string, 2> data;
  size_t i = 0;
  for (const auto& [name, info] : header.items()) {
    if (name == "__metadata__") continue;
    const size_t shard = i++ % 2;
    const size_t begin = info["data_offsets"][0], end = info["data_offsets"][1];
    json moved = info;
    moved["data_offsets"] = {data[shard].size(),
                             data[shard].size() + end - begin};
    data[shard] += whole.substr(8 + length + begin, end - begin);
    headers[shard][name] = moved;
    index["weight_map"][name] =
        fmt::format("model-{:05}-of-00002.safetensors", shard + 1);
  }
  for (size_t s = 0; s < 2; ++s) {
    const std::string text = headers[s].dump();
    const uint64_t size = text.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &size, 8);
    WriteFileAtomic(
        folder / fmt::format("hf/model-{:05}-of-00002.safetensors", s + 1),
        file + text + data[s]);
  }
  fs::remove(folder / "hf/model.safetensors");
  const fs::path index_file = folder / "hf/model.safetensors.index.json";
  WriteFileAtomic(index_file, index.dump());
  ExpectSameModel(*store, *WeightStore::Load(folder / "hf"));
  ExpectSameModel(*store, *WeightStore::Load(index_file));
  index["weight_map"]["x"] = "../other.safetensors";
  WriteFileAtomic(index_file, index.dump());
  EXPECT_THAT(LoadError(folder / "hf"),
              HasSubstr("tensor x is in '../other.safetensors', want a file"));
  index["weight_map"]["x"] = "gone.safetensors";
  WriteFileAtomic(index_file, index.dump());
  EXPECT_THAT(LoadError(folder / "hf"), HasSubstr("gone.safetensors"));
}

TEST(Detection, GoesByContentAndHasAnOrder) {
  const auto store = MakeTinyStore(Small());
  TestFolder folder;
  for (const ModelFormat format :
       {ModelFormat::kGguf, ModelFormat::kGgml, ModelFormat::kOpenAi,
        ModelFormat::kCt2, ModelFormat::kHf}) {
    ConvertModel(*store, format, folder / "all");
    // Each that is added is preferred to those before.
    EXPECT_EQ(WeightStore::Load(folder / "all")->format(), Name(format));
  }
  fs::rename(folder / "all/model.bin", folder / "a model.gguf");
  EXPECT_EQ(WeightStore::Load(folder / "a model.gguf")->format(), "ct2");
}

TEST(Detection, NamesWhatIsNoModel) {
  TestFolder folder;
  WriteFileAtomic(folder / "a.bin", "");
  EXPECT_THAT(LoadError(folder / "a.bin"), HasSubstr("a.bin: empty, want"));
  WriteFileAtomic(folder / "a.bin", "hello, this is text");
  EXPECT_THAT(LoadError(folder / "a.bin"), HasSubstr("no known model, want"));
  EXPECT_THAT(LoadError(folder.path()), HasSubstr("no model in this folder"));
  if (::geteuid() == 0) return;  // may read everything
  WriteFileAtomic(folder / "b.bin", "hello, this is text");
  fs::permissions(folder / "b.bin", fs::perms::none);
  EXPECT_THAT(LoadError(folder.path()), HasSubstr("b.bin: cannot open"));
  fs::permissions(folder.path(), fs::perms::none);
  EXPECT_THAT(LoadError(folder.path()), HasSubstr("cannot open: Permission"));
  fs::permissions(folder.path(), fs::perms::owner_all);
  EXPECT_THAT(LoadError(folder / "gone"), HasSubstr("no such file or folder"));
  WriteFileAtomic(folder / "a.bin",
                  "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_THAT(LoadError(folder / "a.bin"), HasSubstr("git-lfs pointer"));
}

TEST(EncoderOnly, LoadsWithoutADecoder) {
  Checkpoint source = MakeTinyCheckpoint(Small());
  std::erase_if(source.tensors, [](const auto& item) {
    return item.first.find("decoder.") != std::string::npos;
  });
  source.spec = {};
  source.spec.name = "encoder";
  const auto store =
      WeightStoreBuilder::Build(std::move(source), "encoder", true);
  EXPECT_TRUE(store->Has("enc.1.fc2.w"));
  EXPECT_FALSE(store->Has("dec.tok_emb"));
}

TEST(Positions, AreComputedWhereAFileLacksThem) {
  TinyOptions options = Small();
  const auto want = MakeTinyStore(options);
  Checkpoint source = MakeTinyCheckpoint(options);
  source.tensors.erase("model.encoder.embed_positions.weight");
  const auto store = WeightStoreBuilder::Build(std::move(source), "x", false);
  const auto a = AllValues(*want, "enc.pos"), b = AllValues(*store, "enc.pos");
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6) << i;
}

}  // namespace
}  // namespace sotto
