// SPDX-License-Identifier: MIT
// What --model takes, turned into a path that WeightStore::Load takes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "hub/environment.h"
#include "hub/pull.h"

namespace sotto {

struct ResolveOptions {
  HubEnvironment environment = HubEnvironment::Read();
  // Bring the model from the hub where no cache has it.
  bool download = true;
  PullProgress progress = {};
};

// `model` is a path, a short name, org/name or org/name/file (each with
// @revision). An existing path wins, then SOTTO_MODELS, then the caches of
// other tools, then, if allowed, the hub. Throws kNotFound (with a
// did-you-mean), kBadInput, and what Pull throws.
std::filesystem::path ResolveModel(std::string_view model,
                                   const ResolveOptions& options = {});

}  // namespace sotto
