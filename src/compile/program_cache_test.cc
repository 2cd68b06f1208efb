// SPDX-License-Identifier: MIT
// rlx.md section 6, rows 1, 4, 5, 8, 9 and 13: what is built, and how often.
#include "compile/program_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <unordered_set>

namespace sotto {
namespace {

std::shared_ptr<const Program> Empty(std::string title = "") {
  ir::Graph graph;
  graph.title = std::move(title);
  return std::make_shared<Program>(std::move(graph),
                                   std::vector<std::unique_ptr<Step>>(),
                                   MemoryPlan(), std::vector<ValueHome>());
}

// A cache whose builds are remembered.
struct Recorder {
  explicit Recorder(Profile profile = {}, int ctx = 448)
      : cache(
            [this](const ProgramKey& key) {
              keys.push_back(key);
              return Empty(key.shape.ToString(key.stage));
            },
            profile, ctx) {}
  void Decode(int first, int last, StageShape shape = {}) {
    for (int past = first; past <= last; ++past) {
      shape.kv_extent = past;
      cache.Get(Stage::kDecode, shape);
    }
  }
  int64_t builds(Stage stage) const { return cache.counters(stage).builds; }
  int64_t hits(Stage stage) const { return cache.counters(stage).hits; }

  std::vector<ProgramKey> keys;
  ProgramCache cache;
};

TEST(Rlx, Row01DecodeCacheKey) {
  for (const uint32_t batch : {0u, 1u, 0x80000000u, 0xffffffffu})
    for (const uint32_t sequence : {0u, 1u, 0x80000000u, 0xffffffffu})
      EXPECT_EQ(DecodeCacheKey(batch, sequence),
                (uint64_t{batch} << 32) | sequence);
  EXPECT_NE(DecodeCacheKey(1, 5), DecodeCacheKey(5, 1));
  std::unordered_set<uint64_t> seen;
  for (uint32_t batch = 1; batch <= 64; ++batch)
    for (uint32_t sequence = 0; sequence <= 512; ++sequence)
      EXPECT_TRUE(seen.insert(DecodeCacheKey(batch, sequence)).second);
}

TEST(Rlx, Row01KeysOfDifferentProgramsDiffer) {
  // Upstream's key of (epoch 0, length 5) is that of (1, 4): defect 8.
  std::mt19937 random(1);
  std::unordered_set<ProgramKey, ProgramKeyHash> keys;
  std::unordered_set<uint64_t> tuples, hashes;
  for (int i = 0; i < 1000000; ++i) {
    const int frames = 1 + static_cast<int>(random() % 3000);
    const int batch = 1 + static_cast<int>(random() % 64);
    const int tokens = 1 + static_cast<int>(random() % 448);
    const ProgramKey key{
        .stage = Stage::kPrefill,
        .shape = {.batch = batch, .tokens = tokens, .frames = frames},
        .device = "cpu"};
    const bool fresh = tuples
                           .insert(static_cast<uint64_t>(frames) << 32 |
                                   static_cast<uint64_t>(batch) << 16 |
                                   static_cast<uint64_t>(tokens))
                           .second;
    ASSERT_EQ(keys.insert(key).second, fresh);
    hashes.insert(ProgramKeyHash()(key));
  }
  EXPECT_GT(hashes.size(), tuples.size() * 999 / 1000);
}

TEST(Rlx, Row05CountsOfBuildsAndHits) {
  {
    Recorder recorder;
    recorder.Decode(4, 443);  // a prompt of 4 and 440 steps
    EXPECT_EQ(recorder.builds(Stage::kDecode), 8);
    EXPECT_EQ(recorder.hits(Stage::kDecode), 432);
    recorder.Decode(4, 443);  // the second utterance
    EXPECT_EQ(recorder.builds(Stage::kDecode), 8);
    EXPECT_EQ(recorder.hits(Stage::kDecode), 432 + 440);
  }
  {
    Recorder recorder;
    recorder.Decode(3, 30);
    EXPECT_EQ(recorder.builds(Stage::kDecode), 4);
    EXPECT_EQ(recorder.hits(Stage::kDecode), 24);
  }
  {
    Recorder recorder;
    recorder.Decode(1, 447);
    EXPECT_EQ(recorder.builds(Stage::kDecode), 9);
    EXPECT_EQ(recorder.hits(Stage::kDecode), 438);
  }
}

TEST(Rlx, Row05GoingBackBuildsNothing) {
  Recorder recorder;
  const auto visit = [&](int batch, int frames) {
    const StageShape shape{.batch = batch, .slots = batch, .frames = frames};
    recorder.cache.Get(Stage::kEncoder, shape);
    recorder.cache.Get(Stage::kCrossKv, shape);
    recorder.Decode(1, 40, shape);
    const size_t before = recorder.keys.size();
    return before;
  };
  visit(1, 3000);
  visit(4, 3000);
  const size_t batches = recorder.keys.size();
  EXPECT_EQ(visit(1, 3000), batches);
  visit(1, 1500);
  const size_t frames = recorder.keys.size();
  EXPECT_EQ(visit(1, 3000), frames);
}

TEST(Rlx, Row05PrefillIsBuiltOncePerShape) {
  Recorder recorder;
  for (int round = 0; round < 3; ++round)
    for (const int batch : {1, 4})
      for (const int tokens : {3, 4, 200})
        recorder.cache.Get(Stage::kPrefill, {.batch = batch, .tokens = tokens});
  EXPECT_EQ(recorder.builds(Stage::kPrefill), 6);
  EXPECT_EQ(recorder.hits(Stage::kPrefill), 12);
}

TEST(Rlx, Row08PositionsEndWhereTheModelsDo) {
  Recorder recorder;
  recorder.Decode(257, 447);
  EXPECT_EQ(recorder.builds(Stage::kDecode), 1);
  EXPECT_EQ(recorder.keys[0].shape.kv_extent, 448);
  try {
    recorder.Decode(448, 448);
    ADD_FAILURE() << "position 448 was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_STREQ(error.what(), "decode at position 448 passes the last of 448");
  }
  EXPECT_EQ(recorder.builds(Stage::kDecode), 1);
}

TEST(Rlx, Row08BucketsCountTheNewTokenToo) {
  Recorder recorder;
  recorder.Decode(0, 8);
  ASSERT_EQ(recorder.keys.size(), 3u);
  // Past lengths to 1, 4 and 8; the new token sees itself as well.
  EXPECT_EQ(recorder.keys[0].shape.kv_extent, 2);
  EXPECT_EQ(recorder.keys[1].shape.kv_extent, 5);
  EXPECT_EQ(recorder.keys[2].shape.kv_extent, 9);
}

TEST(Rlx, Row09OptionsOfOneStageChangeThatStageOnly) {
  Profile profile;
  const Profile before = profile;
  profile.Of(Stage::kDecode).fuse.qkv = false;
  for (const Stage stage : kStages)
    EXPECT_EQ(profile.PlanHash(stage) == before.PlanHash(stage),
              stage != Stage::kDecode);
  Recorder recorder;
  recorder.cache.Get(Stage::kEncoder, {});
  recorder.cache.Get(Stage::kCrossKv, {});
  recorder.cache.Get(Stage::kPrefill, {.tokens = 4});
  recorder.Decode(4, 8);
  for (const Stage stage : kStages)
    EXPECT_EQ(recorder.builds(stage), stage == Stage::kDecode ? 2 : 1);
  EXPECT_EQ(recorder.cache.ToString(),
            "encoder: 1 built, 0 hits, 0 evicted\n"
            "cross_kv: 1 built, 0 hits, 0 evicted\n"
            "prefill: 1 built, 0 hits, 0 evicted\n"
            "decode: 2 built, 3 hits, 0 evicted\n");
}

TEST(Rlx, Row13LeastRecentlyUsedGoesFirst) {
  Profile profile;
  profile.cache_capacity.prefill = 3;
  Recorder recorder(profile);
  const auto get = [&](int tokens) {
    recorder.cache.Get(Stage::kPrefill, {.tokens = tokens});
  };
  get(1), get(2), get(3);
  get(1);  // now 2 is the oldest, which a queue would not know
  get(4);
  EXPECT_EQ(recorder.cache.size(Stage::kPrefill), 3u);
  EXPECT_EQ(recorder.cache.counters(Stage::kPrefill).evictions, 1);
  get(1), get(3), get(4);
  EXPECT_EQ(recorder.builds(Stage::kPrefill), 4);
  get(2);
  EXPECT_EQ(recorder.builds(Stage::kPrefill), 5);
}

TEST(ProgramCache, WarmupBuildsAllBucketsOnce) {
  Recorder recorder;
  recorder.cache.Warmup(1, 447);
  EXPECT_EQ(recorder.builds(Stage::kDecode), 9);
  recorder.Decode(0, 447);
  EXPECT_EQ(recorder.builds(Stage::kDecode), 9);
  Recorder shorter;
  shorter.cache.Warmup(4, 10);
  EXPECT_EQ(shorter.builds(Stage::kDecode), 4);
  EXPECT_EQ(shorter.keys[0].shape.batch, 4);
}

TEST(Rlx, Row04BuildsOnceForManyThreads) {
  std::atomic<int> builds{0};
  ProgramCache cache(
      [&](const ProgramKey&) {
        ++builds;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return Empty();
      },
      {}, 448);
  std::vector<std::shared_ptr<const Program>> got(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < got.size(); ++i)
    threads.emplace_back(
        [&, i] { got[i] = cache.Get(Stage::kDecode, {.kv_extent = 5}); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(builds, 1);
  for (const auto& program : got) EXPECT_EQ(program, got[0]);
  EXPECT_EQ(cache.counters(Stage::kDecode).hits, 7);
}

TEST(ProgramCache, AFailedBuildIsTriedAgain) {
  std::atomic<int> calls{0};
  ProgramCache cache(
      [&](const ProgramKey&) -> std::shared_ptr<const Program> {
        if (++calls <= 3) Fail(ErrorCode::kDevice, "not yet");
        return Empty();
      },
      {}, 448);
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      try {
        cache.Get(Stage::kEncoder, {});
      } catch (const Error&) {
        ++failures;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 3);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(cache.counters(Stage::kEncoder).builds, 1);
}

TEST(ProgramCache, ThreadsOverManyKeysAgree) {
  Profile profile;
  profile.cache_capacity.prefill = 5;
  ProgramCache cache(
      [&](const ProgramKey& key) {
        return Empty(std::to_string(key.shape.tokens));
      },
      profile, 448);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 2000; ++i) {
        const int tokens = 1 + static_cast<int>(random() % 12);
        const auto program = cache.Get(Stage::kPrefill, {.tokens = tokens});
        ASSERT_EQ(program->graph().title, std::to_string(tokens));
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.size(Stage::kPrefill), 5u);
  const CacheStats stats = cache.counters(Stage::kPrefill);
  EXPECT_EQ(stats.builds + stats.hits, 16000);
  EXPECT_EQ(stats.builds - stats.evictions,
            static_cast<int64_t>(cache.size(Stage::kPrefill)));
}

}  // namespace
}  // namespace sotto
