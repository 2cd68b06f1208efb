// SPDX-License-Identifier: MIT
// Facts of the dialects: operation definitions and tests of Xilinx/mlir-aie
// (AIEOps.td, AIEX.td, test/npu-xrt), the form of 2024-2025 releases.
#include "npu/emit/mlir.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <span>

#include "base/error.h"
#include "npu/emit/mlir_sequence.h"
#include "npu/emit/mlir_text.h"

namespace sotto::npu {
namespace {

std::string Tile(TileId id) {
  return fmt::format("%tile_{}_{}", id.col, id.row);
}
std::string Suffix(TileId id) { return fmt::format("{}_{}", id.col, id.row); }

std::string Bytes(int64_t bytes) { return fmt::format("memref<{}xi8>", bytes); }

// The buffer of a tile in which an address lies.
const PlacedBuffer* BufferAt(const TileConfig& tile, int64_t address) {
  for (const PlacedBuffer& b : tile.buffers) {
    if (address >= b.address && address < b.address + b.bytes) return &b;
  }
  return nullptr;
}

class Emitter {
 public:
  Emitter(const Plan& plan, MlirForm form, std::string archive)
      : plan_(plan), text_(form), archive_(std::move(archive)) {}

  std::string Run() {
    text_.Open("module {", "module {");
    text_.Open("aie.device(npu1) {", "\"aie.device\"() ({");
    CollectKernels();
    for (const auto& [id, tile] : plan_.config.tiles) {
      text_.Line(
          fmt::format("{} = aie.tile({}, {})", Tile(id), id.col, id.row),
          fmt::format("{} = \"aie.tile\"() {{col = {} : i32, row = {} : i32}} "
                      ": () -> index",
                      Tile(id), id.col, id.row));
    }
    for (const auto& [id, tile] : plan_.config.tiles) EmitMemory(id, tile);
    for (const auto& [id, tile] : plan_.config.tiles) EmitLocks(id, tile);
    for (const Flow& flow : plan_.flows) EmitFlow(flow);
    for (const auto& [id, tile] : plan_.config.tiles) {
      if (!tile.program.empty()) EmitCore(id, tile);
    }
    for (const auto& [id, tile] : plan_.config.tiles) {
      if (!tile.starts.empty()) EmitDma(id, tile);
    }
    EmitSequence(plan_, &text_);
    text_.Close("}", "}) {device = 4 : i32} : () -> ()");
    text_.Close("}", "}");
    return text_.Take();
  }

 private:
  // A kernel is declared once: each pointer with the least size that any of its
  // calls gives it.
  void CollectKernels() {
    for (const auto& [id, tile] : plan_.config.tiles) {
      for (const CoreOp& op : tile.program) {
        if (op.kind != CoreOp::Kind::kCall) continue;
        std::vector<int64_t> sizes;
        for (const CoreArg& arg : op.args) {
          sizes.push_back(
              arg.kind == CoreArg::Kind::kBuffer ? RoomAt(id, arg.value) : 0);
        }
        auto& known = kernels_[op.kernel];
        if (known.empty()) known = sizes;
        for (size_t i = 0; i < sizes.size(); ++i) {
          known[i] = std::min(known[i], sizes[i]);
        }
      }
    }
    for (const auto& [name, sizes] : kernels_) {
      const std::string line =
          fmt::format("func.func private @{}({})", name, Types(sizes));
      text_.Line(line, line);
    }
  }

  static std::string Types(std::span<const int64_t> sizes) {
    std::string types;
    for (const int64_t size : sizes) {
      if (!types.empty()) types += ", ";
      types += size > 0 ? Bytes(size) : "i32";
    }
    return types;
  }

  // Windows of a core's address space (aie2.md 1.2).
  static TileId Owner(TileId core, int64_t address) {
    switch (address >> 16) {
      case 4:
        return {core.col, core.row - 1};
      case 5:
        return {core.col - 1, core.row};
      case 6:
        return {core.col, core.row + 1};
      default:
        return core;
    }
  }
  std::pair<TileId, const PlacedBuffer*> Find(TileId core,
                                              int64_t address) const {
    const TileId owner = Owner(core, address);
    const PlacedBuffer* buffer =
        BufferAt(plan_.config.tiles.at(owner), address & 0xFFFF);
    SOTTO_CHECK(buffer != nullptr);
    return {owner, buffer};
  }
  int64_t RoomAt(TileId core, int64_t address) const {
    const PlacedBuffer* buffer = Find(core, address).second;
    return buffer->address + buffer->bytes - (address & 0xFFFF);
  }

  static std::string BufferName(TileId tile, const PlacedBuffer& buffer) {
    return fmt::format("%b_{}_{}", Suffix(tile), Identifier(buffer.name));
  }

