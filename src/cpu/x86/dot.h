// SPDX-License-Identifier: MIT
// What every inner loop of this folder computes, whichever its order.
#pragma once

#include "cpu/kernel.h"
#include "cpu/x86/target.h"

namespace sotto::cpu::x86 {

// c[rows, 16 panels] (+)= a b, with a in bf16 by rows and b in bf16 by pairs
// of k: for pair i and panel p, 16 columns x 2 at b + i b_step + p b_panel.
// Packed weights and keys are b with b_step 32; values have b_panel 32.
// Strides in elements.
struct DotBlock {
  const BF16* a = nullptr;
  int64_t a_stride = 0;
  const BF16* b = nullptr;
  int64_t b_step = 2 * kPanel;
  int64_t b_panel = 0;
  int64_t pairs = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  bool add = false;
  // The b of the block that follows this one (or this one's own): lines are
  // fetched kAhead pairs before their use, across the end of the block.
  const BF16* next = nullptr;
};

// Fetching lines of b ahead of their use, `P` panels at once. The hardware
// does not follow a stream across pages; two KiB ahead of each stream keeps
// the memory of a core busy.
template <int P>
class Ahead {
 public:
  static constexpr int64_t kAhead = 32;  // pairs, each a line

  SOTTO_AVX512_INLINE explicit Ahead(const DotBlock& d)
      : line_(d.b + kAhead * d.b_step),
        next_(d.next),
        step_(d.b_step),
        panel_(d.b_panel),
        jump_(d.pairs > kAhead ? d.pairs - kAhead : 0) {}

  SOTTO_AVX512_INLINE void Step(int64_t pair) {
    if (pair == jump_) line_ = next_;
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
      _mm_prefetch(static_cast<const char*>(
                       static_cast<const void*>(line_ + p * panel_)),
                   _MM_HINT_T0);
    line_ += step_;
  }

 private:
  const BF16* line_;
  const BF16* next_;
  int64_t step_, panel_, jump_;
};

}  // namespace sotto::cpu::x86
