// SPDX-License-Identifier: MIT
// What of the NPU's tools and devices this machine has. Nothing is installed
// or assumed at a fixed place: tools are found through PATH and the variables
// that mlir-aie's and XRT's own set-up scripts export.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sotto::npu {

struct ToolCheck {
  std::string id;  // "peano", "archiver", "symbols", "aiecc", ..
  bool found = false;
  std::string where;   // "PATH" or the variable that led to it, no paths
  std::string detail;  // version, or what is missing
  std::string fix;     // one sentence; empty where found
};

struct Environment {
  std::vector<ToolCheck> findings;
  // What to run; empty where not found. Not part of the JSON.
  std::string clang;
  std::string archiver;
  std::string symbols;  // lists an archive's symbols (nm)
  std::string aiecc;
  std::string aie_api;  // folder of <aie_api/aie.hpp>
  std::string mlir_opt;
  bool Has(std::string_view id) const;
  bool CanBuild() const;  // Peano, its tools, aiecc, aie_api
};

// Where to look; the defaults are this process's own. Tests give others.
struct ProbeOptions {
  std::function<std::optional<std::string>(const char*)> variable;
  std::filesystem::path devices = "/dev";
  std::string host_compiler = "c++";  // for the test of the XRT headers
};

Environment ProbeEnvironment(const ProbeOptions& options = {});
std::string ToJson(const Environment& environment);

}  // namespace sotto::npu
