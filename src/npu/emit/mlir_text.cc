// SPDX-License-Identifier: MIT
#include "npu/emit/mlir_text.h"

#include <fmt/format.h>

#include <cctype>

#include "npu/registers.h"

namespace sotto::npu {

const char* NameOf(Direction direction) {
  return direction == Direction::kS2MM ? "S2MM" : "MM2S";
}
int NumberOf(Direction direction) {
  return direction == Direction::kS2MM ? 0 : 1;
}
std::string WordsType(int64_t words) {
  return fmt::format("memref<{}xi32>", words);
}

std::string BytesType(int64_t bytes) {
  return fmt::format("memref<{}xi8>", bytes);
}

std::string Suffix(TileId id) { return fmt::format("{}_{}", id.col, id.row); }

std::string TileName(TileId id) { return "%tile_" + Suffix(id); }

std::string BufferName(TileId tile, const PlacedBuffer& buffer) {
  return fmt::format("%b_{}_{}", Suffix(tile), Identifier(buffer.name));
}

std::string LockName(TileId tile, int lock) {
  return fmt::format("%lock_{}_{}", Suffix(tile), lock);
}

const PlacedBuffer* BufferAt(const TileConfig& tile, int64_t address) {
  for (const PlacedBuffer& b : tile.buffers) {
    if (address >= b.address && address < b.address + b.bytes) return &b;
  }
  return nullptr;
}

void EmitUse(TileId tile, int lock, bool acquire, int64_t value,
             MlirText* text) {
  const std::string name = LockName(tile, lock);
  text->Line(
      fmt::format("aie.use_lock({}, {}, {})", name,
                  acquire ? "AcquireGreaterEqual" : "Release", value),
      fmt::format("\"aie.use_lock\"({}) {{action = {} : i32, value = {} : "
                  "i32}} : (index) -> ()",
                  name, acquire ? 2 : 0, value));
}

std::string Identifier(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return out;
}

bool IsDescriptorAddress(uint32_t address) {
  return LocateRegister(address).kind == RegisterAddress::Kind::kDescriptor;
}

bool IsQueueAddress(uint32_t address) {
  return LocateRegister(address).kind == RegisterAddress::Kind::kQueue;
}

}  // namespace sotto::npu
