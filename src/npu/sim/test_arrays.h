// SPDX-License-Identifier: MIT
// Arrays that the simulator's tests build by hand, without the planner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "npu/array_config.h"
#include "npu/registers.h"
#include "npu/sim/array.h"
#include "npu/txn.h"

namespace sotto::npu::testing {

using Words = std::vector<uint32_t>;

inline Words Random(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  Words words(n);
  for (uint32_t& w : words) w = static_cast<uint32_t>(random());
  return words;
}

inline SimRun RunOn(Array& array, const TxnStream& stream,
                    std::initializer_list<Words*> buffers, int64_t limit = 0) {
  std::vector<std::span<std::byte>> spans;
  for (Words* b : buffers)
    spans.push_back(std::as_writable_bytes(std::span(*b)));
  return array.Run(stream, spans, limit);
}

inline constexpr int64_t kOwn = 0x70000;

inline CoreArg BufferArg(int64_t address) {
  return {CoreArg::Kind::kBuffer, kOwn + address};
}
inline CoreArg ConstantArg(int64_t value) {
  return {CoreArg::Kind::kConstant, value};
}
inline CoreOp AcquireOp(TileId tile, int lock, int64_t n = 1) {
  return {.kind = CoreOp::Kind::kAcquire,
          .lock = lock,
          .lock_tile = tile,
          .value = n};
}
inline CoreOp ReleaseOp(TileId tile, int lock, int64_t n = 1) {
  return {.kind = CoreOp::Kind::kRelease,
          .lock = lock,
          .lock_tile = tile,
          .value = n};
}
inline CoreOp CallOp(std::string kernel, std::vector<CoreArg> args) {
  return {.kind = CoreOp::Kind::kCall,
          .kernel = std::move(kernel),
          .args = std::move(args)};
}
inline CoreOp LoopOp(int64_t count = CoreOp::kForever) {
  return {.kind = CoreOp::Kind::kLoop, .value = count};
}
inline CoreOp EndLoopOp() { return {.kind = CoreOp::Kind::kEndLoop}; }

// The published single-tile array: shim (0,0), core (0,2), two FIFOs of depth 2
// with descriptors 0-3 and locks 0-3: producer lock 2, consumer lock 0. Input
// behind the stack, output behind the input: 12288 and 4096 bytes give 0x400,
// 0x3400, 0x6400, 0x7400. `extra`: the kernel's arguments behind its pointers.
inline std::shared_ptr<ArrayConfig> SingleTileArray(
    const std::string& kernel, int64_t in_bytes, int64_t out_bytes,
    std::vector<CoreArg> extra = {}) {
  auto config = std::make_shared<ArrayConfig>();
  config->name = kernel;
  config->host_buffer_bytes = {in_bytes, out_bytes};
  const TileId shim{0, 0};
  const TileId mem{0, 1};
  const TileId core{0, 2};
  using B = Port::Bundle;
  config->tiles[shim].connections = {{{B::kDma, 0}, {B::kNorth, 0}},
                                     {{B::kNorth, 0}, {B::kDma, 0}}};
  config->tiles[mem].connections = {{{B::kSouth, 0}, {B::kNorth, 0}},
                                    {{B::kNorth, 0}, {B::kSouth, 0}}};
  TileConfig& tile = config->tiles[core];
  tile.connections = {{{B::kSouth, 0}, {B::kDma, 0}},
                      {{B::kDma, 0}, {B::kSouth, 0}}};
  const int64_t in[2] = {0x400, 0x400 + in_bytes};
  const int64_t out[2] = {in[1] + in_bytes, in[1] + in_bytes + out_bytes};
  tile.buffers = {{"in_0", in[0], in_bytes, {}},
                  {"in_1", in[1], in_bytes, {}},
                  {"out_0", out[0], out_bytes, {}},
                  {"out_1", out[1], out_bytes, {}}};
  tile.locks = {{0, 2, "in_prod"},
                {1, 0, "in_cons"},
                {2, 2, "out_prod"},
                {3, 0, "out_cons"}};
  for (int i = 0; i < 2; ++i) {
    tile.descriptors.push_back({.id = i,
                                .address = in[i],
                                .words = in_bytes / 4,
                                .acquire_lock = 0,
                                .release_lock = 1,
                                .next = 1 - i});
  }
  for (int i = 0; i < 2; ++i) {
    tile.descriptors.push_back({.id = 2 + i,
                                .address = out[i],
                                .words = out_bytes / 4,
                                .acquire_lock = 3,
                                .release_lock = 2,
                                .next = 3 - i});
  }
  tile.starts = {{Direction::kS2MM, 0, 0, 0}, {Direction::kMM2S, 0, 2, 0}};
  tile.program = {LoopOp()};
  for (int i = 0; i < 2; ++i) {
    std::vector<CoreArg> args{BufferArg(in[i]), BufferArg(out[i])};
    args.insert(args.end(), extra.begin(), extra.end());
    const CoreOp body[] = {AcquireOp(core, 1), AcquireOp(core, 2),
                           CallOp(kernel, args), ReleaseOp(core, 0),
                           ReleaseOp(core, 3)};
    tile.program.insert(tile.program.end(), std::begin(body), std::end(body));
  }
  tile.program.push_back(EndLoopOp());
  return config;
}

// Appends a shim task: descriptor, address patch, queue entry.
inline void AppendTask(TxnStream* stream, TileId shim, Direction direction,
                       int channel, BufferDescriptor bd, uint32_t argument,
                       uint32_t offset, bool token, int repeat = 0) {
  const uint32_t at = DescriptorAddress(shim, bd.id);
  stream->ops.push_back({.kind = TxnOp::Kind::kBlockWrite,
                         .address = at,
                         .values = EncodeDescriptor(TileKind::kShim, bd)});
  stream->ops.push_back({.kind = TxnOp::Kind::kDdrPatch,
                         .address = at + 4,
                         .argument = argument,
                         .offset = offset});
  stream->ops.push_back(
      {.kind = TxnOp::Kind::kWrite32,
       .address = QueueAddress(shim, direction, channel),
       .values = {EncodeQueueEntry(
           {.descriptor = bd.id, .repeat = repeat, .token = token})}});
}
inline void AppendWait(TxnStream* stream, TileId tile, Direction direction,
                       int channel) {
  stream->ops.push_back({.kind = TxnOp::Kind::kWaitToken,
                         .tile = tile,
                         .mm2s = direction == Direction::kMM2S,
                         .channel = channel});
}

// The published stream of 8 operations, 300 bytes.
inline TxnStream SingleTileStream(int64_t in_bytes, int64_t out_bytes) {
  TxnStream stream;
  const TileId shim{0, 0};
  AppendTask(&stream, shim, Direction::kMM2S, 0,
             {.id = 1, .words = in_bytes / 4}, 0, 0, false);
  AppendTask(&stream, shim, Direction::kS2MM, 0,
             {.id = 0, .words = out_bytes / 4}, 1, 0, true);
  // Who gets the token; before the queue entry that makes one.
  stream.ops.insert(stream.ops.end() - 1,
                    {.kind = TxnOp::Kind::kMaskWrite,
                     .address = ControlAddress(shim, Direction::kS2MM, 0),
                     .values = {0xF00},
                     .mask = 0x1F00});
  AppendWait(&stream, shim, Direction::kS2MM, 0);
  return stream;
}

}  // namespace sotto::npu::testing
