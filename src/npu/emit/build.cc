// SPDX-License-Identifier: MIT
#include "npu/emit/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "hub/digest.h"
#include "npu/emit/mlir.h"
#include "npu/emit/process.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kSteps = 5;
constexpr int kFormat = 1;  // of the manifest
constexpr const char* kManifest = "manifest.json";
constexpr const char* kMlir = "design.mlir";
constexpr const char* kArchive = "kernels.a";
constexpr const char* kXclbin = "design.xclbin";
constexpr const char* kInstructions = "insts.bin";
constexpr const char* kPlanned = "planned.bin";

std::string Sha256(const fs::path& path) {
  return DigestOfFile(path, Digest::Kind::kSha256).hex;
}

Json FileEntry(const fs::path& folder, const std::string& name) {
  return {{"name", name},
          {"sha256", Sha256(folder / name)},
          {"bytes", fs::file_size(folder / name)}};
}

std::string LastLine(const fs::path& log) {
  std::istringstream text(ReadFile(log));
  std::string last;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty()) last = line;
  }
  return last.empty() ? "it said nothing" : last;
}

Design ForDevice(Design design) {
  design.stack_below = true;
  return design;
}

std::set<std::string> KernelsOf(const Plan& plan) {
  std::set<std::string> kernels;
  for (const auto& [tile, config] : plan.config.tiles) {
    for (const CoreOp& op : config.program) {
      if (op.kind == CoreOp::Kind::kCall) kernels.insert(op.kernel);
    }
  }
  return kernels;
}

class Builder {
 public:
  Builder(const Design& design, const Environment& environment,
          const BuildOptions& options)
      : design_(ForDevice(design)),
        environment_(environment),
        options_(options),
        plan_(MakePlan(design_)) {}

  BuildResult Run() {
    CheckTools();
    fs::create_directories(options_.folder / "logs");
    // A manifest stands only beside what it describes.
    fs::remove(options_.folder / kManifest);
    const auto start = std::chrono::steady_clock::now();
    Begin(1, "compile the kernels");
    Compile();
    Begin(2, "archive them and check their symbols");
    Archive();
    Begin(3, "write MLIR");
    WriteMlir();
    Begin(4, "aiecc");
    Aiecc();
    Begin(5, "package");
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - start;
    WriteManifest(took.count());
    return {.xclbin = options_.folder / kXclbin,
            .instructions = options_.folder / kInstructions,
            .manifest = options_.folder / kManifest,
            .seconds = took.count()};
  }

 private:
  void CheckTools() {
    for (const char* id : {"peano", "archiver", "symbols", "aiecc"}) {
      for (const ToolCheck& f : environment_.findings) {
        if (f.id != id || f.found) continue;
        Fail(ErrorCode::kUnsupported, "npu build: {}: {}; {}", f.id, f.detail,
             f.fix);
      }
    }
    if (options_.sources.empty()) {
      Fail(ErrorCode::kBadInput, "npu build: no kernel sources given");
    }
  }

  void Begin(int step, const std::string& what) {
    step_ = fmt::format("step {}/{} ({})", step, kSteps, what);
    if (options_.progress) options_.progress(step, kSteps, what);
  }

  void Call(const std::vector<std::string>& argv, const std::string& log,
            std::chrono::milliseconds timeout) {
    const fs::path path = options_.folder / "logs" / (log + ".log");
    const ProcessResult run = RunProcess(argv, fs::absolute(options_.folder),
                                         fs::absolute(path), timeout);
    const std::string where = fmt::format("npu build: {}: {}", step_, log);
    if (run.timed_out) {
      Fail(ErrorCode::kDevice, "{} took longer than {} s, see logs/{}.log",
           where, std::chrono::duration<double>(timeout).count(), log);
    }
    if (run.exit_code != 0) {
      Fail(ErrorCode::kDevice, "{} failed: {} (logs/{}.log)", where,
           LastLine(path), log);
    }
    seconds_[log] = run.seconds;
  }

