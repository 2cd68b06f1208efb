// SPDX-License-Identifier: MIT
// Lines of MLIR in one of two forms, indented by their blocks, and the names in
// them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "npu/array_config.h"
#include "npu/emit/mlir.h"

namespace sotto::npu {

class MlirText {
 public:
  explicit MlirText(MlirForm form) : generic_(form == MlirForm::kGeneric) {}
  void Line(std::string_view custom, std::string_view generic) {
    text_.append(static_cast<size_t>(2 * depth_), ' ');
    text_.append(generic_ ? generic : custom).push_back('\n');
  }
  void Open(std::string_view custom, std::string_view generic) {
    Line(custom, generic);
    ++depth_;
  }
  void Close(std::string_view custom, std::string_view generic) {
    --depth_;
    Line(custom, generic);
  }
  void Indent() { ++depth_; }
  void Label(std::string_view label) {
    --depth_;
    Line(label, label);
    ++depth_;
  }
  void LabelGeneric(std::string_view label) {
    if (generic_) Label(label);
  }
  std::string Take() { return std::move(text_); }

 private:
  bool generic_;
  int depth_ = 0;
  std::string text_;
};

const char* NameOf(Direction direction);  // of the dialect
int NumberOf(Direction direction);
std::string WordsType(int64_t words);  // memref of i32

std::string BytesType(int64_t bytes);  // memref of i8

// Values of the module: "%tile_0_2", "%b_0_2_NAME", "%lock_0_2_5".
std::string Suffix(TileId id);  // "0_2"
std::string TileName(TileId id);
std::string BufferName(TileId tile, const PlacedBuffer& buffer);
std::string LockName(TileId tile, int lock);
// The buffer of a tile in which an address lies; null where none does.
const PlacedBuffer* BufferAt(const TileConfig& tile, int64_t address);

// aie.use_lock: waits for at least `value`, or adds it.
void EmitUse(TileId tile, int lock, bool acquire, int64_t value,
             MlirText* text);

// Letters, digits and underscores of a name.
std::string Identifier(std::string_view name);
// Whether an address of the array's registers belongs to a descriptor, or is a
// task queue.
bool IsDescriptorAddress(uint32_t address);
bool IsQueueAddress(uint32_t address);

}  // namespace sotto::npu
