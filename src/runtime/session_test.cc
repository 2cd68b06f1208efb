// SPDX-License-Identifier: MIT
#include "runtime/session.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"

namespace sotto {
namespace {

class CallStep final : public Step {
 public:
  explicit CallStep(std::function<void(const Frame&)> call)
      : call_(std::move(call)) {
    info_.op = "call";
    info_.scratch_bytes = 64;
  }
  void Run(const Frame& frame) const override { call_(frame); }

 private:
  std::function<void(const Frame&)> call_;
};

// out = in + 1 through a temporary in the arena; counts its runs in a state.
std::shared_ptr<const Program> Increment(size_t state_bytes = 64) {
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(std::make_unique<CallStep>([](const Frame& frame) {
    *frame.At<float>(1) = *frame.At<float>(0) + 1;
    std::fill_n(frame.scratch, 64, std::byte{0xff});
  }));
  steps.push_back(std::make_unique<CallStep>([](const Frame& frame) {
    *frame.At<float>(2) = *frame.At<float>(1);
    ++*frame.At<int>(3);
  }));
  MemoryPlan plan{
      .items = {{.value = 1, .offset = 0, .bytes = 4, .first = 0, .last = 1},
                {.offset = 64, .bytes = 64, .first = 0, .last = 0},
                {.offset = 64, .bytes = 64, .first = 1, .last = 1}},
      .arena_bytes = 128};
  plan.Prove();
  using Kind = ValueHome::Kind;
  std::vector<ValueHome> homes = {
      {.kind = Kind::kIo, .name = "in", .bytes = 4},
      {.kind = Kind::kArena, .offset = 0, .name = "", .bytes = 4},
      {.kind = Kind::kIo, .name = "out", .bytes = 4},
      {.kind = Kind::kState, .name = "count", .bytes = state_bytes}};
  auto program = std::make_shared<Program>(ir::Graph(), std::move(steps), plan,
                                           std::move(homes));
  program->set_scratch_offsets({64, 64});
  return program;
}

float RunOnce(Session& session, const Program& program, ThreadPool& pool,
              float in) {
  *static_cast<float*>(static_cast<void*>(session.Io("in", 4))) = in;
  session.Run(program, pool);
  return *static_cast<float*>(static_cast<void*>(session.Io("out", 4)));
}

TEST(Session, RunsAndKeepsState) {
  ThreadPool pool(1);
  Session session;
  const auto program = Increment();
  EXPECT_THROW(session.State("count"), Error);
  EXPECT_EQ(RunOnce(session, *program, pool, 2), 3);
  EXPECT_EQ(RunOnce(session, *program, pool, -1), 0);
  EXPECT_EQ(*session.State("count").As<int>(), 2);
  Session other;  // states belong to sessions
  EXPECT_EQ(RunOnce(other, *program, pool, 1), 2);
  EXPECT_EQ(*other.State("count").As<int>(), 1);
}

TEST(Session, GrowingStatesKeepWhatTheyHold) {
  ThreadPool pool(1);
  Session session;
  const auto small = Increment(64);
  const auto large = Increment(1 << 20);
  RunOnce(session, *small, pool, 0);
  RunOnce(session, *large, pool, 0);
  RunOnce(session, *small, pool, 0);  // its addresses moved: bound anew
  EXPECT_EQ(*session.State("count").As<int>(), 3);
  for (size_t i = 4; i < size_t{1} << 20; ++i)
    ASSERT_EQ(session.State("count").data()[i], std::byte{0});
}

TEST(Session, RunsAgainWithoutAllocating) {
  ThreadPool pool(2);
  Session session;
  const auto program = Increment();
  session.Prepare(*program);
  const uint64_t before = Buffer::allocations();
  const size_t bytes = session.bytes();
  for (int i = 0; i < 10; ++i) RunOnce(session, *program, pool, 1);
  EXPECT_EQ(Buffer::allocations(), before);
  EXPECT_EQ(session.bytes(), bytes);
}

TEST(Session, DropsWhatItKeptForProgramsThatAreGone) {
  ThreadPool pool(1);
  Session session;
  for (int i = 0; i < 100; ++i) RunOnce(session, *Increment(), pool, 1);
  EXPECT_LE(session.bindings(), 1u);
  EXPECT_EQ(*session.State("count").As<int>(), 100);
}

TEST(Session, HooksSeeEachStepsValues) {
  ThreadPool pool(1);
  Session session;
  const auto program = Increment();
  *static_cast<float*>(static_cast<void*>(session.Io("in", 4))) = 5;
  std::vector<float> seen;
  session.Run(*program, pool, [&](size_t step, const Frame& frame) {
    seen.push_back(*frame.At<float>(static_cast<ir::ValueId>(step + 1)));
  });
  EXPECT_EQ(seen, (std::vector<float>{6, 6}));
}

#if defined(__SANITIZE_ADDRESS__)
TEST(SessionDeathTest, DeadArenaRangesCannotBeTouched) {
  ThreadPool pool(1);
  Session session;
  std::vector<std::unique_ptr<Step>> steps;
  for (int i = 0; i < 2; ++i)
    steps.push_back(std::make_unique<CallStep>(
        [](const Frame& frame) { *frame.At<int>(0) = 1; }));
  MemoryPlan plan{
      .items = {{.value = 0, .offset = 0, .bytes = 4, .first = 0, .last = 0}},
      .arena_bytes = 64};
  Program program(ir::Graph(), std::move(steps), plan,
                  {{.kind = ValueHome::Kind::kArena, .name = "", .bytes = 4}});
  program.set_scratch_offsets({0, 0});
  EXPECT_DEATH(session.Run(program, pool), "use-after-poison");
}
#endif

}  // namespace
}  // namespace sotto
