// SPDX-License-Identifier: MIT
#include "ops/program_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "ops/test_ops.h"

namespace sotto {
namespace {

using testing::ErrorOf;
using ::testing::HasSubstr;

const char kWhole[] =
    "sotto-ops 1\n"
    "input hidden : f32[1,4]\n"
    "const weight : bf16[2,2] = file \"w-1.bin\" 64\n"
    "const scale : f32[2] = values [0.5, -2]\n"
    "state cache.k0 : f16[1,2,3,4] = zeros\n"
    "state ready : bool[1] = fill 0\n"
    "state count : i64[] = fill -3\n"
    "temp keys : f32[0,4]\n"
    "view k : f16[1,2,3,4]\n"
    "output logits : f32[1,4]\n"
    "call a::b.out(hidden, none, -3, 0.5, 1e-05, true, false, [1, -2], "
    "[hidden, keys], [], logits)\n"
    "if ready\n"
    "  let k = a::c(cache.k0)\n"
    "  if ready\n"
    "    set count = 4\n"
    "  end\n"
    "else\n"
    "  let k, k = a::d()\n"
    "  set ready = 1\n"
    "end\n";

TEST(ProgramText, PrintsWhatItRead) {
  EXPECT_EQ(PrintOpProgram(ParseOpProgram(kWhole, "t")), kWhole);
  // Spaces, remarks and line ends of Windows make no difference.
  std::string spaced;
  for (const char c : std::string(kWhole))
    spaced += c == '\n' ? std::string("  # so\r\n\r\n\t") : std::string(1, c);
  EXPECT_EQ(PrintOpProgram(ParseOpProgram(spaced, "t")), kWhole);
}

TEST(ProgramText, JumpsGoBehindElseAndEnd) {
  const OpProgramText program = ParseOpProgram(kWhole, "t");
  const auto& s = program.statements;
  ASSERT_EQ(s.size(), 10u);
  EXPECT_EQ(s[1].target, 7u);  // if: the first line of else
  EXPECT_EQ(s[3].target, 5u);  // if without else: its end
  EXPECT_EQ(s[6].target, 9u);  // else: the end
}

TEST(ProgramText, WhatIsWrongIsToldWithItsLine) {
  const std::string head =
      "sotto-ops 1\ninput x : f32[2]\nstate s : bool[1] = zeros\nview v : "
      "f32[2]\nconst c : i8[1] = fill 1\n";
  const struct {
    std::string text, want;
  } kCases[] = {
      {"", "t:0: no program, want a line 'sotto-ops 1' first"},
      {"stage x", "t:1: want 'sotto-ops 1' first"},
      {"sotto-ops 2", "t:1: version 2, want 1"},
      {"sotto-ops 1 2", "t:1: '2' behind the end"},
      {head + "jump x", "t:6: 'jump', want input, const, state"},
      {head + "temp x : f32[1]", "'x' is declared twice, first in line 2"},
      {head + "temp none : f32[1]", "'none' is no name"},
      {head + "temp y : f31[1]", "dtype 'f31', want f32|f16|bf16|"},
      {head + "temp y : f32[-1]", "size -1, want 0 or more"},
      {head + "temp y : f32[1,1,1,1,1,1,1,1,1]", "more than 8 sizes"},
      {head + "temp y : f32[4294967296,4294967296,0]",
       "'y' is f32[4294967296,4294967296,0], want less than 2^56 bytes"},
      {head + "temp y : i8[80000000000000000]", "want less than 2^56 bytes"},
      {head + "temp y : f32[1] = zeros", "temp 'y' has an initial value"},
      {head + "state y : f32[1]", "state 'y' has no initial value"},
      {head + "state y : f32[1] = ones",
       "'ones', want zeros, fill, values or file"},
      {head + "state y : i8[1] = fill 128",
       "128, want a whole number from -128 to 127"},
      {head + "state y : bool[1] = fill 2",
       "2, want a whole number from 0 to 1"},
      {head + "state y : i32[1] = fill 0.5", "0.5, want a whole number"},
      {head + "state y : f32[1] = fill nan", "'nan', want a finite number"},
      {head + "state y : f32[2] = values [1]", "'y' has 1 values, want 2"},
      {head + "const y : f32[2] = file \"../w\" 0",
       "file '../w', want the plain"},
      {head + "const y : f32[2] = file \"w\" 3",
       "offset 3, want a multiple of 4"},
      {head + "call a(x)", "want an operator like space::name"},
      {head + "call a::b(x", "'', want ')'"},
      {head + "call a::b(y)", "'y' is not declared"},
      {head + "call a::b(1.2.3)", "'1.2.3', want a finite number"},
      {head + "call a::b([1, x])", "'x', want a whole number"},
      {head + "let x = a::b(x)", "'x' is an input, want a view for a result"},
      {head + "set c = 1", "'c' is a const, want a state, temp or output"},
      {head + "if x", "'x' is f32[2], want bool of one element or more"},
      {head + "else", "'else' without 'if'"},
      {head + "end", "'end' without 'if'"},
      {head + "if s\nelse\nelse", "'else' without 'if'"},
      {head + "if s\n", "'if' of line 6 has no end"},
      {head + "set s = 1\ntemp y : f32[1]", "want all declarations first"},
  };
  for (const auto& [text, want] : kCases) {
    ErrorCode code{};
    const std::string error =
        ErrorOf([&] { ParseOpProgram(text, "t"); }, &code);
    EXPECT_THAT(error, HasSubstr(want)) << text;
    EXPECT_EQ(code, ErrorCode::kBadInput);
    EXPECT_EQ(error.find('\n'), std::string::npos);
  }
  std::string deep = head;
  for (int i = 0; i < 17; ++i) deep += "if s\n";
  EXPECT_THAT(ErrorOf([&] { ParseOpProgram(deep, "t"); }),
              HasSubstr("more than 16 'if' inside"));
}

// Random bytes for parts of the text: an error with a line, or a round trip.
TEST(ProgramText, DamagedTextIsRefusedOrRoundTrips) {
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    std::string text = kWhole;
    for (int i = 0; i < 3; ++i)
      text[random() % text.size()] = static_cast<char>(' ' + random() % 95);
    try {
      const std::string printed = PrintOpProgram(ParseOpProgram(text, "t"));
      EXPECT_EQ(PrintOpProgram(ParseOpProgram(printed, "t")), printed);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("t:"));
    }
  }
}

}  // namespace
}  // namespace sotto
