// SPDX-License-Identifier: MIT
#include "npu/encoder/array_order.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace sotto::npu {
namespace {

constexpr int64_t kSlotWords = kSlotBytes / 4;
// Sizes of a shim's dimension end at 1023.
constexpr int64_t kRun = 512;

std::string Name(const char* what, int i) {
  return fmt::format("{}{}", what, i);
}

// The instruction stream. Weights run ahead of the wait between two phases.
class Order {
 public:
  Order(const ArrayLayout& layout, Design* design) : l_(layout), d_(*design) {}

  void Phases(size_t first, size_t last) {
    for (int r = 0; r < kArrayRows; ++r)
      for (int chunk = 0; chunk < kChunks; ++chunk)
        d_.sequence.push_back(SetLock(ChunkName("free", r, chunk), 1));
    Weights(l_.phases[first]);
    for (size_t i = first; i <= last; ++i) {
      const Phase& p = l_.phases[i];
      tasks_before_ = i > first && p.waits ? TasksOf(l_.phases[i - 1]) : 0;
      tasks_ = TasksOf(p);
      if (p.kind == Phase::Kind::kAttention) {
        Attention(p);
      } else if (p.kind == Phase::Kind::kNorm) {
        Norm(p);
      } else {
        Product(p);
      }
      if (i < last) Weights(l_.phases[i + 1]);
    }
    Wait(0);
  }

 private:
  Step& Task(const char* fifo, int i, int end, ArrayBuffer buffer,
             int64_t offset) {
    Step& step = d_.sequence.emplace_back();
    step.fifo = Name(fifo, i);
    step.end = end;
    step.buffer = NameOf(buffer);
    step.offset = offset;
    return step;
  }
  Step& In(const char* fifo, int i, ArrayBuffer buffer, int64_t offset) {
    return Task(fifo, i, Step::kProducer, buffer, offset);
  }
  // For results, but for the last `left` tasks of a column.
  void Wait(int left) {
    std::vector<std::string> outs;
    for (int c = 0; c < kColumns; ++c) outs.push_back(Name("out", c));
    Step wait = WaitFor(outs);
    wait.left = left;
    d_.sequence.push_back(wait);
  }
  // Of a block of rows.
  static int TasksOf(const Phase& p) {
    return static_cast<int>(p.targets.size());
  }
  // Before rows m of a phase are read: what the phase before it made of them.
  // Its later rows may be under way: a row of tiles passes the same mem tile in
  // all phases, so nothing that is still to be read is written over. Keys are
  // of all rows (Attention).
  void Ready(int m) {
    if (tasks_before_ > 0)
      Wait((l_.row_blocks - 1 - m) * tasks_before_ + m * tasks_);
  }

  // Once for each four tiles of rows; attention once. What was written before
  // the phase before this one may be read too.
  void Weights(const Phase& p) {
    for (int c = 0; c < kColumns; ++c) {
      Step& step =
          In("w_in", c, ArrayBuffer::kWeights, p.weights + c * p.weight_bytes);
      step.words = p.weight_bytes / 4;
      step.runs =
          p.kind == Phase::Kind::kAttention ? 1 : l_.row_blocks / p.together;
      if (p.beside) BesideWeights(p, c, &step);
      // What follows the header again, for the blocks of rows that share it.
      if (p.weight_bytes == kHeaderBytes) continue;
      Step tiles = step;
      tiles.offset += kHeaderBytes;
      tiles.words -= kHeaderBytes / 4;
      for (int m = 1; m < p.together; ++m) step.more.push_back(tiles);
    }
  }
  // A block's weights, then its four tiles of residuals, and so on.
  void BesideWeights(const Phase& p, int c, Step* first) const {
    const int64_t words =
        p.k_tiles / l_.element_tiles() * kSlotWords;  // of a block
    Step weights = *first;
    for (int block = 0; block < p.blocks(); ++block) {
      Step& part = block == 0 ? *first : first->more.emplace_back(weights);
      part.words = words + (block == 0 ? kHeaderBytes / 4 : 0);
      weights.offset += 4 * part.words;
      Step tiles;
      tiles.buffer = NameOf(p.residual.buffer);
      tiles.offset = p.residual.At(0, block * kArrayColumns + c);
      const int64_t row = p.residual.columns * kSlotWords;
      tiles.dims = {{kRun, 1}, {kSlotWords / kRun, kRun}, {kArrayRows, row}};
      tiles.iteration = Every(l_.row_blocks, 4 * kArrayRows * row);
      first->more.push_back(tiles);
    }
  }

