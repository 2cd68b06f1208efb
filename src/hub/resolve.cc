// SPDX-License-Identifier: MIT
#include "hub/resolve.h"

#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "hub/cache.h"
#include "hub/layout.h"
#include "hub/names.h"
#include "hub/pull.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

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

fs::path ResolveModel(std::string_view model, const ResolveOptions& options) {
  if (const std::optional<fs::path> path = ExistingPath(model)) return *path;
  const ModelRef ref = RequireModelRef(model);
  if (const std::optional<FoundModel> found =
          FindModel(ref, options.environment)) {
    Log(LogLevel::kInfo, "model {}: {} ({})", ref.Text(), found->path.string(),
        found->source);
    return found->path;
  }
  if (!options.download)
    Fail(ErrorCode::kNotFound,
         "model {}: not on this machine; `sotto pull {}` brings it", ref.Text(),
         ref.Text());
  try {
    return Pull(model, {.environment = options.environment,
                        .progress = options.progress})
        .path;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kDevice &&
        error.code() != ErrorCode::kBadInput)
      throw;
    Fail(error.code(),
         "model {}: not on this machine (`sotto models` lists those here), and "
         "{}",
         ref.Text(), error.what());
  }
}

}  // namespace sotto
