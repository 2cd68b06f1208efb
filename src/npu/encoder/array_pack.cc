// SPDX-License-Identifier: MIT
#include "npu/encoder/array_pack.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "npu/encoder/host_run.h"

namespace sotto::npu {
namespace {

using What = Phase::What;
using Control = std::array<int32_t, kControlBytes / 4>;

class WeightPacker {
 public:
  // Null: headers only.
  WeightPacker(const ArrayLayout& layout, const PackedEncoder* encoder,
               std::byte* out)
      : l_(layout), encoder_(encoder), out_(out) {}

  void All() {
    if (encoder_ != nullptr) Positions();
    for (const Phase& p : l_.phases)
      for (int c = 0; c < kArrayColumns; ++c) Column(p, c);
  }

 private:
  void Positions() {
    const int d = l_.shape.width_tiles();
    for (int row = 0; row < l_.shape.row_tiles(); ++row)
      for (int c = 0; c < d; ++c)
        std::memcpy(out_ + l_.positions.At(row, c),
                    encoder_->positions.data() +
                        static_cast<size_t>(row * d + c) * kSlotBytes,
                    kSlotBytes);
  }

  const PackedMatrix* MatrixOf(const Phase& p) const {
    if (encoder_ == nullptr) return nullptr;
    switch (p.what) {
      case What::kStem1:
        return &encoder_->stem1;
      case What::kStem2:
        return &encoder_->stem2;
      case What::kQKV:
        return &Layer(p).qkv;
      case What::kOut:
        return &Layer(p).out;
      case What::kFc1:
        return &Layer(p).fc1;
      case What::kFc2:
        return &Layer(p).fc2;
      default:
        return nullptr;
    }
  }
  const PackedLayer& Layer(const Phase& p) const {
    return encoder_->layers[static_cast<size_t>(p.layer)];
  }
  const PackedNorm& NormOf(const Phase& p) const {
    if (p.what == What::kLast) return encoder_->last;
    return p.what == What::kNorm1 ? Layer(p).ln1 : Layer(p).ln2;
  }

  // Which tile of columns block `block` of column `c` makes; -1: none.
  int TileOf(const Phase& p, int block, int c) const {
    if (p.what == What::kQKV) {
      const int head = block % l_.head_blocks * kArrayColumns + c;
      return head < l_.shape.heads
                 ? block / l_.head_blocks * l_.shape.heads + head
                 : -1;
    }
    const int tile = block * kArrayColumns + c;
    const PackedMatrix* m = MatrixOf(p);
    const int tiles = m != nullptr ? m->n_tiles : l_.shape.width_tiles();
    return tile < tiles ? tile : -1;
  }

  void Column(const Phase& p, int c) {
    at_ = out_ + p.weights + c * p.weight_bytes;
    int n = 0;
    for (int first = 0; first < p.blocks(); first += n) {
      n = p.HeaderFrom(first, kHeaderBlocks);
      Header(p, c, first, n);
      const PackedMatrix* m = MatrixOf(p);
      for (int b = 0; m != nullptr && b < n; ++b)
        Tiles(*m, TileOf(p, first + b, c), p);
      if (m == nullptr && p.kind == Phase::Kind::kProduct)
        at_ += int64_t{n} * p.k_tiles / l_.element_tiles() * kSlotBytes;
    }
  }

