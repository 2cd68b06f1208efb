// SPDX-License-Identifier: MIT
// What a core's program takes of it: program memory, stack, tables.
#include <algorithm>
#include <set>

#include "npu/design/draft.h"

namespace sotto::npu {
namespace {

// The program runs under the frames of the start-up code and of the core's own
// main function (32 and 64 bytes in the published ELF files).
constexpr int64_t kCoreFrames = 96;
// Estimated bytes of program memory. A bundle has at most 16 bytes.
constexpr int64_t kStartUpBytes = 256;
constexpr int64_t kLockBytes = 16;
constexpr int64_t kCallBytes = 32;
constexpr int64_t kArgBytes = 8;
constexpr int64_t kLoopBytes = 48;

}  // namespace

int64_t ProgramBytes(const Draft& draft, const std::vector<CoreOp>& program) {
  int64_t bytes = kStartUpBytes;
  std::set<std::string> kernels;
  for (const CoreOp& op : program) {
    switch (op.kind) {
      case CoreOp::Kind::kAcquire:
      case CoreOp::Kind::kRelease:
        bytes += kLockBytes;
        break;
      case CoreOp::Kind::kLoop:
        bytes += kLoopBytes;
        break;
      case CoreOp::Kind::kEndLoop:
        break;
      case CoreOp::Kind::kCall:
        bytes += kCallBytes + kArgBytes * static_cast<int64_t>(op.args.size());
        if (kernels.insert(op.kernel).second) {
          bytes += draft.lookup(op.kernel)->code_bytes;
        }
        break;
    }
  }
  return bytes;
}

int64_t StackNeed(const Draft& draft, const CoreDesign& core) {
  int64_t frame = 0;
  for (const Op& op : core.program) {
    if (op.kind != Op::Kind::kCall) continue;
    const KernelInfo* kernel = draft.lookup(op.name);
    if (kernel != nullptr)
      frame = std::max<int64_t>(frame, kernel->frame_bytes);
  }
  return kCoreFrames + frame;
}

// Kernels share their tables (GELU's): each name once.
int64_t TableBytes(const Draft& draft, TileId tile) {
  int64_t bytes = 0;
  std::set<std::string_view> tables;
  for (const CoreDesign& core : draft.design->cores) {
    if (core.tile != tile) continue;
    for (const Op& op : core.program) {
      if (op.kind != Op::Kind::kCall) continue;
      const KernelInfo* kernel = draft.lookup(op.name);
      if (kernel == nullptr) continue;
      const std::string_view table =
          kernel->table.empty() ? kernel->name : kernel->table;
      if (tables.insert(table).second) bytes += kernel->data_bytes;
    }
  }
  return bytes;
}

}  // namespace sotto::npu
