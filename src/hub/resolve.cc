// SPDX-License-Identifier: MIT
#include "hub/resolve.h"

#include <optional>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "base/log.h"
#include "hub/cache.h"
#include "hub/layout.h"
#include "hub/names.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// Nobody who writes this means org/name on the hub.
bool LooksLikePath(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") ||
         text.starts_with("../") || text.starts_with("~") ||
         text.ends_with('/') || text == "." || text == "..";
}

// A folder with one single-file model in it stands for that file. What is
// not whole goes to the reader as it is: its error names the missing part.
// But a folder that happens to be called "base" is not what `--model base`
// means.
std::optional<fs::path> ExistingPath(std::string_view text) {
  const fs::path path(text);
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  if (!fs::is_directory(path, error)) return path;
  if (const std::optional<LocalModel> model = ModelInFolder(path))
    return model->path;
  if (FindModelName(text) != nullptr) return std::nullopt;
  return path;
}

}  // namespace

ModelRef RequireModelRef(std::string_view model) {
  if (model.empty())
    Fail(ErrorCode::kBadInput, "model '': want a name, a path or org/name");
  std::optional<ModelRef> ref;
  if (!LooksLikePath(model)) ref = ParseModelRef(model);
  if (!ref)
    Fail(ErrorCode::kNotFound, "model {}: no such file, folder or model name{}",
         Printable(model), DidYouMean(model, AllModelNames()));
  return *ref;
}

fs::path ResolveModel(std::string_view model, const ResolveOptions& options) {
  if (const std::optional<fs::path> path = ExistingPath(model)) return *path;
  const ModelRef ref = RequireModelRef(model);
  if (const std::optional<FoundModel> found =
          FindModel(ref, options.environment)) {
    Log(LogLevel::kInfo, "model {}: {} ({})", ref.Text(), found->path.string(),
        found->source);
    return found->path;
  }
  Fail(ErrorCode::kNotFound,
       "model {}: not on this machine; `sotto pull {}` brings it", ref.Text(),
       ref.Text());
}

}  // namespace sotto
