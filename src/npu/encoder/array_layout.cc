// SPDX-License-Identifier: MIT
#include "npu/encoder/array_layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "npu/kernels/device.h"

namespace sotto::npu {
namespace {

using What = Phase::What;

int RoundUp(int value, int to) { return (value + to - 1) / to * to; }

// Each block is two descriptors of a shim's sixteen then.
constexpr int kMostBeside = 2;
static_assert(kMostBeside <= kHeaderBlocks);
// Tiles of K of int8. Behind more of them a block waits little for its
// residual, and DDR, which is what such a phase waits for, is shared by more
// streams; of bf16 weights are as many as operands.
constexpr int kMostDeep = 16;

class Builder {
 public:
  Builder(const EncoderShape& shape, EncoderPrecision precision) {
    l_.shape = shape;
    l_.precision = precision;
    l_.row_blocks = RoundUp(shape.row_tiles(), kArrayRows) / kArrayRows;
    l_.head_blocks = RoundUp(shape.heads, kArrayColumns) / kArrayColumns;
  }

  ArrayLayout Build() {
    Place();
    const EncoderShape& s = l_.shape;
    const int d = s.width_tiles();
    const int codes = l_.int8() ? kFinishInt16 : 0;
    Product(What::kStem1, 0, l_.input, s.stem_tiles(), codes | kFinishGelu,
            {To(l_.hidden, Blocks(3 * d))});
    Product(What::kStem2, 0, l_.hidden, 3 * d, kFinishGelu | kFinishResidual,
            {To(l_.x, Blocks(d))}, &l_.positions);
    for (int i = 0; i < s.layers; ++i) Layer(i);
    Norm(What::kLast, s.layers, l_.output);
    return std::move(l_);
  }

 private:
  static int Blocks(int tiles) {
    return RoundUp(tiles, kArrayColumns) / kArrayColumns;
  }

  SlotMatrix Take(ArrayBuffer buffer, int tiles, bool paired) {
    SlotMatrix m{buffer, l_.bytes[static_cast<int>(buffer)],
                 RoundUp(tiles, kArrayColumns), paired};
    l_.bytes[static_cast<int>(buffer)] +=
        int64_t{l_.rows()} * m.columns * kSlotBytes;
    return m;
  }

  void Place() {
    const EncoderShape& s = l_.shape;
    const int d = s.width_tiles();
    const bool paired = l_.int8();
    l_.input = Take(ArrayBuffer::kInput, s.stem_tiles(), false);
    l_.output = Take(ArrayBuffer::kOutput, d, false);
    l_.positions = Take(ArrayBuffer::kWeights, d, false);
    l_.x = Take(ArrayBuffer::kScratch, d, false);
    l_.normed = Take(ArrayBuffer::kScratch, d, paired);
    l_.attended = l_.normed;
    l_.attended.paired = false;
    l_.q = Take(ArrayBuffer::kScratch, s.heads, paired);
    // The stem's rows are three widths, the MLP's are gone by then.
    const bool wide = 3 * d > s.ffn_tiles();
    SlotMatrix& larger = wide ? l_.hidden : l_.ffn;
    SlotMatrix& smaller = wide ? l_.ffn : l_.hidden;
    larger = Take(ArrayBuffer::kScratch, std::max(3 * d, s.ffn_tiles()), false);
    smaller = larger;
    smaller.columns = RoundUp(std::min(3 * d, s.ffn_tiles()), kArrayColumns);
    int64_t& scratch = l_.bytes[static_cast<int>(ArrayBuffer::kScratch)];
    l_.kv = scratch;
    scratch +=
        int64_t{l_.head_blocks} * kArrayColumns * l_.rows() * 2 * kSlotBytes;
  }

  Target To(const SlotMatrix& m, int blocks, int first_block = 0) const {
    Target t{.buffer = m.buffer,
             .offset = m.At(0, first_block * kArrayColumns),
             .column_step = m.paired ? 2 * kSlotBytes : kSlotBytes,
             .odd_column_step = m.paired ? kPairStep : 0,
             .row_step = m.columns * kSlotBytes,
             .block_step = kArrayColumns * kSlotBytes,
             .blocks = blocks,
             .paired = m.paired};
    return t;
  }
  // K or V of all heads.
  Target ToKeys(int64_t slot) const {
    const int64_t head = int64_t{l_.rows()} * 2 * kSlotBytes;
    return {.buffer = ArrayBuffer::kScratch,
            .offset = l_.kv + slot * kSlotBytes,
            .column_step = head,
            .row_step = 2 * kSlotBytes,
            .block_step = kArrayColumns * head,
            .blocks = l_.head_blocks};
  }

  Phase& Add(Phase::Kind kind, What what, int layer, const SlotMatrix& a,
             std::vector<Target> targets) {
    Phase& p = l_.phases.emplace_back();
    p.kind = kind;
    p.what = what;
    p.layer = layer;
    p.a = a;
    p.targets = std::move(targets);
    p.weights = l_.bytes[static_cast<int>(ArrayBuffer::kWeights)];
    return p;
  }
  void Weigh(Phase* p, int64_t bytes) {
    p->weight_bytes = bytes;
    l_.bytes[static_cast<int>(ArrayBuffer::kWeights)] += kArrayColumns * bytes;
  }
  int64_t Headers(const Phase& p) const {
    int64_t bytes = 0;
    for (int b = 0; b < p.blocks(); b += p.HeaderFrom(b, kHeaderBlocks))
      bytes += kHeaderBytes;
    return bytes;
  }

