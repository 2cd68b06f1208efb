// SPDX-License-Identifier: MIT
// GGUF's numbers. Source:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>

namespace sotto {

enum class GgufType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

inline constexpr uint32_t kGgufAlignment = 32;  // unless general.alignment

// How tokenizer.ggml.token_type marks tokens that are no text.
inline constexpr int kGgufTokenNormal = 1;
inline constexpr int kGgufTokenControl = 3;

// Alignment heads are no key of anybody else's: an i32 array of layer, head,
// layer, head, ... which other readers pass over.
inline constexpr char kGgufAlignmentHeads[] = "whisper.alignment_heads";

}  // namespace sotto
