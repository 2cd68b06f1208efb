// SPDX-License-Identifier: MIT
#include "npu/encoder/array_design.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "npu/design/gemm.h"
#include "npu/encoder/array_order.h"
#include "npu/encoder/array_program.h"

namespace sotto::npu {
namespace {

// The deepest kernel needs 256 bytes under the 96 of the start-up code.
constexpr int64_t kStackBytes = 512;

std::string Name(const char* what, int i) {
  return fmt::format("{}{}", what, i);
}

// A mem tile's channels of either parity have half of its descriptors each.
FifoEnd ByTasks(TileId tile, int channel) {
  FifoEnd end = At(tile);
  end.by_tasks = true;
  end.channel = channel;
  return end;
}

void Connect(Design* d) {
  for (int i = 0; i < kColumns; ++i) {
    const TileId mem{i, kMemRow};
    d->Connect(Name("a_in", i), At({i, kShimRow}), {ByTasks(mem, 1)},
               kSlotBytes);
    d->Connect(Name("a", i), ByTasks(mem, 2), CoreRow(i), kSlotBytes);
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      d->buffers.push_back(
          {ChunkName("chunk", i, chunk), mem, kChunkBytes, {}});
      d->locks.push_back({ChunkName("free", i, chunk), mem, 0});
      d->locks.push_back({ChunkName("full", i, chunk), mem, 0});
    }
    ConnectColumn(d, i,
                  {.weight_bytes = kSlotBytes,
                   .weight_depth = 5,
                   .result_bytes = kSlotBytes});
  }
}

}  // namespace

Design MakeEncoderDesign(const ArrayLayout& layout, size_t first, size_t last) {
  Design d;
  d.name = layout.int8() ? "encoder_int8" : "encoder_bf16";
  d.what = "whisper's encoder, one dispatch";
  d.paced = true;
  for (const ArrayBuffer buffer :
       {ArrayBuffer::kInput, ArrayBuffer::kWeights, ArrayBuffer::kScratch,
        ArrayBuffer::kOutput}) {
    d.host_buffers.push_back({NameOf(buffer),
                              layout.bytes[static_cast<int>(buffer)],
                              buffer == ArrayBuffer::kOutput});
  }
  Connect(&d);
  for (int column = 0; column < kColumns; ++column) {
    for (int row = 0; row < kArrayRows; ++row) {
      const TileId tile{column, kFirstCoreRow + row};
      for (StaticBuffer& buffer : CoreBuffers(column, row, layout))
        d.buffers.push_back(std::move(buffer));
      CoreDesign& core = d.cores.emplace_back();
      core.tile = tile;
      core.program = CoreProgram(column, row, layout);
      core.stack_bytes = kStackBytes;
    }
  }
  OrderPhases(layout, first, std::min(last, layout.phases.size() - 1), &d);
  return d;
}

Design MakeEncoderDesign(const EncoderShape& shape,
                         EncoderPrecision precision) {
  return MakeEncoderDesign(MakeArrayLayout(shape, precision));
}

}  // namespace sotto::npu
