// SPDX-License-Identifier: MIT
#include "decode/segment.h"

#include <span>

#include "base/error.h"

namespace sotto {
namespace {

// What SplitSegments knows while it cuts.
struct Splitter {
  const Hypothesis& result;
  const Window& window;
  const SpecialTokens& tokens;
  const TextOf& text_of;
  int frames_per_time;  // log-mel frames from one timestamp to the next
  WindowSegments out;

  int TimeIndex(int token) const { return token - tokens.timestamp_begin; }
  double Seconds(int time_index) const {
    return time_index * (frames_per_time / double{kFramesPerSecond});
  }

  void Add(std::span<const int> part, double start, double end) {
    Segment segment;
    segment.id = static_cast<int>(out.segments.size());
    segment.seek = window.seek;
    segment.start = start;
    segment.end = end;
    segment.tokens.assign(part.begin(), part.end());
    std::vector<int> words;
    for (const int token : part)
      if (tokens.IsText(token)) words.push_back(token);
    segment.text = text_of(words);
    segment.temperature = result.temperature;
    segment.avg_logprob = result.avg_logprob;
    segment.compression_ratio = result.compression_ratio;
    segment.no_speech_prob = result.no_speech_prob;
    out.segments.push_back(std::move(segment));
  }

  // Cuts before each of `cuts`.
  void AddSlices(std::span<const size_t> cuts) {
    const std::span<const int> all = result.tokens;
    size_t begin = 0;
    for (const size_t end : cuts) {
      const auto part = all.subspan(begin, end - begin);
      // Without timestamp rules text may come first.
      const int start =
          tokens.IsTimestamp(part.front()) ? TimeIndex(part.front()) : 0;
      Add(part, window.start() + Seconds(start),
          window.start() + Seconds(TimeIndex(part.back())));
      begin = end;
    }
    out.next_seek =
        out.single_timestamp_ending
            ? window.seek + window.frames
            : window.seek + TimeIndex(all[begin - 1]) * frames_per_time;
  }

  void AddWhole() {
    double duration = window.frames / double{kFramesPerSecond};
    for (auto it = result.tokens.rbegin(); it != result.tokens.rend(); ++it) {
      if (!tokens.IsTimestamp(*it)) continue;
      // A window whose only time is its start says nothing of its end.
      if (TimeIndex(*it) != 0) duration = Seconds(TimeIndex(*it));
      break;
    }
    Add(result.tokens, window.start(), window.start() + duration);
    out.next_seek = window.seek + window.frames;
  }
};

}  // namespace

WindowSegments SplitSegments(const Hypothesis& result, const Window& window,
                             const SpecialTokens& tokens, const TextOf& text_of,
                             int n_audio_ctx) {
  SOTTO_CHECK(n_audio_ctx > 0 && kWindowFrames % n_audio_ctx == 0);
  Splitter splitter{
      result, window, tokens, text_of, kWindowFrames / n_audio_ctx, {}};
  const std::vector<int>& all = result.tokens;
  const size_t n = all.size();
  std::vector<size_t> cuts;
  for (size_t i = 1; i < n; ++i)
    if (tokens.IsTimestamp(all[i - 1]) && tokens.IsTimestamp(all[i]))
      cuts.push_back(i);
  splitter.out.single_timestamp_ending = n >= 2 &&
                                         !tokens.IsTimestamp(all[n - 2]) &&
                                         tokens.IsTimestamp(all[n - 1]);
  if (cuts.empty()) {
    splitter.AddWhole();
  } else {
    if (splitter.out.single_timestamp_ending) cuts.push_back(n);
    splitter.AddSlices(cuts);
  }
  if (splitter.out.next_seek <= window.seek)
    splitter.out.next_seek = window.seek + window.frames;
  return std::move(splitter.out);
}

void ClearEmptySegments(std::vector<Segment>* segments) {
  for (Segment& segment : *segments) {
    if (segment.start != segment.end && !StripSpace(segment.text).empty())
      continue;
    segment.text.clear();
    segment.tokens.clear();
    segment.words.clear();
  }
}

}  // namespace sotto
