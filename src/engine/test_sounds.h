// SPDX-License-Identifier: MIT
// What the engine's tests share: sound from a seed, several recordings in a
// row.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "audio/mel_source.h"
#include "engine/transcribe.h"

namespace sotto {

// Samples at 16 kHz.
inline std::vector<float> Noise(int seconds, uint64_t seed) {
  std::minstd_rand random(static_cast<uint32_t>(seed));
  std::normal_distribution<float> values(0, 0.1F);
  std::vector<float> pcm(static_cast<size_t>(seconds) * kSampleRate);
  for (float& value : pcm) value = values(random);
  return pcm;
}

// All recordings one after another, each told of the next.
inline std::vector<Transcript> TranscribeAll(SpeechModel& model,
                                             const DecodePlan& plan,
                                             std::span<MelSource> sounds) {
  std::vector<Transcript> all;
  for (size_t i = 0; i < sounds.size(); ++i) {
    TranscribeEvents events;
    events.next = [&]() -> const MelSource* {
      return i + 1 < sounds.size() ? &sounds[i + 1] : nullptr;
    };
    all.push_back(Transcribe(model, sounds[i], plan, events));
  }
  return all;
}

}  // namespace sotto
