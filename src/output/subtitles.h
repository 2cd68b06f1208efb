// SPDX-License-Identifier: MIT
// From segments and words to the cues of srt and vtt.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "output/writer.h"
#include "text/transcript.h"

namespace sotto {

// One subtitle on the screen.
struct Cue {
  double start = 0;  // seconds
  double end = 0;
  std::string text;  // may have several lines
};

// Shows a time the way the format does; highlighting compares times as shown.
using ShowTime = std::function<std::string(double)>;

// One cue a segment; where there are words, the cues are laid out from them
// (openai/whisper, utils.py, SubtitlesWriter, gives the same bytes).
std::vector<Cue> MakeCues(const Transcript& transcript,
                          const WriterOptions& options,
                          const ShowTime& show_time);

}  // namespace sotto
