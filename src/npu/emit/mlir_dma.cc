// SPDX-License-Identifier: MIT
#include "npu/emit/mlir_dma.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace sotto::npu {
namespace {

bool IsMem(TileId id) { return KindOf(id) == TileKind::kMem; }

std::vector<const BufferDescriptor*> ChainOf(const TileConfig& tile,
                                             int first) {
  std::vector<const BufferDescriptor*> chain;
  int id = first;
  do {
    const auto bd =
        std::find_if(tile.descriptors.begin(), tile.descriptors.end(),
                     [id](const BufferDescriptor& b) { return b.id == id; });
    SOTTO_CHECK(bd != tile.descriptors.end());
    chain.push_back(&*bd);
    id = bd->next;
  } while (id != first && id >= 0);
  return chain;
}

// `scale`: elements of the memref in a word. Dimensions go outermost first.
void EmitBd(const std::string& buffer, const std::string& type, int64_t offset,
            int64_t scale, const BufferDescriptor& bd,
            const std::string& attributes, MlirText* text) {
  const int64_t length = bd.words * scale;
  std::string dims;
  std::string pads;
  bool padded = false;
  bool inner = true;
  for (size_t d = 0; d < bd.dims.size(); ++d) {
    const DmaDim& dim = bd.dims[d];
    if (dim.size == 0) continue;
    const auto add = [](std::string* to, const std::string& what) {
      *to = what + (to->empty() ? "" : ", " + *to);
    };
    if (inner && dim.stride == 1) {
      add(&dims, fmt::format("<size = {}, stride = 1>", dim.size * scale));
    } else {
      if (inner && scale > 1) {
        add(&dims, fmt::format("<size = {}, stride = 1>", scale));
      }
      add(&dims, fmt::format("<size = {}, stride = {}>", dim.size,
                             dim.stride * scale));
    }
    if (d < 3) {
      const int64_t unit = inner ? scale : 1;
      padded = padded || bd.pad_before[d] != 0 || bd.pad_after[d] != 0;
      add(&pads, fmt::format("<const_pad_before = {}, const_pad_after = {}>",
                             bd.pad_before[d] * unit, bd.pad_after[d] * unit));
    }
    inner = false;
  }
  std::string custom =
      fmt::format("aie.dma_bd({} : {}, {}, {}", buffer, type, offset, length);
  std::string generic =
      fmt::format("\"aie.dma_bd\"({}) {{offset = {} : i32, len = {} : i32, {}",
                  buffer, offset, length, attributes);
  if (!dims.empty()) {
    custom += fmt::format(", [{}]", dims);
    generic +=
        fmt::format(", dimensions = #aie<bd_dim_layout_array[{}]>", dims);
  }
  if (padded) {
    custom += fmt::format(", [{}]", pads);
    generic +=
        fmt::format(", pad_dimensions = #aie<bd_pad_layout_array[{}]>", pads);
  }
  text->Line(custom + fmt::format(") {{{}}}", attributes),
             generic + fmt::format("}} : ({}) -> ()", type));
}

void EmitDescriptor(TileId id, const TileConfig& tile,
                    const BufferDescriptor& bd, MlirText* text) {
  // The planner makes neither packets nor transfers beside a tile.
  SOTTO_CHECK(bd.packet < 0 && tile.packet_slots.empty());
  SOTTO_CHECK(bd.memory_side == 0 && bd.acquire_side == 0 &&
              bd.release_side == 0);
  if (bd.acquire_lock >= 0) {
    EmitUse(id, bd.acquire_lock, true, bd.acquire_value, text);
  }
  const PlacedBuffer* buffer = BufferAt(tile, bd.address);
  SOTTO_CHECK(buffer != nullptr);
  std::string attributes = fmt::format("bd_id = {} : i32", bd.id);
  if (bd.next >= 0) {
    attributes += fmt::format(", next_bd_id = {} : i32", bd.next);
  }
  EmitBd(BufferName(id, *buffer), BytesType(buffer->bytes),
         bd.address - buffer->address, 4, bd, attributes, text);
  if (bd.release_lock >= 0) {
    EmitUse(id, bd.release_lock, false, bd.release_value, text);
  }
}

}  // namespace

void EmitDma(TileId id, const TileConfig& tile, MlirText* text) {
  const char* op = IsMem(id) ? "memtile_dma" : "mem";
  text->Open(
      fmt::format("%dma_{} = aie.{}({}) {{", Suffix(id), op, TileName(id)),
      fmt::format("%dma_{} = \"aie.{}\"({}) ({{", Suffix(id), op,
                  TileName(id)));
  int block = 1;
  for (size_t i = 0; i < tile.starts.size(); ++i) {
    const ChannelStart& start = tile.starts[i];
    const std::vector<const BufferDescriptor*> chain =
        ChainOf(tile, start.first_bd);
    const int first = block;
    const int after = block + static_cast<int>(chain.size());
    text->Line(
        fmt::format("%{} = aie.dma_start({}, {}, ^bb{}, ^bb{})", i,
                    NameOf(start.direction), start.channel, first, after),
        fmt::format("%{} = \"aie.dma_start\"() [^bb{}, ^bb{}] "
                    "{{channel_dir = {} : i32, channel_index = {} : "
                    "i32, repeat_count = 0 : i32}} : () -> i1",
                    i, first, after, NumberOf(start.direction), start.channel));
    for (size_t k = 0; k < chain.size(); ++k) {
      text->Label(fmt::format("^bb{}:", first + static_cast<int>(k)));
      EmitDescriptor(id, tile, *chain[k], text);
      const int next = first + static_cast<int>((k + 1) % chain.size());
      text->Line(fmt::format("aie.next_bd ^bb{}", next),
                 fmt::format("\"aie.next_bd\"() [^bb{}] : () -> ()", next));
    }
    text->Label(fmt::format("^bb{}:", after));
    block = after + 1;
  }
  text->Line("aie.end", "\"aie.end\"() : () -> ()");
  text->Close("}", "}) : (index) -> index");
}

}  // namespace sotto::npu