  void Header(const Phase& p, int c, int first, int n) {
    Control words{};
    words[kBlocks] = n * p.together;
    words[kInverseWidth] =
        std::bit_cast<int32_t>(1.0F / static_cast<float>(l_.shape.width));
    switch (p.kind) {
      case Phase::Kind::kProduct:
        words[l_.Wide(p) ? kWideTrips : kKTrips] =
            p.k_tiles / (2 * l_.element_tiles());
        words[kFinish] = 1;
        break;
      case Phase::Kind::kNorm:
        words[kStatsSteps] = p.k_tiles;
        words[kApplyInt8] = l_.int8() && p.what != What::kLast ? 1 : 0;
        break;
      case Phase::Kind::kAttention: {
        const int head = p.heads_from + c;
        words[kBlocks] = l_.row_blocks;
        words[kAttend] = 1;
        words[kKeyTiles] = l_.shape.row_tiles();
        words[kValid] = l_.shape.positions();
        if (l_.int8() && encoder_ != nullptr && head < l_.shape.heads)
          words[kShift] = Layer(p).shifts[static_cast<size_t>(head)];
        break;
      }
    }
    std::memcpy(at_, words.data(), kControlBytes);
    std::byte* blocks = at_ + kControlBytes;
    // Of all blocks that there is room for: attention's are more.
    for (int b = 0; b < kHeaderBlocks; ++b, blocks += kFlagBytes) {
      Control flags{};
      const int block = (first + b) % p.blocks();
      flags[kMode] = block < p.later ? p.mode : p.later_mode;
      if (p.kind == Phase::Kind::kNorm) {
        flags[kStatsPairs] = block == 0 ? p.k_tiles / 2 : 0;
        flags[kKept] = block == 1 ? 1 : 0;
        flags[kApply] = 1 - flags[kKept];
        flags[kPick] = block > 1 ? 1 : 0;
      }
      if (p.adds) flags[p.beside ? kPickBeside : kPick] = 1;
      std::memcpy(blocks, flags.data(), kFlagBytes);
    }
    const bool params =
        encoder_ != nullptr && p.kind != Phase::Kind::kAttention;
    for (int b = 0; params && b < n * p.together; ++b)
      Params(p, TileOf(p, first + b % n, c),
             blocks + b * BlockParams(l_.precision));
    at_ += kHeaderBytes;
  }
  void Params(const Phase& p, int tile, std::byte* to) const {
    if (tile < 0) return;
    if (const PackedMatrix* m = MatrixOf(p)) {
      const auto params = m->tile_params(tile);
      return void(std::memcpy(to, params.data(), params.size()));
    }
    std::memcpy(to, NormOf(p).data() + static_cast<size_t>(tile) * 2 * kTile,
                2 * kTile * sizeof(float));
  }

  // A block's tiles of K. Two int8 ones become one of 128: [n/8][16][8][8],
  // or follow each other where activations are int16.
  void Tiles(const PackedMatrix& m, int n, const Phase& p) {
    constexpr size_t kStripe = 512;  // 8 columns of an int8 tile
    for (int k = 0; k < p.k_tiles; ++k) {
      const std::byte* tile = n >= 0 && k < m.k_tiles ? m.tile(n, k) : nullptr;
      if (!l_.int8() || l_.Wide(p)) {
        if (tile != nullptr) std::memcpy(at_, tile, m.tile_bytes());
        at_ += kSlotBytes / l_.element_tiles();
        continue;
      }
      for (size_t j = 0; tile != nullptr && j < 8; ++j)
        std::memcpy(at_ + (2 * j + static_cast<size_t>(k % 2)) * kStripe,
                    tile + j * kStripe, kStripe);
      if (k % 2 == 1) at_ += kSlotBytes;
    }
  }

  const ArrayLayout& l_;
  const PackedEncoder* encoder_;
  std::byte* out_;
  std::byte* at_ = nullptr;
};

}  // namespace

namespace {
sotto::Buffer Packed(const ArrayLayout& layout, const PackedEncoder* encoder) {
  sotto::Buffer weights(static_cast<size_t>(
      layout.bytes[static_cast<int>(ArrayBuffer::kWeights)]));
  std::memset(weights.data(), 0, weights.size());
  WeightPacker(layout, encoder, weights.data()).All();
  return weights;
}
}  // namespace

sotto::Buffer PackArrayWeights(const ArrayLayout& layout,
                               const PackedEncoder& encoder) {
  return Packed(layout, &encoder);
}
sotto::Buffer PackArrayHeaders(const ArrayLayout& layout) {
  return Packed(layout, nullptr);
}

void MakeArrayInput(const ArrayLayout& layout, const float* mel,
                    std::byte* input) {
  const EncoderShape& s = layout.shape;
  std::memset(
      input, 0,
      static_cast<size_t>(layout.bytes[static_cast<int>(ArrayBuffer::kInput)]));
  sotto::Buffer tiles(StemInputBytes(s));
  MakeStemInput(s, layout.precision, mel, tiles.data());
  const std::byte* from = tiles.data();
  for (int row = 0; row < s.row_tiles(); ++row) {
    for (int c = 0; c < s.stem_tiles(); ++c) {
      std::memcpy(input + layout.input.At(row, c), from, kSlotBytes);
      from += kSlotBytes;
    }
  }
}

void ReadArrayOutput(const ArrayLayout& layout, const std::byte* output,
                     float* audio) {
  const EncoderShape& s = layout.shape;
  std::vector<uint16_t> tiles(static_cast<size_t>(s.rows()) * s.width);
  for (int row = 0; row < s.row_tiles(); ++row)
    for (int c = 0; c < s.width_tiles(); ++c)
      std::memcpy(
          tiles.data() +
              static_cast<size_t>(row * s.width_tiles() + c) * kTileElements,
          output + layout.output.At(row, c), kSlotBytes);
  ReadOutput(s, tiles.data(), audio);
}

}  // namespace sotto::npu
