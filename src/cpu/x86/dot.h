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
  // What will be read after b, as many bytes: fetched meanwhile, in order.
  const BF16* next = nullptr;
};

// Fetches what comes next, P lines for each pair of this block, one after the
// other in memory whatever the order in which b is read. A whole block ahead,
// in one stream: the P streams of b, each followed at a short distance, gave a
// third less of the bandwidth where the weights come from memory.
template <int P>
class Ahead {
 public:
  SOTTO_AVX512_INLINE explicit Ahead(const DotBlock& d) : line_(d.next) {}

  SOTTO_AVX512_INLINE void Step() {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p, line_ += 2 * kPanel)
      _mm_prefetch(static_cast<const char*>(static_cast<const void*>(line_)),
                   _MM_HINT_T0);
  }

 private:
  const BF16* line_;
};

}  // namespace sotto::cpu::x86