  static Step Linear(const SlotMatrix& m, int row, int column, int slots) {
    Step step;
    step.buffer = NameOf(m.buffer);
    step.offset = m.At(row, column);
    step.words = slots * kSlotWords;
    return step;
  }
  // The rows of a product's first operand that row r of cores works on.
  static Step Operand(const SlotMatrix& m, int row, int k_tiles) {
    if (!m.paired) return Linear(m, row, 0, k_tiles);
    Step step = Linear(m, row, 0, k_tiles / 2);
    step.dims = {
        {kRun, 1}, {kSlotWords / kRun, kRun}, {k_tiles / 2, 2 * kSlotWords}};
    return step;
  }
  static DmaDim Every(int n, int64_t bytes) {
    return n > 1 ? DmaDim{n, bytes / 4} : DmaDim{};
  }
  // Of the blocks of rows m..m+rows-1.
  void Out(const Target& t, int m) {
    for (int c = 0; c < kColumns; ++c) {
      Step& step = Task("out", c, 0, t.buffer, t.At(m * kArrayRows, c, 0));
      step.dims = {
          {kRun, 1}, {kSlotWords / kRun, kRun}, {kArrayRows, t.row_step / 4}};
      if (t.paired) step.dims = {{64, 1}, {32, 128}, {4, t.row_step / 4}};
      step.iteration = Every(t.blocks, t.block_step);
      step.runs = t.blocks;
      step.token = true;
    }
  }

  // A part of a chunk from `offset` on, further by `every` each run.
  struct Send {
    size_t piece = 0;
    int64_t bytes = 0;
    int64_t every = 0;
    int64_t offset = 0;
  };
  // Sends one after the other, all of them `runs` times.
  struct Round {
    std::vector<Send> sends;
    int runs = 1;
    bool Has(size_t piece) const {
      return std::any_of(sends.begin(), sends.end(),
                         [piece](auto& send) { return send.piece == piece; });
    }
  };
  // What a row of cores gets: pieces, each into the next chunk, then rounds of
  // sends. A chunk is taken with its first send in a round and let go of with
  // the last one; after all of them it is free.
  struct Staged {
    std::vector<Step> from;  // the pieces as the host's buffers have them
    std::vector<Step> pieces;
    std::vector<Round> rounds;
    std::vector<int> chunks{};
  };
  void Stage(int r, Staged staged) {
    Take(r, &staged);
    for (size_t i = 0; i < staged.rounds.size(); ++i) SendRound(r, staged, i);
  }
  void Take(int r, Staged* staged) {
    const std::vector<Step>& from = staged->from;
    const std::vector<Step>& pieces = staged->pieces;
    std::vector<int>& chunks = staged->chunks;
    for (size_t i = 0; i < pieces.size(); ++i) {
      chunks.push_back(next_[r]);
      next_[r] = (next_[r] + 1) % kChunks;
    }
    Step in = from.front();
    in.fifo = Name("a_in", r);
    in.more.assign(from.begin() + 1, from.end());
    d_.sequence.push_back(in);
    Step take{.fifo = in.fifo, .end = 0};
    for (size_t i = 0; i < pieces.size(); ++i) {
      Step& part = i == 0 ? take : take.more.emplace_back();
      int times = 0;
      for (const Round& round : staged->rounds)
        times += round.Has(i) ? round.runs : 0;
      part.buffer = ChunkName("chunk", r, chunks[i]);
      part.words = pieces[i].words;
      // As often as the chunk was sent the last time.
      part.acquire = ChunkName("free", r, chunks[i]);
      part.acquire_value = std::exchange(sent_[r][chunks[i]], times);
      part.release = ChunkName("full", r, chunks[i]);
      part.release_value = times;
    }
    d_.sequence.push_back(take);
  }
  void SendRound(int r, const Staged& staged, size_t index) {
    const Round& round = staged.rounds[index];
    Step send{.fifo = Name("a", r), .runs = round.runs};
    for (size_t i = 0; i < round.sends.size(); ++i) {
      const Send& what = round.sends[i];
      Step& part = i == 0 ? send : send.more.emplace_back();
      const int chunk = staged.chunks[what.piece];
      part.buffer = ChunkName("chunk", r, chunk);
      part.offset = what.offset;
      part.words = what.bytes / 4;
      if (what.every > 0) part.iteration = Every(round.runs, what.every);
      const auto same = [&](const Send& s) { return s.piece == what.piece; };
      const auto at = round.sends.begin() + static_cast<std::ptrdiff_t>(i);
      if (std::none_of(round.sends.begin(), at, same))
        part.acquire = ChunkName("full", r, chunk);
      if (std::none_of(at + 1, round.sends.end(), same))
        part.release = ChunkName("free", r, chunk);
    }
    d_.sequence.push_back(send);
  }

