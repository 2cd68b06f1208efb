// SPDX-License-Identifier: MIT
#include "cpu/x86/attention.h"
#include "cpu/x86/cached_attention.h"
#include "cpu/x86/dot_pairs.h"
#include "cpu/x86/x86.h"

namespace sotto::cpu {

void AttentionAvx512Bf16(const AttentionArgs& args, const Context& context) {
  x86::RunAttention<x86::PairsOrder>(args, context);
}
size_t AttentionAvx512Bf16Scratch(const AttentionArgs& args, int threads) {
  return x86::AttentionScratch<x86::PairsOrder>(args, threads);
}

void CachedAttentionAvx512Bf16(const CachedAttentionArgs& args,
                               const Context& context) {
  x86::RunCached<x86::PairsOrder, x86::PairsOrder>(args, context);
}
size_t CachedAttentionAvx512Bf16Scratch(const CachedAttentionArgs& /*args*/,
                                        int threads) {
  return x86::CachedScratch<x86::PairsOrder>(threads);
}

}  // namespace sotto::cpu
