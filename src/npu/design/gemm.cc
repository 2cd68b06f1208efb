// SPDX-License-Identifier: MIT
#include "npu/design/gemm.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "base/error.h"
#include "npu/kernels/finish_params.h"

namespace sotto::npu {
namespace {

constexpr int kCoreRows = kRows - kFirstCoreRow;

void Check(const GemmShape& s) {
  const bool fits = s.m_all % (kCoreRows * s.m) == 0 &&
                    s.n_all % (kColumns * s.n) == 0 && s.k_all % s.k == 0 &&
                    s.m % 8 == 0 && s.n % 32 == 0 && s.k % 8 == 0 &&
                    s.m_all > 0 && s.n_all > 0 && s.k_all > 0;
  // The last tile of W is the epilogue's parameters.
  if (fits && s.int8 && s.k < 16)
    Fail(ErrorCode::kBadInput, "gemm: int8 in tiles of {} of K, want 16", s.k);
  if (fits) return;
  Fail(ErrorCode::kBadInput,
       "gemm: {}x{}x{} in tiles of {}x{}x{}, want multiples of {}x{}x{}",
       s.m_all, s.k_all, s.n_all, s.m, s.k, s.n, kCoreRows * s.m, s.k,
       kColumns * s.n);
}

int64_t TileBytesA(const GemmShape& s) { return s.m * s.k * s.item_bytes(); }
int64_t TileBytesW(const GemmShape& s) { return s.k * s.n * s.item_bytes(); }
int64_t TileBytesC(const GemmShape& s) { return s.m * s.n * 2; }
int Mode(const GemmShape& s) { return s.gelu ? kFinishGelu : 0; }

// W of one column of the array, with the parameters.
int64_t ColumnBytes(const GemmShape& s) {
  return s.n_all / (kColumns * s.n) * (s.k_all / s.k + 1) * TileBytesW(s);
}

void Connect(Design* d, const GemmShape& s) {
  for (int i = 0; i < kColumns; ++i) {
    const std::string in = fmt::format("a_in{}", i);
    const std::string a = fmt::format("a{}", i);
    d->Connect(in, At({i, kShimRow}), {At({i, kMemRow})}, TileBytesA(s));
    d->Connect(a, At({i, kMemRow}), CoreRow(i), TileBytesA(s));
    d->links.push_back({{{in, 0}}, {a}, {}});
    ConnectColumn(
        d, i, {.weight_bytes = TileBytesW(s), .result_bytes = TileBytesC(s)});
  }
}

void AddCore(Design* d, const GemmShape& s, int column, int row) {
  const TileId tile{column, kFirstCoreRow + row};
  const std::string a = fmt::format("a{}", row);
  const std::string w = fmt::format("w{}", column);
  const std::string c = fmt::format("c{}_{}", column, row);
  const std::string sums = fmt::format("sums{}_{}", column, row);
  d->buffers.push_back({sums, tile, 4 * s.m * s.n, {}});
  const char* kernel = s.int8 ? "gemm_i8" : "gemm_bf16";
  const auto step = [&](int64_t later) {
    return std::vector<Op>{
        Acquire(a), Acquire(w),
        Call(kernel, {Element(a), Element(w), Memory(sums), Constant(s.m),
                      Constant(s.k), Constant(s.n), Constant(later)}),
        Release(a), Release(w)};
  };
  CoreDesign& core = d->cores.emplace_back();
  core.tile = tile;
  std::vector<Op>& ops = core.program;
  const auto append = [&ops](std::vector<Op> more) {
    ops.insert(ops.end(), more.begin(), more.end());
  };
  append(step(0));
  append({Loop(s.k_all / s.k - 1)});
  append(step(1));
  append({EndLoop(), Acquire(w), Acquire(c),
          Call(s.int8 ? "finish_i8" : "finish_bf16",
               {Memory(sums), Element(w), Element(c), Element(c), Constant(s.m),
                Constant(s.n), Constant(Mode(s))}),
          Release(w), Release(c)});
}

// Per m-block of the array (4 m rows): A once for each n-block, C out. W goes
// through as a whole once for each m-block, in one task.
void Order(Design* d, const GemmShape& s) {
  const int64_t m_blocks = s.m_all / (kCoreRows * s.m);
  const int64_t n_blocks = s.n_all / (kColumns * s.n);
  const int64_t group_words = s.k_all * s.item_bytes();  // 4 rows of A
  const int64_t inner = s.k * s.item_bytes();            // of them in a tile
  for (int c = 0; c < kColumns; ++c) {
    Step& w = d->Transfer(fmt::format("w_in{}", c), "w", ColumnBytes(s),
                          c * ColumnBytes(s));
    w.runs = static_cast<int>(m_blocks);
  }
  std::vector<std::string> outs;
  for (int64_t mb = 0; mb < m_blocks; ++mb) {
    for (int i = 0; i < kColumns; ++i) {
      const int64_t a_row = (mb * kCoreRows + i) * s.m;
      Step& a = d->Transfer(fmt::format("a_in{}", i), "a", 0,
                            a_row / 4 * group_words * 4);
      a.dims = {{inner, 1}, {s.m / 4, group_words}, {s.k_all / s.k, inner}};
      a.runs = static_cast<int>(n_blocks);
      // 4 rows of C are 2 N words, of which a tile has 2 n.
      Step& c = d->Transfer(fmt::format("out{}", i), "c", 0,
                            mb * kCoreRows * s.m * s.n_all * 2 + i * 8 * s.n);
      c.dims = {{2 * s.n, 1}, {kCoreRows * s.m / 4, 2 * s.n_all}};
      if (n_blocks > 1) c.iteration = {n_blocks, kColumns * 2 * s.n};
      c.runs = static_cast<int>(n_blocks);
      if (mb == 0) outs.push_back(c.fifo);
    }
  }
  d->sequence.push_back(WaitFor(outs));
}

FinishColumn ColumnOf(const GemmShape& s, std::span<const float> multipliers,
                      std::span<const float> biases, size_t n) {
  std::array<FinishChannel, 8> channels;
  for (FinishChannel& channel : channels) {
    channel.multiplier = multipliers[n];
    channel.bias = biases[n++];
    channel.reach = 128.0 * 128.0 * static_cast<double>(s.k_all);
  }
  return MakeFinishColumn(channels, Mode(s));
}

// [rows][columns] <-> [rows/4][columns/8][4][8]: calls item(row-major index,
// packed index).
template <typename Item>
void WalkActivations(int64_t rows, int64_t columns, Item&& item) {
  int64_t packed = 0;
  for (int64_t i = 0; i < rows / 4; ++i) {
    for (int64_t j = 0; j < columns / 8; ++j) {
      for (int64_t r = 0; r < 4; ++r) {
        for (int64_t c = 0; c < 8; ++c) {
          item((4 * i + r) * columns + 8 * j + c, packed++);
        }
      }
    }
  }
}

void CheckPacking(std::span<const std::byte> bytes, int64_t rows,
                  int64_t columns, int64_t item_bytes) {
  if (rows % 4 == 0 && columns % 8 == 0 &&
      static_cast<int64_t>(bytes.size()) == rows * columns * item_bytes) {
    return;
  }
  Fail(ErrorCode::kBadInput,
       "activations: {} bytes for {}x{} items of {}, want that many and "
       "multiples of 4x8",
       bytes.size(), rows, columns, item_bytes);
}

}  // namespace

std::vector<FifoEnd> CoreRow(int row, int depth) {
  std::vector<FifoEnd> ends;
  for (int column = 0; column < kColumns; ++column)
    ends.push_back(At({column, kFirstCoreRow + row}, depth));
  return ends;
}

void ConnectColumn(Design* d, int column, const ProductStreams& s) {
  const TileId shim{column, kShimRow};
  const TileId mem{column, kMemRow};
  const std::string in = fmt::format("w_in{}", column);
  const std::string w = fmt::format("w{}", column);
  const std::string out = fmt::format("out{}", column);
  std::vector<FifoEnd> cores;
  for (int r = 0; r < kCoreRows; ++r)
    cores.push_back(At({column, kFirstCoreRow + r}));
  d->Connect(in, At(shim), {At(mem, s.weight_depth)}, s.weight_bytes);
  d->Connect(w, At(mem, s.weight_depth), cores, s.weight_bytes);
  Link join{{}, {out}, {}};
  for (int r = 0; r < kCoreRows; ++r) {
    const std::string c = fmt::format("c{}_{}", column, r);
    // Single: a double one would cost the sums' room (arXiv 2512.13282).
    d->Connect(c, At({column, kFirstCoreRow + r}, 1), {At(mem)},
               s.result_bytes);
    join.in.push_back({c, 0});
    join.offsets.push_back(r * s.result_bytes);
  }
  d->Connect(out, At(mem), {At(shim)}, kCoreRows * s.result_bytes);
  d->links.push_back({{{in, 0}}, {w}, {}});
  d->links.push_back(std::move(join));
}

Design MakeGemm(std::string_view name, const GemmShape& shape) {
  Check(shape);
  Design d;
  d.name = name;
  d.paced = true;
  d.host_buffers = {
      {"a", shape.m_all * shape.k_all * shape.item_bytes(), false},
      {"w", kColumns * ColumnBytes(shape), false},
      {"c", shape.m_all * shape.n_all * 2, true}};
  Connect(&d, shape);
  for (int column = 0; column < kColumns; ++column) {
    for (int row = 0; row < kCoreRows; ++row) AddCore(&d, shape, column, row);
  }
  Order(&d, shape);
  return d;
}

std::vector<std::byte> PackActivations(std::span<const std::byte> rows_major,
                                       int64_t rows, int64_t columns,
                                       int64_t item_bytes) {
  CheckPacking(rows_major, rows, columns, item_bytes);
  std::vector<std::byte> packed(rows_major.size());
  WalkActivations(rows, columns, [&](int64_t from, int64_t to) {
    std::memcpy(packed.data() + to * item_bytes,
                rows_major.data() + from * item_bytes,
                static_cast<size_t>(item_bytes));
  });
  return packed;
}

std::vector<std::byte> UnpackActivations(std::span<const std::byte> packed,
                                         int64_t rows, int64_t columns,
                                         int64_t item_bytes) {
  CheckPacking(packed, rows, columns, item_bytes);
  std::vector<std::byte> out(packed.size());
  WalkActivations(rows, columns, [&](int64_t to, int64_t from) {
    std::memcpy(out.data() + to * item_bytes, packed.data() + from * item_bytes,
                static_cast<size_t>(item_bytes));
  });
  return out;
}

void AppendWeightTile(std::span<const std::byte> w, int64_t n_all, int64_t k0,
                      int64_t n0, int64_t k, int64_t n, bool int8,
                      std::vector<std::byte>* out) {
  const int64_t item = int8 ? 1 : 2;
  const int64_t width = int8 ? 8 : 4;
  for (int64_t j = 0; j < n; j += width) {
    for (int64_t l = 0; l < k; ++l) {
      const std::byte* at = w.data() + ((k0 + l) * n_all + n0 + j) * item;
      out->insert(out->end(), at, at + width * item);
    }
  }
}

std::vector<std::byte> PackWeights(std::span<const std::byte> w,
                                   std::span<const float> multipliers,
                                   std::span<const float> biases,
                                   const GemmShape& s) {
  Check(s);
  const auto n_all = static_cast<size_t>(s.n_all);
  if (static_cast<int64_t>(w.size()) != s.k_all * s.n_all * s.item_bytes() ||
      biases.size() != n_all || multipliers.size() != (s.int8 ? n_all : 0)) {
    Fail(ErrorCode::kBadInput,
         "weights: {} bytes, {} multipliers and {} biases for {}x{}", w.size(),
         multipliers.size(), biases.size(), s.k_all, s.n_all);
  }
  std::vector<std::byte> out;
  out.reserve(static_cast<size_t>(kColumns * ColumnBytes(s)));
  const auto append = [&out](std::span<const std::byte> part) {
    out.insert(out.end(), part.begin(), part.end());
  };
  for (int64_t c = 0; c < kColumns; ++c) {
    for (int64_t n0 = c * s.n; n0 < s.n_all; n0 += kColumns * s.n) {
      for (int64_t k0 = 0; k0 < s.k_all; k0 += s.k) {
        AppendWeightTile(w, s.n_all, k0, n0, s.k, s.n, s.int8, &out);
      }
      const size_t end = out.size() + static_cast<size_t>(TileBytesW(s));
      if (!s.int8)
        append(std::as_bytes(
            biases.subspan(static_cast<size_t>(n0), static_cast<size_t>(s.n))));
      for (int64_t j = 0; s.int8 && j < s.n; j += 8) {
        const FinishColumn column =
            ColumnOf(s, multipliers, biases, static_cast<size_t>(n0 + j));
        append(std::as_bytes(std::span(&column, 1)));
      }
      out.resize(end);
    }
  }
  return out;
}

}  // namespace sotto::npu
