// SPDX-License-Identifier: MIT
// sotto ops: the operators that programs of operators may call, and what such
// a program still lacks.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/cli/commands.h"
#include "base/error.h"
#include "ops/program.h"
#include "ops/registry.h"
#include "ops/session.h"

namespace sotto::cli {
namespace {

using Json = nlohmann::ordered_json;

class OpsCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "List the operators that programs of operators may call (libraries "
        "are loaded first), or check or run such a program.");
    app.add_option("--list", list_,
                   "list names, kernel keys and libraries; what is done "
                   "without --program");
    app.add_option("--load", libraries_,
                   "operator library to load first; may be given again")
        ->allow_extra_args(false);
    app.add_option("--program", program_,
                   "program of operators to check: exit 1 and all missing "
                   "operators, where some are");
    app.add_option("--runs", runs_,
                   "run the program so often on zeros, and tell what each "
                   "operator took and copied")
        ->check(CLI::Range(0, 1000000));
    app.add_option("--json", json_, "print JSON");
  }

  int Run() override {
    OpRegistry& registry = OpRegistry::Process();
    for (const std::string& library : libraries_) registry.Load(library);
    if (list_ || program_.empty()) List(registry);
    return program_.empty() ? kDone : Check(registry);
  }

 private:
  void List(const OpRegistry& registry) const {
    const std::vector<OpKernel> kernels = registry.Kernels();
    if (json_) {
      Json list = Json::array();
      for (const OpKernel& kernel : kernels)
        list.push_back({{"name", kernel.name},
                        {"key", kernel.key},
                        {"schema", kernel.schema_text},
                        {"library", kernel.library}});
      std::cout << list.dump(1) << '\n';
      return;
    }
    if (kernels.empty())
      std::cerr << "no operators; --load brings a library's\n";
    size_t name = 0, key = 0, schema = 0;
    for (const OpKernel& kernel : kernels) {
      name = std::max(name, kernel.name.size());
      key = std::max(key, kernel.key.size());
      schema = std::max(schema, kernel.schema_text.size());
    }
    for (const OpKernel& kernel : kernels)
      std::cout << fmt::format("{:{}}  {:{}}  {:{}}  {}\n", kernel.name, name,
                               kernel.key, key, kernel.schema_text, schema,
                               kernel.library);
  }

  int Check(const OpRegistry& registry) const {
    const std::vector<std::string> missing =
        OpProgram::Missing(program_, registry);
    if (json_ && !missing.empty()) {
      std::cout << Json{{"program", program_}, {"missing", missing}}.dump(1)
                << '\n';
      return kFailed;
    }
    // Throws one line with all that is missing.
    const auto program = OpProgram::Load(program_, registry);
    if (runs_ == 0) {
      if (json_)
        std::cout << Json{{"program", program_}, {"missing", missing}}.dump(1)
                  << '\n';
      else
        std::cout << program_ << ": every operator is there\n";
      return kDone;
    }
    OpSession session(program);
    for (int i = 0; i < runs_; ++i) session.Run();
    Report(session);
    return kDone;
  }

  void Report(const OpSession& session) const {
    const double runs = static_cast<double>(session.runs());
    if (json_) {
      Json rows = Json::array();
      for (const OpTiming& row : session.Timings())
        rows.push_back({{"op", row.op},
                        {"calls", row.calls},
                        {"us_per_run", row.seconds * 1e6 / runs},
                        {"bytes_written", row.counters.bytes_written},
                        {"bytes_copied", row.counters.bytes_copied}});
      std::cout << Json{{"program", program_},
                        {"runs", session.runs()},
                        {"us_per_run", session.seconds() * 1e6 / runs},
                        {"ops", rows}}
                       .dump(1)
                << '\n';
      return;
    }
    std::cout << fmt::format("{} runs, {:.2f} us each (measured)\n",
                             session.runs(), session.seconds() * 1e6 / runs);
    for (const OpTiming& row : session.Timings())
      std::cout << fmt::format(
          "{:9.2f} us  {:5.1f} %  {} calls, {} bytes written, {} copied  {}\n",
          row.seconds * 1e6 / runs, 100 * row.seconds / session.seconds(),
          row.calls, row.counters.bytes_written, row.counters.bytes_copied,
          row.op);
  }

  bool list_ = false;
  bool json_ = false;
  std::vector<std::string> libraries_;
  std::string program_;
  int runs_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeOps() { return std::make_unique<OpsCommand>(); }

}  // namespace sotto::cli
