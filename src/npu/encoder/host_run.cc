// SPDX-License-Identifier: MIT
#include "npu/encoder/host_run.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "npu/kernels/device.h"
#include "tensor/half.h"

namespace sotto::npu {
namespace {

using Half = vec::bf16;

// Element of row r, column c within a tile of activations.
constexpr int At(int r, int c) {
  return ((r / 4 * 8 + c / 8) * 4 + r % 4) * 8 + c % 8;
}

// The same of codes in int16.
constexpr int WideAt(int r, int c) {
  return ((r / 4 * 16 + c / 4) * 4 + r % 4) * 4 + c % 4;
}

// A matrix of tiles somewhere in the work memory.
struct Tiles {
  std::byte* data = nullptr;
  int columns = 0;   // in tiles
  size_t bytes = 0;  // of one tile

  std::byte* At(int row, int column) const {
    return data + static_cast<size_t>(row * columns + column) * bytes;
  }
  template <typename T>
  T* As(int row, int column) const {
    return reinterpret_cast<T*>(At(row, column));
  }
};

// Tells where everything lies; nothing of it outlives a run.
struct Work {
  Tiles input;     // the stem's
  Tiles hidden;    // between the convolutions, and in the MLP
  Tiles x;         // residual stream, bf16
  Tiles normed;    // into a product
  Tiles attended;  // the same memory, for attention's output
  Tiles q, k, v;   // [head][row tile]
  size_t bytes = 0;

  Work(const EncoderShape& s, EncoderPrecision precision, std::byte* base) {
    const size_t half = sizeof(Half) * kTileElements;
    const size_t one =
        precision == EncoderPrecision::kInt8 ? kTileElements : half;
    const auto take = [&](int rows, int columns, size_t tile) {
      const Tiles made{base == nullptr ? nullptr : base + bytes, columns, tile};
      bytes += static_cast<size_t>(rows) * columns * tile;
      return made;
    };
    const int rows = s.row_tiles();
    input = take(rows, s.stem_tiles(), half);
    hidden = take(rows, std::max(3 * s.width_tiles(), s.ffn_tiles()), half);
    x = take(rows, s.width_tiles(), half);
    attended = take(rows, s.width_tiles(), half);
    normed = {attended.data, attended.columns, one};
    q = take(s.heads, rows, one);
    k = take(s.heads, rows, one);
    v = take(s.heads, rows, half);
  }
};

class Run {
 public:
  Run(const PackedEncoder& encoder, std::byte* work, ThreadPool& pool)
      : encoder_(encoder),
        shape_(encoder.shape),
        int8_(encoder.precision == EncoderPrecision::kInt8),
        work_(encoder.shape, encoder.precision, work),
        pool_(pool) {}

  void All(const float* mel, float* audio);
  void StemOnly(const float* mel, float* x);
  void One(const PackedLayer& layer, const float* x, float* y);

 private:
  // Calls finish(row tile, column tile, sums) for each tile of a product.
  template <typename Finish>
  void Product(const Tiles& a, const PackedMatrix& w, const Finish& finish);
  // Of the residual stream; `out` holds int8 or bf16 as its tiles' size says.
  void Norm(const PackedNorm& params, const Tiles& out);
  void Stem(const float* mel);
  void Attention(const PackedLayer& layer);
  void Layer(const PackedLayer& layer);
  // The epilogue of tile n of a product.
  static void Epilogue(const PackedMatrix& w, int n, void* sums,
                       const Half* residual, void* out);

