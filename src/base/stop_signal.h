// SPDX-License-Identifier: MIT
// What Ctrl-C does to a program at work: the first asks it to stop where its
// work can be kept, the second ends it at once. For programs: the library
// itself touches no signals.
#pragma once

#include <signal.h>

#include <array>

namespace sotto {

// As long as it lives, the first SIGINT, SIGTERM or SIGHUP is noted and told on
// stderr, and the next one ends the process as if nothing had caught it. A
// signal that was ignored before (nohup, a script's background job) stays so.
// One at a time, on any thread.
class StopSignals {
 public:
  // `notice`: the line that the first signal writes, without a line end. It
  // must outlive the object, as a literal does.
  explicit StopSignals(const char* notice);
  ~StopSignals();  // the signals do again what they did before
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  std::array<struct sigaction, 3> before_{};
};

// Has a signal been noted? From then on for ever. Any thread.
bool StopAsked();

// Ends the process by the signal that was noted. A shell tells that as status
// 130 (143 and 129 for SIGTERM and SIGHUP) and, other than after exit(130),
// stops its loop over files too. Returns where none was noted.
void EndByStopSignal();

}  // namespace sotto
