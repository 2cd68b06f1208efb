// SPDX-License-Identifier: MIT
// One safetensors file: u64 header length, a JSON header, the data.
// Format: https://github.com/huggingface/safetensors (README, "Format").
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "model/checkpoint.h"

namespace sotto {

// Adds every tensor of the file to `checkpoint->tensors`, pointing into
// `bytes`. Tensors of integer types are left out: Whisper has none. Throws
// kBadInput for anything malformed, kUnsupported for other float types.
void AddSafetensors(std::span<const std::byte> bytes, const std::string& file,
                    Checkpoint* checkpoint);

}  // namespace sotto