  const PackedEncoder& encoder_;
  const EncoderShape& shape_;
  const bool int8_;
  const Work work_;
  ThreadPool& pool_;
};

template <typename Finish>
void Run::Product(const Tiles& a, const PackedMatrix& w, const Finish& finish) {
  const int n_tiles = w.n_tiles;
  pool_.ParallelFor(
      int64_t{shape_.row_tiles()} * n_tiles, [&](int64_t task, int) {
        const int row = static_cast<int>(task / n_tiles);
        const int n = static_cast<int>(task % n_tiles);
        alignas(64) int32_t sums[kTileElements];
        for (int k = 0; k < w.k_tiles; ++k) {
          const auto* codes = reinterpret_cast<const int8_t*>(w.tile(n, k));
          if (w.int8() && a.bytes == kTileElements)
            gemm_i8(a.As<const int8_t>(row, k), codes, sums, kTile, kTile,
                    kTile, k);
          else if (w.int8())
            gemm_i16_i8(a.As<const int16_t>(row, k), codes, sums, kTile, kTile,
                        kTile, k);
          else
            gemm_bf16(a.As<const Half>(row, k),
                      reinterpret_cast<const Half*>(w.tile(n, k)),
                      reinterpret_cast<float*>(sums), kTile, kTile, kTile, k);
        }
        finish(row, n, static_cast<void*>(sums));
      });
}

void Run::Epilogue(const PackedMatrix& w, int n, void* sums,
                   const Half* residual, void* out) {
  const std::byte* params = w.tile_params(n).data();
  const int mode = w.modes[static_cast<size_t>(n)];
  if (w.int8())
    finish_i8(static_cast<int32_t*>(sums),
              reinterpret_cast<const FinishColumn*>(params), residual,
              static_cast<Half*>(out), kTile, kTile, mode);
  else
    finish_bf16(static_cast<const float*>(sums),
                reinterpret_cast<const float*>(params), residual,
                static_cast<Half*>(out), kTile, kTile, mode);
}

void Run::Norm(const PackedNorm& params, const Tiles& out) {
  const bool to_int8 = out.bytes == kTileElements;
  const int columns = shape_.width_tiles();
  pool_.ParallelFor(shape_.row_tiles(), [&](int64_t task, int) {
    const int row = static_cast<int>(task);
    alignas(64) float stats[kTile * 16];
    for (int c = 0; c < columns; ++c)
      layer_norm_stats(
          work_.x.As<Half>(row, c), stats, kTile, kTile, c, columns,
          std::bit_cast<int32_t>(1.0F / static_cast<float>(shape_.width)));
    for (int c = 0; c < columns; ++c) {
      const float* tile_params =
          params.data() + static_cast<size_t>(c) * 2 * kTile;
      const Half* x = work_.x.As<Half>(row, c);
      if (to_int8)
        layer_norm_apply_i8(x, stats, tile_params, out.As<int8_t>(row, c),
                            kTile, kTile);
      else
        layer_norm_apply_bf16(x, stats, tile_params, out.As<Half>(row, c),
                              kTile, kTile);
    }
  });
}

void Run::Stem(const float* mel) {
  MakeStemInput(shape_, encoder_.precision, mel, work_.input.data);
  Product(work_.input, encoder_.stem1, [&](int row, int n, void* sums) {
    Epilogue(encoder_.stem1, n, sums, nullptr, work_.hidden.At(row, n));
  });
  const auto* positions = encoder_.positions.As<Half>();
  Product(work_.hidden, encoder_.stem2, [&](int row, int n, void* sums) {
    const Half* at =
        positions +
        static_cast<size_t>(row * shape_.width_tiles() + n) * kTileElements;
    Epilogue(encoder_.stem2, n, sums, at, work_.x.At(row, n));
  });
}

void Run::Attention(const PackedLayer& layer) {
  const int rows = shape_.row_tiles();
  pool_.ParallelFor(int64_t{shape_.heads} * rows, [&](int64_t task, int) {
    const int head = static_cast<int>(task) / rows;
    const int row = static_cast<int>(task) % rows;
    alignas(64) float state[kTile * (12 + kTile)];
    alignas(64) Half p[kTileElements];
    for (int block = 0; block < rows; ++block) {
      if (int8_)
        flash_tile_scores_i8(work_.q.As<int8_t>(head, row),
                             work_.k.As<int8_t>(head, block), p, state, block,
                             shape_.positions(),
                             layer.shifts[static_cast<size_t>(head)], kTile);
      else
        flash_tile_scores_bf16(work_.q.As<Half>(head, row),
                               work_.k.As<Half>(head, block), p, state, block,
                               shape_.positions());
      flash_tile_values(p, work_.v.As<Half>(head, block), state, block);
    }
    if (int8_)
      // V stands in steps of what comes out already.
      flash_finish_i16(state, work_.attended.As<int16_t>(row, head), kTile,
                       kTile);
    else
      flash_finish_bf16(state, work_.attended.As<Half>(row, head), kTile,
                        kTile);
  });
}

void Run::Layer(const PackedLayer& layer) {
  Norm(layer.ln1, work_.normed);
  const int d = shape_.width_tiles();
  Product(work_.normed, layer.qkv, [&](int row, int n, void* sums) {
    const int head = n % d;
    const Tiles& to = n < d ? work_.q : n < 2 * d ? work_.k : work_.v;
    Epilogue(layer.qkv, n, sums, nullptr, to.At(head, row));
  });
  Attention(layer);
  const auto add = [&](const PackedMatrix& w) {
    return [&](int row, int n, void* sums) {
      Half* x = work_.x.As<Half>(row, n);
      Epilogue(w, n, sums, x, x);
    };
  };
  Product(work_.attended, layer.out, add(layer.out));
  Norm(layer.ln2, work_.normed);
  Product(work_.normed, layer.fc1, [&](int row, int n, void* sums) {
    Epilogue(layer.fc1, n, sums, nullptr, work_.hidden.At(row, n));
  });
  Product(work_.hidden, layer.fc2, add(layer.fc2));
}

void Run::All(const float* mel, float* audio) {
  Stem(mel);
  for (const PackedLayer& layer : encoder_.layers) Layer(layer);
  // In bf16.
  Norm(encoder_.last, work_.attended);
  ReadOutput(shape_, work_.attended.As<const uint16_t>(0, 0), audio);
}

void Run::StemOnly(const float* mel, float* x) {
  Stem(mel);
  ReadOutput(shape_, work_.x.As<const uint16_t>(0, 0), x);
}

void Run::One(const PackedLayer& layer, const float* x, float* y) {
  const int columns = shape_.width_tiles();
  std::memset(
      work_.x.data, 0,
      static_cast<size_t>(shape_.row_tiles()) * columns * work_.x.bytes);
  for (int t = 0; t < shape_.positions(); ++t)
    for (int c = 0; c < shape_.width; ++c)
      work_.x.As<BF16>(t / kTile, c / kTile)[At(t % kTile, c % kTile)] =
          ToBF16(x[static_cast<size_t>(t) * shape_.width + c]);
  Layer(layer);
  ReadOutput(shape_, work_.x.As<const uint16_t>(0, 0), y);
}

}  // namespace

size_t HostRunBytes(const PackedEncoder& encoder) {
  return Work(encoder.shape, encoder.precision, nullptr).bytes;
}

void RunOnHost(const PackedEncoder& encoder, const float* mel, float* audio,
               std::byte* work, ThreadPool& pool) {
  Run(encoder, work, pool).All(mel, audio);
}

void RunStemOnHost(const PackedEncoder& encoder, const float* mel, float* x,
                   std::byte* work, ThreadPool& pool) {
  Run(encoder, work, pool).StemOnly(mel, x);
}

void RunLayerOnHost(const PackedEncoder& encoder, int layer, const float* x,
                    float* y, std::byte* work, ThreadPool& pool) {
  Run(encoder, work, pool)
      .One(encoder.layers[static_cast<size_t>(layer)], x, y);
}

size_t StemInputBytes(const EncoderShape& shape) {
  return static_cast<size_t>(shape.rows()) * shape.stem_columns() * 2;
}

void MakeStemInput(const EncoderShape& shape, EncoderPrecision precision,
                   const float* mel, std::byte* tiles) {
  const int mels = shape.n_mels;
  const bool int8 = precision == EncoderPrecision::kInt8;
  constexpr auto kMost = static_cast<float>(kWideCodes);
  std::memset(tiles, 0, StemInputBytes(shape));
  const auto put = [&](int row, int column, float value) {
    const size_t tile =
        static_cast<size_t>(row / kTile * shape.stem_tiles() + column / kTile) *
        kTileElements;
    if (int8)
      reinterpret_cast<int16_t*>(
          tiles)[tile + WideAt(row % kTile, column % kTile)] =
          static_cast<int16_t>(
              std::clamp(std::nearbyint(value / kMelStep), -kMost, kMost));
    else
      reinterpret_cast<BF16*>(tiles)[tile + At(row % kTile, column % kTile)] =
          ToBF16(value);
  };
  for (int t = 0; t < shape.positions(); ++t)
    for (int tap = 0; tap < 5; ++tap) {
      const int frame = 2 * t - 2 + tap;
      if (frame < 0 || frame >= shape.frames) continue;
      for (int c = 0; c < mels; ++c)
        put(t, tap * mels + c,
            mel[static_cast<size_t>(c) * shape.frames + frame]);
    }
  for (int c = 0; c < shape.marks(precision == EncoderPrecision::kInt8); ++c)
    put(0, 5 * mels + c, int8 ? kMost * kMelStep : 1.0F);
}

void ReadOutput(const EncoderShape& shape, const uint16_t* tiles,
                float* audio) {
  for (int t = 0; t < shape.positions(); ++t)
    for (int c = 0; c < shape.width; ++c)
      audio[static_cast<size_t>(t) * shape.width + c] =
          ToFloat(BF16{tiles[static_cast<size_t>(
                                 t / kTile * shape.width_tiles() + c / kTile) *
                                 kTileElements +
                             At(t % kTile, c % kTile)]});
}

}  // namespace sotto::npu
