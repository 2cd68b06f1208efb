// SPDX-License-Identifier: MIT
// The state of a transcription between windows: where the next one starts and
// what text it is told. Knows no audio and no model.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decode/options.h"
#include "decode/segment.h"
#include "decode/special_tokens.h"
#include "decode/text_of.h"
#include "text/transcript.h"

namespace sotto {

// Used as
//   while (const auto window = cursor.Next()) {
//     ... encode the window's frames ...
//     best = decoder.Decode(source, cursor.PreviousText(), language,
//                           window->seek);
//     for (const Segment& segment : cursor.Accept(best)) ...
//   }
//   transcript = cursor.Finish(language_code);
// One thread.
class WindowCursor {
 public:
  // `content_frames`: log-mel frames of sound in the whole file. Throws
  // kBadInput where a clip's times cannot be.
  WindowCursor(LongFormOptions options, FallbackOptions fallback,
               SpecialTokens tokens, TextOf text_of, int content_frames,
               int n_text_ctx, int n_audio_ctx);

  // The next window; nothing once the last clip is done. Clips end at the
  // end of the sound at the latest.
  std::optional<Window> Next();

  // What Next() gives if the current window turns out to end with silence or a
  // single time: the rest of its clip, or the next clip. Before the first
  // Next(), what that gives. A guess: after a pair of times the next window
  // starts there.
  std::optional<Window> Guess() const;

  // Tokens to decode the current window after: BuildPrompt's `previous`. A
  // carried initial prompt leaves n_text_ctx / 2 - 1 - its length to what was
  // said; one that leaves 0 or less gives way to all of it, as PythonTail says.
  std::vector<int> PreviousText() const;

  // Takes the result of the current window: keeps its segments unless it is
  // silence, and moves on. Returns the new segments, ids and times of the
  // file; valid until the next call.
  std::span<const Segment> Accept(const Hypothesis& result);

  // Frames done so far, for progress bars: at most content_frames.
  int position() const;

  // All segments so far and their joined text.
  Transcript Finish(std::string language) const;

 private:
  struct Clip {
    int start;
    int end;
  };

  // The window at `seek` of clip `clip`, or at the next clip's start, moving
  // both there.
  std::optional<Window> At(size_t* clip, int* seek) const;

  LongFormOptions options_;
  FallbackOptions fallback_;
  SpecialTokens tokens_;
  TextOf text_of_;
  int content_frames_;
  int n_text_ctx_;
  int n_audio_ctx_;
  std::vector<Clip> clips_;
  size_t clip_ = 0;
  int seek_ = 0;
  Window window_;
  std::vector<int> said_;  // the initial prompt, then all segments' tokens
  size_t prompt_reset_since_ = 0;  // said_ before this is not told any more
  std::vector<Segment> segments_;
};

}  // namespace sotto
