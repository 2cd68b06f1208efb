// SPDX-License-Identifier: MIT
// What the audio tests share: files made on the spot, digests, the oracle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/test_folder.h"

namespace sotto::testing {

void WriteBytes(const std::filesystem::path& path, std::string_view bytes);
std::string ReadBytes(const std::filesystem::path& path);

// Speech-like sound from a seed: a few gliding harmonics and noise, in
// [-0.9, 0.9].
std::vector<float> MakeSound(size_t samples, int rate, uint32_t seed = 1);

// A RIFF file. `bits` 8 (unsigned), 16, 24, 32 integer; 32 or 64 with `real`.
struct WavFormat {
  int rate = 16000;
  int channels = 1;
  int bits = 16;
  bool real = false;
  uint32_t channel_mask = 0;  // not 0: WAVE_FORMAT_EXTENSIBLE
};
// `samples` are interleaved; integers are rounded and clipped.
std::string Wav(std::span<const float> samples, const WavFormat& format = {});

// Encodes mono or interleaved stereo f32 with libav's own encoder and muxer:
// Encode(path, "aac", "mp4", pcm, 44100). False where this libav lacks one.
struct EncodeOptions {
  int rate = 16000;
  int channels = 1;
  std::string muxer_options = {};  // "movflags=faststart"
  int video_frames = 0;  // > 0: a video stream of that many beside the sound
  bool audio = true;
};
bool Encode(const std::filesystem::path& path, const std::string& codec,
            const std::string& muxer, std::span<const float> pcm,
            const EncodeOptions& options = {});

// SHA-256 in hexadecimal of samples * 32768 as little-endian int16.
std::string PcmSha256(std::span<const float> samples);

// SOTTO_TEST_DATA where it is set and holds `name`.
std::optional<std::filesystem::path> TestData(std::string_view name);

// The f32 tensor `name` of a safetensors file.
std::vector<float> ReadF32Tensor(const std::filesystem::path& path,
                                 const std::string& name);

// Largest |a - b|; infinity where the sizes differ or one is NaN.
double MaxDifference(std::span<const float> a, std::span<const float> b);

}  // namespace sotto::testing
