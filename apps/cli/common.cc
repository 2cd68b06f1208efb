// SPDX-License-Identifier: MIT
#include "apps/cli/common.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "hub/resolve.h"

namespace sotto::cli {
namespace {

template <typename T>
std::string DefaultText(const T& field) {
  if constexpr (std::is_same_v<T, std::string>) {
    return field;
  } else if constexpr (std::is_same_v<T, bool>) {
    return field ? "True" : "False";
  } else if constexpr (std::is_same_v<T, std::optional<double>>) {
    return field ? fmt::format("{}", *field) : "None";
  } else {
    return fmt::format("{}", field);
  }
}

ProgressOptions OnStderr(ProgressOptions options) {
  options.terminal = IsTerminal(STDERR_FILENO);
  options.columns = TerminalColumns(STDERR_FILENO);
  options.write = [](std::string_view text) {
    std::cerr << text << std::flush;
  };
  return options;
}

ProgressBar DownloadBar(const std::string& label) {
  return ProgressBar(OnStderr({.label = label}));
}

void Show(ProgressBar& bar, const PullStatus& status) {
  bar.SetTotal(static_cast<double>(status.bytes_total));
  bar.Update(static_cast<double>(status.bytes_done));
}

}  // namespace

void AddEngineOptions(CLI::App& app, Options& options) {
  VisitOptions(options, [&](std::string_view name, const auto& field,
                            std::string_view help) {
    const std::string key(name);
    app.add_option_function<std::string>(
           "--" + key,
           [&options, key](const std::string& value) {
             SetOption(options, key, value);
           },
           std::string(help))
        // Of these a value may be left out (commands.cc).
        ->type_name(std::is_same_v<std::decay_t<decltype(field)>, bool>
                        ? "BOOLEAN"
                        : "")
        ->default_str(DefaultText(field));
  });
}

PullResult PullWithBar(const std::string& name, bool force) {
  ProgressBar bar = DownloadBar(name);
  PullOptions options;
  options.force = force;
  options.progress = [&](const PullStatus& status) { Show(bar, status); };
  PullResult result = Pull(name, options);
  if (result.transferred > 0) bar.Finish();
  return result;
}

std::filesystem::path FindModel(const std::string& model) {
  ProgressBar bar = DownloadBar(model);
  bool moved = false;
  const std::filesystem::path path =
      ResolveModel(model, {.progress = [&](const PullStatus& status) {
                     moved = true;
                     Show(bar, status);
                   }});
  if (moved) bar.Finish();
  return path;
}

bool StdoutIsTerminal() { return IsTerminal(STDOUT_FILENO); }

ProgressLine::ProgressLine(bool wanted, ProgressOptions options)
    : shown_(wanted && IsTerminal(STDERR_FILENO)),
      bar_(OnStderr(std::move(options))) {}

ProgressLine::ProgressLine(bool wanted)
    : ProgressLine(wanted, {.label = "", .unit = ProgressUnit::kSeconds}) {}

ProgressLine::ProgressLine(const std::string& label, const std::string& things)
    : ProgressLine(
          true,
          {.label = label, .unit = ProgressUnit::kCount, .things = things}) {}

ProgressLine::~ProgressLine() { Clear(); }

void ProgressLine::Show(double done, double total) {
  if (!shown_) return;
  bar_.SetTotal(total);
  bar_.Update(done);
}

void ProgressLine::Clear() {
  if (shown_) bar_.Clear();
}

}  // namespace sotto::cli
