// SPDX-License-Identifier: MIT
#include "hub/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "hub/cache.h"
#include "hub/fake_hub.h"
#include "hub/layout.h"
#include "hub/resolve.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Kind = FakeFault::Kind;

constexpr const char* kTiny = "openai/whisper-tiny";
constexpr const char* kSafetensors = "model.safetensors";

class PullTest : public ::testing::Test {
 protected:
  FakeHub& hub() {
    fake_.Settle();
    return fake_;
  }
  PullTest() {
    HubEnvironment& e = options_.environment;
    e = HubEnvironment{};
    e.models = folder_.path() / "own";
    e.hub_cache = folder_.path() / "hub";
    e.openai_cache = folder_.path() / "openai";
    e.ggml_models = folder_.path() / "models";
    e.endpoint = hub().url();
    options_.retries = {.attempts = 3,
                        .first_wait = std::chrono::milliseconds(1),
                        .longest_wait = std::chrono::milliseconds(2)};
    FakeFiles files = HfFiles();
    files["pytorch_model.bin"] = {.body = RandomBytes(500'000, 5),
                                  .large = true};
    files["flax_model.msgpack"] = {.body = "x", .large = true};
    files["README.md"] = {.body = "# Whisper"};
    hub().repositories[kTiny] = files;
  }
  using FakeFiles = std::map<std::string, FakeFile>;
  static FakeFiles HfFiles() {
    return {{"config.json", {.body = R"({"model_type":"whisper"})"}},
            {"generation_config.json", {.body = "{}"}},
            {"tokenizer.json", {.body = R"({"model":{}})"}},
            {"vocab.json", {.body = "{}"}},
            {"merges.txt", {.body = "#version: 0.2\n"}},
            {"added_tokens.json", {.body = "{}"}},
            {"preprocessor_config.json", {.body = "{}"}},
            {kSafetensors, {.body = RandomBytes(400'000, 3), .large = true}}};
  }
  FakeFile& File(const std::string& repository, const std::string& name) {
    return hub().repositories.at(repository).at(name);
  }
  fs::path Own(const std::string& name) const {
    return options_.environment.models / name;
  }
  std::set<std::string> Names(const fs::path& folder) const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
      names.insert(entry.path().filename().string());
    return names;
  }
  std::string Failure(const std::string& name) {
    try {
      return "pulled " + Pull(name, options_).path.string();
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
  }
  void ExpectSame(const fs::path& folder, const std::string& repository) {
    for (const auto& [name, file] : hub().repositories.at(repository)) {
      if (!fs::exists(folder / name)) continue;
      EXPECT_EQ(ReadFile(folder / name), file.body) << name;
    }
  }
  void ExpectNoModel(const std::string& name) {
    EXPECT_THROW(ResolveModel(name, {.environment = options_.environment,
                                     .download = false}),
                 Error);
  }

  TestFolder folder_;
  FakeHub fake_;
  PullOptions options_;
};

TEST_F(PullTest, BringsWhatSottoNeedsAndNoMore) {
  uint64_t last = 0;
  uint64_t total = 0;
  options_.progress = [&](const PullStatus& status) {
    EXPECT_EQ(status.model, "tiny");
    EXPECT_GE(status.bytes_done, last);
    last = status.bytes_done;
    total = status.bytes_total;
  };
  const PullResult result = Pull("tiny", options_);
  EXPECT_EQ(result.path, Own("tiny"));
  EXPECT_EQ(result.source, "hub");
  EXPECT_EQ(last, total);
  EXPECT_EQ(result.transferred, total);
  EXPECT_THAT(Names(result.path),
              UnorderedElementsAre(
                  "config.json", "generation_config.json", "tokenizer.json",
                  "vocab.json", "merges.txt", "added_tokens.json",
                  "preprocessor_config.json", kSafetensors, kManifestName));
  ExpectSame(result.path, kTiny);
  EXPECT_EQ(hub().Count("pytorch_model.bin"), 0u);
  EXPECT_EQ(hub().Count("/resolve/" + hub().commit + "/"), 8u);
  EXPECT_TRUE(fs::is_empty(Own(".partial")));
  // Every later look finds it.
  EXPECT_EQ(ResolveModel("tiny", {.environment = options_.environment,
                                  .download = false}),
            Own("tiny"));
}

TEST_F(PullTest, SecondPullSendsNothing) {
  Pull("tiny", options_);
  hub().hub().Forget();
  hub().storage().Forget();
  options_.environment.offline = true;
  const PullResult again = Pull("tiny", options_);
  EXPECT_EQ(again.path, Own("tiny"));
  EXPECT_EQ(again.source, "sotto");
  EXPECT_EQ(again.transferred, 0u);
  EXPECT_EQ(hub().Count("/"), 0u);
}

TEST_F(PullTest, ForceAsksButBringsOnlyWhatChanged) {
  Pull("tiny", options_);
  options_.force = true;
  EXPECT_EQ(Pull("tiny", options_).transferred, 0u);
  File(kTiny, kSafetensors).body = RandomBytes(300'000, 77);
  hub().commit = "ffffffffffffffffffffffffffffffffffffffff";
  EXPECT_EQ(Pull("tiny", options_).transferred, 300'000u);
  ExpectSame(Own("tiny"), kTiny);
  EXPECT_EQ(ReadManifest(Own("tiny"))->revision, hub().commit);
  EXPECT_TRUE(fs::is_empty(Own(".partial")));
}

TEST_F(PullTest, ModelOfAnotherToolIsNotPulledAgain) {
  folder_.Write("models/ggml-tiny.bin", "w");
  const PullResult result = Pull("tiny", options_);
  EXPECT_EQ(result.source, "whisper.cpp");
  EXPECT_EQ(hub().Count("/"), 0u);
}

TEST_F(PullTest, ResolveBringsWhatNoCacheHas) {
  const ResolveOptions options{.environment = options_.environment};
  EXPECT_EQ(ResolveModel(kTiny, options), Own("openai--whisper-tiny"));
  EXPECT_EQ(ResolveModel("tiny", options), Own("openai--whisper-tiny"));
}

TEST_F(PullTest, InterruptedPullIsNoModelAndGoesOn) {
  File(kTiny, kSafetensors).faults.assign(3, {Kind::kCut, 100'000});
  EXPECT_THAT(Failure("tiny"), HasSubstr("the transfer broke off"));
  ExpectNoModel("tiny");
  EXPECT_TRUE(ListModels(options_.environment).empty());
  hub().hub().Forget();
  hub().storage().Forget();
  const PullResult result = Pull("tiny", options_);
  EXPECT_EQ(result.transferred, 100'000u);
  ExpectSame(result.path, kTiny);
  // Small files were there; of the weights only the rest came.
  EXPECT_EQ(hub().Count("config.json"), 0u);
  ASSERT_EQ(hub().storage().requests().size(), 1u);
  EXPECT_EQ(hub().storage().requests()[0].Header("range"), "bytes=300000-");
}

TEST_F(PullTest, FileThatChangedMeanwhileBeginsAgain) {
  File(kTiny, kSafetensors).faults.assign(3, {Kind::kCut, 100'000});
  Failure("tiny");
  File(kTiny, kSafetensors) = {.body = RandomBytes(350'000, 8), .large = true};
  hub().commit = "ffffffffffffffffffffffffffffffffffffffff";
  EXPECT_EQ(Pull("tiny", options_).transferred, 350'000u);
  ExpectSame(Own("tiny"), kTiny);
}

TEST_F(PullTest, WrongChecksumLeavesNoModel) {
  File(kTiny, kSafetensors).told_sum = std::string(64, 'a');
  const std::string error = Failure("tiny");
  EXPECT_THAT(error, HasSubstr("model.safetensors: sha256"));
  EXPECT_THAT(error, HasSubstr("nothing was kept"));
  ExpectNoModel("tiny");
  EXPECT_FALSE(fs::exists(Own(".partial/tiny/model.safetensors")));
  EXPECT_FALSE(fs::exists(Own(".partial/tiny/model.safetensors.part")));
  // A corrupted small file is noticed as well, by its git blob id.
  File(kTiny, kSafetensors).told_sum = "";
  File(kTiny, "tokenizer.json").faults = {{Kind::kCorrupt, 0}};
  options_.force = true;
  fs::remove_all(Own(".partial"));
  EXPECT_THAT(Failure("tiny"), HasSubstr("tokenizer.json: git blob"));
}

TEST_F(PullTest, HubThatTellsNoSumsStillWorks) {
  hub().tell_blobs = false;
  Pull("tiny", options_);
  ExpectSame(Own("tiny"), kTiny);
}

TEST_F(PullTest, TokenGoesToTheHubAlone) {
  hub().token = "secret";
  EXPECT_THAT(Failure("tiny"), HasSubstr("wants HF_TOKEN (HTTP 401)"));
  options_.environment.token = "wrong";
  EXPECT_THAT(Failure("tiny"), HasSubstr("gives no access to it (HTTP 401)"));
  hub().error_code = "GatedRepo";
  EXPECT_THAT(Failure("tiny"), HasSubstr("accept its terms"));
  options_.environment.token = "secret";
  Pull("tiny", options_);
  for (const FakeRequest& request : hub().storage().requests())
    EXPECT_FALSE(request.headers.contains("authorization"));
}

TEST_F(PullTest, OfflineSendsNothing) {
  options_.environment.offline = true;
  EXPECT_THAT(Failure("tiny"), HasSubstr("HF_HUB_OFFLINE"));
  EXPECT_EQ(hub().Count("/"), 0u);
  EXPECT_FALSE(fs::exists(options_.environment.models));
}

TEST_F(PullTest, UnknownNamesFailAtOnce) {
  EXPECT_THAT(Failure("tinny"), HasSubstr("did you mean 'tiny'?"));
  for (const char* name : {"../../etc/x", "a/../b", "a/b/../../x.bin", "a b/c",
                           "/etc/passwd", "a/b?x", ""})
    EXPECT_THAT(Failure(name), HasSubstr("model '")) << name;
  EXPECT_EQ(hub().Count("/"), 0u);
  EXPECT_THAT(Failure("nobody/nothing"),
              HasSubstr("nobody/nothing/revision/main?blobs=true: not found"));
  EXPECT_THAT(Failure("tiny@gone"), HasSubstr("HTTP 404"));
}

TEST_F(PullTest, EndpointMustBeSafe) {
  options_.environment.endpoint = "http://example.org";
  EXPECT_THAT(Failure("tiny"),
              HasSubstr("HF_ENDPOINT is 'http://example.org'"));
}

TEST_F(PullTest, NamesThatLeaveTheFolderAreRefused) {
  for (const char* name :
       {"../x.safetensors", "/etc/x", "a/../../x", "a\nb", "a\\b", ".."}) {
    hub().repositories[kTiny][name] = {.body = "evil"};
    EXPECT_THAT(Failure("tiny"), HasSubstr("is refused")) << name;
    hub().repositories[kTiny].erase(name);
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "x.safetensors"));
  ExpectNoModel("tiny");
}

TEST_F(PullTest, ShardsComeByTheIndex) {
  FakeFiles files = HfFiles();
  files.erase(kSafetensors);
  for (int i = 1; i <= 3; ++i)
    files[fmt::format("model-0000{}-of-00002.safetensors", i)] = {
        .body = RandomBytes(100'000, 10u + i), .large = true};
  files["model.safetensors.index.json"] = {.body = R"({"weight_map":{
      "a":"model-00001-of-00002.safetensors",
      "b":"model-00002-of-00002.safetensors"}})"};
  hub().repositories["a/sharded"] = files;
  File("a/sharded", "model-00002-of-00002.safetensors")
      .faults.assign(3, {Kind::kCut, 10'000});
  EXPECT_THAT(Failure("a/sharded"), HasSubstr("broke off"));
  ExpectNoModel("a/sharded");
  const fs::path path = Pull("a/sharded", options_).path;
  EXPECT_EQ(path, Own("a--sharded"));
  ExpectSame(path, "a/sharded");
  EXPECT_TRUE(fs::exists(path / "model-00002-of-00002.safetensors"));
  // The third belongs to no tensor.
  EXPECT_FALSE(fs::exists(path / "model-00003-of-00002.safetensors"));

  File("a/sharded", "model.safetensors.index.json").body =
      R"({"weight_map":{"a":"../../x.safetensors"}})";
  options_.force = true;
  EXPECT_THAT(Failure("a/sharded"), HasSubstr("is refused"));
  File("a/sharded", "model.safetensors.index.json").body =
      R"({"weight_map":{"a":"model-9.safetensors"}})";
  EXPECT_THAT(Failure("a/sharded"), HasSubstr("the hub does not have"));
}

TEST_F(PullTest, CTranslate2Repository) {
  hub().repositories["Systran/faster-whisper-tiny"] = {
      {"config.json", {.body = R"({"lang_ids":[]})"}},
      {"tokenizer.json", {.body = "{}"}},
      {"vocabulary.txt", {.body = "a\nb\n"}},
      {"model.bin", {.body = RandomBytes(200'000, 4), .large = true}}};
  const PullResult result = Pull("Systran/faster-whisper-tiny", options_);
  EXPECT_EQ(result.path, Own("Systran--faster-whisper-tiny"));
  EXPECT_THAT(
      Names(result.path),
      UnorderedElementsAre("config.json", "tokenizer.json", "vocabulary.txt",
                           "model.bin", kManifestName));
  // Asking for its weights means asking for the folder.
  EXPECT_EQ(Pull("Systran/faster-whisper-tiny/model.bin", options_).path,
            result.path);
}

TEST_F(PullTest, GgmlFileByItsName) {
  FakeFiles& files = hub().repositories["ggerganov/whisper.cpp"];
  for (const char* name : {"ggml-tiny.bin", "ggml-tiny-q5_1.bin"})
    files[name] = {.body = RandomBytes(90'000, 6), .large = true};
  EXPECT_THAT(Failure("ggerganov/whisper.cpp"),
              HasSubstr("holds 2 models, name one, as in ggerganov/"));
  const PullResult result = Pull("tiny-q5_1", options_);
  EXPECT_EQ(result.path, Own("tiny-q5_1") / "ggml-tiny-q5_1.bin");
  EXPECT_EQ(result.bytes, 90'000u);
  const PullResult other =
      Pull("ggerganov/whisper.cpp/ggml-tiny.bin", options_);
  EXPECT_EQ(other.path, Own("ggerganov--whisper.cpp") / "ggml-tiny.bin");
  EXPECT_THAT(Failure("ggerganov/whisper.cpp/ggml-tinny.bin"),
              HasSubstr("did you mean 'ggml-tiny.bin'?"));
  EXPECT_TRUE(fs::is_empty(Own(".partial")));
}

TEST_F(PullTest, OnlyFileOfARepositoryIsIt) {
  hub().repositories["a/gguf"] = {
      {"README.md", {.body = "x"}},
      {"whisper-small.gguf", {.body = RandomBytes(70'000, 9), .large = true}}};
  EXPECT_EQ(Pull("a/gguf", options_).path, Own("a--gguf/whisper-small.gguf"));
  EXPECT_EQ(Pull("a/gguf", options_).source, "sotto");
}

TEST_F(PullTest, OrderOfFormats) {
  FakeFiles& files = hub().repositories["a/all"];
  files["ggml-a.bin"] = {.body = "ggml"};
  EXPECT_EQ(Pull("a/all", options_).path.filename(), "ggml-a.bin");
  files["a.pt"] = {.body = "pt"};
  options_.force = true;
  EXPECT_EQ(Pull("a/all", options_).path.filename(), "a.pt");
  files["config.json"] = {.body = "{}"};
  files["vocabulary.json"] = {.body = "[]"};
  files["model.bin"] = {.body = "ct2"};
  EXPECT_EQ(Pull("a/all", options_).path, Own("a--all"));
  EXPECT_TRUE(fs::exists(Own("a--all/model.bin")));
  files["tokenizer.json"] = {.body = "{}"};
  files[kSafetensors] = {.body = "hf"};
  Pull("a/all", options_);
  EXPECT_TRUE(fs::exists(Own("a--all/model.safetensors")));
  EXPECT_FALSE(fs::exists(Own("a--all/model.bin")));
}

TEST_F(PullTest, NothingToReadIsTold) {
  hub().repositories["a/torch"] = {{"config.json", {.body = "{}"}},
                                   {"pytorch_model.bin", {.body = "x"}}};
  EXPECT_THAT(Failure("a/torch"),
              HasSubstr("no model Sotto reads (has pytorch_model.bin)"));
}

TEST_F(PullTest, FilesOfTheUserAreNotReplaced) {
  folder_.Write("own/tiny/notes.txt", "mine");
  EXPECT_THAT(Failure("tiny"), HasSubstr("did not make it; move it away"));
  EXPECT_TRUE(fs::exists(Own("tiny/notes.txt")));
}

TEST_F(PullTest, DiskTroubleIsTold) {
  options_.environment.models = "/dev/null/models";
  EXPECT_THAT(Failure("tiny"), HasSubstr("cannot make the folder"));
  options_.environment.models = folder_.path() / "own";
  File(kTiny, kSafetensors).told_bytes = uint64_t{1} << 60;
  EXPECT_THAT(Failure("tiny"), HasSubstr("tiny needs"));
}

TEST_F(PullTest, ManyThreadsBringItOnce) {
  hub().pause = std::chrono::milliseconds(5);
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back(
        [&] { good += Pull("tiny", options_).path == Own("tiny") ? 1 : 0; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 4);
  EXPECT_EQ(hub().Count(kSafetensors), 2u);  // the hub and its storage
}

// Run by the tests below in processes of their own.
TEST(PullChild, DISABLED_Pulls) {
  PullOptions options;
  const PullResult result = Pull("tiny", options);
  EXPECT_TRUE(fs::exists(result.path / kSafetensors));
}

pid_t StartChild(const HubEnvironment& environment) {
  std::vector<std::string> variables;
  for (char** v = environ; *v != nullptr; ++v)
    if (!std::string_view(*v).starts_with("HF_") &&
        !std::string_view(*v).starts_with("GTEST_"))
      variables.emplace_back(*v);
  variables.push_back("SOTTO_MODELS=" + environment.models.string());
  variables.push_back("HF_HUB_CACHE=" + environment.hub_cache.string());
  variables.push_back("XDG_CACHE_HOME=" + environment.openai_cache.string());
  variables.push_back("HF_ENDPOINT=" + environment.endpoint);
  std::vector<std::string> arguments = {
      "hub_test", "--gtest_filter=PullChild.*",
      "--gtest_also_run_disabled_tests", "--gtest_brief=1"};
  const auto pointers = [](std::vector<std::string>& list) {
    std::vector<char*> raw;
    for (std::string& text : list) raw.push_back(text.data());
    raw.push_back(nullptr);
    return raw;
  };
  pid_t child = 0;
  if (::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr,
                    pointers(arguments).data(),
                    pointers(variables).data()) != 0)
    return -1;
  return child;
}

class PullProcessTest : public PullTest {
 protected:
  pid_t Start() {
    hub();  // what the test has written must be seen by the server's threads
    return StartChild(options_.environment);
  }
};

TEST_F(PullProcessTest, TwoBringItOnce) {
  hub().pause = std::chrono::milliseconds(20);
  const pid_t first = Start();
  const pid_t second = Start();
  ASSERT_GT(first, 0);
  ASSERT_GT(second, 0);
  for (const pid_t child : {first, second}) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_EQ(hub().Count(kSafetensors), 2u);
  ExpectSame(Own("tiny"), kTiny);
}

TEST_F(PullProcessTest, KilledOneLeavesNoModelAndNoLock) {
  // Half of the weights come, then nothing until it is killed.
  File(kTiny, kSafetensors).faults = {{Kind::kStall, 200'000}};
  const pid_t child = Start();
  ASSERT_GT(child, 0);
  const fs::path part = Own(".partial/tiny/model.safetensors.part");
  std::error_code error;
  for (int i = 0; i < 2000 && (!fs::exists(part, error) ||
                               fs::file_size(part, error) < 200'000);
       ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ExpectNoModel("tiny");
  EXPECT_EQ(Pull("tiny", options_).transferred, 200'000u);
  ExpectSame(Own("tiny"), kTiny);
}

}  // namespace
}  // namespace sotto
