// SPDX-License-Identifier: MIT
// What a hub, or whoever sits where it should, may answer; and model names.
// The first byte chooses: 'i' model description, 's' index of shards, 'r'
// Content-Range, anything else a model name.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "hub/download.h"
#include "hub/layout.h"
#include "hub/names.h"
#include "hub/repo_info.h"

namespace {

using namespace sotto;

void Require(bool condition) {
  if (!condition) std::abort();
}

// By the library that joins them, not by our own rule.
void RequireInside(std::string_view name) {
  const std::filesystem::path base = "/base/folder";
  const std::string joined = (base / name).lexically_normal().string();
  Require(joined.starts_with("/base/folder/") &&
          joined.size() > sizeof "/base/folder/" - 1);
  Require(name.find('\0') == std::string_view::npos &&
          name.find('\n') == std::string_view::npos);
}

void PlanEach(const RepoInfo& info) {
  for (const char* name : {"tiny", "a/b", "a/b/x.gguf", "tiny-q5_1"}) {
    try {
      PullPlan plan = PlanPull(info, *ParseModelRef(name), "fuzz");
      Require(!plan.files.empty());
      if (plan.needs_index)
        AddShards(plan, info, R"({"weight_map":{"a":"model-1.safetensors"}})",
                  "fuzz");
      for (const RepoFile& file : plan.files)
        Require(info.Find(file.name) != nullptr);
    } catch (const Error&) {
    }
  }
}

void TryName(std::string_view text) {
  const std::optional<ModelRef> ref = ParseModelRef(text);
  if (!ref) return;
  RequireInside(ref->Folder());
  Require(ref->Folder().find('/') == std::string::npos);
  if (!ref->file.empty()) RequireInside(ref->file);
  const std::optional<ModelRef> again = ParseModelRef(ref->Text());
  Require(again && again->Folder() == ref->Folder());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  try {
    if (data[0] == 'i') {
      const RepoInfo info = ParseRepoInfo(text, "fuzz");
      for (const RepoFile& file : info.files) RequireInside(file.name);
      PlanEach(info);
    } else if (data[0] == 's') {
      for (const std::string& shard : ParseShardIndex(text, "fuzz"))
        RequireInside(shard);
    } else if (data[0] == 'r') {
      if (const auto range = ParseContentRange(text))
        Require(range->first <= range->last &&
                range->last < range->total.value_or(~0ull));
    } else {
      TryName(text);
    }
  } catch (const Error& error) {
    Require(std::string_view(error.what()).find('\n') ==
            std::string_view::npos);
  }
  return 0;
}
