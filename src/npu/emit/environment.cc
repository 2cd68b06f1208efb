// SPDX-License-Identifier: MIT
#include "npu/emit/environment.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "npu/emit/process.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::seconds kTimeout{20};

// A folder for logs and sources of trials, gone with the object.
class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "sotto-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct Tool {
  std::string path;
  std::string where;
};

class Probe {
 public:
  explicit Probe(const ProbeOptions& options) : options_(options) {}

  Environment Run() {
    Environment env;
    env.clang = Compiler(&env);
    env.archiver = Plain(&env, "archiver", {"llvm-ar"},
                         "llvm-ar comes with Peano: put its bin folder first "
                         "in PATH or set PEANO_INSTALL_DIR");
    env.symbols =
        Plain(&env, "symbols", {"llvm-nm", "nm"}, "llvm-nm comes with Peano");
    env.aiecc = Plain(&env, "aiecc", {"aiecc", "aiecc.py"},
                      "install the mlir_aie wheel from mlir-aie's releases and "
                      "source its env_setup.sh");
    env.aie_api = VectorHeaders(&env);
    Headers(&env);
    DeviceNode(&env);
    env.mlir_opt = Plain(&env, "mlir-opt", {"mlir-opt-16", "mlir-opt"},
                         "apt-get install mlir-16-tools (only for tests)");
    return env;
  }

 private:
  std::optional<std::string> Variable(const char* name) const {
    if (options_.variable) return options_.variable(name);
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  }

  std::optional<Tool> Find(std::initializer_list<const char*> names) const {
    for (const char* variable : {"PEANO_INSTALL_DIR", "MLIR_AIE_INSTALL_DIR"}) {
      const std::optional<std::string> root = Variable(variable);
      if (!root) continue;
      for (const char* name : names) {
        const fs::path path = fs::path(*root) / "bin" / name;
        if (access(path.c_str(), X_OK) == 0) {
          return Tool{path.string(), variable};
        }
      }
    }
    const std::string search = Variable("PATH").value_or("");
    for (const char* name : names) {
      for (size_t at = 0; at <= search.size();) {
        const size_t end = std::min(search.find(':', at), search.size());
        const fs::path path = fs::path(search.substr(at, end - at)) / name;
        if (end > at && access(path.c_str(), X_OK) == 0) {
          return Tool{path.string(), "PATH"};
        }
        at = end + 1;
      }
    }
    return std::nullopt;
  }

  // The first line that the command prints; nothing where it fails.
  std::optional<std::string> Output(const std::vector<std::string>& argv) {
    const fs::path log = scratch_.path() / "output";
    const ProcessResult run = RunProcess(argv, scratch_.path(), log, kTimeout);
    if (run.exit_code != 0) return std::nullopt;
    return ReadFile(log);
  }
  static std::string FirstLine(const std::string& text) {
    return text.substr(0, text.find('\n'));
  }

  std::string Plain(Environment* env, const char* id,
                    std::initializer_list<const char*> names, const char* fix) {
    ToolCheck finding{.id = id};
    const std::optional<Tool> tool = Find(names);
    std::optional<std::string> version;
    if (tool) version = Output({tool->path, "--version"});
    if (version) {
      finding.found = true;
      finding.where = tool->where;
      finding.detail = FirstLine(*version);
    } else {
      finding.detail = tool ? fmt::format("{} does not start", *names.begin())
                            : fmt::format("no {}", *names.begin());
      finding.fix = fix;
    }
    env->findings.push_back(finding);
    return finding.found ? tool->path : "";
  }

  // A clang++ is Peano where it knows the target aie2.
  std::string Compiler(Environment* env) {
    ToolCheck finding{.id = "peano"};
    const std::optional<Tool> tool = Find({"clang++"});
    std::optional<std::string> targets;
    if (tool) targets = Output({tool->path, "--print-targets"});
    if (targets && targets->find("aie2") != std::string::npos) {
      finding.found = true;
      finding.where = tool->where;
      finding.detail = FirstLine(
          Output({tool->path, "--version"}).value_or("version unknown"));
    } else {
      finding.detail = tool ? "this clang++ has no target aie2" : "no clang++";
      finding.fix =
          "install the llvm-aie wheel from Peano's releases and set "
          "PEANO_INSTALL_DIR";
    }
    env->findings.push_back(finding);
    return finding.found ? tool->path : "";
  }

