// SPDX-License-Identifier: MIT
#include "runtime/program.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace sotto {
namespace {

std::string Why(const MemoryPlan& plan) {
  try {
    plan.Prove();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    return error.what();
  }
  return "";
}

MemoryPlan Sound() {
  return {
      .items = {{.value = 0, .offset = 0, .bytes = 100, .first = 0, .last = 2},
                {.value = 1, .offset = 128, .bytes = 64, .first = 1, .last = 3},
                {.value = 2, .offset = 0, .bytes = 192, .first = 4, .last = 4}},
      .arena_bytes = 192};
}

TEST(MemoryPlan, AcceptsSharingInTurn) { EXPECT_EQ(Why(Sound()), ""); }

TEST(MemoryPlan, CatchesAPlantedOverlap) {
  MemoryPlan plan = Sound();
  plan.items[1].offset = 64;
  EXPECT_EQ(Why(plan),
            "memory plan: value 0 [0, 100) of steps 0 to 2 overlaps value 1 "
            "[64, 128) of steps 1 to 3");
  plan = Sound();
  plan.items[2].first = 3;
  EXPECT_NE(Why(plan), "");
}

TEST(MemoryPlan, CatchesMisalignmentAndTheArenasEnd) {
  MemoryPlan plan = Sound();
  plan.items[1].offset = 129;
  EXPECT_NE(Why(plan).find("is not aligned to 64"), std::string::npos);
  plan = Sound();
  plan.arena_bytes = 191;
  EXPECT_NE(Why(plan).find("ends past the arena's 191 bytes"),
            std::string::npos);
  plan = Sound();
  plan.items[0].offset = ~size_t{63};  // would wrap round
  EXPECT_NE(Why(plan), "");
  plan = Sound();
  plan.items[0].last = -1;
  EXPECT_NE(Why(plan).find("ends before it starts"), std::string::npos);
}

TEST(Program, NumbersAreNeverUsedAgain) {
  uint64_t last = 0;
  for (int i = 0; i < 10; ++i) {
    const Program program({}, {}, {}, {});
    EXPECT_GT(program.id(), last);
    last = program.id();
  }
}

}  // namespace
}  // namespace sotto
