// SPDX-License-Identifier: MIT
// Facts of the dialect: operation definitions and tests of Xilinx/mlir-aie
// (AIEX.td, test/npu-xrt), the form of 2024-2025 releases.
#include "npu/emit/mlir_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string>

namespace sotto::npu {
namespace {

class SequenceEmitter {
 public:
  SequenceEmitter(const Plan& plan, MlirText* text)
      : plan_(plan), text_(*text) {}

  void Run() {
    EmitAllocations();
    std::string args;
    for (size_t i = 0; i < plan_.config.host_buffer_bytes.size(); ++i) {
      args += fmt::format("{}%arg{}: {}", i == 0 ? "" : ", ", i,
                          HostType(static_cast<int>(i)));
    }
    text_.Open(fmt::format("aiex.runtime_sequence({}) {{", args),
               "\"aiex.runtime_sequence\"() ({");
    text_.LabelGeneric(fmt::format("^bb0({}):", args));
    size_t task = 0;
    std::span<const TxnOp> ops = plan_.stream.ops;
    for (size_t i = 0; i < ops.size();) {
      const size_t n = OpsOfTask(ops.subspan(i));
      if (n > 0 && IsCopy(plan_.tasks[task])) {
        EmitCopy(plan_.tasks[task]);
      } else {
        for (const TxnOp& op : ops.subspan(i, std::max<size_t>(n, 1)))
          EmitOp(op);
      }
      if (n > 0) ++task;
      i += std::max<size_t>(n, 1);
    }
    text_.Close("}", "}) : () -> ()");
  }

 private:
  // Descriptors, patches and the queue entry of a task at the start of `ops`;
  // 0: something else is there.
  static size_t OpsOfTask(std::span<const TxnOp> ops) {
    if (ops[0].kind != TxnOp::Kind::kBlockWrite ||
        !IsDescriptorAddress(ops[0].address))
      return 0;
    size_t n = 0;
    while (ops[n].kind != TxnOp::Kind::kWrite32 ||
           !IsQueueAddress(ops[n].address))
      ++n;
    return n + 1;
  }

  void EmitOp(const TxnOp& op) {
    switch (op.kind) {
      case TxnOp::Kind::kWaitToken:
        return EmitSync(op);
      case TxnOp::Kind::kBlockWrite:
      case TxnOp::Kind::kWrite32:
        return EmitWrites(op);
      case TxnOp::Kind::kMaskWrite:
        return Both("aiex.npu.maskwrite32",
                    fmt::format("address = {} : ui32, mask = {} : ui32, value "
                                "= {} : ui32",
                                op.address, op.mask, op.values.at(0)));
      case TxnOp::Kind::kDdrPatch:
        return Both("aiex.npu.address_patch",
                    fmt::format("addr = {} : ui32, arg_idx = {} : i32, "
                                "arg_plus = {} : i32",
                                op.address, op.argument, op.offset));
    }
  }

  // An operation without operands.
  void Both(const char* name, const std::string& attributes) {
    text_.Line(fmt::format("{} {{{}}}", name, attributes),
               fmt::format("\"{}\"() {{{}}} : () -> ()", name, attributes));
  }

  std::string HostType(int buffer) const {
    return WordsType(
        plan_.config.host_buffer_bytes[static_cast<size_t>(buffer)] / 4);
  }

  static std::string Allocation(const PlannedTask& task) {
    return fmt::format("shim_{}_{}_{}", task.tile.col, NameOf(task.direction),
                       task.channel);
  }

  void EmitAllocations() {
    std::map<std::string, const PlannedTask*> seen;
    for (const PlannedTask& task : plan_.tasks) {
      if (task.host_buffers[0] >= 0) seen.emplace(Allocation(task), &task);
    }
    for (const auto& [name, task] : seen) {
      text_.Line(
          fmt::format("aie.shim_dma_allocation @{}({}, {}, {})", name,
                      NameOf(task->direction), task->channel, task->tile.col),
          fmt::format("\"aie.shim_dma_allocation\"() {{sym_name = \"{}\", "
                      "channelDir = {} : i32, channelIndex = {} : i64, col = "
                      "{} : i64}} : () -> ()",
                      name, NumberOf(task->direction), task->channel,
                      task->tile.col));
    }
  }

  // Whether one dma_memcpy_nd says all of it.
  static bool IsCopy(const PlannedTask& task) {
    const BufferDescriptor& bd = task.chain[0];
    return task.host_buffers[0] >= 0 && task.chain.size() == 1 &&
           (bd.iteration.size <= 1 || bd.iteration.size == task.runs);
  }

  // Host buffers count words, so sizes and strides are the descriptor's own.
  void EmitCopy(const PlannedTask& task) {
    const BufferDescriptor& bd = task.chain[0];
    const int buffer = task.host_buffers[0];
    std::array<int64_t, 4> sizes{1, 1, 1, 1};  // outermost first
    std::array<int64_t, 4> strides{0, 0, 0, 1};
    bool any = false;
    for (size_t d = 0; d < 3; ++d) {
      if (bd.dims[d].size == 0) continue;
      any = true;
      sizes[3 - d] = bd.dims[d].size;
      strides[3 - d] = bd.dims[d].stride;
    }
    if (!any) sizes[3] = bd.words;
    if (task.runs > 1) {
      sizes[0] = task.runs;
      strides[0] = bd.iteration.size > 1 ? bd.iteration.stride : 0;
    }
    const int64_t offset = bd.address / 4;
    const std::string type = HostType(buffer);
    const std::string attributes =
        fmt::format("id = {} : i64, issue_token = {}, metadata = @{}", bd.id,
                    task.token, Allocation(task));
    text_.Line(
        fmt::format("aiex.npu.dma_memcpy_nd({}, 0, %arg{}[0, 0, 0, {}][{}][{}])"
                    " {{{}}} : {}",
                    task.tile.col, buffer, offset, fmt::join(sizes, ", "),
                    fmt::join(strides, ", "), attributes, type),
        fmt::format("\"aiex.npu.dma_memcpy_nd\"(%arg{}) {{{}, x = {} : i64, y "
                    "= 0 : i64, operand_segment_sizes = array<i32: 1, 0, 0, "
                    "0>, static_offsets = array<i64: 0, 0, 0, {}>, "
                    "static_sizes = array<i64: {}>, static_strides = "
                    "array<i64: {}>}} : ({}) -> ()",
                    buffer, attributes, task.tile.col, offset,
                    fmt::join(sizes, ", "), fmt::join(strides, ", "), type));
  }

  void EmitSync(const TxnOp& op) {
    const std::string attributes = fmt::format(
        "channel = {} : i32, column = {} : i32, column_num = {} : i32, "
        "direction = {} : i32, row = {} : i32, row_num = {} : i32",
        op.channel, op.tile.col, op.columns, op.mm2s ? 1 : 0, op.tile.row,
        op.rows);
    Both("aiex.npu.sync", attributes);
  }

  void EmitWrites(const TxnOp& op) {
    uint32_t address = op.address;
    for (const uint32_t value : op.values) {
      Both("aiex.npu.write32",
           fmt::format("address = {} : ui32, value = {} : ui32", address,
                       value));
      address += 4;
    }
  }

  const Plan& plan_;
  MlirText& text_;
};

}  // namespace

void EmitSequence(const Plan& plan, MlirText* text) {
  SequenceEmitter(plan, text).Run();
}

}  // namespace sotto::npu
