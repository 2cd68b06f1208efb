// SPDX-License-Identifier: MIT
#include "decode/window.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "decode/fallback.h"
#include "decode/prompt.h"

namespace sotto {
namespace {

// Above this the sampled text is too wild to go on from.
constexpr double kHighTemperature = 0.5;

}  // namespace

WindowCursor::WindowCursor(LongFormOptions options, FallbackOptions fallback,
                           SpecialTokens tokens, TextOf text_of,
                           int content_frames, int n_text_ctx, int n_audio_ctx)
    : options_(std::move(options)),
      fallback_(std::move(fallback)),
      tokens_(std::move(tokens)),
      text_of_(std::move(text_of)),
      content_frames_(content_frames),
      n_text_ctx_(n_text_ctx),
      n_audio_ctx_(n_audio_ctx),
      said_(options_.initial_prompt) {
  std::vector<int> points;
  for (const double seconds : options_.clip_timestamps) {
    if (!(seconds >= 0 && seconds < 2e7))
      Fail(ErrorCode::kBadInput,
           "clip_timestamps: {} is no time, want seconds from 0 on", seconds);
    points.push_back(
        static_cast<int>(std::nearbyint(seconds * kFramesPerSecond)));
  }
  if (points.empty()) points.push_back(0);
  if (points.size() % 2 == 1) points.push_back(content_frames_);
  for (size_t i = 0; i < points.size(); i += 2)
    clips_.push_back({points[i], std::min(points[i + 1], content_frames_)});
  seek_ = clips_.front().start;
}

std::optional<Window> WindowCursor::At(size_t* clip, int* seek) const {
  while (*clip < clips_.size() && *seek >= clips_[*clip].end)
    if (++*clip < clips_.size()) *seek = clips_[*clip].start;
  if (*clip == clips_.size()) return std::nullopt;
  return Window{*seek, std::min(kWindowFrames, clips_[*clip].end - *seek)};
}

std::optional<Window> WindowCursor::Next() {
  const std::optional<Window> window = At(&clip_, &seek_);
  if (window) window_ = *window;
  return window;
}

std::optional<Window> WindowCursor::Guess() const {
  size_t clip = clip_;
  int seek = seek_ + window_.frames;
  return At(&clip, &seek);
}

std::vector<int> WindowCursor::PreviousText() const {
  const std::span<const int> said = said_;
  const std::vector<int>& initial = options_.initial_prompt;
  std::vector<int> previous;
  size_t ignored = prompt_reset_since_;
  int most = static_cast<int>(said.size());
  if (options_.carry_initial_prompt) {
    previous = initial;
    ignored = std::max(ignored, initial.size());
    most = n_text_ctx_ / 2 - 1 - static_cast<int>(initial.size());
  }
  const auto kept = PythonTail(said.subspan(ignored), most);
  previous.insert(previous.end(), kept.begin(), kept.end());
  return previous;
}

std::span<const Segment> WindowCursor::Accept(const Hypothesis& result) {
  const size_t first = segments_.size();
  if (IsSilence(result, fallback_)) {
    seek_ += window_.frames;
    return {};
  }
  WindowSegments split =
      SplitSegments(result, window_, tokens_, text_of_, n_audio_ctx_);
  seek_ = split.next_seek;
  ClearEmptySegments(&split.segments);
  for (Segment& segment : split.segments) {
    segment.id += static_cast<int>(first);
    said_.insert(said_.end(), segment.tokens.begin(), segment.tokens.end());
  }
  segments_.insert(segments_.end(),
                   std::make_move_iterator(split.segments.begin()),
                   std::make_move_iterator(split.segments.end()));
  if (!options_.condition_on_previous_text ||
      result.temperature > kHighTemperature)
    prompt_reset_since_ = said_.size();
  return std::span<const Segment>(segments_).subspan(first);
}

int WindowCursor::position() const { return std::min(seek_, content_frames_); }

Transcript WindowCursor::Finish(std::string language) const {
  Transcript transcript;
  // Decoded at once: a character may be split between two segments' tokens.
  transcript.text = text_of_(
      std::span<const int>(said_).subspan(options_.initial_prompt.size()));
  transcript.language = std::move(language);
  transcript.segments = segments_;
  return transcript;
}

}  // namespace sotto
