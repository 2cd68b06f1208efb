// SPDX-License-Identifier: MIT
#include "ir/text.h"

#include <gtest/gtest.h>

#include "ir/ir_test_graph.h"
#include "ir/verify.h"

namespace sotto::ir {
namespace {

std::string Why(const std::string& text) {
  try {
    Parse(text, "t.graph");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(Text, PrintsTheDocumentedForm) {
  EXPECT_EQ(Print(SmallDecoder()),
            R"(stage small decoder
input tokens : i32[2,1]
input pos : i32[2]
input slot : i32[2]
state !self_k : f32[3,2,16,4]
state !self_v : f32[3,2,16,4]
weight @tok : f32[11,8]
weight @pos_emb : f32[16,8]
weight @qkv.w : f32[24,8] panel {q.w:8|k.w:8|v.w:8}
weight @qkv.b : f32[24] {q.b:8|:8|v.b:8}
%x = embed(tokens, @tok, @pos_emb, pos) : f32[2,1,8]
%qkv = linear(%x, @qkv.w, @qkv.b) : f32[2,1,24]
%2 = slice(%qkv) end=8 : f32[2,1,8]
%3 = slice(%qkv) begin=8 end=16 : f32[2,1,8]
%4 = slice(%qkv) begin=16 end=24 : f32[2,1,8]
%5 = kv_write(!self_k, %3, pos, slot) : f32[3,2,16,4] in !self_k
%6 = kv_write(!self_v, %4, pos, slot) kind=value : f32[3,2,16,4] in !self_v
%seen = cached_attention(%2, %5, %6, pos, slot) scale=0.5 extent=12 q_chunk=7 : f32[2,1,8]
%logits = linear(%seen, @tok, _, _) : f32[2,1,11] on cpu
output %logits
)");
}

TEST(Text, RoundTrips) {
  const std::string text = Print(SmallDecoder());
  const Graph parsed = Parse(text);
  EXPECT_EQ(Print(parsed), text);
  EXPECT_EQ(parsed.nodes.back().backend, "cpu");
  EXPECT_EQ(parsed.value(parsed.Find("qkv.b")).parts,
            (std::vector<WeightPart>{{"q.b", 8}, {"", 8}, {"v.b", 8}}));
}

TEST(Text, RoundTripsEveryAttribute) {
  const std::string text = R"(stage attributes
input mel : f32[1,6,9]
weight @w : f16[4,6,3]
weight @b : f32[4]
%t = transpose(mel) : f32[1,9,6]
%h = cast(%t) out=f16 : f16[1,9,6]
%c = conv1d(%h, @w, @b) stride=2 act=gelu out=bf16 : bf16[1,5,4]
%n = layer_norm(%c, @b, @b) epsilon=1e-06 out=f16 : f16[1,5,4]
%a = attention(%n, %n, %n) heads=2 scale=0.70710677 q_chunk=64 : f32[1,5,4]
%r = reshape(%a) shape=[5,4] : f32[5,4]
%g = gelu(%r) out=bf16 : bf16[5,4]
%s = add(%g, %r) : f32[5,4]
output %s
)";
  EXPECT_EQ(Print(Parse(text)), text);
}

TEST(Text, CommentsBlankLinesAndCarriageReturnsAreSkipped) {
  const Graph g = Parse(
      "# a graph\r\n\r\nstage  x y \r\n  input a : f32[2]\r\n"
      "%b = gelu( a ) : f32[ 2 ]\r\noutput %b");
  EXPECT_EQ(g.title, "x y");
  EXPECT_EQ(g.outputs.size(), 1u);
}

TEST(Text, ErrorsNameTheLine) {
  const std::string head = "stage s\ninput a : f32[2]\n";
  EXPECT_EQ(Why(""), "t.graph:0: no graph, want a line 'stage ...' first");
  EXPECT_EQ(Why(head + "%b = gleu(a) : f32[2]"),
            "t.graph:3: unknown op 'gleu'");
  EXPECT_EQ(Why(head + "%b = gelu(%a) : f32[2]"),
            "t.graph:3: unknown value '%a'");
  EXPECT_EQ(Why(head + "%b = gelu(a) heads=1 : f32[2]"),
            "t.graph:3: gelu has no attribute 'heads'");
  EXPECT_EQ(Why(head + "input a : f32[3]"), "t.graph:3: a is declared twice");
  EXPECT_EQ(Why(head + "input b : f32[99999999999999999999]"),
            "t.graph:3: '99999999999999999999]' is no whole number");
  EXPECT_EQ(Why(head + "input b : q4_0[32]"),
            "t.graph:3: unknown type 'q4_0', want f32, f16, bf16, i8 or i32");
  EXPECT_EQ(Why(head + "%b = gelu(a) : f32[3]"),
            "t.graph: s: gelu(a f32[2]): gives f32[2], but %b is f32[3]");
  for (const char* cut :
       {"%", "%b", "%b =", "%b = gelu", "%b = gelu(", "%b = gelu(a",
        "%b = gelu(a)", "%b = gelu(a) :", "%b = gelu(a) : f32",
        "%b = gelu(a) : f32[", "%b = gelu(a) : f32[2] on", "output", "weight",
        "weight @w", "weight @w : f32[2] {", "state a"})
    EXPECT_NE(Why(head + cut), "") << cut;
}

}  // namespace
}  // namespace sotto::ir
