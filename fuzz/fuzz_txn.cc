// SPDX-License-Identifier: MIT
// The instruction stream of the NPU, decoded and run on a small simulated
// array. First byte even: the rest is a stream as a host passes it; odd: 8
// bytes an operation, so that mutations stay streams. Whatever it holds, the
// run ends in a state, never in a crash or outside a buffer.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "npu/sim/array.h"
#include "npu/sim/test_arrays.h"

namespace {

using sotto::npu::Direction;
using sotto::npu::TileId;
using sotto::npu::TxnOp;
using sotto::npu::TxnStream;

constexpr TileId kTiles[] = {{0, 0}, {0, 1}, {0, 2}, {1, 0}};

uint32_t AddressOf(uint8_t choice, TileId tile, uint8_t index) {
  using namespace sotto::npu;  // NOLINT: addresses of all kinds
  const auto direction = static_cast<Direction>(index & 1);
  switch (choice % 6) {
    case 0:
      return DescriptorAddress(tile, index % 16) + 4U * (index >> 4 & 7);
    case 1:
      return QueueAddress(tile, direction, index >> 1 & 1);
    case 2:
      return ControlAddress(tile, direction, index >> 1 & 1);
    case 3:
      return LockAddress(tile, index % 16);
    case 4:
      return DataAddress(tile, 4 * int64_t{index});
    default:
      return DescriptorAddress(tile, index % 16);
  }
}

TxnStream FromBytes(const uint8_t* data, size_t size) {
  TxnStream stream;
  for (size_t at = 0; at + 8 <= size && stream.ops.size() < 64; at += 8) {
    const uint8_t* op = data + at;
    const TileId tile = kTiles[op[1] % 4];
    uint32_t value = 0;
    std::memcpy(&value, op + 4, sizeof value);
    const uint32_t address = AddressOf(op[2], tile, op[3]);
    switch (op[0] % 5) {
      case 0:
        stream.ops.push_back({.kind = TxnOp::Kind::kWrite32,
                              .address = address,
                              .values = {value}});
        break;
      case 1:
        // A whole descriptor of which the fuzzer chooses length and one word.
        stream.ops.push_back(
            {.kind = TxnOp::Kind::kBlockWrite,
             .address = sotto::npu::DescriptorAddress(tile, op[3] % 16),
             .values = {value & 0xFFF, 0, 0, 0, 0x80000000, 0x02000000, 0,
                        0x02000000}});
        stream.ops.back().values[op[2] % 8] ^= value >> 12;
        break;
      case 2:
        stream.ops.push_back({.kind = TxnOp::Kind::kMaskWrite,
                              .address = address,
                              .values = {value},
                              .mask = 0xFF00});
        break;
      case 3:
        stream.ops.push_back(
            {.kind = TxnOp::Kind::kDdrPatch,
             .address = sotto::npu::DescriptorAddress(tile, op[3] % 16) + 4,
             .argument = value % 3,
             .offset = value >> 8 & 0xFFF});
        break;
      default:
        stream.ops.push_back({.kind = TxnOp::Kind::kWaitToken,
                              .tile = tile,
                              .mm2s = (op[3] & 1) != 0,
                              .channel = op[3] >> 1 & 1,
                              .columns = op[2] % 3});
    }
  }
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  TxnStream stream;
  if (data[0] % 2 == 0) {
    std::vector<uint32_t> words((size - 1) / 4);
    if (!words.empty()) std::memcpy(words.data(), data + 1, 4 * words.size());
    try {
      stream = sotto::npu::Decode(words);
    } catch (const sotto::Error&) {
      return 0;
    }
    if (sotto::npu::Encode(stream) != words) std::abort();
  } else {
    stream = FromBytes(data + 1, size - 1);
  }
  sotto::npu::SimOptions options;
  options.settle_cycles = 50'000;
  sotto::npu::Array array(
      sotto::npu::testing::SingleTileArray(
          "passthrough_u8", 256, 256, {sotto::npu::testing::ConstantArg(256)}),
      options);
  std::vector<std::byte> in(4096);
  std::vector<std::byte> out(4096);
  const std::span<std::byte> host[] = {in, out};
  for (int call = 0; call < 2; ++call) {
    const sotto::npu::SimRun run = array.Run(stream, host, 200'000);
    if (run.state == sotto::npu::RunState::kNew) std::abort();
    if ((run.state == sotto::npu::RunState::kCompleted) != run.detail.empty()) {
      std::abort();
    }
  }
  return 0;
}
