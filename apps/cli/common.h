// SPDX-License-Identifier: MIT
// What several commands share: engine options, finding a model, progress.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "engine/options.h"
#include "hub/pull.h"

namespace CLI {
class App;
}

namespace sotto::cli {

// One CLI11 option for each row of VisitOptions.
void AddEngineOptions(CLI::App& app, Options& options);

// A path for WeightStore::Load: a path as it is, else a name in the caches of
// this and other tools, else (unless offline) a download with a progress bar.
std::filesystem::path FindModel(const std::string& model);

// Brings a model with a progress bar on stderr.
PullResult PullWithBar(const std::string& name, bool force);

bool StdoutIsTerminal();

// A long job's progress on stderr while that is a terminal; nothing else ever:
// logs want no bars.
class ProgressLine {
 public:
  // A transcription's: seconds of sound.
  explicit ProgressLine(bool wanted);
  // A count of things, "windows".
  ProgressLine(const std::string& label, const std::string& things);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void Show(double done, double total);
  void Clear();

 private:
  ProgressLine(bool wanted, ProgressOptions options);
  const bool shown_;
  ProgressBar bar_;
};

}  // namespace sotto::cli
