// SPDX-License-Identifier: MIT
#include "npu/emit/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "hub/digest.h"
#include "npu/emit/mlir.h"
#include "npu/emit/process.h"
#include "npu/kernels/kernel.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using namespace package;  // names of files

constexpr int kSteps = 5;

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

std::set<std::string> KernelsOf(const Plan& plan) {
  std::set<std::string> kernels;
  for (const auto& [tile, config] : plan.config.tiles) {
    for (const CoreOp& op : config.program) {
      if (op.kind == CoreOp::Kind::kCall) kernels.insert(op.kernel);
    }
  }
  return kernels;
}

// Each register on its own, however the writes are bundled.
std::vector<TxnOp> Single(const TxnStream& stream) {
  std::vector<TxnOp> ops;
  for (const TxnOp& op : stream.ops) {
    if (op.kind != TxnOp::Kind::kBlockWrite) {
      ops.push_back(op);
      continue;
    }
    for (size_t i = 0; i < op.values.size(); ++i)
      ops.push_back({.kind = TxnOp::Kind::kWrite32,
                     .address = op.address + static_cast<uint32_t>(4 * i),
                     .values = {op.values[i]}});
  }
  return ops;
}

// Whether a file holds a stream that writes the same registers in the same
// order and waits for the same tokens.
bool DoesTheSame(const fs::path& file, const TxnStream& stream) {
  const std::string bytes = ReadFile(file);
  std::vector<uint32_t> words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), 4 * words.size());
  try {
    return Single(Decode(words)) == Single(stream);
  } catch (const Error&) {
    return false;  // operations of a later release
  }
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
    for (const char* id :
         {"peano", "archiver", "symbols", "aiecc", "aie-api"}) {
      for (const ToolCheck& f : environment_.findings) {
        if (f.id != id || f.found) continue;
        Fail(ErrorCode::kUnsupported, "npu build: {}: {}; {}", f.id, f.detail,
             f.fix);
      }
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

  // Only sources that name the design's kernels.
  std::vector<KernelSource> Wanted() const {
    std::vector<KernelSource> wanted;
    for (const KernelSource& source : options_.sources) {
      if (!source.IsCompiled()) continue;
      const auto kernels = KernelsOf(plan_);
      if (std::any_of(kernels.begin(), kernels.end(), [&](auto& kernel) {
            return source.text.find("(" + kernel + ",") !=
                       std::string_view::npos ||
                   source.text.find(" " + kernel + "(") !=
                       std::string_view::npos;
          }))
        wanted.push_back(source);
    }
    return wanted;
  }

  // The frames in kernels.def size the stacks, so a larger one is an error. The
  // compiler is asked to tell all that are larger than the smallest.
  int SmallestFrame() const {
    int frame = std::numeric_limits<int>::max();
    for (const std::string& name : KernelsOf(plan_))
      frame = std::min(frame, FindKernel(name)->frame_bytes);
    return frame;
  }
  void CheckFrames(const fs::path& log) const {
    // clang: "stack frame size (N) exceeds limit (M) in 'name'"
    constexpr std::string_view kFrame = "stack frame size (";
    const std::string text = ReadFile(log);
    const auto kernels = KernelsOf(plan_);
    for (size_t at = text.find(kFrame); at != std::string::npos;
         at = text.find(kFrame, at)) {
      at += kFrame.size();
      const std::string line = text.substr(at, text.find('\n', at) - at);
      const size_t open = line.find('\'');
      const size_t close =
          open < line.size() ? line.find('\'', open + 1) : open;
      if (close == std::string::npos) continue;
      const std::string name = line.substr(open + 1, close - open - 1);
      int bytes = 0;
      std::from_chars(line.data(), line.data() + line.size(), bytes);
      if (!kernels.contains(name)) continue;
      const int known = FindKernel(name)->frame_bytes;
      if (bytes > known)
        Fail(ErrorCode::kBadInput,
             "npu build: {}: kernel {} has a frame of {} bytes, want at most "
             "{}, for which its stack was planned",
             step_, name, bytes, known);
    }
  }

  // The sources lie in the package, so that whoever has it can read them and
  // what was compiled is what the manifest's hashes are of.
  void Compile() {
    const fs::path root = options_.folder / kSources;
    fs::remove_all(root);
    for (const KernelSource& source : options_.sources) {
      const fs::path path = root / source.name;
      fs::create_directories(path.parent_path());
      WriteFileAtomic(path, source.text);
    }
    for (const KernelSource& source : Wanted()) {
      const std::string stem = fs::path(source.name).stem().string();
      const std::string object = stem + ".o";
      Call({environment_.clang, "-O2", "-std=c++20",
            "--target=aie2-none-unknown-elf", "-ffunction-sections",
            "-fdata-sections", "-DNDEBUG",
            fmt::format("-Wframe-larger-than={}", SmallestFrame()),
            fmt::format("-I{}", kSources), "-I" + environment_.aie_api, "-c",
            (fs::path(kSources) / source.name).string(), "-o", object},
           "compile-" + stem, options_.compile_timeout);
      CheckFrames(options_.folder / "logs" / ("compile-" + stem + ".log"));
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
                    EmitMlir(plan_, MlirForm::kCustom, kArchive));
    const std::vector<uint32_t> words = Encode(plan_.stream);
    WriteFileAtomic(
        options_.folder / kInstructions,
        {reinterpret_cast<const char*>(words.data()), 4 * words.size()});
  }

  void Aiecc() {
    for (const char* file : {kXclbin, kCompiled}) {
      fs::remove(options_.folder / file);
    }
    Call({environment_.aiecc, "--alloc-scheme=basic-sequential",
          "--aie-generate-xclbin", fmt::format("--xclbin-name={}", kXclbin),
          "--aie-generate-npu-insts",
          fmt::format("--npu-insts-name={}", kCompiled), "--no-compile-host",
          "--no-xchesscc", "--no-xbridge", kMlir},
         "aiecc", options_.package_timeout);
    RequireFile(kXclbin);
    RequireFile(kCompiled);
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
    for (const KernelSource& source : options_.sources)
      json["sources"].push_back(FileEntry(
          options_.folder, (fs::path(kSources) / source.name).string()));
    for (const std::string& object : objects_) {
      json["objects"].push_back(FileEntry(options_.folder, object));
    }
    json["archive"] = FileEntry(options_.folder, kArchive);
    json["mlir"] = FileEntry(options_.folder, kMlir);
    json["xclbin"] = FileEntry(options_.folder, kXclbin);
    json["instructions"] = FileEntry(options_.folder, kInstructions);
    json["aiecc_instructions"] = FileEntry(options_.folder, kCompiled);
    json["aiecc_instructions_do_the_same"] =
        DoesTheSame(options_.folder / kCompiled, plan_.stream);
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

}  // namespace

BuildResult BuildPackage(const Design& design, const Environment& environment,
                         const BuildOptions& options) {
  return Builder(design, environment, options).Run();
}

}  // namespace sotto::npu
