// SPDX-License-Identifier: MIT
#include "npu/kernels/stack.h"

namespace sotto::npu {
namespace {

constinit thread_local TileStack* current = nullptr;

}  // namespace

ScopedTileStack::ScopedTileStack(TileStack& stack) : previous_(current) {
  current = &stack;
}

ScopedTileStack::~ScopedTileStack() { current = previous_; }

std::byte* PushFrame(int64_t bytes) noexcept {
  if (current == nullptr || !current->Fits(bytes)) return nullptr;
  std::byte* frame = current->memory + current->address + current->used;
  current->used += bytes;
  return frame;
}

void PopFrame(int64_t bytes) noexcept { current->used -= bytes; }

}  // namespace sotto::npu
