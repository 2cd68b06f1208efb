// SPDX-License-Identifier: MIT
// The straight way from sound to text.
#pragma once

#include <functional>
#include <string>

#include "audio/mel_source.h"
#include "engine/decode_plan.h"
#include "engine/speech_model.h"
#include "text/transcript.h"

namespace sotto {

// Called while a transcription runs, on the caller's thread. Each may be
// empty. An exception thrown in one ends the transcription.
struct TranscribeEvents {
  // The language, once it is known; `probability` is 1 where it was given.
  std::function<void(const std::string& code, double probability)> language;
  // Each segment when its window is done; ids and times of the file.
  std::function<void(const Segment&)> segment;
  // Seconds of sound done, and in all.
  std::function<void(double done, double total)> progress;
  // Asked before each window: true ends the transcription there, and what was
  // heard so far is returned.
  std::function<bool()> stop;
  // The recording to be transcribed next with the same plan, null where there
  // is none. Asked once at most, before this one's last window is decoded, and
  // only by a model that encodes ahead: its first window is begun then. It
  // must stay until that call returns.
  std::function<const MelSource*()> next;
};

// Transcribes all of `sound`. Throws what the parts throw.
Transcript Transcribe(SpeechModel& model, MelSource& sound,
                      const DecodePlan& plan,
                      const TranscribeEvents& events = {});

// The likeliest language of the first 30 seconds and its probability. Throws
// kBadInput for an English-only model.
std::pair<std::string, double> DetectLanguageOf(SpeechModel& model,
                                                MelSource& sound);

}  // namespace sotto