  void EmitMemory(TileId id, const TileConfig& tile) {
    for (const PlacedBuffer& b : tile.buffers) {
      if (b.name == ".data") continue;  // the linker places tables
      const std::string name = BufferName(id, b);
      const std::string attributes = fmt::format(
          "address = {} : i32, sym_name = \"{}\"", b.address, name.substr(1));
      const std::string initial =
          b.initial.empty() ? "" : fmt::format(" = {}", Dense(b));
      text_.Line(
          fmt::format("{} = aie.buffer({}) {{{}}} : {}{}", name, Tile(id),
                      attributes, Bytes(b.bytes), initial),
          fmt::format("{} = \"aie.buffer\"({}) {{{}{}}} : (index) -> {}", name,
                      Tile(id), attributes,
                      b.initial.empty()
                          ? ""
                          : ", initial_value = " + Dense(b) + " : tensor<" +
                                std::to_string(b.bytes) + "xi8>",
                      Bytes(b.bytes)));
    }
  }

  static std::string Dense(const PlacedBuffer& b) {
    std::string hex;
    for (int64_t i = 0; i < b.bytes; ++i) {
      const size_t at = static_cast<size_t>(i);
      hex += fmt::format("{:02X}", at < b.initial.size() ? b.initial[at] : 0);
    }
    return fmt::format("dense<\"0x{}\">", hex);
  }

  static std::string LockName(TileId tile, int lock) {
    return fmt::format("%lock_{}_{}", Suffix(tile), lock);
  }

  void EmitLocks(TileId id, const TileConfig& tile) {
    for (const LockInit& lock : tile.locks) {
      const std::string name = LockName(id, lock.id);
      const std::string symbol = fmt::format("sym_name = \"l_{}_{}\"",
                                             Suffix(id), Identifier(lock.name));
      text_.Line(
          fmt::format("{} = aie.lock({}, {}) {{init = {} : i32, {}}}", name,
                      Tile(id), lock.id, lock.value, symbol),
          fmt::format("{} = \"aie.lock\"({}) {{lockID = {} : i32, init = {} : "
                      "i32, {}}} : (index) -> index",
                      name, Tile(id), lock.id, lock.value, symbol));
    }
  }

  void EmitUse(TileId tile, int lock, bool acquire, int64_t value) {
    const std::string name = LockName(tile, lock);
    text_.Line(
        fmt::format("aie.use_lock({}, {}, {})", name,
                    acquire ? "AcquireGreaterEqual" : "Release", value),
        fmt::format("\"aie.use_lock\"({}) {{action = {} : i32, value = {} : "
                    "i32}} : (index) -> ()",
                    name, acquire ? 2 : 0, value));
  }

  void EmitFlow(const Flow& flow) {
    for (const Flow::Endpoint& sink : flow.sinks) {
      text_.Line(
          fmt::format("aie.flow({}, DMA : {}, {}, DMA : {})",
                      Tile(flow.source.tile), flow.source.channel,
                      Tile(sink.tile), sink.channel),
          fmt::format("\"aie.flow\"({}, {}) {{source_bundle = 1 : i32, "
                      "source_channel = {} : i32, dest_bundle = 1 : i32, "
                      "dest_channel = {} : i32}} : (index, index) -> ()",
                      Tile(flow.source.tile), Tile(sink.tile),
                      flow.source.channel, sink.channel));
    }
  }

  // ---- cores ----

  void EmitCore(TileId id, const TileConfig& tile) {
    const std::string name = "%core_" + Suffix(id);
    text_.Open(fmt::format("{} = aie.core({}) {{", name, Tile(id)),
               fmt::format("{} = \"aie.core\"({}) ({{", name, Tile(id)));
    values_ = 0;
    loops_.clear();
    Same("%c0 = arith.constant 0 : index");
    Same("%c1 = arith.constant 1 : index");
    for (const CoreOp& op : tile.program) EmitCoreOp(id, op);
    text_.Line("aie.end", "\"aie.end\"() : () -> ()");
    const std::string attributes =
        fmt::format("{{link_with = \"{}\", stack_size = {} : i32}}", archive_,
                    tile.stack_bytes);
    text_.Close("} " + attributes, "}) " + attributes + " : (index) -> index");
  }

  void EmitCoreOp(TileId id, const CoreOp& op) {
    switch (op.kind) {
      case CoreOp::Kind::kAcquire:
      case CoreOp::Kind::kRelease:
        EmitUse(op.lock_tile, op.lock, op.kind == CoreOp::Kind::kAcquire,
                op.value);
        return;
      case CoreOp::Kind::kCall:
        return EmitCall(id, op);
      case CoreOp::Kind::kLoop:
        return OpenLoop(id, op);
      case CoreOp::Kind::kEndLoop:
        if (loops_.back().empty()) Same("scf.yield");
        loops_.pop_back();
        text_.Close("}", "}");
        return;
    }
  }

