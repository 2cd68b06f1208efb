// SPDX-License-Identifier: MIT
#include "npu/host/xclbin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "npu/host/test_xclbin.h"

namespace sotto::npu {
namespace {

using testing::HasSubstr;

std::string Why(std::span<const std::byte> bytes) {
  try {
    ReadXclbin(bytes, "a.xclbin");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("a.xclbin: "));
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "";
}

std::string Why(const TestXclbin& xclbin) { return Why(xclbin.Bytes()); }

TEST(Xclbin, ReadsKernelAndConfiguration) {
  TestXclbin made;
  made.columns = 3;
  made.function = 1;
  std::mt19937 rng(1);
  for (std::byte& b : made.pdi) b = static_cast<std::byte>(rng());
  const NpuProgram program = ReadXclbin(made.Bytes(), "a.xclbin");
  EXPECT_EQ(program.kernel.name, "MLIR_AIE:MLIRAIE");
  EXPECT_EQ(program.kernel.id, 0x901u);
  EXPECT_EQ(program.kernel.function, 1);
  EXPECT_EQ(program.columns, 3);
  EXPECT_EQ(program.ops_per_cycle, 2048u);
  EXPECT_EQ(program.pdi, made.pdi);
}

TEST(Xclbin, RefusesWhatDoesNotFit) {
  EXPECT_THAT(Why({.kernel = "DPU\n_1"}),
              HasSubstr("has no kernel MLIR_AIE*, only: DPU?_1"));
  EXPECT_THAT(Why({.group_kernel = 0x902}), HasSubstr("no PDI serves"));
  EXPECT_THAT(Why({.group_type = 3}), HasSubstr("no PDI serves"));
  EXPECT_THAT(Why({.columns = 0}), HasSubstr("takes 0 columns"));
  TestXclbin empty;
  empty.pdi.clear();
  EXPECT_THAT(Why(empty), HasSubstr("no PDI serves"));
  EXPECT_THAT(Why(std::span<const std::byte>()), HasSubstr("is no xclbin"));
  std::vector<std::byte> bytes = TestXclbin().Bytes();
  bytes[456] = std::byte{9};  // the list of kernels is of another kind
  EXPECT_THAT(Why(bytes), HasSubstr("IP_LAYOUT"));
}

// No cut and no changed byte reads outside of the file.
TEST(Xclbin, SurvivesAnyCutAndAnyByte) {
  const std::vector<std::byte> good = TestXclbin().Bytes();
  for (size_t n = 0; n < good.size(); ++n) {
    // A copy of its own, so that sanitizers see its end.
    const std::vector<std::byte> cut(good.begin(),
                                     good.begin() + static_cast<ptrdiff_t>(n));
    EXPECT_NE(Why(cut), "") << n;
  }
  std::mt19937 rng(2);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> bytes = good;
    for (int i = 0; i < 3; ++i)
      bytes[rng() % bytes.size()] = static_cast<std::byte>(rng());
    Why(bytes);
  }
}

}  // namespace
}  // namespace sotto::npu
