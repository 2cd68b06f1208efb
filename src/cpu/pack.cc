// SPDX-License-Identifier: MIT
#include "cpu/pack.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <vector>

#include "base/error.h"
#include "tensor/half.h"

namespace sotto::cpu {
namespace {

// Source bytes (as f32) read between two releases of a tensor's pages.
// Releasing drops pages that other threads are about to read, which costs
// them a soft fault; every 4 MB that is lost in the noise.
constexpr int64_t kReleaseEvery = (int64_t{4} << 20) / 4;

std::string KeyOf(std::span<const ir::WeightPart> parts,
                  std::string_view layout) {
  std::string key;
  for (const ir::WeightPart& part : parts)
    key += fmt::format("{}:{}+", part.name, part.rows);
  return key + std::string(layout);
}

// Reads rows [first, first + count) of the stacked parts; `width` values a
// row. Rows of nameless parts, and rows past the end, are zero.
void ReadRows(std::span<const ir::WeightPart> parts, int64_t width,
              int64_t first, int64_t count, const WeightReader& reader,
              float* out) {
  int64_t begin = 0;  // first stacked row of the part
  const int64_t end = first + count;
  for (const ir::WeightPart& part : parts) {
    const int64_t from = std::max(first, begin);
    const int64_t to = std::min(end, begin + part.rows);
    float* at = out + (from - first) * width;
    if (from < to && part.name.empty()) {
      std::fill_n(at, (to - from) * width, 0.0f);
    } else if (from < to) {
      reader.Read(part.name, (from - begin) * width, (to - from) * width, at);
    }
    begin += part.rows;
  }
  if (begin < end) {
    const int64_t from = std::max(first, begin);
    std::fill_n(out + (from - first) * width, (end - from) * width, 0.0f);
  }
}

inline void Put(float value, float* to) { *to = value; }
inline void Put(float value, F16* to) { *to = ToF16(value); }
inline void Put(float value, BF16* to) { *to = ToBF16(value); }

// One panel: rows [16][k] f32 to the packed layout. `taps` strides turn the
// column index of a convolution round.
template <typename T>
void PackPanel(const float* rows, int64_t k, int64_t taps, DType type, T* out) {
  const int64_t padded = PaddedK(type, k);
  const int64_t channels = k / taps;
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t c = 0; c < channels; ++c) {
      const float* from = rows + c * taps + tap;
      T* to = out + PackedIndex(type, padded, 0, tap * channels + c);
      const int64_t step = std::is_same_v<T, BF16> ? 2 : 1;
      for (int64_t j = 0; j < kPanel; ++j) Put(from[j * k], to + j * step);
    }
  }
  for (int64_t i = k; i < padded; ++i)
    for (int64_t j = 0; j < kPanel; ++j)
      out[PackedIndex(type, padded, j, i)] = T{};
}

void PackPanelAs(DType type, const float* rows, int64_t k, int64_t taps,
                 void* base, int64_t at) {
  if (type == DType::kF32) {
    PackPanel(rows, k, taps, type, static_cast<float*>(base) + at);
  } else if (type == DType::kF16) {
    PackPanel(rows, k, taps, type, static_cast<F16*>(base) + at);
  } else {
    PackPanel(rows, k, taps, type, static_cast<BF16*>(base) + at);
  }
}

void ReleaseAll(std::span<const ir::WeightPart> parts,
                const WeightReader& reader) {
  for (const ir::WeightPart& part : parts)
    if (!part.name.empty()) reader.Release(part.name);
}

// Runs f(task, thread) over the pool, whose loops must not throw, and throws
// here what a task threw first.
template <typename F>
void ParallelOrThrow(ThreadPool& pool, int64_t tasks, const F& f) {
  std::mutex mutex;
  std::exception_ptr error;
  pool.ParallelFor(tasks, [&](int64_t task, int thread) {
    try {
      f(task, thread);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

void PackMatrix(const MatrixSource& source, DType type,
                const WeightReader& reader, ThreadPool& pool, std::byte* out) {
  const int64_t panels = RoundUp(source.n, kPanel) / kPanel;
  const int64_t panel_values = kPanel * source.k;
  const int64_t panel_out = PackedElements(type, kPanel, source.k);
  const Buffer rows(static_cast<size_t>(panel_values * pool.threads()) *
                    sizeof(float));
  std::atomic<int64_t> since_release{0};
  ParallelOrThrow(pool, panels, [&](int64_t panel, int thread) {
    float* mine = rows.As<float>() + thread * panel_values;
    ReadRows(source.parts, source.k, panel * kPanel, kPanel, reader, mine);
    PackPanelAs(type, mine, source.k, source.taps, out, panel * panel_out);
    if (since_release.fetch_add(panel_values) + panel_values >= kReleaseEvery) {
      since_release = 0;
      ReleaseAll(source.parts, reader);
    }
  });
  ReleaseAll(source.parts, reader);
}

}  // namespace

template <typename Fill>
const Buffer& PackedWeights::Once(const std::string& key, size_t bytes,
                                  const Fill& fill) {
  const std::lock_guard lock(mutex_);
  const auto found = buffers_.find(key);
  if (found != buffers_.end()) return found->second;
  Buffer buffer(bytes);
  fill(buffer);
  packed_bytes_ += bytes;
  bytes_copied_ += bytes;
  return buffers_.emplace(key, std::move(buffer)).first->second;
}

const std::byte* PackedWeights::Matrix(const MatrixSource& source, DType type,
                                       const WeightReader& reader) {
  SOTTO_CHECK(source.k % source.taps == 0);
  const size_t bytes = BytesOf(
      type, static_cast<size_t>(PackedElements(type, source.n, source.k)));
  const std::string key =
      KeyOf(source.parts, fmt::format("{}/panel{}", Name(type), source.taps));
  return Once(key, bytes,
              [&](const Buffer& buffer) {
                PackMatrix(source, type, reader, *pool_, buffer.data());
              })
      .data();
}

const float* PackedWeights::Plain(std::span<const ir::WeightPart> parts,
                                  int64_t row, const WeightReader& reader) {
  int64_t rows = 0;
  for (const ir::WeightPart& part : parts) rows += part.rows;
  const size_t bytes = static_cast<size_t>(rows * row) * sizeof(float);
  return Once(KeyOf(parts, "plain"), bytes,
              [&](const Buffer& buffer) {
                ReadRows(parts, row, 0, rows, reader, buffer.As<float>());
                ReleaseAll(parts, reader);
              })
      .As<float>();
}

}  // namespace sotto::cpu