  // Blocks of rows to a header. bf16 waits for DDR, as a whole: with fewer
  // headers it would take 0.25 ms less (modelled), but hide less than 90 % of
  // what there is left to hide, which is row R10.
  int Together(const Phase& p) const {
    if (!l_.int8()) return 1;
    int most = std::max(kHeaderBlocks / p.blocks(), 1);
    while (l_.row_blocks % most != 0) --most;
    return most;
  }

  Phase& Product(What what, int layer, const SlotMatrix& a, int k_tiles,
                 int mode, std::vector<Target> targets,
                 const SlotMatrix* residual = nullptr, int later = INT_MAX) {
    Phase& p = Add(Phase::Kind::kProduct, what, layer, a, std::move(targets));
    // A trip takes two elements of weights.
    p.k_tiles = RoundUp(k_tiles, 2 * l_.element_tiles());
    p.mode = mode;
    p.later = later;
    p.adds = residual != nullptr;
    if (residual != nullptr) p.residual = *residual;
    p.beside = l_.int8() && p.adds && p.blocks() <= kMostBeside &&
               p.k_tiles <= kMostDeep;
    if (!p.beside) p.together = Together(p);
    const int64_t elements = p.k_tiles / l_.element_tiles();
    Weigh(&p, Headers(p) + p.blocks() * elements * kSlotBytes);
    return p;
  }

  void Norm(What what, int layer, const SlotMatrix& out) {
    const int d = l_.shape.width_tiles();
    Phase& p = Add(Phase::Kind::kNorm, what, layer, l_.x, {To(out, Blocks(d))});
    p.k_tiles = RoundUp(d, kArrayColumns);
    p.together = Together(p);
    Weigh(&p, Headers(p));
  }

  void Layer(int i) {
    const int d = l_.shape.width_tiles();
    const int narrow = l_.int8() ? kFinishInt8 : 0;
    const int codes = l_.int8() ? kFinishInt16 : 0;
    Norm(What::kNorm1, i, l_.normed);
    // V stays bf16.
    Product(What::kQKV, i, l_.normed, d, narrow,
            {To(l_.q, l_.head_blocks), ToKeys(0), ToKeys(1)}, nullptr,
            2 * l_.head_blocks);
    for (int h = 0; h < l_.head_blocks; ++h) {
      Phase& p = Add(Phase::Kind::kAttention, What::kAttention, i, l_.q,
                     {To(l_.attended, 1, h)});
      p.heads_from = h * kArrayColumns;
      p.waits = h == 0;
      Weigh(&p, kHeaderBytes);
    }
    Product(What::kOut, i, l_.attended, d, kFinishResidual,
            {To(l_.x, Blocks(d))}, &l_.x);
    Norm(What::kNorm2, i, l_.normed);
    const int f = l_.shape.ffn_tiles();
    Product(What::kFc1, i, l_.normed, d, codes | kFinishGelu,
            {To(l_.ffn, Blocks(f))});
    Product(What::kFc2, i, l_.ffn, f, kFinishResidual, {To(l_.x, Blocks(d))},
            &l_.x);
  }

  ArrayLayout l_;
};

}  // namespace

const char* NameOf(ArrayBuffer buffer) {
  switch (buffer) {
    case ArrayBuffer::kInput:
      return "input";
    case ArrayBuffer::kWeights:
      return "weights";
    case ArrayBuffer::kScratch:
      return "scratch";
    case ArrayBuffer::kOutput:
      break;
  }
  return "output";
}

int Phase::blocks() const {
  int sum = 0;
  for (const Target& target : targets) sum += target.blocks;
  return sum;
}

int Phase::HeaderFrom(int first, int room) const {
  return std::min(room, blocks() - first);
}

std::string Phase::Name() const {
  static constexpr const char* kNames[] = {
      "stem1", "stem2", "norm1", "qkv", "attention",
      "out",   "norm2", "fc1",   "fc2", "last norm"};
  const char* name = kNames[static_cast<int>(what)];
  if (what == What::kStem1 || what == What::kStem2 || what == What::kLast)
    return name;
  return fmt::format("{}.{}", layer, name);
}

ArrayLayout MakeArrayLayout(const EncoderShape& shape,
                            EncoderPrecision precision) {
  shape.Check();
  // Iterations of a descriptor.
  if (shape.row_tiles() > 64)
    Fail(ErrorCode::kUnsupported,
         "npu: {} frames are {} tiles of rows, want at most 64", shape.frames,
         shape.row_tiles());
  // Of x, in an area of L2.
  if (shape.width_tiles() > 24)
    Fail(ErrorCode::kUnsupported, "npu: a width of {}, want at most {}",
         shape.width, 24 * kTile);
  return Builder(shape, precision).Build();
}

}  // namespace sotto::npu
