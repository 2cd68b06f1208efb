// SPDX-License-Identifier: MIT
// The kernels of Order::kTile on the machine's own tiles.
#include "cpu/x86/attention.h"
#include "cpu/x86/attention_tiles.h"
#include "cpu/x86/cached_attention.h"
#include "cpu/x86/dot_tile_order.h"
#include "cpu/x86/linear_tiles.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu {

using Tiles = x86::HardwareTiles;
using ByTiles = x86::TilesOrder<Tiles>;

void LinearAmxBf16(const LinearArgs& args, const Context& context) {
  x86::RunLinearTiles<Tiles>(args, context);
}
size_t LinearAmxBf16Scratch(const LinearArgs& args, int threads) {
  return x86::LinearTilesScratch(args, threads);
}

void AttentionAmxBf16(const AttentionArgs& args, const Context& context) {
  x86::RunAttention<ByTiles>(args, context);
}
size_t AttentionAmxBf16Scratch(const AttentionArgs& args, int threads) {
  return x86::AttentionScratch<ByTiles>(args, threads);
}

void CachedAttentionAmxBf16(const CachedAttentionArgs& args,
                            const Context& context) {
  x86::RunCached<ByTiles, x86::TileOrder>(args, context);
}
size_t CachedAttentionAmxBf16Scratch(const CachedAttentionArgs& /*args*/,
                                     int threads) {
  return x86::CachedScratch<ByTiles>(threads);
}

}  // namespace sotto::cpu
