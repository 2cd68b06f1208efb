// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <atomic>
#include <cstdlib>
#include <mutex>

namespace sotto {
namespace {

std::string_view Environment() {
  static const char* const kValue = std::getenv("SOTTO_LOG");
  return kValue == nullptr ? "" : kValue;
}

LogLevel LevelFromEnvironment() {
  const std::string_view value = Environment();
  if (value == "info") return LogLevel::kInfo;
  if (value == "error") return LogLevel::kError;
  if (value == "debug" || LogTopic("dispatch")) return LogLevel::kDebug;
  return LogLevel::kWarning;
}

std::atomic<LogLevel>& Level() {
  static std::atomic<LogLevel> level{LevelFromEnvironment()};
  return level;
}

struct Sink {
  std::mutex mutex;
  LogSink function;
};

Sink& TheSink() {
  static Sink sink;
  return sink;
}

}  // namespace

void SetLogSink(LogSink sink) {
  const std::lock_guard lock(TheSink().mutex);
  TheSink().function = std::move(sink);
}

void SetLogLevel(LogLevel level) { Level() = level; }
bool LogEnabled(LogLevel level) { return level >= Level(); }

bool LogTopic(std::string_view topic) {
  return Environment().find(topic) != std::string_view::npos;
}

void LogLine(LogLevel level, std::string_view line) {
  const std::lock_guard lock(TheSink().mutex);
  if (TheSink().function) TheSink().function(level, line);
}

}  // namespace sotto
