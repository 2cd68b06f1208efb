// SPDX-License-Identifier: MIT
#include "ops/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <thread>

#include "base/test_folder.h"
#include "ops/program.h"
#include "ops/session.h"
#include "ops/test_ops.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::ErrorOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LibraryPath;
using ::testing::Not;

#define REQUIRE_LIBRARY()     \
  if (!testing::HasLibrary()) \
  GTEST_SKIP() << "built without the operator library"

const char kCacheProgram[] =
    "sotto-ops 1\n"
    "input value : f32[1,2,3,4]\n"
    "state cache : f32[1,2,5,4] = zeros\n"
    "view out : f32[1,2,5,4]\n"
    "view x : f32[1,2,5,4]\n"
    "view y : f32[1,2,5,4]\n"
    "call executorch::update_cross_attn_cache.out(value, cache, out)\n"
    "call executorch::alias.out(cache, out, x, y)\n"
    "call test::more(x)\n";

std::shared_ptr<const OpProgram> Parse(const std::string& text,
                                       const OpRegistry& registry) {
  return OpProgram::Parse(text, "tiny.ops", "", registry);
}

fs::path Scratch(const std::string& name) {
  static const TestFolder folder;
  return folder / name;
}

void More(const ops::Tensor&) {}
void Other(const ops::Tensor&) {}
constexpr sotto_op kMore[] = {ops::Op<More>("test::more")};

TEST(Row13AllMissing, ListsEveryOperatorOnceAtLoad) {
  OpRegistry registry;
  ErrorCode code{};
  EXPECT_EQ(ErrorOf([&] { Parse(kCacheProgram, registry); }, &code),
            "tiny.ops: missing operators: executorch::alias.out, "
            "executorch::update_cross_attn_cache.out, test::more; load the "
            "library that has them first");
  EXPECT_EQ(code, ErrorCode::kUnsupported);
  // A random set of registered ones: exactly the others are listed.
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    OpRegistry some;
    std::vector<std::string> names, missing;
    std::string text = "sotto-ops 1\ninput x : f32[1]\n";
    for (int i = 0; i < 12; ++i)
      names.push_back("t::op" + std::to_string(random() % 100));
    for (const std::string& name : names) {
      text += "call " + name + "(x)\n";
      if (std::stoi(name.substr(5)) % 2 == 0) {
        const sotto_op row = ops::Op<More>(name.c_str());
        some.Add("host", {&row, 1});
      } else {
        missing.push_back(name);
      }
    }
    std::ranges::sort(missing);
    missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
    const std::string error = ErrorOf([&] { Parse(text, some); });
    if (missing.empty()) {
      EXPECT_EQ(error, "");
    } else {
      EXPECT_THAT(error, HasSubstr(fmt::format(": {}; load",
                                               fmt::join(missing, ", "))));
    }
  }
}

TEST(Row13AllMissing, AKernelForOtherTypesIsMissingWithItsTypes) {
  OpRegistry registry;
  const sotto_op row = ops::Op<More>("test::more", "f16");
  registry.Add("host", {&row, 1});
  EXPECT_THAT(ErrorOf([&] {
                Parse("sotto-ops 1\ninput x : f32[1]\ncall test::more(x)\n",
                      registry);
              }),
              HasSubstr("missing operator: test::more [f32]; load the library "
                        "that has it first"));
  EXPECT_NO_THROW(
      Parse("sotto-ops 1\ninput x : f16[1]\ncall test::more(x)\n", registry));
}

TEST(Row14MissingOperator, RetrySucceedsInTheSameProcess) {
  REQUIRE_LIBRARY();
  OpRegistry registry;
  registry.Add("host", kMore);
  EXPECT_THAT(ErrorOf([&] { Parse(kCacheProgram, registry); }),
              HasSubstr("executorch::update_cross_attn_cache.out"));
  registry.Load(LibraryPath("sotto_cross_attn_ops"));
  OpSession session(Parse(kCacheProgram, registry));
  std::vector<float> value(24);
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<float>(i);
  session.SetInput("value", testing::Bytes(value));
  session.Run();
  EXPECT_EQ(session.Get("x").data, session.Get("cache").data);
  const std::span<const float> cache = testing::Floats(session.Get("cache"));
  for (size_t head = 0; head < 2; ++head)
    for (size_t i = 0; i < 20; ++i)
      EXPECT_EQ(cache[head * 20 + i], i < 12 ? value[head * 12 + i] : 0);
}