  // An endless loop has a condition that is true, not a bound that a narrower
  // index type might take for -1.
  void OpenLoop(TileId id, const CoreOp& op) {
    if (op.value == CoreOp::kForever && op.args.empty()) {
      text_.Open("scf.while : () -> () {", "scf.while : () -> () {");
      const std::string yes = Fresh();
      Same(yes + " = arith.constant true");
      Same(fmt::format("scf.condition({})", yes));
      text_.Close("} do {", "} do {");
      text_.Indent();
      loops_.emplace_back();
      return;
    }
    std::string count = Fresh();
    if (op.args.empty()) {
      Same(fmt::format("{} = arith.constant {} : index", count, op.value));
    } else {
      const std::string value = Load(id, op.args[0].value);
      Same(
          fmt::format("{} = arith.index_cast {} : i32 to index", count, value));
    }
    const std::string trip = Fresh();
    const std::string line =
        fmt::format("scf.for {} = %c0 to {} step %c1 {{", trip, count);
    text_.Open(line, line);
    loops_.push_back(trip);
  }

  // value + stride * trip, as an index; `name` is the value's.
  std::string AddTrips(const CoreArg& arg, const std::string& name,
                       int64_t base) {
    const std::string stride = Fresh();
    const std::string product = Fresh();
    const std::string sum = Fresh();
    Same(fmt::format("{} = arith.constant {} : index", name, base));
    Same(fmt::format("{} = arith.constant {} : index", stride, arg.stride));
    Same(fmt::format("{} = arith.muli {}, {} : index", product,
                     loops_[loops_.size() - 1 - static_cast<size_t>(arg.loop)],
                     stride));
    Same(fmt::format("{} = arith.addi {}, {} : index", sum, name, product));
    return sum;
  }

  std::string View(TileId core, int64_t address, const std::string& type,
                   const CoreArg* moving = nullptr) {
    const auto [owner, buffer] = Find(core, address);
    std::string shift = Fresh();
    const std::string view = Fresh();
    const int64_t offset = (address & 0xFFFF) - buffer->address;
    if (moving != nullptr) {
      shift = AddTrips(*moving, shift, offset);
    } else {
      Same(fmt::format("{} = arith.constant {} : index", shift, offset));
    }
    Same(fmt::format("{} = memref.view {}[{}][] : {} to {}", view,
                     BufferName(owner, *buffer), shift, Bytes(buffer->bytes),
                     type));
    return view;
  }

  std::string Load(TileId core, int64_t address) {
    const std::string view = View(core, address, WordsType(1));
    const std::string value = Fresh();
    Same(fmt::format("{} = memref.load {}[%c0] : {}", value, view,
                     WordsType(1)));
    return value;
  }

  std::string Pointer(TileId core, int64_t address, int64_t bytes) {
    const auto [owner, buffer] = Find(core, address);
    if (buffer->bytes == bytes && buffer->address == (address & 0xFFFF)) {
      return BufferName(owner, *buffer);
    }
    return View(core, address, Bytes(bytes));
  }

  void EmitCall(TileId id, const CoreOp& op) {
    const std::vector<int64_t>& sizes = kernels_.at(op.kernel);
    std::string values;
    for (size_t i = 0; i < op.args.size(); ++i) {
      const CoreArg& arg = op.args[i];
      std::string value;
      switch (arg.kind) {
        case CoreArg::Kind::kBuffer:
          value = arg.loop < 0 ? Pointer(id, arg.value, sizes[i])
                               : View(id, arg.value, Bytes(sizes[i]), &arg);
          break;
        case CoreArg::Kind::kParameter:
          value = Load(id, arg.value);
          break;
        case CoreArg::Kind::kConstant:
          value = Fresh();
          Same(fmt::format("{} = arith.constant {} : i32", value, arg.value));
          if (arg.loop >= 0) {
            const std::string index = AddTrips(arg, Fresh(), arg.value);
            value = Fresh();
            Same(fmt::format("{} = arith.index_cast {} : index to i32", value,
                             index));
          }
          break;
        case CoreArg::Kind::kIndex:
          value = Fresh();
          Same(fmt::format(
              "{} = arith.index_cast {} : index to i32", value,
              loops_[loops_.size() - 1 - static_cast<size_t>(arg.value)]));
          break;
      }
      values += (values.empty() ? "" : ", ") + value;
    }
    text_.Line(fmt::format("func.call @{}({}) : ({}) -> ()", op.kernel, values,
                           Types(sizes)),
               // A plain mlir-opt does not look up symbols through operations
               // that it does not know.
               fmt::format("\"aie.call\"({}) {{callee = @{}}} : ({}) -> ()",
                           values, op.kernel, Types(sizes)));
  }

