// SPDX-License-Identifier: MIT
// sotto models: what is on this machine and can be given to --model.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/cli/commands.h"
#include "base/progress.h"
#include "hub/cache.h"
#include "hub/environment.h"

namespace sotto::cli {
namespace {

class ModelsCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "List the models found on this machine: Sotto's own and those that "
        "other tools have brought.");
    app.add_option("--json", json_, "print JSON");
  }

  int Run() override {
    const HubEnvironment environment = HubEnvironment::Read();
    const std::vector<FoundModel> models = ListModels(environment);
    if (json_) {
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const FoundModel& m : models)
        list.push_back({{"name", m.name},
                        {"format", m.format},
                        {"bytes", m.bytes},
                        {"source", m.source},
                        {"path", m.path.string()}});
      std::cout << list.dump(1) << '\n';
      return kDone;
    }
    if (models.empty()) {
      std::cerr << "no models found; `sotto pull tiny.en` brings one to "
                << environment.models.string() << '\n';
      return kDone;
    }
    size_t widest = 4;
    for (const FoundModel& m : models)
      widest = std::max(widest, m.name.size());
    for (const FoundModel& m : models)
      std::cout << fmt::format("{:{}}  {:6}  {:>9}  {}\n", m.name, widest,
                               m.format,
                               FormatBytes(static_cast<double>(m.bytes)),
                               m.path.string());
    return kDone;
  }

 private:
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeModels() {
  return std::make_unique<ModelsCommand>();
}

}  // namespace sotto::cli