TEST(Row17LoadingContract, LoadingTwiceByAnyPathIsHarmless) {
  REQUIRE_LIBRARY();
  OpRegistry registry;
  const fs::path library = LibraryPath("sotto_cross_attn_ops");
  const fs::path link = Scratch("link.so");
  fs::remove(link);
  fs::create_symlink(library, link);
  for (const fs::path& path : {library, library, link, fs::relative(library)})
    registry.Load(path);
  EXPECT_THAT(registry.Libraries(), ElementsAre(fs::canonical(library)));
  EXPECT_EQ(registry.Kernels().size(), 4u);
  registry.Remove(link.string());  // one removal, by any of its names
  EXPECT_THAT(registry.Names(), IsEmpty());
  fs::remove(link);
}

TEST(Row17LoadingContract, TwoLibrariesOfOneOperatorAreNamed) {
  REQUIRE_LIBRARY();
  OpRegistry registry;
  const fs::path first = LibraryPath("sotto_cross_attn_ops");
  const fs::path second = LibraryPath("sotto_cross_attn_ops_twin");
  registry.Load(first);
  ErrorCode code{};
  const std::string error = ErrorOf([&] { registry.Load(second); }, &code);
  EXPECT_EQ(code, ErrorCode::kBadInput);
  EXPECT_THAT(error, HasSubstr(first.filename().string()));
  EXPECT_THAT(error, HasSubstr(second.filename().string()));
  EXPECT_THAT(error, HasSubstr("operator executorch::alias [any]"));
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_EQ(registry.Kernels().size(), 4u);
  EXPECT_EQ(registry.Libraries().size(), 1u);
  registry.Remove(first.string());
  EXPECT_NO_THROW(registry.Load(second));  // now there is room for it
}

TEST(Row17LoadingContract, TablesOfTheProcessKeepTheSameRules) {
  OpRegistry registry;
  registry.Add("a", kMore);
  registry.Add("a", kMore);
  EXPECT_EQ(registry.Kernels().size(), 1u);
  // All or nothing: the first row of the table is not there afterwards.
  const sotto_op rows[] = {ops::Op<Other>("test::fresh"),
                           ops::Op<Other>("test::more")};
  EXPECT_EQ(ErrorOf([&] { registry.Add("b", rows); }),
            "b: operator test::more [any] is defined by a already; nothing of "
            "it was loaded");
  EXPECT_THAT(registry.Names(), ElementsAre("test::more"));
  const sotto_op twice[] = {ops::Op<More>("test::twice"),
                            ops::Op<Other>("test::twice")};
  EXPECT_THAT(ErrorOf([&] { registry.Add("c", twice); }),
              HasSubstr("is defined twice in it"));
  const auto bad = [&](const char* name, const char* key, const char* schema) {
    const sotto_op row{name, key, schema, kMore[0].function};
    return ErrorOf([&] { registry.Add("d", {&row, 1}); });
  };
  for (const char* name : {"", "more", "::more", "a::", "a::b.", "a::b c"})
    EXPECT_THAT(bad(name, "any", "(T)"),
                HasSubstr("want a name like space::name.overload"));
  EXPECT_THAT(bad("a::b", "f31", "(T)"), HasSubstr("has key 'f31'"));
  for (const char* schema :
       {"", "T", "(T", "(T,)", "(Q)", "(T)->", "(T)->(i)", "(T)->(T)x", "(,T)"})
    EXPECT_THAT(bad("a::b", "any", schema), HasSubstr("schema '")) << schema;
}

TEST(Row17LoadingContract, UnloadIsRefusedWhileAProgramLives) {
  REQUIRE_LIBRARY();
  OpRegistry registry;
  registry.Add("host", kMore);
  const std::string library = LibraryPath("sotto_cross_attn_ops").string();
  registry.Load(library);
  auto program = Parse(kCacheProgram, registry);
  auto session = std::make_unique<OpSession>(program);
  program.reset();  // the session keeps it
  EXPECT_THAT(ErrorOf([&] { registry.Remove(library); }),
              HasSubstr("in use by 1 program, close it first"));
  EXPECT_NO_THROW(session->Run());
  session.reset();
  EXPECT_NO_THROW(registry.Remove(library));
  EXPECT_THAT(ErrorOf([&] { registry.Remove(library); }),
              HasSubstr("is not loaded"));
  EXPECT_THAT(ErrorOf([&] { Parse(kCacheProgram, registry); }),
              HasSubstr("missing operators: executorch::alias.out, "));
  registry.Load(library);
  EXPECT_NO_THROW(OpSession(Parse(kCacheProgram, registry)).Run());
}

