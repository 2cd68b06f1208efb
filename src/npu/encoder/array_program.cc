// SPDX-License-Identifier: MIT
#include "npu/encoder/array_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "npu/design/gemm.h"

namespace sotto::npu {
namespace {

constexpr int64_t kStateBytes = kTile * (12 + kTile) * 4;  // of attention
constexpr int64_t kSumsBytes = kTile * kTile * 4;

// A core's work area: what a header says (control, flags, parameters), then
// sums. Attention's state takes the parameters' place.
constexpr int64_t kControlArea = kControlBytes + kHeaderBlocks * kFlagBytes;
// While rows are normalised: their sums, then the own tile of the second block.
constexpr int64_t kStatsBytes = kTile / 4 * 2 * 32 * 4;
static_assert(kStatsBytes + kSlotBytes <= kSumsBytes);

std::string Name(const char* what, int i) {
  return fmt::format("{}{}", what, i);
}

// A core's program: one header and what it says, without end. Loops of none or
// one trip are its only conditions.
class Program {
 public:
  Program(int column, int row, const ArrayLayout& layout)
      : column_(column),
        row_(row),
        int8_(layout.int8()),
        block_params_(BlockParams(layout.precision)),
        sums_at_(kControlArea + kHeaderBlocks * block_params_),
        a_(Name("a", row)),
        w_(Name("w", column)),
        c_(fmt::format("c{}_{}", column, row)),
        work_(fmt::format("work{}_{}", column, row)) {}

  std::vector<Op> Ops() {
    Header();
    Add({LoopBy(Word(kBlocks))});
    Product();
    // While the result before is on its way out.
    Add({LoopBy(Flag(kKept)), Apply(Kept()), EndLoop(), Acquire(c_)});
    Stats();
    Pick();
    const char* finish = int8_ ? "finish_i8" : "finish_bf16";
    Add({LoopBy(Word(kFinish)),
         Call(finish, {Sums(), Params(), Element(c_), Element(c_),
                       Constant(kTile), Constant(kTile), Flag(kMode)}),
         EndLoop(), LoopBy(Flag(kApply)), Apply(Element(c_)), EndLoop()});
    Attend();
    // The next block's flags and parameters take the place of this one's.
    Add({Release(c_),
         Call("passthrough_u8",
              {Memory(work_, kControlBytes + kFlagBytes),
               Memory(work_, kControlBytes),
               Constant(kControlArea - kControlBytes - kFlagBytes)}),
         Call("passthrough_u8",
              {Memory(work_, kControlArea + block_params_), Params(),
               Constant((kHeaderBlocks - 1) * block_params_)}),
         EndLoop()});
    return std::move(ops_);
  }

  std::vector<StaticBuffer> Buffers() const {
    const TileId tile{column_, kFirstCoreRow + row_};
    return {{work_,
             tile,
             std::max(kControlArea + kStateBytes, sums_at_ + kSumsBytes),
             {}}};
  }

 private:
  void Add(std::vector<Op> more) {
    ops_.insert(ops_.end(), more.begin(), more.end());
  }
  Arg Word(int word) const { return Parameter(work_, 4 * word); }
  Arg Flag(int flag) const {
    return Parameter(work_, kControlBytes + 4 * flag);
  }
  Arg Params() const { return Memory(work_, kControlArea); }
  Arg Sums() const { return Memory(work_, sums_at_); }
  Arg Kept() const { return Memory(work_, sums_at_ + kStatsBytes); }
  Arg State() const { return Memory(work_, kControlArea); }

  // LayerNorm of a tile, in place.
  Op Apply(const Arg& tile) const {
    std::vector<Arg> args = {tile, Sums(),          Params(),
                             tile, Constant(kTile), Constant(kTile)};
    if (int8_) args.push_back(Word(kApplyInt8));
    return Call(int8_ ? "layer_norm_apply" : "layer_norm_apply_bf16", args);
  }

  void Header() {
    Add({Acquire(w_, 2),
         Call("passthrough_u8",
              {Element(w_), Memory(work_), Constant(sums_at_)}),
         Release(w_, 2)});
  }

  // The column's own tiles of the first two blocks are kept on the way, the
  // first where its block's result goes.
  void Stats() {
    Add({LoopBy(Flag(kStatsPairs))});
    for (int tile = 0; tile < 2; ++tile) {
      const Arg step = Constant(tile).PerTrip(2);
      Add({Acquire(a_),
           Call("layer_norm_stats",
                {Element(a_), Sums(), Constant(kTile), Constant(kTile), step,
                 Word(kStatsSteps), Word(kInverseWidth)})});
      if (tile == column_ % 2)
        Add({Call("keep_u8",
                  {Element(a_), Element(c_), Kept(), Constant(kSlotBytes), step,
                   Constant(column_), Constant(column_ + kArrayColumns)})});
      Add({Release(a_)});
    }
    Add({EndLoop()});
  }

