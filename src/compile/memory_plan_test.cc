// SPDX-License-Identifier: MIT
#include "compile/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "compile/test_backend.h"
#include "ir/text.h"

namespace sotto {
namespace {

MemoryPlan RandomPlan(std::mt19937& random, int items) {
  MemoryPlan plan;
  for (int i = 0; i < items; ++i) {
    const int first = static_cast<int>(random() % 50);
    plan.items.push_back({.value = i,
                          .bytes = random() % 5000,
                          .first = first,
                          .last = first + static_cast<int>(random() % 20)});
  }
  return plan;
}

TEST(PlaceItems, RandomLivesNeverOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const size_t alignment = size_t{64} << random() % 3;
    MemoryPlan plan = RandomPlan(random, 1 + static_cast<int>(random() % 60));
    PlaceItems(plan, alignment);
    plan.Prove();
    EXPECT_GE(plan.arena_bytes, LowerBound(plan, alignment));
    for (const MemoryPlan::Item& item : plan.items)
      EXPECT_EQ(item.offset % alignment, 0u);
  }
}

TEST(PlaceItems, ReusesWhatIsDead) {
  // A chain: each value is read by the next step only.
  MemoryPlan plan;
  for (int i = 0; i < 10; ++i)
    plan.items.push_back(
        {.value = i, .bytes = 1000, .first = i, .last = i + 1});
  PlaceItems(plan, 64);
  EXPECT_EQ(plan.arena_bytes, 2048u);
}

TEST(PlaceItems, TakesTheSmallestGapThatFits) {
  MemoryPlan plan = {
      .items = {{.value = 0, .bytes = 4096, .first = 0, .last = 1},
                {.value = 1, .bytes = 2048, .first = 0, .last = 9},
                {.value = 2, .bytes = 1024, .first = 0, .last = 1},
                {.value = 3, .bytes = 512, .first = 0, .last = 9},
                {.value = 4, .bytes = 500, .first = 5, .last = 9}}};
  PlaceItems(plan, 64);
  plan.Prove();
  EXPECT_EQ(plan.items[4].offset, plan.items[2].offset);
}

// The plan of a text graph, lowered to one step a node.
struct Planned {
  explicit Planned(const std::string& text, bool alias = true)
      : graph(ir::Parse("stage t\n" + text)) {
    for (ir::Node& node : graph.nodes) node.backend = "test";
    steps = backend.LowerAll(graph);
    Backend* const list[] = {&backend};
    memory = PlanMemory(graph, steps, list, {.alias = alias});
  }
  const ValueHome& Home(const std::string& name) const {
    return memory.homes[static_cast<size_t>(graph.Find(name))];
  }

  ir::Graph graph;
  TestBackend backend;
  std::vector<std::unique_ptr<Step>> steps;
  PlannedMemory memory;
};

constexpr const char* kBlock = R"(input x : f32[4,16]
weight @w : f32[16,16]
%a = gelu(x) : f32[4,16]
%b = linear(%a, @w) : f32[4,16]
%c = linear(%b, @w, _, %a) : f32[4,16]
%d = linear(%c, @w) : f32[4,16]
%e = linear(%d, @w, _, %c) : f32[4,16]
%out = gelu(%e) : f32[4,16]
output %out
)";

TEST(PlanMemory, ResidualSumsLiveInTheirResidual) {
  const Planned planned(kBlock);
  EXPECT_EQ(planned.Home("a").offset, planned.Home("c").offset);
  EXPECT_EQ(planned.Home("c").offset, planned.Home("e").offset);
  EXPECT_EQ(planned.memory.plan.arena_bytes, 2 * 256u);
  EXPECT_EQ(Planned(kBlock, false).memory.plan.arena_bytes, 3 * 256u);
}

TEST(PlanMemory, InputsAndOutputsAreTheSessions) {
  const Planned planned(kBlock);
  EXPECT_EQ(planned.Home("x").kind, ValueHome::Kind::kIo);
  EXPECT_EQ(planned.Home("x").name, "x");
  EXPECT_EQ(planned.Home("out").kind, ValueHome::Kind::kIo);
  EXPECT_EQ(planned.Home("w").kind, ValueHome::Kind::kNone);
}

