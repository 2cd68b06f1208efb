// SPDX-License-Identifier: MIT
#include "hub/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "hub/digest.h"
#include "hub/layout.h"
#include "hub/resolve.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() {
    environment_.models = folder_.path() / "own";
    environment_.hub_cache = folder_.path() / "hub";
    environment_.openai_cache = folder_.path() / "openai";
    environment_.ggml_models = folder_.path() / "models";
  }

  void WriteHf(const std::string& at) {
    folder_.Write(at + "/config.json", R"({"model_type":"whisper"})");
    folder_.Write(at + "/tokenizer.json", "{}");
    folder_.Write(at + "/model.safetensors", "weights");
  }
  void WriteCt2(const std::string& at) {
    folder_.Write(at + "/config.json", R"({"alignment_heads":[]})");
    folder_.Write(at + "/vocabulary.json", "[]");
    folder_.Write(at + "/model.bin", "weights");
  }
  // As huggingface_hub lays it out: links into blobs.
  void WriteSnapshot(const std::string& repository, bool ct2) {
    const std::string at = "hub/models--" + repository;
    folder_.Write(at + "/refs/main", kCommit);
    const std::string snapshot = at + "/snapshots/" + kCommit;
    if (ct2)
      WriteCt2(snapshot);
    else
      WriteHf(snapshot);
    const std::string weights = ct2 ? "model.bin" : "model.safetensors";
    const fs::path blob = folder_.Write(at + "/blobs/w", "weights");
    const fs::path link = folder_.path() / snapshot / weights;
    fs::remove(link);
    fs::create_symlink(fs::path("../../blobs/w"), link);
  }
  fs::path SnapshotPath(const std::string& repository) const {
    return environment_.hub_cache / ("models--" + repository) / "snapshots" /
           kCommit;
  }
  fs::path Resolve(const std::string& name) const {
    return ResolveModel(name, {.environment = environment_, .download = false});
  }
  std::string Failure(const std::string& name) const {
    try {
      return "found " + Resolve(name).string();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNotFound);
      return error.what();
    }
  }

  TestFolder folder_;
  HubEnvironment environment_;
};

TEST_F(CacheTest, ExistingPathWins) {
  WriteHf("own/tiny");
  const fs::path file = folder_.Write("x/anything.bin", "x");
  EXPECT_EQ(Resolve(file.string()), file);
  WriteCt2("here");
  EXPECT_EQ(Resolve((folder_.path() / "here").string()),
            folder_.path() / "here");
  // A folder with one file model is that file; a broken one stays a folder.
  folder_.Write("one/ggml-x.bin", "x");
  EXPECT_EQ(Resolve((folder_.path() / "one").string()),
            folder_.path() / "one" / "ggml-x.bin");
  folder_.Write("broken/config.json", "{}");
  EXPECT_EQ(Resolve((folder_.path() / "broken").string()),
            folder_.path() / "broken");
}

TEST_F(CacheTest, FolderCalledLikeAModelIsNoModel) {
  WriteHf("own/base");
  folder_.Write("elsewhere/base/error.h", "x");
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path() / "elsewhere");
  EXPECT_EQ(Resolve("base"), environment_.models / "base");
  fs::current_path(before);
}

TEST_F(CacheTest, LooksInTheOrderOfTheManual) {
  folder_.Write("models/ggml-tiny.bin", "w");
  EXPECT_EQ(Resolve("tiny"), environment_.ggml_models / "ggml-tiny.bin");
  const std::string ggml = "ggerganov--whisper.cpp";
  folder_.Write("hub/models--" + ggml + "/refs/main", kCommit);
  folder_.Write(
      "hub/models--" + ggml + "/snapshots/" + kCommit + "/ggml-tiny.bin", "w");
  EXPECT_EQ(Resolve("tiny"), SnapshotPath(ggml) / "ggml-tiny.bin");
  WriteSnapshot("Systran--faster-whisper-tiny", true);
  EXPECT_EQ(Resolve("tiny"), SnapshotPath("Systran--faster-whisper-tiny"));
  WriteSnapshot("openai--whisper-tiny", false);
  EXPECT_EQ(Resolve("tiny"), SnapshotPath("openai--whisper-tiny"));
  EXPECT_EQ(Resolve("openai/whisper-tiny"),
            SnapshotPath("openai--whisper-tiny"));
  EXPECT_EQ(Resolve("Systran/faster-whisper-tiny"),
            SnapshotPath("Systran--faster-whisper-tiny"));
  WriteHf("own/openai--whisper-tiny");
  EXPECT_EQ(Resolve("tiny"), environment_.models / "openai--whisper-tiny");
  WriteCt2("own/tiny");
  EXPECT_EQ(Resolve("tiny"), environment_.models / "tiny");
  // But our "tiny" is not known to be OpenAI's own repository.
  EXPECT_EQ(Resolve("openai/whisper-tiny"),
            environment_.models / "openai--whisper-tiny");
}

