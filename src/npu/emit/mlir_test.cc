// SPDX-License-Identifier: MIT
#include "npu/emit/mlir.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/test_folder.h"
#include "npu/emit/mlir_text.h"
#include "npu/run/design_list.h"

namespace sotto::npu {
namespace {

using testing::HasSubstr;

std::string Emit(std::string_view name, MlirForm form) {
  const Design design = MakeDesign(name);
  return EmitMlir(MakePlan(design), form);
}

// A plain mlir-opt: parses and verifies what it knows (func, scf, arith,
// memref), takes the aie dialects as they come.
bool HaveMlirOpt() {
  return std::system("mlir-opt-16 --version > /dev/null 2>&1") == 0;
}
std::string CheckWithMlirOpt(const std::string& text) {
  const TestFolder folder;
  const auto in = folder / "design.mlir";
  const auto log = folder / "mlir-opt.log";
  std::ofstream(in) << text;
  const std::string command = "mlir-opt-16 --allow-unregistered-dialect " +
                              in.string() + " > /dev/null 2> " + log.string();
  if (std::system(command.c_str()) == 0) return "";
  std::stringstream said;
  said << std::ifstream(log).rdbuf();
  return said.str();
}

TEST(Mlir, EveryDesignParses) {
  if (!HaveMlirOpt()) GTEST_SKIP() << "mlir-opt-16 is not here (mlir-16-tools)";
  for (const DesignInfo& info : Designs()) {
    SCOPED_TRACE(info.name);
    EXPECT_EQ(CheckWithMlirOpt(Emit(info.name, MlirForm::kGeneric)), "");
  }
  EXPECT_NE(CheckWithMlirOpt("module { \"aie.tile\"( }"), "");
}

// The published lowering's facts, in the words of the dialect.
TEST(Mlir, SingleTileAttentionReadsAsPublished) {
  const std::string text = Emit("attention-64-published", MlirForm::kCustom);
  for (const char* part : {
           "aie.device(npu1) {",
           "%tile_0_2 = aie.tile(0, 2)",
           "address = 1024 : i32",
           "address = 13312 : i32",
           "address = 25600 : i32",
           "address = 29696 : i32",
           "aie.flow(%tile_0_0, DMA : 0, %tile_0_2, DMA : 0)",
           "aie.use_lock(%lock_0_2_1, AcquireGreaterEqual, 1)",
           "(memref<12288xi8>, memref<4096xi8>, i32) -> ()",
           "aie.dma_start(S2MM, 0, ^bb1, ^bb3)",
           "{bd_id = 3 : i32, next_bd_id = 2 : i32}",
           "stack_size = 1024 : i32",
           "scf.condition(",
           "aiex.runtime_sequence(%arg0: memref<3072xi32>, %arg1: "
           "memref<1024xi32>) {",
           "[1, 1, 1, 3072][0, 0, 0, 1]) {id = 1 : i64",
       }) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(Mlir, PatternsLinksAndSharedBuffersAreThere) {
  const std::string text = Emit("stream", MlirForm::kCustom);
  EXPECT_THAT(text, HasSubstr("aie.memtile_dma(%tile_0_1)"));
  // 64x64 bf16 blocks of a chunk, outermost first, in bytes.
  EXPECT_THAT(text, HasSubstr("[<size = 8, stride = 128>, <size = 64, stride = "
                              "1024>, <size = 128, stride = 1>]"));
  // The adding core reads the other's buffer in place.
  EXPECT_THAT(text, HasSubstr("func.call @add_i8(%b_0_2_passed_0"));
}

// The whole encoder: chains, iterating tasks of mem tiles and locks set by the
// stream are there register by register.
TEST(Mlir, EncoderIsWhole) {
  const Plan plan = MakePlan(MakeDesign("encoder-int8"));
  const std::string text = EmitMlir(plan, MlirForm::kCustom);
  const auto count = [&](const std::string& what) {
    size_t n = 0;
    for (size_t at = text.find(what); at != std::string::npos;
         at = text.find(what, at + 1))
      ++n;
    return n;
  };
  size_t tasks = 0;  // as copies, or by their queue entries
  size_t waits = 0;
  std::set<uint32_t> queues;
  for (const TxnOp& op : plan.stream.ops) {
    waits += op.kind == TxnOp::Kind::kWaitToken ? 1 : 0;
    if (op.kind == TxnOp::Kind::kWrite32 && IsQueueAddress(op.address))
      queues.insert(op.address);
  }
  tasks += count("aiex.npu.dma_memcpy_nd");
  for (const uint32_t queue : queues)
    tasks += count(fmt::format("write32 {{address = {} : ui32", queue));
  EXPECT_EQ(tasks, plan.tasks.size());
  EXPECT_EQ(count("aiex.npu.sync"), waits);
  EXPECT_GT(count("aiex.npu.address_patch"), 0u);
  EXPECT_EQ(count("aie.core("), 16u);
}

}  // namespace
}  // namespace sotto::npu
