// SPDX-License-Identifier: MIT
#include "npu/design/encoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "npu/kernels/kernel.h"

namespace sotto::npu {
namespace {

constexpr int kCoreRows = kRows - kFirstCoreRow;
constexpr int kOwnDepth = 4;
constexpr int64_t kElement = 4096;  // of act and own: half a tile
constexpr int64_t kTileWords = kEncoderTileBytes / 4;
// Tiles in transfers are runs of 512 words, since a dimension counts to 1023.
constexpr int64_t kRun = 512;
constexpr int64_t kRunsOfTile = kTileWords / kRun;

// The area of a mem tile that tasks fill and send: header, then what the phase
// has there.
constexpr int64_t kHeaderBytes = kOwnDepth * kElement;
constexpr int64_t kAreaBytes = 464 * 1024;
constexpr int64_t kTailBytes = kEncoderTileBytes + kElement;  // residual, pad

// Words of the header's first element.
enum Control : int64_t {
  kTiles,     // phase G: tiles of this core
  kPairs,     // pairs of k-tiles
  kResidual,  // 1 or 0
  kPlain,     // 1 - kResidual
  kGelu,
  kNormRows,    // phase N: row tiles of this core
  kNormWidth,   // columns of a row
  kQueryTiles,  // phase A: query tiles of this core
  kKeyTiles,
  kPositions,
  kControlWords = 16,
};

// The work area that phases share: sums of a product (16 KB); statistics (4 KB)
// and parameters of a norm; the state of attention, whose scratch (3 KB) is an
// element of act, idle then. L1 has no room for less thrift: GELU's table takes
// 13 KB of it.
constexpr int64_t kWorkBytes = 64 * (8 + 64) * 4;
constexpr int64_t kNormParams = 8192;  // where in the work area
constexpr int64_t kNormParamBytes = 4096;
constexpr int64_t kStackBytes = 512;

std::string Own(int column, int row) {
  return fmt::format("own{}_{}", column, row);
}
std::string Numbered(const char* what, int i) {
  return fmt::format("{}{}", what, i);
}
std::vector<int> AllColumns() { return {0, 1, 2, 3}; }

// A tile as two halves of k: 4 of the 8 blocks of each of its 16 strips.
std::vector<DmaDim> Halves() { return {{64, 1}, {16, 128}, {2, 64}}; }

}  // namespace

TileTensor RowsOfTiles(std::string buffer, int64_t offset, int columns) {
  return {std::move(buffer), offset, columns * kEncoderTileBytes};
}

EncoderPhases::EncoderPhases(std::string name, int row_tiles, int width_tiles)
    : row_tiles_(row_tiles), width_tiles_(width_tiles) {
  if (row_tiles < kCoreRows || row_tiles % kCoreRows != 0 || width_tiles < 1 ||
      width_tiles > 8) {
    Fail(ErrorCode::kUnsupported,
         "npu encoder: {} row tiles and {} columns of tiles, want a multiple "
         "of {} and 1 to 8",
         row_tiles, width_tiles, kCoreRows);
  }
  design_.name = std::move(name);
  design_.paced = true;
  Configure();
}

void EncoderPhases::AddHostBuffer(std::string name, int64_t bytes,
                                  bool output) {
  design_.host_buffers.push_back({std::move(name), bytes, output});
}

void EncoderPhases::Configure() {
  for (int i = 0; i < kColumns; ++i) {
    const TileId shim{i, kShimRow};
    const TileId mem{i, kMemRow};
    std::vector<FifoEnd> row;
    for (int c = 0; c < kColumns; ++c) {
      row.push_back(npu::At({c, kFirstCoreRow + i}, 2));
      row.back().element_bytes = kElement;
    }
    design_.Connect(Numbered("act_in", i), npu::At(shim), {npu::At(mem, 2)},
                    kEncoderTileBytes);
    design_.Connect(Numbered("act", i), npu::At(mem, 2, Halves()), row,
                    kEncoderTileBytes);
    design_.links.push_back(
        {{{Numbered("act_in", i), 0}}, {Numbered("act", i)}, {}});

    FifoEnd area = npu::At(mem);
    area.by_tasks = true;
    design_.Connect(Numbered("own_in", i), npu::At(shim), {area}, kElement);
    design_.buffers.push_back({Numbered("area", i), mem, kAreaBytes, {}});
    Link join{{}, {Numbered("res", i)}, {}};
    for (int r = 0; r < kCoreRows; ++r) {
      FifoEnd core = npu::At({i, kFirstCoreRow + r}, kOwnDepth);
      core.contiguous = true;
      design_.Connect(Own(i, r), area, {core}, kElement);
      const std::string out = fmt::format("out{}_{}", i, r);
      design_.Connect(out, npu::At({i, kFirstCoreRow + r}, 1),
                      {npu::At(mem, 1)}, kEncoderTileBytes);
      join.in.push_back({out, 0});
      join.offsets.push_back(r * kEncoderTileBytes);
    }
    design_.Connect(Numbered("res", i), npu::At(mem, 1), {npu::At(shim)},
                    kCoreRows * kEncoderTileBytes);
    design_.links.push_back(std::move(join));
  }
  for (int c = 0; c < kColumns; ++c) {
    for (int r = 0; r < kCoreRows; ++r) AddCore(c, r);
  }
}

void EncoderPhases::AddCore(int column, int row) {
  const TileId tile{column, kFirstCoreRow + row};
  const std::string act = Numbered("act", row);
  const std::string own = Own(column, row);
  const std::string out = fmt::format("out{}_{}", column, row);
  const auto name = [&](const char* what) {
    return fmt::format("{}{}_{}", what, column, row);
  };
  const std::string control = name("control");
  const std::string work = name("work");
  design_.buffers.push_back({control, tile, 4 * kControlWords, {}});
  design_.buffers.push_back({work, tile, kWorkBytes, {}});
  const auto word = [&](Control which) {
    return Parameter(control, 4 * which);
  };
  const Arg k64 = Constant(64);
  std::vector<Op> ops;
  const auto add = [&ops](std::vector<Op> more) {
    ops.insert(ops.end(), more.begin(), more.end());
  };
  add({Acquire(own, 4),
       Call("passthrough_u8",
            {Element(own), Memory(control), Constant(4 * kControlWords)}),
       Call("passthrough_u8", {Element(own, 1), Memory(work, kNormParams),
                               Constant(kNormParamBytes)}),
       Release(own, 4)});

  // G: k in halves of tiles, four a trip; then parameters and residual.
  add({LoopBy(word(kTiles)), Acquire(out), LoopBy(word(kPairs))});
  for (int half = 0; half < 4; ++half) {
    add({Acquire(act), Acquire(own),
         Call("gemm_bf16",
              {Element(act), Element(own), Memory(work), k64, Constant(32), k64,
               half == 0 ? Index() : Constant(1)}),
         Release(act), Release(own)});
  }
  add({EndLoop(), Acquire(own, 4), LoopBy(word(kPlain)),
       Call("finish_bf16_bf16",
            {Memory(work), Element(own), Element(out), k64, k64, word(kGelu)}),
       EndLoop(), LoopBy(word(kResidual))});
  std::vector<Arg> residual{Memory(work), Element(own), Element(own, 1),
                            Element(out), k64,          k64};
  const KernelInfo* kernel = FindKernel("finish_bf16_residual");
  if (kernel != nullptr && kernel->args.size() > residual.size()) {
    residual.push_back(word(kGelu));
  }
  add({Call("finish_bf16_residual", residual), EndLoop(), Release(own, 4),
       Release(out), EndLoop()});

  // N: the row's tiles pass twice.
  add({LoopBy(word(kNormRows)), Loop(width_tiles_), Acquire(own, 2),
       Call("layer_norm_stats",
            {Element(own), Memory(work), k64, k64, Index(), word(kNormWidth)}),
       Release(own, 2), EndLoop(), Loop(width_tiles_), Acquire(own, 2),
       Acquire(out),
       Call("layer_norm_apply_bf16",
            {Element(own), Memory(work), Memory(work, kNormParams).PerTrip(512),
             Element(out), k64, k64}),
       Release(own, 2), Release(out), EndLoop(), EndLoop()});

  // A: the queries wait in the output, which nothing needs until the end.
  add({LoopBy(word(kQueryTiles)), Acquire(out), Acquire(act, 2),
       Acquire(own, 4),
       Call("passthrough_u8",
            {Element(own), Element(out), Constant(kEncoderTileBytes)}),
       Release(own, 4), Call("flash_start", {Memory(work), k64, k64}),
       LoopBy(word(kKeyTiles)), Acquire(own, 4),
       Call("flash_block_bf16",
            {Element(out), Element(own), Element(own, 2), Memory(work),
             Element(act), k64, k64, k64, Index(), word(kPositions)}),
       Release(own, 4), EndLoop(),
       Call("flash_finish_bf16", {Memory(work), Element(out), k64, k64}),
       Release(act, 2), Release(out), EndLoop()});
  CoreDesign& core = design_.cores.emplace_back();
  core.tile = tile;
  core.program = std::move(ops);
  core.stack_bytes = kStackBytes;
}

// ---- steps ----

void EncoderPhases::Fill(int column, const std::string& buffer, int64_t offset,
                         int64_t area_offset, std::vector<DmaDim> host,
                         std::vector<DmaDim> area) {
  Step take;
  take.fifo = Numbered("own_in", column);
  take.end = 0;
  take.buffer = Numbered("area", column);
  take.offset = area_offset;
  take.dims = std::move(area);
  take.token = true;
  design_.sequence.push_back(std::move(take));
  Step give;
  give.fifo = Numbered("own_in", column);
  give.buffer = buffer;
  give.offset = offset;
  give.dims = std::move(host);
  design_.sequence.push_back(std::move(give));
}

Step& EncoderPhases::Send(int column, int row, int64_t area_offset,
                          std::vector<DmaDim> dims) {
  Step& send = design_.sequence.emplace_back();
  send.fifo = Own(column, row);
  send.buffer = Numbered("area", column);
  send.offset = area_offset;
  send.dims = std::move(dims);
  send.token = true;
  return send;
}

void EncoderPhases::SendMore(Step* step, int64_t area_offset,
                             std::vector<DmaDim> dims) {
  Step more;
  more.buffer = step->buffer;
  more.offset = area_offset;
  more.dims = std::move(dims);
  step->more.push_back(std::move(more));
}

void EncoderPhases::WaitFills(const std::vector<int>& columns, int tokens) {
  std::vector<std::string> fifos;
  for (const int c : columns) fifos.push_back(Numbered("own_in", c));
  design_.sequence.push_back(WaitFor(std::move(fifos), tokens));
}

void EncoderPhases::WaitSends(const std::vector<int>& columns, int tokens) {
  std::vector<std::string> fifos;
  for (const int c : columns) {
    for (int r = 0; r < kCoreRows; ++r) fifos.push_back(Own(c, r));
  }
  design_.sequence.push_back(WaitFor(std::move(fifos), tokens));
}

void EncoderPhases::WaitResults(const std::vector<int>& columns) {
  std::vector<std::string> fifos;
  for (const int c : columns) fifos.push_back(Numbered("res", c));
  design_.sequence.push_back(WaitFor(std::move(fifos)));
}

// Column `tile_column` of a tensor, all its rows: what core rows give in turn.
void EncoderPhases::ToRows(int column, const TileTensor& out,
                           int64_t tile_column, int64_t row_tiles) {
  Step& step = design_.sequence.emplace_back();
  step.fifo = Numbered("res", column);
  step.end = 0;
  step.buffer = out.buffer;
  step.offset = out.offset + tile_column * out.column_stride;
  step.dims = {{kRun, 1}, {kRunsOfTile, kRun}, {row_tiles, out.row_stride / 4}};
  step.token = true;
}

void EncoderPhases::Header(std::vector<int32_t> words,
                           const std::vector<int>& norm_tiles_of_column,
                           const std::string& norm_buffer,
                           int64_t norm_offset) {
  for (int c = 0; c < kColumns; ++c) {
    const auto at = static_cast<int64_t>(control_.size());
    words[kNormRows] = norm_tiles_of_column[static_cast<size_t>(c)];
    control_.insert(control_.end(), words.begin(), words.end());
    Fill(c, "control", 4 * at, 0, {{kControlWords, 1}}, {{kControlWords, 1}});
    if (norm_buffer.empty()) continue;
    const int64_t words_of_norm = 128 * width_tiles_;
    Fill(c, norm_buffer, norm_offset, kElement, {{128, 1}, {width_tiles_, 128}},
         {{words_of_norm / width_tiles_, 1}, {width_tiles_, 128}});
  }
  WaitFills(AllColumns(), 0);
  for (int c = 0; c < kColumns; ++c) {
    for (int r = 0; r < kCoreRows; ++r) {
      Send(c, r, 0, {{kRun, 1}, {kHeaderBytes / 4 / kRun, kRun}});
    }
  }
  WaitSends(AllColumns(), 0);
}

// Residual tiles (row.., tile_column) for the four cores of a column.
void EncoderPhases::FillTail(int column, const TileTensor& residual,
                             int64_t tile_column, int64_t row, int slot) {
  const int64_t at = kAreaBytes - (2 - slot) * kCoreRows * kTailBytes;
  Fill(column, residual.buffer,
       residual.offset + tile_column * residual.column_stride +
           row * residual.row_stride,
       at,
       {{kRun, 1}, {kRunsOfTile, kRun}, {kCoreRows, residual.row_stride / 4}},
       {{kRun, 1}, {kRunsOfTile, kRun}, {kCoreRows, kTailBytes / 4}});
}

namespace {

// What one slot of the area and the halves of k demand of a product.
void CheckProduct(const TileMatrix& w, int64_t slot_bytes, int64_t room) {
  if (w.k_tiles % 2 == 0 && w.n_tiles % kColumns == 0 && slot_bytes <= room &&
      w.params_bytes <= kElement && w.params_bytes % 4 == 0)
    return;
  Fail(ErrorCode::kUnsupported,
       "npu encoder: a product of {} by {} tiles, want an even number by a "
       "multiple of {}, and {} bytes a column",
       w.k_tiles, w.n_tiles, kColumns, room);
}

}  // namespace

void EncoderPhases::Gemm(const TileTensor& a, const TileMatrix& w,
                         const TileTensor& out, const TileTensor* residual,
                         bool gelu) {
  const int64_t w_bytes = w.k_tiles * kEncoderTileBytes;
  const int64_t slot_bytes = w_bytes + kElement;  // and the parameters
  const int64_t room = kAreaBytes - kHeaderBytes -
                       (residual == nullptr ? 0 : 2 * kCoreRows * kTailBytes);
  CheckProduct(w, slot_bytes, room);
  const int slots = 2 * slot_bytes <= room ? 2 : 1;
  const int64_t blocks = row_tiles_ / kCoreRows;
  const int64_t each = w.n_tiles / kColumns;
  std::vector<int32_t> words(kControlWords);
  words[kTiles] = static_cast<int32_t>(blocks * each);
  words[kPairs] = w.k_tiles / 2;
  words[kResidual] = residual != nullptr ? 1 : 0;
  words[kPlain] = residual != nullptr ? 0 : 1;
  words[kGelu] = gelu ? 1 : 0;
  Header(std::move(words), {0, 0, 0, 0}, "", 0);

  const auto slot_at = [&](int64_t j) {
    return kHeaderBytes + j % slots * slot_bytes;
  };
  const auto fill = [&](int64_t j) {
    for (int c = 0; c < kColumns; ++c) {
      const int64_t n = c + kColumns * j;
      const std::vector<DmaDim> all{{kRun, 1}, {kRunsOfTile * w.k_tiles, kRun}};
      Fill(c, w.buffer, w.offset + n * w_bytes, slot_at(j), all, all);
      const std::vector<DmaDim> params{{w.params_bytes / 4, 1}};
      Fill(c, w.buffer, w.params_offset + n * w.params_bytes,
           slot_at(j) + w_bytes, params, params);
    }
  };
  // What one core gets for tiles of n-tile j: weights, parameters, and a
  // residual or as many bytes of anything.
  const auto send = [&](int64_t j, int64_t tail, int runs) {
    for (int c = 0; c < kColumns; ++c) {
      for (int r = 0; r < kCoreRows; ++r) {
        std::vector<DmaDim> weights = Halves();
        weights.push_back({w.k_tiles, kTileWords});
        Step& step = Send(c, r, slot_at(j), std::move(weights));
        step.runs = runs;
        SendMore(&step, slot_at(j) + w_bytes, {{kRun, 1}, {2, kRun}});
        SendMore(&step, tail + (residual != nullptr ? r * kTailBytes : 0),
                 {{kRun, 1}, {kTailBytes / 4 / kRun, kRun}});
      }
    }
  };
  const auto open = [&](int64_t j) {
    for (int c = 0; c < kColumns; ++c) {
      ToRows(c, out, c + kColumns * j, row_tiles_);
      Step& step = design_.sequence.emplace_back();  // A of core row c
      step.fifo = Numbered("act_in", c);
      step.buffer = a.buffer;
      step.offset = a.offset + c * a.row_stride;
      step.dims = {{kRun, 1},
                   {kRunsOfTile * w.k_tiles, kRun},
                   {blocks, kCoreRows * a.row_stride / 4}};
    }
  };
  const auto fill_tail = [&](int64_t j, int64_t i, int slot) {
    for (int c = 0; c < kColumns; ++c) {
      FillTail(c, *residual, c + kColumns * j, i * kCoreRows, slot);
    }
  };

  fill(0);
  if (residual == nullptr) {
    for (int64_t j = 0; j < each; ++j) {
      WaitFills(AllColumns(), 2);
      open(j);
      send(j, kHeaderBytes, static_cast<int>(blocks));
      if (slots == 1 || j > 0) WaitSends(AllColumns(), 1);
      if (j + 1 < each) fill(j + 1);
    }
    if (slots == 2) WaitSends(AllColumns(), 1);
  } else {
    fill_tail(0, 0, 0);
    int waiting = 0;  // sends not waited for
    for (int64_t t = 0; t < each * blocks; ++t) {
      const int64_t j = t / blocks;
      const int64_t next = (t + 1) / blocks;
      WaitFills(AllColumns(), t % blocks == 0 ? 3 : 1);
      if (t % blocks == 0) open(j);
      send(j, kAreaBytes - (2 - t % 2) * kCoreRows * kTailBytes, 1);
      ++waiting;
      const bool weights = next != j && next < each;
      const int may_wait = weights && slots == 1 ? 0 : 1;
      if (waiting > may_wait) {
        WaitSends(AllColumns(), waiting - may_wait);
        waiting = may_wait;
      }
      if (t + 1 == each * blocks) break;
      if (weights) fill(next);
      fill_tail(next, (t + 1) % blocks, static_cast<int>((t + 1) % 2));
    }
    if (waiting > 0) WaitSends(AllColumns(), waiting);
  }
  WaitResults(AllColumns());
}

void EncoderPhases::Norm(const TileTensor& x, const std::string& buffer,
                         int64_t offset, const TileTensor& out) {
  const int blocks = row_tiles_ / kCoreRows;
  std::vector<int> rows;
  for (int c = 0; c < kColumns; ++c) {
    rows.push_back((blocks - c + kColumns - 1) / kColumns);
  }
  std::vector<int32_t> words(kControlWords);
  words[kNormWidth] = 64 * width_tiles_;
  Header(std::move(words), rows, buffer, offset);
  const int64_t row_bytes = width_tiles_ * kEncoderTileBytes;
  for (int first = 0; first < blocks; first += kColumns) {
    std::vector<int> columns;
    for (int c = 0; c < kColumns && first + c < blocks; ++c) {
      columns.push_back(c);
      const int64_t row = (first + c) * kCoreRows;
      Fill(c, x.buffer, x.offset + row * x.row_stride, kHeaderBytes,
           {{kRun, 1},
            {kRunsOfTile * width_tiles_, kRun},
            {kCoreRows, x.row_stride / 4}},
           {{kRun, 1}, {kRunsOfTile * width_tiles_ * kCoreRows, kRun}});
    }
    WaitFills(columns, 1);
    for (const int c : columns) {
      Step& step = design_.sequence.emplace_back();
      step.fifo = Numbered("res", c);
      step.end = 0;
      step.buffer = out.buffer;
      step.offset = out.offset + (first + c) * kCoreRows * out.row_stride;
      step.dims = {
          {kRun, 1}, {kRunsOfTile, kRun}, {kCoreRows, out.row_stride / 4}};
      if (width_tiles_ > 1) {
        step.iteration = {width_tiles_, out.column_stride / 4};
      }
      step.runs = width_tiles_;
      step.token = true;
      for (int r = 0; r < kCoreRows; ++r) {
        Send(c, r, kHeaderBytes + r * row_bytes,
             {{kRun, 1}, {kRunsOfTile * width_tiles_, kRun}})
            .runs = 2;
      }
    }
    WaitSends(columns, 1);
    WaitResults(columns);
  }
}

void EncoderPhases::Attention(const TileTensor& q, const TileTensor& k,
                              const TileTensor& v, const TileTensor& out,
                              int heads, int positions) {
  const int64_t head_bytes = row_tiles_ * kEncoderTileBytes;
  const int64_t blocks = row_tiles_ / kCoreRows;
  const int64_t q_bytes = kCoreRows * kEncoderTileBytes;
  const int64_t q_at = kHeaderBytes + 2 * head_bytes;
  if (heads % kColumns != 0 || k.row_stride != kEncoderTileBytes ||
      v.row_stride != kEncoderTileBytes || q_at + 2 * q_bytes > kAreaBytes) {
    Fail(ErrorCode::kUnsupported,
         "npu encoder: {} heads of {} row tiles, want a multiple of {} and "
         "keys that fit {} bytes, row after row",
         heads, row_tiles_, kColumns, kAreaBytes);
  }
  std::vector<int32_t> words(kControlWords);
  words[kQueryTiles] = static_cast<int32_t>(blocks * heads / kColumns);
  words[kKeyTiles] = row_tiles_;
  words[kPositions] = positions;
  Header(std::move(words), {0, 0, 0, 0}, "", 0);
  const std::vector<DmaDim> whole{{kRun, 1}, {kRunsOfTile * row_tiles_, kRun}};
  const auto fill_q = [&](int head, int64_t block) {
    for (int c = 0; c < kColumns; ++c) {
      const int64_t column = head + c;
      Fill(c, q.buffer,
           q.offset + column * q.column_stride +
               block * kCoreRows * q.row_stride,
           q_at + block % 2 * q_bytes,
           {{kRun, 1}, {kRunsOfTile, kRun}, {kCoreRows, q.row_stride / 4}},
           {{kRun, 1}, {kRunsOfTile * kCoreRows, kRun}});
    }
  };
  for (int head = 0; head < heads; head += kColumns) {
    for (int c = 0; c < kColumns; ++c) {
      const int64_t column = head + c;
      Fill(c, k.buffer, k.offset + column * k.column_stride, kHeaderBytes,
           whole, whole);
      Fill(c, v.buffer, v.offset + column * v.column_stride,
           kHeaderBytes + head_bytes, whole, whole);
    }
    fill_q(head, 0);
    for (int64_t block = 0; block < blocks; ++block) {
      WaitFills(AllColumns(), block == 0 ? 3 : 1);
      for (int c = 0; c < kColumns; ++c) {
        if (block == 0) {
          ToRows(c, out, head + c, row_tiles_);
          // Any tile, once for each tile of queries: room for scratch.
          Step& any = design_.sequence.emplace_back();
          any.fifo = Numbered("act_in", c);
          any.buffer = q.buffer;
          any.offset = q.offset;
          any.dims = {{kRun, 1}, {kRunsOfTile, kRun}};
          any.runs = static_cast<int>(blocks);
        }
        for (int r = 0; r < kCoreRows; ++r) {
          const int64_t at = q_at + block % 2 * q_bytes + r * kEncoderTileBytes;
          const std::vector<DmaDim> tile{{kRun, 1}, {kRunsOfTile, kRun}};
          // Twice, to fill the ring's turn.
          Step& step = Send(c, r, at, tile);
          SendMore(&step, at, tile);
          SendMore(&step, kHeaderBytes,
                   {{kRun, 1},
                    {kRunsOfTile, kRun},
                    {2, head_bytes / 4},
                    {row_tiles_, kTileWords}});
        }
      }
      if (block > 0) WaitSends(AllColumns(), 1);
      if (block + 1 < blocks) fill_q(head, block + 1);
    }
    WaitSends(AllColumns(), 1);
  }
  WaitResults(AllColumns());
}

Design EncoderPhases::Take() {
  HostBufferDesign& control = design_.host_buffers.emplace_back();
  control.name = "control";
  control.bytes = 4 * static_cast<int64_t>(control_.size());
  for (const int32_t word : control_) {
    for (int shift = 0; shift < 32; shift += 8) {
      control.initial.push_back(
          static_cast<uint8_t>(static_cast<uint32_t>(word) >> shift));
    }
  }
  return std::move(design_);
}

EncoderDesign MakeEncoder(int layers, bool stem) {
  constexpr int kRowTiles = 24;
  constexpr int kWidth = 8;
  constexpr int kFfn = 32;
  constexpr int kStem = 8;     // 5 frames of 80 and a mark, filled up
  constexpr int kHidden = 24;  // three shifted outputs of the first convolution
  constexpr int kPositions = 1500;
  constexpr int64_t kParams = 3 * 64 * 4;
  int64_t work = 0;
  int64_t weights = 0;
  const auto take = [](int64_t* from, int64_t bytes) {
    *from += bytes;
    return *from - bytes;
  };
  const auto rows = [&](int columns) {
    return RowsOfTiles(
        "work", take(&work, kRowTiles * columns * kEncoderTileBytes), columns);
  };
  const auto matrix = [&](int k, int n) {
    TileMatrix m{"weights", take(&weights, k * n * kEncoderTileBytes), k, n};
    m.params_bytes = kParams;
    m.params_offset = take(&weights, n * kParams);
    return m;
  };
  const auto norm = [&] { return take(&weights, kWidth * 512); };

  EncoderDesign e;
  EncoderPhases phases("encoder", kRowTiles, kWidth);
  e.in = rows(kStem);
  e.x = rows(kWidth);
  e.out = rows(kWidth);
  const TileTensor hidden = rows(kFfn);
  const int64_t head = kRowTiles * kEncoderTileBytes;
  const TileTensor q{"work", take(&work, 3 * kWidth * head), kEncoderTileBytes,
                     head};
  TileTensor k = q;
  TileTensor v = q;
  k.offset += kWidth * head;
  v.offset += 2 * kWidth * head;
  if (stem) {
    const TileTensor shifted = RowsOfTiles("work", hidden.offset, kHidden);
    const TileMatrix first = matrix(kStem, kHidden);
    const TileMatrix second = matrix(kHidden, kWidth);
    const TileTensor positions = RowsOfTiles(
        "weights", take(&weights, kRowTiles * kWidth * kEncoderTileBytes),
        kWidth);
    phases.Gemm(e.in, first, shifted, nullptr, true);
    phases.Gemm(shifted, second, e.x, &positions, true);
  }
  for (int i = 0; i < layers; ++i) {
    phases.Norm(e.x, "weights", norm(), e.out);
    phases.Gemm(e.out, matrix(kWidth, 3 * kWidth), q, nullptr, false);
    phases.Attention(q, k, v, e.out, kWidth, kPositions);
    phases.Gemm(e.out, matrix(kWidth, kWidth), e.x, &e.x, false);
    phases.Norm(e.x, "weights", norm(), e.out);
    phases.Gemm(e.out, matrix(kWidth, kFfn), hidden, nullptr, true);
    phases.Gemm(hidden, matrix(kFfn, kWidth), e.x, &e.x, false);
  }
  if (stem) phases.Norm(e.x, "weights", norm(), e.out);
  phases.AddHostBuffer("work", work, true);
  phases.AddHostBuffer("weights", weights, false);
  e.design = phases.Take();
  return e;
}

}  // namespace sotto::npu
