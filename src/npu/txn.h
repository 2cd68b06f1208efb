// SPDX-License-Identifier: MIT
// The instruction stream that the NPU's controller runs (TXN): what it writes
// into the array's registers, and what it waits for. Encode and Decode are
// exact inverses of each other.
// Source: streams of mlir-aie's npu_instgen and published xclbins, whose hashes
// the tests hold.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "npu/target.h"

namespace sotto::npu {

struct TxnOp {
  enum class Kind : uint8_t {
    kWrite32,     // address, values[0]
    kBlockWrite,  // address, values
    kMaskWrite,   // address, values[0], mask
    kDdrPatch,    // address (of a descriptor's word 1), argument, offset
    kWaitToken,   // tile, direction, channel: until its task has completed
  };
  Kind kind = Kind::kWrite32;
  uint32_t address = 0;
  std::vector<uint32_t> values;
  uint32_t mask = 0;
  uint32_t argument = 0;  // which host buffer
  uint32_t offset = 0;    // bytes added to its address
  TileId tile;
  bool mm2s = false;
  int channel = 0;
  int columns = 1;  // kWaitToken: waits for this many columns and rows
  int rows = 1;
  friend bool operator==(const TxnOp&, const TxnOp&) = default;
};

struct TxnStream {
  int columns = kColumns;
  std::vector<TxnOp> ops;
  friend bool operator==(const TxnStream&, const TxnStream&) = default;
};

// 32-bit words, header included, as the kernel argument `ninstr` counts them.
std::vector<uint32_t> Encode(const TxnStream& stream);
// Throws Error(kBadInput) naming the word where the stream is wrong.
TxnStream Decode(std::span<const uint32_t> words);
// One line an op.
std::string ToString(const TxnStream& stream);

}  // namespace sotto::npu
