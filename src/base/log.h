// SPDX-License-Identifier: MIT
// Log lines go to a sink the program sets; the library itself prints nothing.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace sotto {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogSink = std::function<void(LogLevel, std::string_view)>;

// Replaces the sink (empty: lines are dropped). Thread-safe. The level below
// which lines are dropped comes from SOTTO_LOG (debug|info|warning|error, and
// "dispatch" for debug lines about kernel choice); warning where unset.
void SetLogSink(LogSink sink);
void SetLogLevel(LogLevel level);
bool LogEnabled(LogLevel level);
// True where SOTTO_LOG names the topic, as in SOTTO_LOG=dispatch.
bool LogTopic(std::string_view topic);
void LogLine(LogLevel level, std::string_view line);

template <typename... Args>
void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (LogEnabled(level))
    LogLine(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace sotto