  // The frames in kernels.def size the stacks, so a larger one is an error.
  int LargestFrame() const {
    int frame = 0;
    for (const std::string& name : KernelsOf(plan_)) {
      frame = std::max(frame, FindKernel(name)->frame_bytes);
    }
    return frame;
  }

  void Compile() {
    for (const fs::path& source : options_.sources) {
      const std::string object = source.stem().string() + ".o";
      std::vector<std::string> argv{
          environment_.clang,    "-O2",
          "-std=c++20",          "--target=aie2-none-unknown-elf",
          "-ffunction-sections", "-fdata-sections"};
      argv.push_back(fmt::format("-Wframe-larger-than={}", LargestFrame()));
      argv.push_back("-Werror=frame-larger-than");
      for (const fs::path& folder : options_.include_folders) {
        argv.push_back("-I" + fs::absolute(folder).string());
      }
      argv.insert(argv.end(),
                  {"-c", fs::absolute(source).string(), "-o", object});
      Call(argv, "compile-" + source.stem().string(), options_.compile_timeout);
      RequireFile(object);
      objects_.push_back(object);
    }
  }

  void Archive() {
    fs::remove(options_.folder / kArchive);
    std::vector<std::string> argv{environment_.archiver, "rcs", kArchive};
    argv.insert(argv.end(), objects_.begin(), objects_.end());
    Call(argv, "archive", options_.compile_timeout);
    RequireFile(kArchive);
    Call({environment_.symbols, "--defined-only", kArchive}, "symbols",
         options_.compile_timeout);
    CheckSymbols(ReadFile(options_.folder / "logs" / "symbols.log"));
  }

  // Lines of nm: address, kind, name. A kernel is a global function.
  void CheckSymbols(const std::string& listing) const {
    std::map<std::string, int> defined;
    std::istringstream lines(listing);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string address;
      std::string kind;
      std::string name;
      if (words >> address >> kind >> name && kind == "T") ++defined[name];
    }
    for (const std::string& kernel : KernelsOf(plan_)) {
      const auto found = defined.find(kernel);
      if (found == defined.end()) {
        Fail(ErrorCode::kBadInput,
             "npu build: {}: kernel {} is not in the archive", step_, kernel);
      }
      if (found->second > 1) {
        Fail(ErrorCode::kBadInput,
             "npu build: {}: kernel {} is {} times in the archive", step_,
             kernel, found->second);
      }
    }
  }

  void WriteMlir() {
    WriteFileAtomic(options_.folder / kMlir,
                    EmitMlir(design_, plan_, MlirForm::kCustom, kArchive));
    const std::vector<uint32_t> words = Encode(plan_.stream);
    WriteFileAtomic(
        options_.folder / kPlanned,
        {reinterpret_cast<const char*>(words.data()), 4 * words.size()});
  }

  void Aiecc() {
    for (const char* file : {kXclbin, kInstructions}) {
      fs::remove(options_.folder / file);
    }
    Call({environment_.aiecc, "--alloc-scheme=basic-sequential",
          "--aie-generate-xclbin", fmt::format("--xclbin-name={}", kXclbin),
          "--aie-generate-npu-insts",
          fmt::format("--npu-insts-name={}", kInstructions),
          "--no-compile-host", "--no-xchesscc", "--no-xbridge", kMlir},
         "aiecc", options_.package_timeout);
    RequireFile(kXclbin);
    RequireFile(kInstructions);
  }

  void RequireFile(const std::string& name) const {
    const fs::path path = options_.folder / name;
    if (fs::exists(path) && fs::file_size(path) > 0) return;
    Fail(ErrorCode::kDevice, "npu build: {} ended without error but made no {}",
         step_, name);
  }

  void WriteManifest(double seconds) {
    Json json;
    json["format"] = kFormat;
    json["design"] = design_.name;
    json["seconds"] = seconds;
    for (const auto& [step, took] : seconds_) json["step_seconds"][step] = took;
    for (const ToolCheck& f : environment_.findings) {
      if (f.found) json["tools"][f.id] = f.detail;
    }
    for (const fs::path& source : options_.sources) {
      json["sources"].push_back(
          {{"name", source.filename().string()}, {"sha256", Sha256(source)}});
    }
    for (const std::string& object : objects_) {
      json["objects"].push_back(FileEntry(options_.folder, object));
    }
    json["archive"] = FileEntry(options_.folder, kArchive);
    json["mlir"] = FileEntry(options_.folder, kMlir);
    json["xclbin"] = FileEntry(options_.folder, kXclbin);
    json["instructions"] = FileEntry(options_.folder, kInstructions);
    json["planned_instructions"] = FileEntry(options_.folder, kPlanned);
    json["instructions_as_planned"] = Sha256(options_.folder / kInstructions) ==
                                      Sha256(options_.folder / kPlanned);
    WriteFileAtomic(options_.folder / kManifest, json.dump(2) + "\n");
  }

  const Design design_;
  const Environment& environment_;
  const BuildOptions& options_;
  const Plan plan_;
  std::string step_;
  std::vector<std::string> objects_;
  std::map<std::string, double> seconds_;
};

