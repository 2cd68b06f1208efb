// SPDX-License-Identifier: MIT
#include "npu/sim/walk.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "npu/registers.h"

namespace sotto::npu {
namespace {

// The highest dimension in use has no end of its own; the length stops it.
constexpr int64_t kOpen = std::numeric_limits<int64_t>::max() / 4;

}  // namespace

Walk::Walk(const BufferDescriptor& d, int64_t iteration) {
  base_ = d.address / 4 + iteration * d.iteration.stride;
  remaining_ = StreamWords(d);
  last_ = base_;
  int used = 0;
  for (int i = 0; i < 4; ++i) {
    if (d.dims[static_cast<size_t>(i)].size != 0) used = i + 1;
  }
  if (used == 0) {
    dims_[0] = {.size = kOpen, .stride = 1};
    last_ += d.words - 1;
    return;
  }
  // Where a dimension continues exactly where the one below ended, both are
  // one: longer runs.
  count_ = 0;
  int64_t inner = 1;
  for (int i = 0; i < used; ++i) {
    const auto k = static_cast<size_t>(i);
    Dim dim{.size = std::max<int64_t>(d.dims[k].size, 1),
            .stride = d.dims[k].stride};
    if (i < 3) {
      dim.before = d.pad_before[k];
      dim.after = d.pad_after[k];
    }
    // The last row may be cut short by the length.
    const int64_t rows =
        i + 1 < used ? dim.size : (d.words + inner - 1) / inner;
    last_ += (rows - 1) * dim.stride;
    inner *= dim.size;
    if (count_ > 0) {
      Dim& below = dims_[static_cast<size_t>(count_ - 1)];
      if (dim.before + dim.after + below.before + below.after == 0 &&
          dim.stride == below.size * below.stride) {
        below.size *= dim.size;
        continue;
      }
    }
    dims_[static_cast<size_t>(count_++)] = dim;
  }
  Dim& top = dims_[static_cast<size_t>(count_ - 1)];
  if (top.before + top.after == 0) top.size = kOpen;
}

Walk::Run Walk::Next(int64_t limit) {
  Dim& row = dims_[0];
  Run run{.word = base_, .stride = row.stride};
  for (int i = count_ - 1; i > 0; --i) {
    const Dim& dim = dims_[static_cast<size_t>(i)];
    const int64_t at = dim.index - dim.before;
    if (at < 0 || at >= dim.size) run.zeros = true;
    run.word += at * dim.stride;
  }
  int64_t room = row.padded() - row.index;
  if (!run.zeros) {
    const int64_t at = row.index - row.before;
    if (at < 0) {
      run.zeros = true;
      room = -at;
    } else if (at >= row.size) {
      run.zeros = true;
    } else {
      run.word += at * row.stride;
      room = row.size - at;
    }
  }
  run.count = std::min(room, limit);
  row.index += run.count;
  for (int i = 0; i + 1 < count_; ++i) {
    Dim& dim = dims_[static_cast<size_t>(i)];
    if (dim.index < dim.padded()) break;
    dim.index = 0;
    ++dims_[static_cast<size_t>(i + 1)].index;
  }
  remaining_ -= run.count;
  return run;
}

void Walk::Read(std::span<const std::byte> memory, std::span<uint32_t> out) {
  while (!out.empty()) {
    const Run run = Next(static_cast<int64_t>(out.size()));
    const auto n = static_cast<size_t>(run.count);
    const std::byte* from = memory.data() + 4 * run.word;
    if (run.zeros) {
      std::fill_n(out.data(), n, 0U);
    } else if (run.stride == 1) {
      std::memcpy(out.data(), from, 4 * n);
    } else {
      for (size_t i = 0; i < n; ++i) {
        std::memcpy(&out[i], from + 4 * run.stride * static_cast<int64_t>(i),
                    4);
      }
    }
    out = out.subspan(n);
  }
}

void Walk::Write(std::span<std::byte> memory, std::span<const uint32_t> in) {
  while (!in.empty()) {
    const Run run = Next(static_cast<int64_t>(in.size()));
    const auto n = static_cast<size_t>(run.count);
    std::byte* to = memory.data() + 4 * run.word;
    if (run.stride == 1) {
      std::memcpy(to, in.data(), 4 * n);
    } else {
      for (size_t i = 0; i < n; ++i) {
        std::memcpy(to + 4 * run.stride * static_cast<int64_t>(i), &in[i], 4);
      }
    }
    in = in.subspan(n);
  }
}

}  // namespace sotto::npu
