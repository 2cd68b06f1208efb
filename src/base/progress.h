// SPDX-License-Identifier: MIT
// A progress bar for downloads (bytes), transcription (seconds of audio) and
// whatever is counted. It writes to what the program gives it; the library
// itself prints nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace sotto {

enum class ProgressUnit { kBytes, kSeconds, kCount };

struct ProgressOptions {
  std::string label;
  ProgressUnit unit = ProgressUnit::kBytes;
  std::string things = {};  // what kCount counts, "windows"
  // 0 where the whole is not known yet.
  double total = 0;
  // On a terminal one line is drawn again and again; else a line is written
  // at every tenth, so that a log file stays short.
  bool terminal = false;
  int columns = 80;
  std::function<void(std::string_view)> write = {};
  // Seconds on a clock that never goes back; the steady clock where empty.
  std::function<double()> now = {};
};

// One bar. One thread at a time. Never throws but for what `write` throws.
class ProgressBar {
 public:
  explicit ProgressBar(ProgressOptions options);

  void SetTotal(double total) { options_.total = total; }
  // What was there before this run (a resumed download) counts for the bar
  // but not for the rate. Call before the first Update.
  void SetStart(double done) { first_ = done; }
  void Update(double done);
  // Takes the line off the terminal, so that other text can be written; the
  // next Update draws it again.
  void Clear();
  // The last state, and a line end. More calls do nothing.
  void Finish();

 private:
  std::string Amount(double value) const;
  std::string Line(double seconds) const;
  void Draw(double seconds);

  ProgressOptions options_;
  double start_ = 0;      // on the clock
  double last_draw_ = 0;  // on the clock
  double done_ = 0;
  double first_ = -1;  // of the first update; below 0: not yet
  int tenth_ = 0;      // the last tenth that was written
  size_t shown_ = 0;   // columns of the line on the terminal
  bool drawn_ = false;
  bool finished_ = false;
};

// "1.5 MB", "900 bytes": powers of ten, as disks and networks count.
std::string FormatBytes(double bytes);
// "0:07", "12:34", "1:02:03".
std::string FormatDuration(double seconds);

// For a program's options: is the descriptor a terminal, and how wide (80
// where it does not say).
bool IsTerminal(int descriptor);
int TerminalColumns(int descriptor);

}  // namespace sotto
