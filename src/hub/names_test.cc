// SPDX-License-Identifier: MIT
#include "hub/names.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "base/test_folder.h"
#include "hub/digest.h"
#include "hub/environment.h"

namespace sotto {
namespace {

TEST(ModelNames, TableIsSound) {
  std::set<std::string_view> seen;
  for (const std::string_view name : AllModelNames())
    EXPECT_TRUE(seen.insert(name).second) << name << " stands twice";
  std::set<std::string_view> sums;
  for (const ModelName& row : ModelNames()) {
    EXPECT_EQ(FindModelName(row.name), &row);
    for (const std::string_view repository : {row.repository, row.ct2}) {
      const auto ref = ParseModelRef(repository);
      ASSERT_TRUE(ref) << repository;
      EXPECT_EQ(ref->repository, repository);
    }
    if (row.openai_sha256.empty()) continue;
    EXPECT_TRUE(IsHex(row.openai_sha256, 64)) << row.name;
    EXPECT_TRUE(sums.insert(row.openai_sha256).second) << row.name;
  }
}

TEST(ModelNames, ReadsEveryFormOfAName) {
  struct Case {
    const char* text;
    const char* repository;
    const char* revision;
    const char* file;
    const char* folder;
  };
  for (const Case& row : std::to_array<Case>({
           {"tiny", "openai/whisper-tiny", "main", "", "tiny"},
           {"turbo", "openai/whisper-large-v3-turbo", "main", "",
            "large-v3-turbo"},
           {"large", "openai/whisper-large-v3", "main", "", "large-v3"},
           {"whisper-large-v3", "openai/whisper-large-v3", "main", "",
            "large-v3"},
           {"tiny@v1", "openai/whisper-tiny", "v1", "", "tiny@v1"},
           {"tiny.en-q5_1", "ggerganov/whisper.cpp", "main",
            "ggml-tiny.en-q5_1.bin", "tiny.en-q5_1"},
           {"turbo-q5_0", "ggerganov/whisper.cpp", "main",
            "ggml-large-v3-turbo-q5_0.bin", "large-v3-turbo-q5_0"},
           {"ggml-base.bin", "ggerganov/whisper.cpp", "main", "ggml-base.bin",
            "ggml-base"},
           {"a/b", "a/b", "main", "", "a--b"},
           {"a/b@refs/pr/1", "a/b", "refs/pr/1", "", "a--b@refs--pr--1"},
           {"a/b/x.gguf", "a/b", "main", "x.gguf", "a--b"},
           {"a/b@v2/sub/x.bin", "a/b", "v2", "sub/x.bin", "a--b@v2"},
       })) {
    const auto ref = ParseModelRef(row.text);
    ASSERT_TRUE(ref) << row.text;
    EXPECT_EQ(ref->repository, row.repository) << row.text;
    EXPECT_EQ(ref->revision, row.revision) << row.text;
    EXPECT_EQ(ref->file, row.file) << row.text;
    EXPECT_EQ(ref->Folder(), row.folder) << row.text;
    // What is printed can be typed again.
    const auto again = ParseModelRef(ref->Text());
    ASSERT_TRUE(again) << ref->Text();
    EXPECT_EQ(again->Folder(), ref->Folder());
    EXPECT_EQ(again->file, ref->file);
  }
}

TEST(ModelNames, RefusesWhatIsNoName) {
  for (const char* text : {"",
                           "tinny",
                           "tiny-q9_9",
                           "large-v1-q5_0",
                           "ggml-distil-large-v2",
                           "/",
                           "a/",
                           "/b",
                           "a/b/c",
                           "a/b/c/d",
                           "../b",
                           "a/..",
                           "a/../c.bin",
                           "a/b/../x.bin",
                           "a/b@",
                           "a/b@../x",
                           "a b/c",
                           "a/b\n",
                           "a--b/c",
                           "-a/b",
                           "a/b/.x.bin",
                           "a/b?x=1",
                           "a/b#c",
                           "http://a/b",
                           "tiny@"})
    EXPECT_FALSE(ParseModelRef(text)) << text;
}

TEST(ModelNames, SafePathsStayInTheirFolder) {
  EXPECT_TRUE(IsSafeRelativePath("a"));
  EXPECT_TRUE(IsSafeRelativePath("a/b.c/d e"));
  for (const std::string& path :
       {std::string(""), std::string("/a"), std::string("a/"),
        std::string("a//b"), std::string(".."), std::string("../a"),
        std::string("a/../b"), std::string("./a"), std::string(".hidden"),
        std::string("a\\b"), std::string("a\nb"), std::string("a\0b", 3),
        std::string(300, 'a'), std::string(2000, '/')})
    EXPECT_FALSE(IsSafeRelativePath(path)) << path;
}

TEST(Printable, IsOneShortLine) {
  EXPECT_EQ(Printable("a\nb\x1b[31m\xff"), "'a?b?[31m?'");
  EXPECT_EQ(Printable(std::string(1000, 'x')).size(), 205u);
}

HubEnvironment Environment(const std::map<std::string, std::string>& values) {
  return HubEnvironment::Read([&](const char* name) {
    const auto at = values.find(name);
    return at == values.end() ? nullptr : at->second.c_str();
  });
}

TEST(Environment, HasTheToolsDefaults) {
  const HubEnvironment e = Environment({{"HOME", "/h"}});
  EXPECT_EQ(e.models, "/h/.cache/sotto/models");
  EXPECT_EQ(e.hub_cache, "/h/.cache/huggingface/hub");
  EXPECT_EQ(e.openai_cache, "/h/.cache/whisper");
  EXPECT_EQ(e.endpoint, "https://huggingface.co");
  EXPECT_EQ(e.token, "");
  EXPECT_FALSE(e.offline);
}

TEST(Environment, HonoursTheToolsVariables) {
  HubEnvironment e = Environment({{"HOME", "/h"},
                                  {"XDG_CACHE_HOME", "/x"},
                                  {"SOTTO_MODELS", "~/m"},
                                  {"HF_ENDPOINT", "https://mirror/"},
                                  {"HF_TOKEN", " hf_abc\n"},
                                  {"HF_HUB_OFFLINE", "yes"}});
  EXPECT_EQ(e.models, "/h/m");
  EXPECT_EQ(e.hub_cache, "/x/huggingface/hub");
  EXPECT_EQ(e.openai_cache, "/x/whisper");
  EXPECT_EQ(e.endpoint, "https://mirror");
  EXPECT_EQ(e.token, "hf_abc");
  EXPECT_TRUE(e.offline);
  e = Environment({{"HOME", "/h"}, {"HF_HOME", "/f"}});
  EXPECT_EQ(e.hub_cache, "/f/hub");
  e = Environment(
      {{"HOME", "/h"}, {"HF_HOME", "/f"}, {"HUGGINGFACE_HUB_CACHE", "/old"}});
  EXPECT_EQ(e.hub_cache, "/old");
  e = Environment({{"HOME", "/h"},
                   {"HF_HUB_CACHE", "/new"},
                   {"HUGGINGFACE_HUB_CACHE", "/old"},
                   {"HF_HUB_OFFLINE", "0"}});
  EXPECT_EQ(e.hub_cache, "/new");
  EXPECT_FALSE(e.offline);
  // A token with a line end inside would add a header of its own.
  EXPECT_THROW(Environment({{"HF_TOKEN", "a\r\nX: y"}}), Error);
}

TEST(Environment, ReadsTheStoredToken) {
  const TestFolder folder;
  folder.Write("hf/token", "hf_stored\n");
  const std::string home = folder.path().string();
  const std::string hf = (folder.path() / "hf").string();
  EXPECT_EQ(Environment({{"HOME", home}, {"HF_HOME", hf}}).token, "hf_stored");
  EXPECT_EQ(
      Environment({{"HOME", home}, {"HF_HOME", hf}, {"HF_TOKEN", "t"}}).token,
      "t");
  EXPECT_EQ(Environment({{"HOME", home},
                         {"HF_HOME", hf},
                         {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}})
                .token,
            "");
}

// Known answers: FIPS 180's "abc", and what `git hash-object` prints.
TEST(Digest, AgreesWithPublishedSums) {
  const TestFolder folder;
  const auto abc = folder.Write("abc", "abc");
  EXPECT_EQ(DigestOfFile(abc, Digest::Kind::kSha256).hex,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto empty = folder.Write("empty", "");
  EXPECT_EQ(DigestOfFile(empty, Digest::Kind::kGitBlob).hex,
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  const auto hello = folder.Write("hello", "hello\n");
  EXPECT_EQ(DigestOfFile(hello, Digest::Kind::kGitBlob).hex,
            "ce013625030ba8dba906f756967f9e9ca394464a");
}

}  // namespace
}  // namespace sotto
