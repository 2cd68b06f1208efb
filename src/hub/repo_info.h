// SPDX-License-Identifier: MIT
// What the hub says a repository holds, and which of it Sotto needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/digest.h"
#include "hub/names.h"

namespace sotto {

struct RepoFile {
  std::string name;  // safe to be joined to a folder of ours
  std::optional<uint64_t> bytes;
  Digest digest;
};

struct RepoInfo {
  std::string commit;  // 40 hex digits, or empty where the hub tells none
  std::vector<RepoFile> files;
  const RepoFile* Find(std::string_view name) const;
};

// Reads the answer to /api/models/ORG/NAME/revision/REV?blobs=true: `sha`,
// and per entry of `siblings` `rfilename`, `size`, `blobId` and `lfs.sha256`.
// Hostile text: throws kBadInput, naming `origin`, for what is no such answer
// and for any file name that could leave a folder ("../x", "/x").
RepoInfo ParseRepoInfo(std::string_view text, const std::string& origin);

struct PullPlan {
  std::string format;           // as LocalModel::format
  std::vector<RepoFile> files;  // small ones first, weights last
  // Shards are not in `files` yet: AddShards adds them once the index is here.
  bool needs_index = false;
};
inline constexpr std::string_view kShardIndex = "model.safetensors.index.json";

// Chooses safetensors over CTranslate2 over a .pt over a ggml or .gguf file,
// and the small files that go with it; or the one file that `ref` names.
// Throws kNotFound where there is nothing Sotto reads, and where several
// single files are there of which one must be named.
PullPlan PlanPull(const RepoInfo& info, const ModelRef& ref,
                  const std::string& origin);
void AddShards(PullPlan& plan, const RepoInfo& info,
               std::string_view index_text, const std::string& origin);

}  // namespace sotto
