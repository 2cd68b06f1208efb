// SPDX-License-Identifier: MIT
#include "npu/run/tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "npu/kernels/kernel.h"
#include "npu/sim/cost.h"

namespace sotto::npu {
namespace {

constexpr double kWindowSeconds = 30;
constexpr double kPositionsPerSecond = 50;
constexpr int kTileSizes[] = {16, 64};

// What one tile was published to take: 64x64 measured there (2.13 to 2.38 ms),
// 16x16 estimated there.
struct PublishedTile {
  int tile;
  double ms;
  const char* how;
};
constexpr PublishedTile kPublished[] = {{64, 2.19, "measured by others"},
                                        {16, 0.56, "estimated by others"}};

int64_t Blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

int64_t Cycles(std::string_view name, std::span<const int32_t> ints,
               const CoreParameters& core) {
  const KernelInfo* kernel = FindKernel(name);
  SOTTO_CHECK(kernel != nullptr);
  return CyclesOf(*kernel, ints, core);
}

// A block of queries against all keys: the first block of keys always sets the
// reference, the others hardly ever move it.
int64_t RowCycles(const AttentionOperation& operation, int tile,
                  const CoreParameters& core) {
  const int32_t edge[] = {tile, operation.width};
  const auto block = [&](int32_t number) {
    // Shift and width of Q of int8 only.
    const int32_t ints[] = {tile,           tile, operation.width, number,
                            operation.keys, 8,    operation.width};
    // What knows its shape is faster.
    if (tile == 64 && operation.width == 64) {
      const int32_t known[] = {number, operation.keys, 8, operation.width};
      return Cycles(operation.int8 ? "flash_tile_scores_i8"
                                   : "flash_tile_scores_bf16",
                    std::span(known).first(operation.int8 ? 4 : 2), core) +
             Cycles("flash_tile_values", std::span(known).first(1), core);
    }
    return Cycles(operation.int8 ? "flash_scores_i8" : "flash_scores_bf16",
                  std::span(ints).first(operation.int8 ? 7 : 5), core) +
           Cycles("flash_values", std::span(ints).first(4), core);
  };
  const auto blocks = static_cast<int32_t>(Blocks(operation.keys, tile));
  int64_t cycles = Cycles("flash_finish_bf16", edge, core);
  for (int32_t b = 0; b < blocks; ++b) cycles += block(b);
  return cycles;
}

}  // namespace

int64_t AttentionTiles(int64_t positions, int tile, int heads, int layers) {
  const int64_t blocks = Blocks(positions, tile);
  return blocks * blocks * heads * layers;
}

std::vector<TileRow> TileTable(std::span<const double> seconds,
                               const EncoderShape& shape, int tile,
                               double ms_per_tile) {
  const auto tiles = [&](int64_t positions) {
    return AttentionTiles(positions, tile, shape.heads, shape.layers);
  };
  std::vector<TileRow> rows;
  for (const double s : seconds) {
    TileRow row{.seconds = s, .tile = tile};
    const auto whole = static_cast<int64_t>(s / kWindowSeconds);
    const auto rest = static_cast<int64_t>(
        std::ceil((s - static_cast<double>(whole) * kWindowSeconds) *
                  kPositionsPerSecond));
    row.positions = whole * shape.positions() + rest;
    row.tiles = whole * tiles(shape.positions()) + tiles(rest);
    row.padded_tiles = (whole + (rest > 0 ? 1 : 0)) * tiles(shape.positions());
    row.ms = static_cast<double>(row.padded_tiles) * ms_per_tile;
    rows.push_back(row);
  }
  return rows;
}

std::vector<TileChoice> TileChoices(const AttentionOperation& operation,
                                    const CoreParameters& core) {
  std::vector<TileChoice> choices;
  for (const int tile : kTileSizes) {
    const int64_t rows = Blocks(operation.queries, tile);
    const int64_t columns = Blocks(operation.keys, tile);
    choices.push_back({.tile = tile,
                       .tiles = rows * columns,
                       .cycles = rows * RowCycles(operation, tile, core)});
  }
  std::stable_sort(choices.begin(), choices.end(),
                   [](const TileChoice& a, const TileChoice& b) {
                     return a.cycles < b.cycles;
                   });
  return choices;
}

std::string TileReport(const EncoderShape& shape) {
  std::string text;
  for (const int tile : kTileSizes) {
    const int64_t blocks = Blocks(shape.positions(), tile);
    text += fmt::format(
        "{0}x{0}: {1} x {1} blocks x {2} heads x {3} layers = {4} tiles a "
        "window\n",
        tile, blocks, shape.heads, shape.layers,
        AttentionTiles(shape.positions(), tile, shape.heads, shape.layers));
  }
  constexpr double kSeconds[] = {2, 5, 10, 15, 30, 55.35};
  for (const PublishedTile& published : kPublished) {
    text += fmt::format(
        "\ntiles of {0}x{0}, {1} ms each ({2})\n"
        "seconds  positions   tiles  of windows  one by one, s (projected)\n",
        published.tile, published.ms, published.how);
    for (const TileRow& r :
         TileTable(kSeconds, shape, published.tile, published.ms)) {
      text += fmt::format("{:7.2f}  {:9}  {:6}  {:10}  {:12.1f}\n", r.seconds,
                          r.positions, r.tiles, r.padded_tiles, r.ms / 1000);
    }
  }
  text += "\noperation                 tile  cycles of a core (modelled)\n";
  const struct {
    const char* name;
    AttentionOperation operation;
  } operations[] = {{"encoder, a head", {shape.positions(), shape.positions()}},
                    {"encoder, a head, int8",
                     {shape.positions(), shape.positions(), 64, true}},
                    {"decoder, prompt of 4", {4, 4}},
                    {"decoder, token 100", {1, 100}},
                    {"decoder, cross", {1, shape.positions()}}};
  for (const auto& [name, operation] : operations) {
    const auto choices = TileChoices(operation);
    text += fmt::format("{:24}  {:4}  {} ({}x{}: {})\n", name, choices[0].tile,
                        choices[0].cycles, choices[1].tile, choices[1].tile,
                        choices[1].cycles);
  }
  return text;
}

}  // namespace sotto::npu