TEST(PlanMemory, AResidualThatLivesOnIsKept) {
  const Planned planned(R"(input x : f32[4,16]
weight @w : f32[16,16]
%a = gelu(x) : f32[4,16]
%c = linear(x, @w, _, %a) : f32[4,16]
%d = linear(%c, @w, _, %a) : f32[4,16]
%out = gelu(%d) : f32[4,16]
output %out
)");
  EXPECT_NE(planned.Home("a").offset, planned.Home("c").offset);
  EXPECT_EQ(planned.Home("a").offset, planned.Home("d").offset);
}

TEST(PlanMemory, AMatrixNeverOverwritesWhatItReads) {
  // The residual is x itself: in place it would read its own results.
  const Planned planned(R"(input x : f32[4,16]
weight @w : f32[16,16]
%a = gelu(x) : f32[4,16]
%b = linear(%a, @w, _, %a) : f32[4,16]
%out = gelu(%b) : f32[4,16]
output %out
)");
  EXPECT_NE(planned.Home("a").offset, planned.Home("b").offset);
}

TEST(PlanMemory, ViewsAreBytesWithinTheirValue) {
  const Planned planned(R"(input x : f32[4,16]
%a = gelu(x) : f32[4,16]
%s = slice(%a) begin=4 end=12 : f32[4,8]
%t = slice(%s) begin=2 end=4 : f32[4,2]
%r = reshape(%a) shape=[8,8] : f32[8,8]
%g = gelu(%t) : f32[4,2]
%h = gelu(%r) : f32[8,8]
output %g
output %h
)");
  const size_t base = planned.Home("a").offset;
  EXPECT_EQ(planned.Home("s").offset, base + 16);
  EXPECT_EQ(planned.Home("t").offset, base + 24);
  EXPECT_EQ(planned.Home("r").offset, base);
  // a lives as long as its last view is read.
  EXPECT_EQ(planned.memory.plan.items[0].last, 2);
}

TEST(PlanMemory, KvWritesLiveInTheirState) {
  const Planned planned(R"(input q : f32[1,1,8]
input i : i32[1]
state !k : f32[2,2,16,4]
state !v : f32[2,2,16,4]
%k2 = kv_write(!k, q, i, i) : f32[2,2,16,4] in !k
%k3 = kv_write(%k2, q, i, i) : f32[2,2,16,4] in %k2
%a = cached_attention(q, %k3, !v, i, i) extent=16 : f32[1,1,8]
output %a
)");
  for (const char* name : {"k", "k2", "k3"}) {
    EXPECT_EQ(planned.Home(name).kind, ValueHome::Kind::kState);
    EXPECT_EQ(planned.Home(name).name, "k");
    EXPECT_EQ(planned.Home(name).bytes, 2u * 2 * 16 * 4 * 4);
  }
  EXPECT_EQ(planned.memory.plan.arena_bytes, 0u);
}

TEST(PlanMemory, ScratchIsPlannedWithTheValues) {
  Planned planned(kBlock);
  for (auto& step : planned.steps)
    static_cast<TestStep&>(*step).set_scratch(1000);
  Backend* const list[] = {&planned.backend};
  const PlannedMemory memory = PlanMemory(planned.graph, planned.steps, list);
  EXPECT_EQ(memory.plan.arena_bytes, 2 * 256u + 1024u);
  for (const size_t offset : memory.scratch_offsets) EXPECT_EQ(offset % 64, 0u);
}

TEST(PlanMemory, APlantedOverlapIsCaught) {
  Planned planned(kBlock);
  MemoryPlan plan = planned.memory.plan;
  plan.Prove();
  plan.items[1].offset = plan.items[0].offset;
  EXPECT_THROW(plan.Prove(), Error);
}

TEST(PlanMemory, NodesWithoutAStepAreRefused) {
  Planned planned(kBlock);
  planned.steps.pop_back();
  Backend* const list[] = {&planned.backend};
  EXPECT_THROW(PlanMemory(planned.graph, planned.steps, list), Error);
}

}  // namespace
}  // namespace sotto