TEST_F(CacheTest, AliasIsTheSameModel) {
  WriteHf("own/large-v3-turbo");
  EXPECT_EQ(Resolve("turbo"), environment_.models / "large-v3-turbo");
}

TEST_F(CacheTest, PulledShortNameServesItsRepository) {
  WriteHf("own/tiny");
  WriteManifest(environment_.models / "tiny",
                {"openai/whisper-tiny", kCommit, {{"model.safetensors", 7}}});
  EXPECT_EQ(Resolve("openai/whisper-tiny"), environment_.models / "tiny");
}

TEST_F(CacheTest, QuantisedFileOnlyByItsFullName) {
  folder_.Write("models/ggml-tiny-q5_1.bin", "w");
  EXPECT_THAT(Failure("tiny"), HasSubstr("sotto pull tiny"));
  EXPECT_EQ(Resolve("tiny-q5_1"),
            environment_.ggml_models / "ggml-tiny-q5_1.bin");
  EXPECT_EQ(Resolve("ggml-tiny-q5_1.bin"),
            environment_.ggml_models / "ggml-tiny-q5_1.bin");
}

TEST_F(CacheTest, HalfSnapshotIsNoModel) {
  const std::string repository = "openai--whisper-tiny";
  WriteSnapshot(repository, false);
  const fs::path snapshot = SnapshotPath(repository);
  ASSERT_EQ(Resolve("tiny"), snapshot);
  // The blob is still on its way: a link that leads nowhere.
  fs::remove(snapshot / "../../blobs/w");
  EXPECT_THAT(Failure("tiny"), HasSubstr("not on this machine"));
  folder_.Write("hub/models--" + repository + "/blobs/w", "weights");
  fs::remove(snapshot / "tokenizer.json");
  EXPECT_THAT(Failure("tiny"), HasSubstr("not on this machine"));
}

TEST_F(CacheTest, RefsDecideTheSnapshot) {
  WriteSnapshot("a--b", false);
  const std::string other = "ffffffffffffffffffffffffffffffffffffffff";
  WriteHf("hub/models--a--b/snapshots/" + other);
  EXPECT_EQ(Resolve("a/b"), SnapshotPath("a--b"));
  folder_.Write("hub/models--a--b/refs/main", other + "\n");
  EXPECT_EQ(Resolve("a/b").filename(), other);
  EXPECT_EQ(Resolve(std::string("a/b@") + kCommit), SnapshotPath("a--b"));
  for (const char* bad : {"../../../own", "", "a/b", "gone"}) {
    folder_.Write("hub/models--a--b/refs/main", bad);
    EXPECT_THAT(Failure("a/b"), HasSubstr("not on this machine")) << bad;
  }
}

TEST_F(CacheTest, ShardsMustAllBeThere) {
  const std::string at = "own/a--b";
  folder_.Write(at + "/config.json", "{}");
  folder_.Write(at + "/tokenizer.json", "{}");
  folder_.Write(at + "/model-1.safetensors", "w");
  folder_.Write(at + "/model.safetensors.index.json",
                R"({"weight_map":{"a":"model-1.safetensors",
                                  "b":"model-2.safetensors"}})");
  EXPECT_THAT(Failure("a/b"), HasSubstr("not on this machine"));
  folder_.Write(at + "/model-2.safetensors", "w");
  EXPECT_EQ(Resolve("a/b"), environment_.models / "a--b");
}

