// SPDX-License-Identifier: MIT
// Brings a model from the Hugging Face hub into SOTTO_MODELS.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "hub/download.h"
#include "hub/environment.h"

namespace sotto {

// How far a pull is. The views live for the call only.
struct PullStatus {
  std::string_view model;   // as ModelRef::Text
  std::string_view file;    // the one on its way
  uint64_t bytes_done = 0;  // of the whole model, with what was there before
  uint64_t bytes_total = 0;
};
// May throw Error(kCancelled) to stop; a later pull goes on from there.
using PullProgress = std::function<void(const PullStatus&)>;

struct PullOptions {
  HubEnvironment environment = HubEnvironment::Read();
  // Ask the hub even where the model is on this machine, and replace what an
  // earlier pull brought if the hub has other files now.
  bool force = false;
  PullProgress progress = {};
  HttpTimeouts timeouts = {};
  RetryPolicy retries = {};
};

struct PullResult {
  std::filesystem::path path;  // what WeightStore::Load takes
  std::string source;          // "hub", or FoundModel::source: it was there
  uint64_t bytes = 0;          // of the model
  uint64_t transferred = 0;    // of it, that came over the network now
};

// `name` as for ModelRef: a short name, org/name or org/name/file, each with
// @revision. Where a cache has the model, nothing is sent or changed. Else
// the files Sotto needs are brought to SOTTO_MODELS/.partial, checked (SHA-256
// or git blob id, size), and moved as a whole to SOTTO_MODELS/NAME or
// SOTTO_MODELS/ORG--NAME: whoever looks there sees all of the model or none.
// Any number of processes may pull the same model; one transfers, the others
// wait. Throws Error: one line with what, where and why.
PullResult Pull(std::string_view name, const PullOptions& options = {});

}  // namespace sotto
