// SPDX-License-Identifier: MIT
#include "ir/verify.h"

#include <gtest/gtest.h>

#include "ir/ir_test_graph.h"
#include "ir/text.h"

namespace sotto::ir {
namespace {

std::string Why(const Graph& graph) {
  try {
    Verify(graph);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    return error.what();
  }
  return "";
}

// The refusal of a text whose last line breaks a rule.
std::string WhyText(const std::string& text) {
  try {
    Parse("stage t\n" + text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Verify, AcceptsASoundGraph) { EXPECT_EQ(Why(SmallDecoder()), ""); }

TEST(Verify, NamesAreUniqueAndPlain) {
  Graph g = SmallDecoder();
  g.values[0].name = "pos";
  EXPECT_EQ(Why(g), "small decoder: pos is a name twice in the graph");
  for (const char* bad : {"", "_", "a b", "a,b", "a\n", "%x", "ä"}) {
    g = SmallDecoder();
    g.values[0].name = bad;
    EXPECT_NE(Why(g), "") << bad;
  }
}

TEST(Verify, ReadersStandBehindProducers) {
  Graph g = SmallDecoder();
  std::swap(g.nodes[0], g.nodes[1]);
  EXPECT_NE(Why(g).find("reads %x before it is made"), std::string::npos);
}

TEST(Verify, EachValueHasOneProducer) {
  Graph g = SmallDecoder();
  g.nodes[1].output = g.nodes[0].output;
  EXPECT_NE(Why(g), "");
  g = SmallDecoder();
  g.nodes.pop_back();
  EXPECT_NE(Why(g).find("%logits has no producer"), std::string::npos);
}

TEST(Verify, NobodyReadsAStateAfterItIsWritten) {
  const std::string head = R"(input q : f32[1,1,8]
input i : i32[1]
state !k : f32[1,2,16,4]
state !v : f32[1,2,16,4]
%k2 = kv_write(!k, q, i, i) : f32[1,2,16,4] in !k
)";
  EXPECT_EQ(WhyText(head), "");
  EXPECT_EQ(WhyText(head + "%a = cached_attention(q, %k2, !v, i, i) extent=16 "
                           ": f32[1,1,8]"),
            "");
  EXPECT_NE(WhyText(head + "%a = cached_attention(q, !k, !v, i, i) extent=16 "
                           ": f32[1,1,8]")
                .find("reads !k, which a kv_write has overwritten"),
            std::string::npos);
  EXPECT_NE(WhyText(head + "%k3 = kv_write(!k, q, i, i) : f32[1,2,16,4]")
                .find("reads !k, which a kv_write has overwritten"),
            std::string::npos);
  EXPECT_EQ(WhyText(head + "%k3 = kv_write(%k2, q, i, i) : f32[1,2,16,4]"), "");
}

TEST(Verify, OnlyAttentionAndKvWriteReadStates) {
  const std::string head = R"(input q : f32[1,1,8]
input i : i32[1]
state !k : f32[1,2,16,4]
)";
  EXPECT_NE(WhyText(head + "%a = gelu(!k) : f32[1,2,16,4]")
                .find("reads a state as operand 0"),
            std::string::npos);
  EXPECT_NE(WhyText(head + "input z : f32[1,2,16,4]\n"
                           "%a = kv_write(z, q, i, i) : f32[1,2,16,4]")
                .find("wants a state as operand 0"),
            std::string::npos);
}

TEST(Verify, ReshapeReadsDenseValues) {
  EXPECT_NE(WhyText("input x : f32[2,4]\n"
                    "%s = slice(x) end=2 : f32[2,2]\n"
                    "%r = reshape(%s) shape=[4] : f32[4]")
                .find("reads a slice, which is not dense"),
            std::string::npos);
}

TEST(Verify, OutputsHaveMemoryOfTheirOwn) {
  const std::string head =
      "input x : f32[2,4]\n%s = slice(x) end=2 : f32[2,2]\n"
      "%g = gelu(x) : f32[2,4]\n";
  EXPECT_NE(WhyText(head + "output %s"), "");
  EXPECT_NE(WhyText(head + "output x"), "");
  EXPECT_NE(WhyText(head + "output %g\noutput %g"), "");
  EXPECT_EQ(WhyText(head + "output %g"), "");
}

TEST(Verify, PartsAreTheRowsOfTheWeight) {
  EXPECT_NE(WhyText("weight @w : f32[4,2] {a:2|b:1}"), "");
  EXPECT_NE(WhyText("weight @w : f32[4,2] {a:2|b:3}"), "");
  EXPECT_NE(WhyText("weight @w : f32[4,2] {a:4|b:0}"), "");
  EXPECT_EQ(WhyText("weight @w : f32[4,2] {a:2|:2}"), "");
}

TEST(Verify, SizesStayCountable) {
  EXPECT_NE(WhyText("input x : f32[1048576,1048577]"), "");
  EXPECT_NE(WhyText("input x : f32[9223372036854775807,4]"), "");
  EXPECT_NE(WhyText("input x : f32[0]"), "");
  EXPECT_NE(WhyText("input x : f32[-3]"), "");
  EXPECT_EQ(WhyText("input x : f32[1048576,1048576]"), "");
}

}  // namespace
}  // namespace sotto::ir
