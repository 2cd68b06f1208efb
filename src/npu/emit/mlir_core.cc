// SPDX-License-Identifier: MIT
#include "npu/emit/mlir_core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace sotto::npu {
namespace {

std::string Types(std::span<const int64_t> sizes) {
  std::string types;
  for (const int64_t size : sizes) {
    if (!types.empty()) types += ", ";
    types += size > 0 ? BytesType(size) : "i32";
  }
  return types;
}

// Windows of a core's address space (aie2.md 1.2).
TileId Owner(TileId core, int64_t address) {
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
}  // namespace

// A kernel is declared once: each pointer with the least size that any of its
// calls gives it.
void MlirCores::EmitKernels() {
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

std::pair<TileId, const PlacedBuffer*> MlirCores::Find(TileId core,
                                                       int64_t address) const {
  const TileId owner = Owner(core, address);
  const PlacedBuffer* buffer =
      BufferAt(plan_.config.tiles.at(owner), address & 0xFFFF);
  SOTTO_CHECK(buffer != nullptr);
  return {owner, buffer};
}
int64_t MlirCores::RoomAt(TileId core, int64_t address) const {
  const PlacedBuffer* buffer = Find(core, address).second;
  return buffer->address + buffer->bytes - (address & 0xFFFF);
}

void MlirCores::EmitCore(TileId id, const TileConfig& tile) {
  const std::string name = "%core_" + Suffix(id);
  text_.Open(fmt::format("{} = aie.core({}) {{", name, TileName(id)),
             fmt::format("{} = \"aie.core\"({}) ({{", name, TileName(id)));
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

void MlirCores::EmitCoreOp(TileId id, const CoreOp& op) {
  switch (op.kind) {
    case CoreOp::Kind::kAcquire:
    case CoreOp::Kind::kRelease:
      EmitUse(op.lock_tile, op.lock, op.kind == CoreOp::Kind::kAcquire,
              op.value, &text_);
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
void MlirCores::OpenLoop(TileId id, const CoreOp& op) {
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
    Same(fmt::format("{} = arith.index_cast {} : i32 to index", count, value));
  }
  const std::string trip = Fresh();
  const std::string line =
      fmt::format("scf.for {} = %c0 to {} step %c1 {{", trip, count);
  text_.Open(line, line);
  loops_.push_back(trip);
}

// value + stride * trip, as an index; `name` is the value's.
std::string MlirCores::AddTrips(const CoreArg& arg, const std::string& name,
                                int64_t base) {
  const std::string stride = Fresh();
  const std::string product = Fresh();
  const std::string sum = Fresh();
  Same(fmt::format("{} = arith.constant {} : index", name, base));
  Same(fmt::format("{} = arith.constant {} : index", stride, arg.stride));
  Same(fmt::format("{} = arith.muli {}, {} : index", product, TripsOf(arg.loop),
                   stride));
  Same(fmt::format("{} = arith.addi {}, {} : index", sum, name, product));
  return sum;
}

std::string MlirCores::View(TileId core, int64_t address,
                            const std::string& type, const CoreArg* moving) {
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
                   BufferName(owner, *buffer), shift, BytesType(buffer->bytes),
                   type));
  return view;
}

std::string MlirCores::Load(TileId core, int64_t address) {
  const std::string view = View(core, address, WordsType(1));
  const std::string value = Fresh();
  Same(fmt::format("{} = memref.load {}[%c0] : {}", value, view, WordsType(1)));
  return value;
}

std::string MlirCores::Pointer(TileId core, int64_t address, int64_t bytes) {
  const auto [owner, buffer] = Find(core, address);
  if (buffer->bytes == bytes && buffer->address == (address & 0xFFFF)) {
    return BufferName(owner, *buffer);
  }
  return View(core, address, BytesType(bytes));
}

// The value of one argument; `bytes` of what a pointer points to.
std::string MlirCores::ValueOf(TileId id, const CoreArg& arg, int64_t bytes) {
  std::string value;
  switch (arg.kind) {
    case CoreArg::Kind::kBuffer:
      value = arg.loop < 0 ? Pointer(id, arg.value, bytes)
                           : View(id, arg.value, BytesType(bytes), &arg);
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
      Same(fmt::format("{} = arith.index_cast {} : index to i32", value,
                       TripsOf(arg.value)));
      break;
  }
  return value;
}

void MlirCores::EmitCall(TileId id, const CoreOp& op) {
  const std::vector<int64_t>& sizes = kernels_.at(op.kernel);
  std::string values;
  for (size_t i = 0; i < op.args.size(); ++i) {
    const std::string value = ValueOf(id, op.args[i], sizes[i]);
    values += (values.empty() ? "" : ", ") + value;
  }
  text_.Line(fmt::format("func.call @{}({}) : ({}) -> ()", op.kernel, values,
                         Types(sizes)),
             // A plain mlir-opt does not look up symbols through operations
             // that it does not know.
             fmt::format("\"aie.call\"({}) {{callee = @{}}} : ({}) -> ()",
                         values, op.kernel, Types(sizes)));
}

std::string MlirCores::TripsOf(int64_t loop) const {
  return loops_[loops_.size() - 1 - static_cast<size_t>(loop)];
}

std::string MlirCores::Fresh() { return fmt::format("%v{}", values_++); }

}  // namespace sotto::npu
