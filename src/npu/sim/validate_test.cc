// SPDX-License-Identifier: MIT
// The table is what the simulator says today, and the document shows it.
#include "npu/sim/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "npu/sim/validate_arrays.h"

namespace sotto::npu {
namespace {

using Group = ValidationRow::Group;

const std::vector<ValidationRow>& Rows() {
  static const std::vector<ValidationRow> rows = Validate();
  return rows;
}

std::string ReadAll(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Validate, EveryRowIsPredictedOrSaysWhyNot) {
  std::set<Group> groups;
  for (const ValidationRow& row : Rows()) {
    groups.insert(row.group);
    EXPECT_GT(row.published, 0) << row.what;
    EXPECT_FALSE(row.source.empty()) << row.what;
    if (!row.predicted) {
      EXPECT_THAT(row.note, testing::StartsWith("missing: ")) << row.what;
      continue;
    }
    EXPECT_TRUE(std::isfinite(*row.predicted)) << row.what;
    EXPECT_GT(*row.predicted, 0) << row.what;
  }
  EXPECT_EQ(groups.size(), 7U);
}

// What holds must go on holding: products on 16 cores within 10 %.
TEST(Validate, GemmsOfTheArrayAreWithinTheirGate) {
  for (const ValidationRow& row : Rows()) {
    if (row.group != Group::kGemm) continue;
    EXPECT_LT(std::abs(row.Error()), GateOf(row.group)) << row.what;
  }
}

// The published Whisper encoder whose schedule is known.
TEST(Validate, PublishedEncoderIsWithinItsGate) {
  for (const ValidationRow& row : Rows()) {
    if (row.what != "Whisper large-v3-turbo encoder") continue;
    EXPECT_LT(std::abs(row.Error()), GateOf(row.group));
    return;
  }
  FAIL() << "no such row";
}

// docs/npu-simulator.md holds the table between two comments. With
// SOTTO_UPDATE_DOCS set this writes it.
TEST(Validate, DocumentAgrees) {
  const std::string path =
      std::string(SOTTO_SOURCE_DIR) + "/docs/npu-simulator.md";
  const std::string begin = "<!-- validation: begin -->\n";
  const std::string end = "<!-- validation: end -->";
  const std::string text = ReadAll(path);
  const size_t from = text.find(begin);
  const size_t to = text.find(end);
  ASSERT_NE(from, std::string::npos) << path << " has no validation table";
  ASSERT_NE(to, std::string::npos) << path << " has no end of the table";
  const std::string table = ValidationTable(Rows());
  const std::string held =
      text.substr(from + begin.size(), to - from - begin.size());
  if (std::getenv("SOTTO_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << text.substr(0, from + begin.size()) << table
                        << text.substr(to);
    return;
  }
  EXPECT_EQ(held, table)
      << "SOTTO_UPDATE_DOCS=1 npu_sim_test --gtest_filter=Validate.* writes it";
}

// A faster clock moves compute, not memory.
TEST(Validate, ParametersMatterWhereTheyShould) {
  const PublishedGemm& gemm = PublishedGemms()[0];
  SimParameters p;
  const double base = RunGemm(gemm, p).tops;
  p.ddr_read_gbps = p.ddr_write_gbps = 7.5;
  const double starved = RunGemm(gemm, p).tops;
  EXPECT_LT(starved, 0.6 * base);
  p = {};
  p.clock_ghz = 1.6;
  const double fast = RunGemm(gemm, p).tops;
  EXPECT_GT(fast, base);
  EXPECT_LT(fast, 1.6 * base);
}

}  // namespace
}  // namespace sotto::npu