  // int8: an element of weights is 128 of K, as is one of int8 activations; of
  // int16 ones two are.
  void Product() {
    Add({LoopBy(Word(kKTrips))});
    for (int element = 0; element < 2; ++element) {
      Add({Acquire(w_)});
      Multiply(0, element == 0, false);
      Add({Release(w_)});
    }
    Add({EndLoop()});
    if (!int8_) return;
    Add({LoopBy(Word(kWideTrips))});
    for (int element = 0; element < 2; ++element) {
      Add({Acquire(w_)});
      Multiply(0, element == 0, true);
      Multiply(kTileElements, false, true);
      Add({Release(w_)});
    }
    Add({EndLoop()});
  }
  // `first` of a trip. `weights`: where they are in their element.
  void Multiply(int64_t weights, bool first, bool wide) {
    Add({Acquire(a_),
         Call(wide    ? "gemm_tile_i16_i8"
              : int8_ ? "gemm_tile_i8"
                      : "gemm_tile_bf16",
              {Element(a_), Element(w_, 0, weights), Sums(),
               first ? Index() : Constant(1)}),
         Release(a_)});
  }

  void Skip(const std::string& fifo, int tiles) {
    if (tiles > 1) Add({Acquire(fifo, 2), Release(fifo, 2)});
    if (tiles % 2 == 1) Add({Acquire(fifo), Release(fifo)});
  }
  Op Copy(const std::string& fifo) const {
    return Call("passthrough_u8",
                {Element(fifo), Element(c_), Constant(kSlotBytes)});
  }
  // Its own of as many tiles as there are others that see them.
  void PickFrom(const std::string& fifo, int own, int tiles) {
    Skip(fifo, own);
    Add({Acquire(fifo), Copy(fifo), Release(fifo)});
    Skip(fifo, tiles - 1 - own);
  }

  // Four tiles come by, one for each column, residuals or rows to normalise; or
  // one for each row, residuals.
  void Pick() {
    Add({LoopBy(Flag(kPick))});
    PickFrom(a_, column_, kArrayColumns);
    Add({EndLoop(), LoopBy(Flag(kPickBeside))});
    PickFrom(w_, row_, kArrayRows);
    Add({EndLoop(), LoopBy(Flag(kKept)),
         Call("passthrough_u8", {Kept(), Element(c_), Constant(kSlotBytes)}),
         EndLoop()});
  }

  // Four tiles of Q come by, of int8 two pairs; the last one's element is kept
  // until all keys have been seen: the probabilities of a block of keys stand
  // there. Two elements of weights a trip, K and V: the next K arrives while V
  // is at work.
  void Attend() {
    const int elements = int8_ ? kArrayColumns / 2 : kArrayColumns;
    const int own = int8_ ? column_ / 2 : column_;
    Add({LoopBy(Word(kAttend))});
    Skip(a_, own);
    Add({Acquire(a_), Copy(a_)});
    if (own < elements - 1) {
      Add({Release(a_)});
      Skip(a_, elements - 2 - own);
      Add({Acquire(a_)});
    }
    const int64_t query = int8_ ? column_ % 2 * kPairStep : 0;
    std::vector<Arg> scores = {
        Element(c_, 0, query), Element(w_), Element(a_), State(), Index(),
        Word(kValid)};
    if (int8_) {
      scores.push_back(Word(kShift));
      scores.push_back(Constant(2 * kTile));
    }
    Add({LoopBy(Word(kKeyTiles)), Acquire(w_),
         Call(int8_ ? "flash_tile_scores_i8" : "flash_tile_scores_bf16",
              scores),
         Release(w_), Acquire(w_),
         Call("flash_tile_values",
              {Element(a_), Element(w_), State(), Index()}),
         Release(w_), EndLoop(), Release(a_),
         Call(int8_ ? "flash_finish_i16" : "flash_finish_bf16",
              {State(), Element(c_), Constant(kTile), Constant(kTile)}),
         EndLoop()});
  }

  int column_;
  int row_;
  bool int8_;
  int64_t block_params_;
  int64_t sums_at_;
  std::string a_, w_, c_, work_;
  std::vector<Op> ops_;
};

}  // namespace

std::vector<Op> CoreProgram(int column, int row, const ArrayLayout& layout) {
  return Program(column, row, layout).Ops();
}

std::vector<StaticBuffer> CoreBuffers(int column, int row,
                                      const ArrayLayout& layout) {
  return Program(column, row, layout).Buffers();
}

}  // namespace sotto::npu