  // aie_api comes with mlir-aie, in the include folder beside its bin.
  std::string VectorHeaders(Environment* env) {
    ToolCheck finding{.id = "aie-api"};
    std::error_code ignored;
    fs::path include;
    if (!env->aiecc.empty())
      include = fs::canonical(env->aiecc, ignored).parent_path().parent_path() /
                "include";
    if (!include.empty() && fs::exists(include / "aie_api/aie.hpp", ignored)) {
      finding.found = true;
      finding.where = "beside aiecc";
      finding.detail = "aie_api/aie.hpp";
    } else {
      finding.detail = "no include/aie_api/aie.hpp beside aiecc";
      finding.fix = "install the mlir_aie wheel, which brings aie_api";
    }
    env->findings.push_back(finding);
    return finding.found ? include.string() : "";
  }

  // XRT before the NPU lacks both headers; Debian 12 still ships it.
  void Headers(Environment* env) {
    ToolCheck finding{.id = "xrt-headers"};
    const fs::path source = scratch_.path() / "probe.cc";
    WriteFileAtomic(source,
                    "#include <xrt/xrt_hw_context.h>\n"
                    "#include <xrt/experimental/xrt_ext.h>\n");
    std::vector<std::string> argv{options_.host_compiler, "-std=c++17",
                                  "-fsyntax-only", source.string()};
    const std::optional<std::string> xrt = Variable("XILINX_XRT");
    if (xrt) argv.push_back("-I" + *xrt + "/include");
    finding.found = Output(argv).has_value();
    if (finding.found) {
      finding.where = xrt ? "XILINX_XRT" : "system";
      finding.detail = "hardware contexts and ext::bo are declared";
    } else {
      finding.detail =
          "no xrt_hw_context.h and experimental/xrt_ext.h that compile";
      finding.fix =
          "XRT 2.16 or newer (Debian: trixie-backports); version 2022 of "
          "Debian 12 has no NPU";
    }
    env->findings.push_back(finding);
  }

  void DeviceNode(Environment* env) {
    ToolCheck finding{.id = "device"};
    std::error_code ignored;
    for (const auto& entry :
         fs::directory_iterator(options_.devices / "accel", ignored)) {
      if (!entry.path().filename().string().starts_with("accel")) continue;
      finding.found = access(entry.path().c_str(), R_OK | W_OK) == 0;
      finding.where = "accel/" + entry.path().filename().string();
      finding.detail = finding.found ? "readable and writable" : "no access";
      break;
    }
    if (!finding.found) {
      finding.fix = finding.where.empty()
                        ? "kernel 6.14 or newer with amdxdna, an NPU, and it "
                          "switched on in the firmware setup"
                        : "add yourself to group render";
      if (finding.where.empty()) finding.detail = "no accel node";
    }
    env->findings.push_back(finding);
  }

  const ProbeOptions& options_;
  Scratch scratch_;
};

}  // namespace

bool Environment::Has(std::string_view id) const {
  return std::any_of(
      findings.begin(), findings.end(),
      [id](const ToolCheck& f) { return f.id == id && f.found; });
}

bool Environment::CanBuild() const {
  return Has("peano") && Has("archiver") && Has("symbols") && Has("aiecc") &&
         Has("aie-api");
}

Environment ProbeEnvironment(const ProbeOptions& options) {
  return Probe(options).Run();
}

std::string ToJson(const Environment& environment) {
  nlohmann::ordered_json json;
  json["can_build"] = environment.CanBuild();
  for (const ToolCheck& f : environment.findings) {
    json["findings"].push_back({{"id", f.id},
                                {"found", f.found},
                                {"where", f.where},
                                {"detail", f.detail},
                                {"fix", f.fix}});
  }
  return json.dump(2) + "\n";
}

}  // namespace sotto::npu
