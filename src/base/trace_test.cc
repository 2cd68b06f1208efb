// SPDX-License-Identifier: MIT
#include "base/trace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace sotto {
namespace {

TEST(Trace, KeepsTheNewestEventsInOrder) {
  StartTrace(4);
  for (int i = 0; i < 10; ++i) {
    const std::string name = "step " + std::to_string(i);
    const TraceScope scope(name, "test");
  }
  StopTrace();
  EXPECT_EQ(TraceEvents(), 10u);
  const auto events = nlohmann::json::parse(DumpTrace())["traceEvents"];
  ASSERT_EQ(events.size(), 4u);
  double last = -1;
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(events[i]["name"], "step " + std::to_string(6 + i));
    EXPECT_EQ(events[i]["cat"], "test");
    EXPECT_GE(events[i]["ts"], last);
    EXPECT_GE(events[i]["dur"], 0);
    last = events[i]["ts"];
  }
}

TEST(Trace, RecordsNothingWhileOff) {
  StartTrace(4);
  StopTrace();
  { const TraceScope scope("off"); }
  EXPECT_EQ(TraceEvents(), 0u);
}

void Scope(const std::string& name) { const TraceScope scope(name); }

TEST(Trace, ThreadsHaveNumbersAndAnyNameIsValidJson) {
  StartTrace(1000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 100; ++i) Scope("\"\\\n" + std::string(100, '\xc3'));
    });
  for (std::thread& thread : threads) thread.join();
  StopTrace();
  EXPECT_EQ(TraceEvents(), 400u);
  const auto events = nlohmann::json::parse(DumpTrace())["traceEvents"];
  EXPECT_EQ(events.size(), 400u);
}

}  // namespace
}  // namespace sotto