  // ---- DMAs that run by themselves ----

  void EmitDma(TileId id, const TileConfig& tile) {
    const char* op = IsMem(id) ? "memtile_dma" : "mem";
    text_.Open(
        fmt::format("%dma_{} = aie.{}({}) {{", Suffix(id), op, Tile(id)),
        fmt::format("%dma_{} = \"aie.{}\"({}) ({{", Suffix(id), op, Tile(id)));
    int block = 1;
    for (size_t i = 0; i < tile.starts.size(); ++i) {
      const ChannelStart& start = tile.starts[i];
      const std::vector<const BufferDescriptor*> chain =
          ChainOf(tile, start.first_bd);
      const int first = block;
      const int after = block + static_cast<int>(chain.size());
      text_.Line(
          fmt::format("%{} = aie.dma_start({}, {}, ^bb{}, ^bb{})", i,
                      NameOf(start.direction), start.channel, first, after),
          fmt::format("%{} = \"aie.dma_start\"() [^bb{}, ^bb{}] "
                      "{{channel_dir = {} : i32, channel_index = {} : "
                      "i32, repeat_count = 0 : i32}} : () -> i1",
                      i, first, after, NumberOf(start.direction),
                      start.channel));
      for (size_t k = 0; k < chain.size(); ++k) {
        text_.Label(fmt::format("^bb{}:", first + static_cast<int>(k)));
        EmitDescriptor(id, tile, *chain[k]);
        const int next = first + static_cast<int>((k + 1) % chain.size());
        text_.Line(fmt::format("aie.next_bd ^bb{}", next),
                   fmt::format("\"aie.next_bd\"() [^bb{}] : () -> ()", next));
      }
      text_.Label(fmt::format("^bb{}:", after));
      block = after + 1;
    }
    text_.Line("aie.end", "\"aie.end\"() : () -> ()");
    text_.Close("}", "}) : (index) -> index");
  }

  static bool IsMem(TileId id) { return KindOf(id) == TileKind::kMem; }

  static std::vector<const BufferDescriptor*> ChainOf(const TileConfig& tile,
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

  void EmitDescriptor(TileId id, const TileConfig& tile,
                      const BufferDescriptor& bd) {
    // The planner makes neither packets nor transfers beside a tile.
    SOTTO_CHECK(bd.packet < 0 && tile.packet_slots.empty());
    SOTTO_CHECK(bd.memory_side == 0 && bd.acquire_side == 0 &&
                bd.release_side == 0);
    if (bd.acquire_lock >= 0) {
      EmitUse(id, bd.acquire_lock, true, bd.acquire_value);
    }
    const PlacedBuffer* buffer = BufferAt(tile, bd.address);
    SOTTO_CHECK(buffer != nullptr);
    std::string attributes = fmt::format("bd_id = {} : i32", bd.id);
    if (bd.next >= 0) {
      attributes += fmt::format(", next_bd_id = {} : i32", bd.next);
    }
    EmitBd(BufferName(id, *buffer), Bytes(buffer->bytes),
           bd.address - buffer->address, 4, bd, attributes);
    if (bd.release_lock >= 0) {
      EmitUse(id, bd.release_lock, false, bd.release_value);
    }
  }

  // `scale`: elements of the memref in a word. Dimensions go outermost first.
  void EmitBd(const std::string& buffer, const std::string& type,
              int64_t offset, int64_t scale, const BufferDescriptor& bd,
              const std::string& attributes) {
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
        add(&pads,
            fmt::format("<const_pad_before = {}, const_pad_after = {}>",
                        bd.pad_before[d] * unit, bd.pad_after[d] * unit));
      }
      inner = false;
    }
    std::string custom =
        fmt::format("aie.dma_bd({} : {}, {}, {}", buffer, type, offset, length);
    std::string generic = fmt::format(
        "\"aie.dma_bd\"({}) {{offset = {} : i32, len = {} : i32, {}", buffer,
        offset, length, attributes);
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
    text_.Line(custom + fmt::format(") {{{}}}", attributes),
               generic + fmt::format("}} : ({}) -> ()", type));
  }

  std::string Fresh() { return fmt::format("%v{}", values_++); }
  void Same(const std::string& line) { text_.Line(line, line); }

  const Plan& plan_;
  MlirText text_;
  std::string archive_;
  std::map<std::string, std::vector<int64_t>> kernels_;
  int values_ = 0;
  std::vector<std::string> loops_;  // index of each; empty: an endless loop
};

}  // namespace

std::string EmitMlir(const Plan& plan, MlirForm form,
                     const std::string& archive) {
  return Emitter(plan, form, archive).Run();
}

}  // namespace sotto::npu