  void Stage(int r, const std::vector<Step>& pieces,
             const std::vector<Send>& sends) {
    Stage(r, {pieces, pieces, {{sends, 1}}});
  }

  // A product's first operand in chunks.
  static std::vector<Step> Pieces(const Phase& p, int row) {
    std::vector<Step> pieces;
    const int most = kChunkSlots * (p.a.paired ? 2 : 1);
    for (int k = 0; k < p.k_tiles; k += most) {
      pieces.push_back(Operand(p.a, row, std::min(most, p.k_tiles - k)));
      pieces.back().offset = p.a.At(row, k);
    }
    return pieces;
  }
  static std::vector<Send> Once(const std::vector<Step>& pieces) {
    std::vector<Send> sends;
    for (size_t i = 0; i < pieces.size(); ++i)
      sends.push_back({i, pieces[i].words * 4, 0});
    return sends;
  }

  static bool BesideOperand(const Phase& p) { return p.adds && !p.beside; }
  // Of the row of tiles that is added, as it lies in chunks.
  static std::vector<Step> Residuals(const Phase& p, int row) {
    std::vector<Step> pieces;
    if (!BesideOperand(p)) return pieces;
    for (int c = 0; c < p.residual.columns; c += kChunkSlots)
      pieces.push_back(Linear(p.residual, row, c,
                              std::min(kChunkSlots, p.residual.columns - c)));
    return pieces;
  }

  void Product(const Phase& p) {
    // What leaves no chunk to fill meanwhile is faster read again.
    const bool fits =
        Pieces(p, 0).size() + Residuals(p, 0).size() < size_t{kChunks};
    for (int m = 0; m < l_.row_blocks; ++m) {
      Ready(m);
      if (fits) {
        Whole(p, m);
        continue;
      }
      // Where a row takes more tasks than a queue holds, results need somewhere
      // to go first.
      Results(p, m);
      for (int block = 0; block < p.blocks(); ++block) Block(p, m, block);
    }
  }
  void Results(const Phase& p, int m) {
    for (const Target& target : p.targets) Out(target, m);
  }
  // A row of tiles stays while all blocks are made.
  Staged WholeRow(const Phase& p, int row) const {
    Staged staged;
    staged.pieces = Pieces(p, row);
    staged.from = {Operand(p.a, row, p.k_tiles)};
    const std::vector<Send> operand = Once(staged.pieces);
    const size_t first = staged.pieces.size();
    for (const Step& piece : Residuals(p, row)) staged.pieces.push_back(piece);
    if (BesideOperand(p))
      staged.from.push_back(Linear(p.residual, row, 0, p.residual.columns));
    constexpr int64_t kBlockBytes = kArrayColumns * kSlotBytes;
    if (staged.pieces.size() <= first + 1) {
      staged.rounds = {{operand, p.blocks()}};
      if (BesideOperand(p))
        staged.rounds[0].sends.push_back({first, kBlockBytes, kBlockBytes});
      return staged;
    }
    for (int block = 0; block < p.blocks(); ++block) {
      const int column = block * kArrayColumns;
      Round& one = staged.rounds.emplace_back(Round{operand, 1});
      one.sends.push_back({first + static_cast<size_t>(column / kChunkSlots),
                           kBlockBytes, 0, column % kChunkSlots * kSlotBytes});
    }
    return staged;
  }
  // Rounds of all rows in turn: weights go to all of them.
  void Whole(const Phase& p, int m) {
    std::vector<Staged> rows;
    for (int r = 0; r < kArrayRows; ++r) {
      rows.push_back(WholeRow(p, m * kArrayRows + r));
      Take(r, &rows.back());
      SendRound(r, rows.back(), 0);
    }
    Results(p, m);
    for (size_t i = 1; i < rows[0].rounds.size(); ++i)
      for (int r = 0; r < kArrayRows; ++r)
        SendRound(r, rows[static_cast<size_t>(r)], i);
  }
  // For one block, then again for the next. Rows take turns, since a row whose
  // queue is full goes on only with the others: weights go to all of them.
  void Block(const Phase& p, int m, int block) {
    const size_t pieces = Pieces(p, 0).size();
    for (size_t i = 0; i < pieces; ++i)
      for (int r = 0; r < kArrayRows; ++r) {
        const Step piece = Pieces(p, m * kArrayRows + r)[i];
        Stage(r, {piece}, Once({piece}));
      }
    for (int r = 0; BesideOperand(p) && r < kArrayRows; ++r) {
      const Step residual = Linear(p.residual, m * kArrayRows + r,
                                   block * kArrayColumns, kArrayColumns);
      Stage(r, {residual}, Once({residual}));
    }
  }

