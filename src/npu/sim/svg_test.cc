// SPDX-License-Identifier: MIT
#include "npu/sim/svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <stack>

#include "npu/design/planner.h"
#include "npu/run/design_list.h"
#include "npu/sim/array.h"

namespace sotto::npu {
namespace {

using ::testing::HasSubstr;

// Every element that opens also closes, in order.
bool WellFormed(const std::string& xml) {
  std::stack<std::string> open;
  for (size_t at = xml.find('<'); at != std::string::npos;
       at = xml.find('<', at + 1)) {
    const size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = xml.substr(at + 1, end - at - 1);
    if (tag.starts_with("/")) {
      if (open.empty() || open.top() != tag.substr(1)) return false;
      open.pop();
    } else if (!tag.ends_with("/")) {
      open.push(tag.substr(0, tag.find(' ')));
    }
  }
  return open.empty();
}

int64_t Count(const std::string& text, const std::string& what) {
  int64_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + 1)) {
    ++n;
  }
  return n;
}

struct Traced {
  Plan plan;
  SimRun run;
  std::vector<TraceSpan> trace;
};
Traced RunDesign(const char* name) {
  Traced out{MakePlan(MakeDesign(name)), {}, {}};
  SimOptions options;
  options.trace = true;
  Array array(std::make_shared<const ArrayConfig>(out.plan.config), options);
  std::vector<std::vector<std::byte>> buffers;
  std::vector<std::span<std::byte>> spans;
  for (const int64_t bytes : out.plan.config.host_buffer_bytes) {
    buffers.emplace_back(static_cast<size_t>(bytes));
    spans.emplace_back(buffers.back());
  }
  out.run = array.Run(out.plan.stream, spans);
  out.trace.assign(array.trace().begin(), array.trace().end());
  return out;
}

TEST(Svg, TimelineShowsEveryCoreAndChannel) {
  const Traced run = RunDesign("attention-4col");
  ASSERT_EQ(run.run.state, RunState::kCompleted) << run.run.detail;
  const std::string svg = TimelineSvg(run.trace);
  EXPECT_TRUE(WellFormed(svg));
  for (int col = 0; col < 4; ++col) {
    EXPECT_THAT(svg, HasSubstr("(" + std::to_string(col) + ",2) core"));
    EXPECT_THAT(svg, HasSubstr("(" + std::to_string(col) + ",0) MM2S 0"));
  }
  EXPECT_THAT(svg, HasSubstr("attention_64x64_v3: "));
}

TEST(Svg, TimelineOfAPartHoldsThatPart) {
  const std::vector<TraceSpan> trace = {
      {{0, 2}, 0, TraceSpan::Kind::kCompute, 0, 100, "early"},
      {{0, 2}, 0, TraceSpan::Kind::kCompute, 200, 300, "late"}};
  const std::string svg = TimelineSvg(trace, {.from = 150, .to = 400});
  EXPECT_EQ(Count(svg, "early"), 0);
  EXPECT_EQ(Count(svg, "late"), 1);
}

// A million short intervals do not make a million rectangles, also where kinds
// take turns.
TEST(Svg, TimelineStaysSmall) {
  std::vector<TraceSpan> trace;
  for (int64_t i = 0; i < 200000; ++i) {
    trace.push_back(
        {{0, 2}, 0, TraceSpan::Kind::kCompute, 10 * i, 10 * i + 8, "a<b"});
    trace.push_back(
        {{0, 2}, 0, TraceSpan::Kind::kWait, 10 * i + 8, 10 * i + 10, "lock"});
  }
  const std::string svg = TimelineSvg(trace);
  EXPECT_TRUE(WellFormed(svg));
  EXPECT_LT(svg.size(), 20000U);
  EXPECT_THAT(svg, HasSubstr("a&lt;b and "));
  EXPECT_THAT(svg, HasSubstr("lock and "));
}

// How dense short intervals are drawn is how much of the time they take: of a
// row's first half one in four, of its second all.
TEST(Svg, ShortIntervalsTellTheirShare) {
  std::vector<TraceSpan> trace;
  for (int64_t i = 0; i < 100000; ++i)
    trace.push_back({{0, 2},
                     0,
                     TraceSpan::Kind::kCompute,
                     10 * i,
                     10 * i + (i < 50000 ? 3 : 10),
                     "k"});
  const std::string svg = TimelineSvg(trace);
  EXPECT_EQ(Count(svg, "opacity=\"0.25\""), 1);
  EXPECT_LT(Count(svg, "<rect"),
            8);  // the sheet, the legend, two or three bars
}

// Who waits for a lock is seen in its own row.
TEST(Svg, WaitsStandInTheirChannelsRow) {
  const Traced run = RunDesign("gemm-i8");
  std::map<std::pair<TileId, int>, int64_t> until;
  int64_t waits = 0;
  for (const TraceSpan& span : run.trace) {
    // One channel does one thing at a time; what it moves arrives later.
    if (span.kind != TraceSpan::Kind::kWait || span.lane <= 0) continue;
    int64_t& last = until[{span.tile, span.lane}];
    EXPECT_GE(span.from, last) << span.tile.ToString() << " " << span.lane;
    last = span.to;
    ++waits;
  }
  EXPECT_GT(waits, 100);
}

TEST(Svg, ArrayMapShowsTilesRoutesAndLoad) {
  const Traced run = RunDesign("attention-4col");
  const std::string svg = ArrayMapSvg(run.plan.config, &run.run.report);
  EXPECT_TRUE(WellFormed(svg));
  EXPECT_THAT(svg, HasSubstr("core (3,2)"));
  EXPECT_THAT(svg, HasSubstr("busy "));
  EXPECT_EQ(Count(svg, "<polyline"), [&] {
    int64_t ends = 0;
    for (const Flow& flow : run.plan.flows) {
      ends += static_cast<int64_t>(flow.sinks.size());
    }
    return ends;
  }());
}

}  // namespace
}  // namespace sotto::npu
