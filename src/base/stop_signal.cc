// SPDX-License-Identifier: MIT
#include "base/stop_signal.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace sotto {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<int> g_signal{0};  // the first one
std::atomic<const char*> g_notice{""};
static_assert(std::atomic<int>::is_always_lock_free &&
              std::atomic<const char*>::is_always_lock_free);

// All below may be called from a signal handler.

void Put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;  // a terminal that is gone
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// A progress bar may stand there, and the "^C" that the terminal showed.
void ClearLine() {
  if (::isatty(STDERR_FILENO) == 1) Put("\r\x1b[K");
}

void EndBy(int signal) {
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void OnSignal(int signal) {
  const int saved = errno;
  int none = 0;
  ClearLine();
  if (g_signal.compare_exchange_strong(none, signal)) {
    Put(g_notice.load());
    Put("\n");
  } else {
    EndBy(signal);
  }
  errno = saved;
}

}  // namespace

StopSignals::StopSignals(const char* notice) {
  g_notice = notice;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  // Reads and waits of other threads go on as if nothing had happened.
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN)
      ::sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i)
    ::sigaction(kSignals[i], &before_[i], nullptr);
}

bool StopAsked() { return g_signal.load() != 0; }

void EndByStopSignal() {
  if (const int signal = g_signal.load(); signal != 0) EndBy(signal);
}

}  // namespace sotto
