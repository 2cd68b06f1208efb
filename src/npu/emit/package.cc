// SPDX-License-Identifier: MIT
#include "npu/emit/package.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "hub/digest.h"
#include "npu/emit/mlir.h"

namespace sotto::npu {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kAgain = "build the package again: sotto npu build";

void CheckFile(const fs::path& folder, const Json& entry) {
  const std::string name = entry.at("name");
  const std::string want = entry.at("sha256");
  const fs::path path = folder / name;
  const std::string is = fs::exists(path)
                             ? DigestOfFile(path, Digest::Kind::kSha256).hex
                             : "missing";
  if (is == want) return;
  Fail(ErrorCode::kBadInput,
       "{}: {} is {}, the manifest was written for {}: {}", folder.string(),
       name, is, want, kAgain);
}

// The sources that the manifest's objects were made from, and this program's.
void CheckSources(const fs::path& folder, const Json& entries,
                  std::span<const KernelSource> sources) {
  for (const KernelSource& source : sources) {
    const fs::path name = fs::path(package::kSources) / source.name;
    bool same = false;
    for (const Json& entry : entries) {
      if (entry.at("name").get<std::string>() != name.string()) continue;
      CheckFile(folder, entry);
      same = ReadFile(folder / name) == source.text;
    }
    if (!same)
      Fail(ErrorCode::kBadInput,
           "{}: built from another version of kernel source {}: {}",
           folder.string(), source.name, kAgain);
  }
}

void CheckManifest(const fs::path& folder,
                   std::span<const KernelSource> sources) {
  const fs::path path = folder / package::kManifest;
  if (!fs::exists(path))
    Fail(ErrorCode::kNotFound, "{}: no NPU package is built here",
         folder.string());
  try {
    const Json json = Json::parse(ReadFile(path));
    if (json.at("format").get<int>() != package::kFormat)
      Fail(ErrorCode::kBadInput, "{}: format {}, want {}: {}", path.string(),
           json.at("format").dump(), package::kFormat, kAgain);
    for (const char* part : {"archive", "mlir", "xclbin", "instructions"})
      CheckFile(folder, json.at(part));
    CheckSources(folder, json.at("sources"), sources);
  } catch (const Json::exception& error) {
    Fail(ErrorCode::kBadInput, "{}: {}", path.string(), error.what());
  }
}

}  // namespace

Design ForDevice(Design design) {
  design.stack_below = true;
  return design;
}

Package OpenPackage(const Design& design, const fs::path& folder,
                    std::span<const KernelSource> sources) {
  CheckManifest(folder, sources);
  Package package{.xclbin = folder / package::kXclbin,
                  .plan = MakePlan(ForDevice(design))};
  if (ReadFile(folder / package::kMlir) !=
      EmitMlir(package.plan, MlirForm::kCustom, package::kArchive))
    Fail(ErrorCode::kBadInput,
         "{}: built from another version of design {}: {}", folder.string(),
         design.name, kAgain);
  const std::string words = ReadFile(folder / package::kInstructions);
  package.instructions.resize(words.size() / 4);
  std::memcpy(package.instructions.data(), words.data(),
              4 * package.instructions.size());
  return package;
}

fs::path PackagesFolder() {
  return HomeDirectory() / ".cache" / "sotto" / "npu";
}

}  // namespace sotto::npu
