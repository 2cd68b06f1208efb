// SPDX-License-Identifier: MIT
#include "hub/repo_info.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "hub/layout.h"

namespace sotto {
namespace {

using nlohmann::json;

constexpr auto kSmallFiles = std::to_array<std::string_view>(
    {"config.json", "generation_config.json", "preprocessor_config.json",
     "tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json",
     "special_tokens_map.json", "normalizer.json"});
constexpr auto kSmallCt2Files = std::to_array<std::string_view>(
    {"config.json", "preprocessor_config.json", "tokenizer.json",
     "vocabulary.json", "vocabulary.txt"});

std::string Text(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

std::string Lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

Digest DigestOf(const json& entry) {
  // A file in large-file storage: its blob id is that of a pointer to it.
  if (const auto lfs = entry.find("lfs");
      lfs != entry.end() && lfs->is_object()) {
    std::string sum = Text(*lfs, "sha256");
    if (sum.empty()) sum = Text(*lfs, "oid");
    if (sum.starts_with("sha256:")) sum.erase(0, 7);
    return IsHex(sum, 64) ? Digest{Digest::Kind::kSha256, Lower(sum)}
                          : Digest{};
  }
  const std::string blob = Text(entry, "blobId");
  return IsHex(blob, 40) ? Digest{Digest::Kind::kGitBlob, Lower(blob)}
                         : Digest{};
}

RepoFile ReadEntry(const json& entry, const std::string& origin) {
  if (!entry.is_object() || !entry.contains("rfilename") ||
      !entry["rfilename"].is_string())
    Fail(ErrorCode::kBadInput, "{}: a file without a name in the hub's list",
         origin);
  RepoFile file;
  file.name = entry["rfilename"].get<std::string>();
  if (!IsSafeRelativePath(file.name, /*allow_hidden=*/true))
    Fail(ErrorCode::kBadInput, "{}: the hub lists a file {}, which is refused",
         origin, Printable(file.name));
  if (const auto size = entry.find("size");
      size != entry.end() && size->is_number_unsigned())
    file.bytes = size->get<uint64_t>();
  file.digest = DigestOf(entry);
  return file;
}

bool Has(const RepoInfo& info, std::string_view name) {
  return info.Find(name) != nullptr;
}

bool HasTokenizer(const RepoInfo& info) {
  return Has(info, "tokenizer.json") ||
         (Has(info, "vocab.json") && Has(info, "merges.txt"));
}

void AddPresent(PullPlan& plan, const RepoInfo& info,
                std::span<const std::string_view> names) {
  for (const std::string_view name : names)
    if (const RepoFile* file = info.Find(name)) plan.files.push_back(*file);
}

std::optional<PullPlan> PlanFolder(const RepoInfo& info) {
  if (!Has(info, "config.json")) return std::nullopt;
  PullPlan plan;
  const bool whole = Has(info, "model.safetensors");
  if (HasTokenizer(info) && (whole || Has(info, kShardIndex))) {
    plan.format = "hf";
    AddPresent(plan, info, kSmallFiles);
    plan.needs_index = !whole;
    plan.files.push_back(*info.Find(whole ? "model.safetensors" : kShardIndex));
    return plan;
  }
  if (Has(info, "model.bin") &&
      (HasTokenizer(info) || Has(info, "vocabulary.json") ||
       Has(info, "vocabulary.txt"))) {
    plan.format = "ct2";
    AddPresent(plan, info, kSmallCt2Files);
    plan.files.push_back(*info.Find("model.bin"));
    return plan;
  }
  return std::nullopt;
}

// The files of one of the formats that are a model each.
std::vector<const RepoFile*> Singles(const RepoInfo& info, bool openai) {
  std::vector<const RepoFile*> list;
  for (const RepoFile& file : info.files) {
    const std::string_view format = FormatOfFile(file.name);
    if (openai ? format == "openai" : format == "ggml" || format == "gguf")
      list.push_back(&file);
  }
  return list;
}

[[noreturn]] void FailNothing(const RepoInfo& info, const std::string& origin) {
  std::string has;
  for (const char* name : {"model.safetensors", "model.bin",
                           "pytorch_model.bin", "flax_model.msgpack"})
    if (Has(info, name)) has += (has.empty() ? "" : ", ") + std::string(name);
  Fail(ErrorCode::kNotFound,
       "{}: no model Sotto reads (has {}), want config.json and a tokenizer "
       "with model.safetensors or CTranslate2's model.bin, or one .pt, "
       "ggml*.bin or .gguf",
       origin, has.empty() ? "no weights" : has);
}

PullPlan PlanNamedFile(const RepoInfo& info, const std::string& name,
                       const std::string& origin) {
  const RepoFile* file = info.Find(name);
  if (file == nullptr) {
    std::vector<std::string_view> names;
    for (const RepoFile& other : info.files)
      if (!FormatOfFile(other.name).empty()) names.push_back(other.name);
    Fail(ErrorCode::kNotFound, "{}: no file {} in it{}", origin,
         Printable(name), DidYouMean(name, names));
  }
  const size_t slash = name.rfind('/');
  const std::string_view format = FormatOfFile(
      slash == std::string::npos ? name
                                 : std::string_view(name).substr(slash + 1));
  if (format.empty() || format == "hf" || format == "ct2")
    Fail(ErrorCode::kBadInput,
         "{}: {} is no model by itself, want a .pt, ggml*.bin or .gguf", origin,
         Printable(name));
  return {std::string(format), {*file}, false};
}

}  // namespace

const RepoFile* RepoInfo::Find(std::string_view name) const {
  const auto at = std::find_if(files.begin(), files.end(),
                               [&](const auto& f) { return f.name == name; });
  return at == files.end() ? nullptr : &*at;
}

RepoInfo ParseRepoInfo(std::string_view text, const std::string& origin) {
  const json answer = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto siblings =
      answer.is_object() ? answer.find("siblings") : answer.end();
  if (!answer.is_object() || siblings == answer.end() || !siblings->is_array())
    Fail(ErrorCode::kBadInput,
         "{}: the answer is no model description, want JSON with siblings",
         origin);
  RepoInfo info;
  if (const std::string commit = Text(answer, "sha"); IsHex(commit, 40))
    info.commit = Lower(commit);
  info.files.reserve(siblings->size());
  for (const json& entry : *siblings)
    info.files.push_back(ReadEntry(entry, origin));
  return info;
}

PullPlan PlanPull(const RepoInfo& info, const ModelRef& ref,
                  const std::string& origin) {
  if (!ref.file.empty()) return PlanNamedFile(info, ref.file, origin);
  if (std::optional<PullPlan> plan = PlanFolder(info)) return *plan;
  for (const bool openai : {true, false}) {
    const std::vector<const RepoFile*> files = Singles(info, openai);
    if (files.size() == 1)
      return {std::string(FormatOfFile(files[0]->name)), {*files[0]}, false};
    if (files.size() > 1)
      Fail(ErrorCode::kNotFound, "{}: holds {} models, name one, as in {}/{}",
           origin, files.size(), ref.repository, files[0]->name);
  }
  FailNothing(info, origin);
}

void AddShards(PullPlan& plan, const RepoInfo& info,
               std::string_view index_text, const std::string& origin) {
  const std::vector<std::string> shards = ParseShardIndex(index_text, origin);
  if (shards.empty())
    Fail(ErrorCode::kBadInput, "{}: {} names no shards", origin, kShardIndex);
  for (const std::string& shard : shards) {
    const RepoFile* file = info.Find(shard);
    if (file == nullptr)
      Fail(ErrorCode::kBadInput, "{}: {} names {}, which the hub does not have",
           origin, kShardIndex, Printable(shard));
    plan.files.push_back(*file);
  }
  plan.needs_index = false;
}

}  // namespace sotto