TEST_F(CacheTest, ManifestWithShortFileIsNoModel) {
  WriteHf("own/tiny");
  const fs::path at = environment_.models / "tiny";
  WriteManifest(at, {"a/b", kCommit, {{"model.safetensors", 7}}});
  EXPECT_EQ(Resolve("tiny"), at);
  WriteManifest(at, {"a/b", kCommit, {{"model.safetensors", 8}}});
  EXPECT_THAT(Failure("tiny"), HasSubstr("not on this machine"));
  folder_.Write("own/tiny/sotto-pull.json", "{nonsense");
  EXPECT_THAT(Failure("tiny"), HasSubstr("not on this machine"));
}

TEST_F(CacheTest, OpenAiFileNeedsItsChecksum) {
  folder_.Write("openai/tiny.pt", "half a download");
  EXPECT_THAT(Failure("tiny"), HasSubstr("not on this machine"));
  // The published weights are not in a test; their check is.
  const fs::path file = folder_.Write("openai/x.pt", "abc");
  const std::string sum =
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_TRUE(CheckedOnce(file, sum, environment_));
  EXPECT_TRUE(fs::exists(environment_.models / ".checked" / sum));
  EXPECT_TRUE(CheckedOnce(file, sum, environment_));
  // Changed since: the note does not vouch for it.
  folder_.Write("openai/x.pt", "abd!");
  EXPECT_FALSE(CheckedOnce(file, sum, environment_));
}

TEST_F(CacheTest, MisspeltNamesGetAHint) {
  EXPECT_THAT(Failure("tinny"), HasSubstr("did you mean 'tiny'?"));
  EXPECT_THAT(Failure("large-v3-trubo"), HasSubstr("'large-v3-turbo'?"));
  EXPECT_THAT(Failure("./tiny"), HasSubstr("no such file"));
  EXPECT_THAT(Failure("a/b/c/d"), HasSubstr("no such file"));
  EXPECT_THROW(Resolve(""), Error);
}

TEST_F(CacheTest, ListsEveryWholeModelOnce) {
  WriteCt2("own/tiny.en");
  WriteHf("own/org--name@v1");
  folder_.Write("own/half/config.json", "{}");
  folder_.Write("own/gg--ml/ggml-a.bin", "1");
  folder_.Write("own/gg--ml/ggml-b.bin", "22");
  WriteSnapshot("openai--whisper-base", false);
  WriteSnapshot("Systran--faster-whisper-base", true);
  WriteSnapshot("meta--llama", false);
  folder_.Write("hub/models--meta--llama/snapshots/" + std::string(kCommit) +
                    "/config.json",
                R"({"model_type":"llama"})");
  folder_.Write("models/ggml-small.bin", "w");
  folder_.Write("models/notes.txt", "w");
  std::vector<std::string> lines;
  for (const FoundModel& model : ListModels(environment_))
    lines.push_back(model.name + " " + model.source + " " + model.format);
  EXPECT_THAT(
      lines,
      ElementsAre("gg/ml/ggml-a.bin sotto ggml", "gg/ml/ggml-b.bin sotto ggml",
                  "org/name@v1 sotto hf", "tiny.en sotto ct2",
                  "Systran/faster-whisper-base hugging face ct2",
                  "openai/whisper-base hugging face hf",
                  (environment_.ggml_models / "ggml-small.bin").string() +
                      " whisper.cpp ggml"));
  // Whatever is listed resolves to the same place by its name.
  for (const FoundModel& model : ListModels(environment_)) {
    EXPECT_EQ(Resolve(model.name), model.path);
    EXPECT_GT(model.bytes, 0u);
  }
}

TEST_F(CacheTest, NoFoldersNoModels) {
  EXPECT_TRUE(ListModels(environment_).empty());
  environment_.models = "/dev/null/x";
  EXPECT_TRUE(ListModels(environment_).empty());
  EXPECT_THAT(Failure("tiny"), HasSubstr("not on this machine"));
}

TEST(ShardIndex, RefusesNamesThatLeaveTheFolder) {
  for (const char* text :
       {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})",
        R"({"weight_map":{"a":"../x.safetensors"}})",
        R"({"weight_map":{"a":"/x.safetensors"}})",
        R"({"weight_map":{"a":"x/y.safetensors"}})",
        R"({"weight_map":{"a":"x.bin"}})"})
    EXPECT_THROW(ParseShardIndex(text, "index"), Error) << text;
}

}  // namespace
}  // namespace sotto