TEST(Docs, TheExampleOfTheGuideRuns) {
  REQUIRE_LIBRARY();
  const std::string guide =
      ReadFile(fs::path(SOTTO_SOURCE_DIR) / "docs/operators.md");
  const size_t begin = guide.find("sotto-ops 1");
  OpRegistry registry;
  registry.Load(LibraryPath("sotto_cross_attn_ops"));
  OpSession session(
      Parse(guide.substr(begin, guide.find("```", begin) - begin), registry));
  session.Run();
  session.Run();
  EXPECT_EQ(session.Get("k").data, session.Get("cache").data);
  EXPECT_EQ(*static_cast<const uint8_t*>(session.Get("done").data), 1);
}

// Whether the process has the file mapped.
bool IsMapped(const fs::path& path) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line))
    if (line.ends_with(path.string())) return true;
  return false;
}

TEST(Row17LoadingContract, UnloadingTakesTheLibraryOutOfTheProcess) {
  REQUIRE_LIBRARY();
  const fs::path copy = Scratch("copy.so");
  fs::copy_file(LibraryPath("sotto_cross_attn_ops"), copy,
                fs::copy_options::overwrite_existing);
  OpRegistry registry;
  registry.Load(copy);
  EXPECT_TRUE(IsMapped(copy));
  registry.Remove(copy.string());
  EXPECT_FALSE(IsMapped(copy));
  fs::remove(copy);
}

TEST(Row17LoadingContract, WhatIsNoOperatorLibraryIsRefusedByName) {
  REQUIRE_LIBRARY();
  OpRegistry registry;
  const fs::path text = Scratch("text.so");
  std::ofstream(text) << "not a library";
  ErrorCode code{};
  EXPECT_THAT(ErrorOf([&] { registry.Load("no/such.so"); }, &code),
              HasSubstr("no/such.so: no such file"));
  EXPECT_EQ(code, ErrorCode::kNotFound);
  EXPECT_THAT(ErrorOf([&] { registry.Load(fs::temp_directory_path()); }),
              HasSubstr("no regular file"));
  const std::string error = ErrorOf([&] { registry.Load(text); }, &code);
  EXPECT_THAT(error, HasSubstr("text.so: "));
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_EQ(code, ErrorCode::kBadInput);
  EXPECT_THAT(ErrorOf([&] { registry.Load(LibraryPath("sotto_no_ops")); }),
              HasSubstr("exports no sotto_ops_entry"));
  EXPECT_THAT(
      ErrorOf([&] { registry.Load(LibraryPath("sotto_other_abi_ops")); },
              &code),
      HasSubstr(fmt::format("built for operator ABI {}, want {}",
                            SOTTO_OPS_ABI + 1, SOTTO_OPS_ABI)));
  EXPECT_EQ(code, ErrorCode::kUnsupported);
  EXPECT_THAT(registry.Libraries(), IsEmpty());
  fs::remove(text);
}

TEST(Row18Names, SortedUniqueWithKeysExactlyWhileLoaded) {
  REQUIRE_LIBRARY();
  OpRegistry registry;
  const sotto_op rows[] = {ops::Op<More>("z::last", "f32"),
                           ops::Op<Other>("a::first"),
                           ops::Op<Other>("z::last", "f16")};
  registry.Add("host", rows);
  const std::vector<std::string> without = registry.Names();
  EXPECT_THAT(without, ElementsAre("a::first", "z::last"));
  registry.Load(LibraryPath("sotto_cross_attn_ops"));
  EXPECT_THAT(
      registry.Names(),
      ElementsAre("a::first", "executorch::alias", "executorch::alias.out",
                  "executorch::update_cross_attn_cache",
                  "executorch::update_cross_attn_cache.out", "z::last"));
  std::vector<std::string> keys;
  for (const OpKernel& kernel : registry.Kernels())
    if (kernel.name == "z::last") keys.push_back(kernel.key);
  EXPECT_THAT(keys, ElementsAre("f16", "f32"));
  registry.Remove(LibraryPath("sotto_cross_attn_ops").string());
  EXPECT_EQ(registry.Names(), without);
}

TEST(Registry, ManyThreadsLoadResolveAndRemove) {
  REQUIRE_LIBRARY();
  OpRegistry registry;
  registry.Add("host", kMore);
  const std::string library = LibraryPath("sotto_cross_attn_ops").string();
  std::vector<std::thread> threads;
  std::atomic<int> ran = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        registry.Load(library);
        try {
          OpSession(Parse(kCacheProgram, registry)).Run();
          ++ran;
        } catch (const Error& error) {  // another thread removed it
          EXPECT_THAT(error.what(), HasSubstr("missing operator"));
        }
        registry.Names();
        try {
          registry.Remove(library);
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), Not(HasSubstr("internal")));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(ran, 0);
}

}  // namespace
}  // namespace sotto
