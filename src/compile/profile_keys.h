// SPDX-License-Identifier: MIT
// Every key of a profile, once: path, field, range or words, documentation.
#pragma once

#include <string_view>

#include "compile/profile.h"

namespace sotto {

struct ProfileKey {
  std::string_view path;  // "fuse.qkv"
  std::string_view doc;
  int low = 0;  // integers
  int high = 0;
};

// The words of an enumeration, in the order of its values.
constexpr std::array<std::string_view, 4> Words(Precision) {
  return {"f32", "f16", "bf16", "int8"};
}
constexpr std::array<std::string_view, 2> Words(Mixed) {
  return {"none", "auto"};
}
constexpr std::array<std::string_view, 2> Words(FusionPolicy) {
  return {"direct", "fusable"};
}
constexpr std::array<std::string_view, 3> Words(KvType) {
  return {"auto", "f32", "bf16"};
}
constexpr std::array<std::string_view, 3> Words(Overlap) {
  return {"auto", "on", "off"};
}
template <typename E>
constexpr std::string_view Word(E value) {
  return Words(value)[static_cast<size_t>(value)];
}

// Keys of the whole profile. `P` may be const.
template <typename P, typename V>
void VisitProfile(P& p, V&& v) {
  v(ProfileKey{"backend", "device that runs the stages"}, p.device);
  v(ProfileKey{"threads", "0: all physical cores this process may use", 0,
               1024},
    p.threads);
  v(ProfileKey{"kv",
               "element type of the K and V caches; auto follows the "
               "decoder's precision"},
    p.kv);
  v(ProfileKey{"overlap",
               "encode the next window while this one is decoded; auto: where "
               "the encoder's device leaves the CPU's cores alone; on: where "
               "an NPU is emulated by them too"},
    p.overlap);
  v(ProfileKey{"allow.ref",
               "may the slow reference kernels stand in where no other fits?"},
    p.allow_ref);
  v(ProfileKey{"memory.alignment",
               "bytes; of values in the arena, a power of two", 64, 4096},
    p.alignment);
  v(ProfileKey{"buckets.extents",
               "past lengths decode programs are compiled for; empty: powers "
               "of two",
               1, 1 << 20},
    p.buckets);
  v(ProfileKey{"buckets.max_past", "0: the model's text context", 0, 1 << 20},
    p.max_past);
  v(ProfileKey{"buckets.clamp", "end the last bucket at max_past"},
    p.clamp_last_bucket);
  v(ProfileKey{"cache.encoder", "programs kept", 1, 4096},
    p.cache_capacity.encoder);
  v(ProfileKey{"cache.cross_kv", "programs kept", 1, 4096},
    p.cache_capacity.cross_kv);
  v(ProfileKey{"cache.prefill", "programs kept", 1, 4096},
    p.cache_capacity.prefill);
  v(ProfileKey{"cache.decode", "programs kept", 1, 4096},
    p.cache_capacity.decode);
}

// Keys that each stage may set for itself, in [encoder], [cross_kv], [prefill]
// and [decode]; outside of those tables they are for all four.
template <typename S, typename V>
void VisitStageOptions(S& s, V&& v) {
  v(ProfileKey{"precision", "of matrices and what they read"}, s.precision);
  v(ProfileKey{"mixed",
               "auto: sums, residuals and norms stay f32; f16 and "
               "bf16 need it"},
    s.mixed);
  v(ProfileKey{"q_chunk",
               "query rows per task of the encoder's attention; 0: the "
               "kernel's choice",
               0, 1 << 20},
    s.q_chunk);
  v(ProfileKey{"cross_chunk",
               "query rows per pass over a window's K and V in the decoder's "
               "cross-attention; 0: the kernel's choice",
               0, 1 << 20},
    s.cross_chunk);
  v(ProfileKey{"fuse.policy",
               "direct: a fused node that no backend takes is "
               "an error; fusable: go without fusion then"},
    s.fuse.policy);
  v(ProfileKey{"fuse.skip", "no fusion at all"}, s.fuse.skip);
  v(ProfileKey{"fuse.unfuse", "keep activations and sums apart"},
    s.fuse.unfuse);
  v(ProfileKey{"fuse.assert_clean", "a pattern left unfused is an error"},
    s.fuse.assert_clean);
  v(ProfileKey{"fuse.qkv", "q, k and v of a layer as one matrix"}, s.fuse.qkv);
  v(ProfileKey{"fuse.cross_kv", "cross k and v of a layer as one matrix"},
    s.fuse.cross_kv);
  v(ProfileKey{"fuse.bias_gelu", "GELU within the matrix or convolution"},
    s.fuse.bias_gelu);
  v(ProfileKey{"fuse.residual", "residual sums within the matrix"},
    s.fuse.residual);
  v(ProfileKey{"fuse.position", "positions added within the convolution"},
    s.fuse.position);
  v(ProfileKey{"passes.dce", "remove what nobody reads"}, s.passes.dce);
  v(ProfileKey{"passes.constant_folding",
               "remove casts, slices and sums that do nothing"},
    s.passes.constant_folding);
  v(ProfileKey{"passes.verbose", "log a line for each pass"}, s.passes.verbose);
}

}  // namespace sotto
