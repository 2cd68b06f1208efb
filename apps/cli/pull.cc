// SPDX-License-Identifier: MIT
// sotto pull: bring a model from the Hugging Face hub.
#include <CLI/CLI.hpp>
#include <iostream>

#include "apps/cli/commands.h"
#include "apps/cli/common.h"
#include "base/progress.h"
#include "hub/pull.h"

namespace sotto::cli {
namespace {

class PullCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "Download a model into the model folder, unless it is on this machine "
        "already. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured; an "
        "interrupted download goes on where it stopped.");
    app.add_option("name", names_,
                   "tiny.en, turbo, ..., org/name or org/name/file, each with "
                   "@revision")
        ->required();
    app.add_option("--force", force_,
                   "ask the hub even where the model is here");
  }

  int Run() override {
    for (const std::string& name : names_) {
      const PullResult result = PullWithBar(name, force_);
      std::cerr << (result.transferred > 0
                        ? "brought " + FormatBytes(double(result.transferred))
                        : "already here (" + result.source + ")")
                << '\n';
      std::cout << result.path.string() << '\n';
    }
    return kDone;
  }

 private:
  std::vector<std::string> names_;
  bool force_ = false;
};

}  // namespace

std::unique_ptr<Command> MakePull() { return std::make_unique<PullCommand>(); }

}  // namespace sotto::cli