void CheckFile(const fs::path& folder, const Json& entry) {
  const std::string name = entry.at("name");
  const std::string want = entry.at("sha256");
  const fs::path path = folder / name;
  const std::string is = fs::exists(path) ? Sha256(path) : "missing";
  if (is == want) return;
  Fail(ErrorCode::kBadInput,
       "{}: {} is {}, the manifest was written for {}: build the package again",
       folder.string(), name, is, want);
}

}  // namespace

BuildResult BuildPackage(const Design& design, const Environment& environment,
                         const BuildOptions& options) {
  return Builder(design, environment, options).Run();
}

Package OpenPackage(const Design& design, const fs::path& folder) {
  const fs::path path = folder / kManifest;
  if (!fs::exists(path)) {
    Fail(ErrorCode::kNotFound, "{}: no NPU package is built here",
         folder.string());
  }
  Json json;
  try {
    json = Json::parse(ReadFile(path));
    if (json.at("format").get<int>() != kFormat) {
      Fail(ErrorCode::kBadInput, "{}: format {}, want {}", path.string(),
           json.at("format").dump(), kFormat);
    }
    for (const char* part : {"archive", "mlir", "xclbin", "instructions"}) {
      CheckFile(folder, json.at(part));
    }
  } catch (const Json::exception& error) {
    Fail(ErrorCode::kBadInput, "{}: {}", path.string(), error.what());
  }
  const Design built = ForDevice(design);
  Package package{.xclbin = folder / kXclbin, .plan = MakePlan(built)};
  if (ReadFile(folder / kMlir) !=
      EmitMlir(built, package.plan, MlirForm::kCustom, kArchive)) {
    Fail(ErrorCode::kBadInput,
         "{}: built from another version of design {}: build the package again",
         folder.string(), design.name);
  }
  const std::string words = ReadFile(folder / kInstructions);
  package.instructions.resize(words.size() / 4);
  std::memcpy(package.instructions.data(), words.data(),
              4 * package.instructions.size());
  return package;
}

std::vector<fs::path> DeviceSources(const fs::path& kernels_folder) {
  const fs::path list = kernels_folder / "npu_device.list";
  if (!fs::exists(list)) {
    Fail(ErrorCode::kNotFound,
         "{}: not there; want the folder of the kernels' "
         "sources",
         list.string());
  }
  std::istringstream lines(ReadFile(list));
  std::vector<fs::path> sources;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line[0] != '#') {
      sources.push_back(kernels_folder / line);
    }
  }
  return sources;
}

}  // namespace sotto::npu