  // Each row of tiles for its sums, then to be normalised, but for the first
  // two blocks, which the cores have kept.
  void Norm(const Phase& p) {
    static_assert(kChunkSlots == 2 * kArrayColumns);
    for (int m = 0; m < l_.row_blocks; ++m) {
      Ready(m);
      for (int r = 0; r < kArrayRows; ++r) {
        std::vector<Step> pieces;
        for (int c = 0; c < p.a.columns; c += kChunkSlots)
          pieces.push_back(Linear(p.a, m * kArrayRows + r, c,
                                  std::min(kChunkSlots, p.a.columns - c)));
        std::vector<Send> sends = Once(pieces);
        const std::vector<Send> again = Once(pieces);
        sends.insert(sends.end(), again.begin() + 1, again.end());
        Stage(r, pieces, sends);
      }
      Out(p.targets.front(), m);
    }
  }

  // K and V of each column's head, tile by tile, for each block of queries.
  void Keys(const Phase& p) {
    const int64_t head = int64_t{l_.rows()} * 2 * kSlotBytes;
    for (int c = 0; c < kColumns; ++c) {
      Step& step = In("w_in", c, ArrayBuffer::kScratch,
                      l_.kv + (p.heads_from + c) * head);
      step.words = l_.shape.row_tiles() * 2 * kSlotWords;
      step.runs = l_.row_blocks;
    }
  }

  void Attention(const Phase& p) {
    for (int m = 0; m < l_.row_blocks; ++m) {
      if (m == 0) Ready(m);
      for (int r = 0; r < kArrayRows; ++r) {
        Step q = Operand(p.a, m * kArrayRows + r, kArrayColumns);
        q.offset = p.a.At(m * kArrayRows + r, p.heads_from);
        // Two chunks in turn: more of Q ahead of its time would take DDR from
        // the first keys.
        if (p.waits && m > 0 && m % 2 == 0)
          next_[r] = (next_[r] + kChunks - 2) % kChunks;
        Stage(r, {q}, Once({q}));
      }
      if (m == 0) {
        if (tasks_before_ > 0 && l_.row_blocks > 1) Wait(0);
        Keys(p);
      }
      Out(p.targets.front(), m);
    }
  }

  const ArrayLayout& l_;
  Design& d_;
  int tasks_before_ = 0;  // of the phase that is waited for
  int tasks_ = 0;
  int next_[kArrayRows] = {};  // chunk
  std::array<std::array<int, kChunks>, kArrayRows> sent_ = [] {
    std::array<std::array<int, kChunks>, kArrayRows> ones;
    for (auto& row : ones) row.fill(1);
    return ones;
  }();
};

}  // namespace

void OrderPhases(const ArrayLayout& layout, size_t first, size_t last,
                 Design* design) {
  Order(layout, design).Phases(first, last);
}

}  // namespace sotto::npu
