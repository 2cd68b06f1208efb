// SPDX-License-Identifier: MIT
#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <utility>

namespace sotto {
namespace {

constexpr double kRedraw_s = 0.1;
// A rate over less time than this is noise.
constexpr double kRateAfter_s = 0.5;
constexpr size_t kSmallestBar = 8;

double SteadyNow() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

std::string FormatBytes(double bytes) {
  constexpr std::array kUnits = {"kB", "MB", "GB", "TB"};
  if (!(bytes >= 1000)) return fmt::format("{:.0f} bytes", bytes);
  size_t unit = 0;
  // 999.95 would be rounded up to "1000.0".
  for (bytes /= 1000; bytes >= 999.95 && unit + 1 < kUnits.size(); ++unit)
    bytes /= 1000;
  return fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string FormatDuration(double seconds) {
  // A hundred hours are as good as "never" here, and fit an integer.
  const int whole = static_cast<int>(std::clamp(seconds, 0.0, 359999.0));
  const int hours = whole / 3600;
  const int minutes = whole / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                   : fmt::format("{}:{:02}", minutes, whole % 60);
}

bool IsTerminal(int descriptor) { return ::isatty(descriptor) == 1; }

int TerminalColumns(int descriptor) {
  winsize size{};
  const bool told = ::ioctl(descriptor, TIOCGWINSZ, &size) == 0;
  return told && size.ws_col > 0 ? size.ws_col : 80;
}

ProgressBar::ProgressBar(ProgressOptions options)
    : options_(std::move(options)) {
  if (!options_.now) options_.now = SteadyNow;
  if (!options_.write) options_.write = [](std::string_view) {};
  start_ = options_.now();
}

std::string ProgressBar::Amount(double value) const {
  switch (options_.unit) {
    case ProgressUnit::kBytes:
      return FormatBytes(value);
    case ProgressUnit::kSeconds:
      return FormatDuration(value);
    case ProgressUnit::kCount:
      break;
  }
  // Half a thing is worth telling where things are few and long.
  return fmt::format("{:.{}f}", value, value == std::floor(value) ? 0 : 1);
}

// "tiny  43% [=====     ] 31.2 MB / 72.1 MB, 5.1 MB/s, 0:08 left"
std::string ProgressBar::Line(double seconds) const {
  const double total = options_.total;
  std::string tail = Amount(done_);
  if (total > 0) tail += " / " + Amount(total);
  if (!options_.things.empty()) tail += " " + options_.things;
  const double gained = done_ - std::max(first_, 0.0);
  if (seconds >= kRateAfter_s && gained > 0) {
    const double rate = gained / seconds;
    if (options_.unit == ProgressUnit::kBytes)
      tail += ", " + FormatBytes(rate) + "/s";
    if (options_.unit == ProgressUnit::kSeconds)
      tail += fmt::format(", {:.1f} x realtime", rate);
    if (total > done_)
      tail += ", " + FormatDuration((total - done_) / rate) + " left";
  }
  if (!(total > 0)) return options_.label + "  " + tail;

  const double share = std::clamp(done_ / total, 0.0, 1.0);
  const std::string head =
      fmt::format("{} {:3d}%", options_.label, static_cast<int>(100 * share));
  if (!options_.terminal) return head + "  " + tail;
  const size_t columns = static_cast<size_t>(std::max(options_.columns, 20));
  const size_t used = head.size() + tail.size() + 5;
  if (used + kSmallestBar > columns) return head + "  " + tail;
  const size_t room = std::min<size_t>(columns - used, 40);
  const auto full =
      static_cast<size_t>(std::lround(share * static_cast<double>(room)));
  return head + " [" + std::string(full, '=') + std::string(room - full, ' ') +
         "] " + tail;
}

void ProgressBar::Draw(double seconds) {
  std::string line = Line(seconds);
  if (options_.terminal) {
    // One column stays free: some terminals wrap when the last is written.
    const auto columns = static_cast<size_t>(std::max(options_.columns, 20));
    if (line.size() >= columns) line.resize(columns - 1);
    const size_t width = line.size();
    if (shown_ > width) line.append(shown_ - width, ' ');
    shown_ = width;
    options_.write("\r" + line);
  } else {
    options_.write(line + "\n");
  }
  drawn_ = true;
}

void ProgressBar::Update(double done) {
  if (finished_) return;
  if (first_ < 0) first_ = done;
  done_ = done;
  const double now = options_.now();
  if (options_.terminal) {
    if (shown_ > 0 && now - last_draw_ < kRedraw_s) return;
    last_draw_ = now;
    Draw(now - start_);
    return;
  }
  if (!(options_.total > 0)) return;
  const int tenth =
      static_cast<int>(10 * std::clamp(done / options_.total, 0.0, 1.0));
  if (tenth <= tenth_) return;
  tenth_ = tenth;
  Draw(now - start_);
}

void ProgressBar::Clear() {
  if (!options_.terminal || shown_ == 0) return;
  std::string blank(shown_ + 2, ' ');
  blank.front() = blank.back() = '\r';
  options_.write(blank);
  shown_ = 0;
}

void ProgressBar::Finish() {
  if (std::exchange(finished_, true)) return;
  if (options_.terminal) {
    if (!drawn_) return;
    Draw(options_.now() - start_);
    options_.write("\n");
  } else if (first_ >= 0 && tenth_ < 10) {
    Draw(options_.now() - start_);
  }
}

}  // namespace sotto
