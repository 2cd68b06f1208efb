// SPDX-License-Identifier: MIT
// whisper.rlx.toml: the profile file of another Whisper compiler, found beside
// weights in the wild. Read through a table of its fields; other than
// there, wrong files are errors and all four stages get what it says.
//
//   fusion.policy        direct | fusable            -> fuse.policy
//   fusion.target        auto, cpu, metal, ...       -> backend (auto: as is)
//   fusion.assert_clean  boolean                     -> fuse.assert_clean
//   fusion.skip          boolean                     -> fuse.skip
//   passes.dce, passes.constant_folding, passes.verbose     -> the same
//   precision.compute    f32 | f16 | bf16            -> precision
//   precision.mixed      none | auto                 -> mixed
//   backend.cpu.unfuse_regions                       -> fuse.unfuse on the CPU
//   backend.metal.skip_fusion, .unfuse_regions       -> the same on Metal
//
// Its graph options are arguments of its builder; here they may stand in the
// file too. 0 means "all rows" there and "the kernel's choice" here, which are
// the same numbers.
//   graph.encoder_attn_chunk   query rows            -> q_chunk
//   graph.cross_attn_chunk     query rows            -> cross_chunk
#pragma once

#include <string_view>

#include "compile/profile.h"

namespace sotto {

// note: its `precision.mixed = "none"` with f16 or bf16 becomes "auto", since
// our sums are always f32. Throws kBadInput as ParseProfile does.
Profile ParseRlxProfile(std::string_view toml, std::string_view file,
                        const Profile& base = {});

}  // namespace sotto
