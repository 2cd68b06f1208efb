// SPDX-License-Identifier: MIT
// Where the fields of a DMA descriptor lie, by kind of tile. For registers.cc.
#pragma once

#include <array>

#include "npu/array_config.h"

namespace sotto::npu {

// A field of a descriptor's words; without bits where there is none.
struct Field {
  int word;
  int low;
  int bits;
};
using DimFields = std::array<Field, 4>;
inline constexpr Field kNoField{0, 0, 0};

struct DescriptorLayout {
  int words;
  Field length;
  Field address;  // in words, but shim tiles: bits 2..31 of a byte address
  DimFields step;
  DimFields wrap;
  Field iteration_step;
  Field iteration_wrap;
  Field iteration_current;
  std::array<Field, 3> pad_before;
  std::array<Field, 3> pad_after;
  Field next;
  Field use_next;
  Field valid;
  Field release_value;
  Field release_lock;
  Field acquire_enable;
  Field acquire_value;
  Field acquire_lock;
  Field packet;
  Field packet_id;
  Field packet_type;
  Field compression;
};

const DescriptorLayout& LayoutOf(TileKind kind);

// Of shim tiles alone.
inline constexpr Field kShimAddressHigh{2, 0, 16};
inline constexpr Field kShimBurst{4, 30, 2};
inline constexpr Field kShimCache{5, 24, 4};

}  // namespace sotto::npu
