// SPDX-License-Identifier: MIT
// The reference kernels: what each op means. Plain, never optimised, any shape
// and type; every other kernel is tested against these.
#pragma once

#include "cpu/kernel.h"

namespace sotto::cpu {

void TransposeRef(const TransposeArgs& args, const Context& context);
void Conv1dRef(const Conv1dArgs& args, const Context& context);
void LayerNormRef(const LayerNormArgs& args, const Context& context);
void LinearRef(const LinearArgs& args, const Context& context);
void GeluRef(const MapArgs& args, const Context& context);
void AddRef(const AddArgs& args, const Context& context);
void CastRef(const MapArgs& args, const Context& context);
void AttentionRef(const AttentionArgs& args, const Context& context);
void KvWriteRef(const KvWriteArgs& args, const Context& context);
void CachedAttentionRef(const CachedAttentionArgs& args,
                        const Context& context);
void EmbedRef(const EmbedArgs& args, const Context& context);
void SelectRowsRef(const SelectRowsArgs& args, const Context& context);

// Doubles for one row of scores per thread.
size_t AttentionRefScratch(const AttentionArgs& args, int threads);
size_t CachedAttentionRefScratch(const CachedAttentionArgs& args, int threads);

}  // namespace sotto::cpu
