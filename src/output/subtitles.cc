// SPDX-License-Identifier: MIT
#include "output/subtitles.h"

#include <algorithm>
#include <climits>

#include "text/utf8.h"

namespace sotto {
namespace {

// After this much silence a subtitle ends even if it has room.
constexpr double kLongPause = 3.0;  // seconds

using Line = std::vector<Word>;  // a cue's words, line breaks in their text

int Length(std::string_view text) {
  return static_cast<int>(CountCodePoints(text));
}

// Lays words out in lines and cues, one word after the other.
class Layout {
 public:
  Layout(const WriterOptions& options, double start)
      : width_(options.max_line_width > 0 ? options.max_line_width : 1000),
        lines_(options.max_line_count > 0 ? options.max_line_count : INT_MAX),
        keep_segments_(options.max_line_count <= 0 ||
                       options.max_line_width <= 0),
        last_start_(start) {}

  // `first` where the word is the first of its segment or of its share of
  // max_words_per_line.
  void Add(Word word, bool first) {
    const bool pause = !keep_segments_ && word.start - last_start_ > kLongPause;
    const bool fits = line_length_ + Length(word.text) <= width_;
    const bool new_segment = first && keep_segments_ && !cue_.empty();
    last_start_ = word.start;
    if (line_length_ > 0 && fits && !pause && !new_segment) {
      line_length_ += Length(word.text);
      cue_.push_back(std::move(word));
      return;
    }
    word.text = std::string(StripSpace(word.text));
    const int length = Length(word.text);
    // note: without a limit of lines a pause breaks the line, not the cue.
    const bool full = lines_ != INT_MAX && (pause || line_count_ >= lines_);
    if (new_segment || (full && !cue_.empty())) {
      Finish();
    } else if (line_length_ > 0) {
      ++line_count_;
      word.text.insert(0, "\n");
    }
    line_length_ = length;
    cue_.push_back(std::move(word));
  }

  std::vector<Line> Take() {
    if (!cue_.empty()) Finish();
    return std::move(cues_);
  }

 private:
  void Finish() {
    cues_.push_back(std::move(cue_));
    cue_.clear();
    line_count_ = 1;
  }

  const int width_;
  const int lines_;
  const bool keep_segments_;
  double last_start_;
  int line_length_ = 0;
  int line_count_ = 1;
  Line cue_;
  std::vector<Line> cues_;
};

// When the first word begins, or else the first segment.
double StartOf(const Transcript& transcript) {
  for (const Segment& segment : transcript.segments)
    if (!segment.words.empty()) return segment.words.front().start;
  return transcript.segments.empty() ? 0 : transcript.segments.front().start;
}

std::vector<Line> LayOut(const Transcript& transcript,
                         const WriterOptions& options) {
  Layout layout(options, StartOf(transcript));
  const size_t share = options.max_words_per_line > 0
                           ? static_cast<size_t>(options.max_words_per_line)
                           : 1000;
  for (const Segment& segment : transcript.segments)
    for (size_t i = 0; i < segment.words.size(); ++i)
      layout.Add(segment.words[i], i % share == 0);
  return layout.Take();
}

// The word underlined, its leading space and line break outside. A word with
// a line break within itself is left alone.
std::string Underlined(const std::string& word) {
  size_t lead = 0;
  bool valid = true;
  for (size_t pos = 0; pos < word.size(); lead = pos)
    if (!IsPythonSpace(NextCodePoint(word, pos, valid))) break;
  std::string inner = word.substr(lead);
  std::string tail;
  if (inner.ends_with('\n')) {
    inner.pop_back();
    tail = "\n";
  }
  if (inner.find('\n') != std::string::npos) return word;
  return word.substr(0, lead) + "<u>" + inner + "</u>" + tail;
}

std::string Joined(const Line& line, size_t underlined) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i)
    text += i == underlined ? Underlined(line[i].text) : line[i].text;
  return text;
}

// A cue for each word, that word underlined, and one for each gap between.
void AppendHighlighted(const Line& line, const ShowTime& show_time,
                       std::vector<Cue>& cues) {
  const std::string plain = Joined(line, line.size());
  double last = line.front().start;
  for (size_t i = 0; i < line.size(); ++i) {
    if (show_time(last) != show_time(line[i].start))
      cues.push_back({last, line[i].start, plain});
    cues.push_back({line[i].start, line[i].end, Joined(line, i)});
    last = line[i].end;
  }
}

// "-->" would end the line of times.
std::string WithoutArrows(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const size_t arrow = text.find("-->", pos);
    out += text.substr(pos, arrow - pos);
    if (arrow == std::string_view::npos) break;
    out += "->";
    pos = arrow + 3;
  }
  return out;
}

}  // namespace

std::vector<Cue> MakeCues(const Transcript& transcript,
                          const WriterOptions& options,
                          const ShowTime& show_time) {
  std::vector<Cue> cues;
  if (!HasWords(transcript, options)) {
    for (const Segment& segment : transcript.segments)
      cues.push_back({segment.start, segment.end,
                      WithoutArrows(StripSpace(segment.text))});
    return cues;
  }
  for (const Line& line : LayOut(transcript, options)) {
    if (options.highlight_words)
      AppendHighlighted(line, show_time, cues);
    else
      cues.push_back(
          {line.front().start, line.back().end, Joined(line, line.size())});
  }
  return cues;
}

}  // namespace sotto
