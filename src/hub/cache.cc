// SPDX-License-Identifier: MIT
#include "hub/cache.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "hub/digest.h"
#include "hub/layout.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSotto = "sotto";
constexpr const char* kHub = "hugging face";
constexpr const char* kOpenAi = "openai";
constexpr const char* kGgml = "whisper.cpp";

FoundModel Named(std::string name, const char* source, LocalModel model) {
  return {std::move(name), std::move(model.path), source,
          std::move(model.format), model.bytes};
}

std::string HubFolder(std::string_view repository) {
  const size_t slash = std::min(repository.find('/'), repository.size() - 1);
  return fmt::format("models--{}--{}", repository.substr(0, slash),
                     repository.substr(slash + 1));
}

// snapshots/<commit> of a repository in the Hugging Face cache: refs/<name>
// holds the commit; a revision that is no ref is a commit itself.
std::optional<fs::path> Snapshot(const fs::path& repository,
                                 const std::string& revision) {
  std::string commit = revision;
  std::error_code error;
  if (fs::is_regular_file(repository / "refs" / revision, error)) {
    try {
      commit = ReadFile(repository / "refs" / revision, 1024);
    } catch (const Error&) {
      return std::nullopt;
    }
    commit.erase(commit.find_last_not_of(" \r\n") + 1);
  }
  if (!IsSafeRelativePath(commit) || commit.find('/') != std::string::npos)
    return std::nullopt;
  fs::path snapshot = repository / "snapshots" / commit;
  if (!fs::is_directory(snapshot, error)) return std::nullopt;
  return snapshot;
}

std::optional<LocalModel> InHubCache(const HubEnvironment& environment,
                                     std::string_view repository,
                                     const std::string& revision,
                                     const std::string& file) {
  const std::optional<fs::path> snapshot =
      Snapshot(environment.hub_cache / HubFolder(repository), revision);
  if (!snapshot) return std::nullopt;
  std::optional<LocalModel> model =
      file.empty() ? ModelInFolder(*snapshot) : ModelInFile(*snapshot / file);
  if (!model && file.empty())
    Log(LogLevel::kInfo, "{}: not a whole model, passed over",
        snapshot->string());
  return model;
}

// Does the folder in SOTTO_MODELS come from this repository?
bool PulledFrom(const fs::path& folder, std::string_view repository) {
  try {
    const std::optional<PullManifest> manifest = ReadManifest(folder);
    return manifest && manifest->repository == repository;
  } catch (const Error&) {
    return false;
  }
}

std::optional<LocalModel> InOwnFolder(const ModelRef& ref,
                                      const HubEnvironment& environment) {
  const fs::path folder = environment.models / ref.Folder();
  if (std::optional<LocalModel> model = ref.file.empty()
                                            ? ModelInFolder(folder)
                                            : ModelInFile(folder / ref.file))
    return model;
  if (ref.revision != "main" || !ref.file.empty()) return std::nullopt;
  // The same model under its other name: tiny is openai/whisper-tiny.
  if (ref.known != nullptr) {
    for (const std::string_view other : {ref.known->repository, ref.known->ct2})
      if (std::optional<ModelRef> full = ParseModelRef(other))
        if (std::optional<LocalModel> model =
                ModelInFolder(environment.models / full->Folder()))
          return model;
    return std::nullopt;
  }
  for (const ModelName& row : ModelNames())
    if (row.repository == ref.repository || row.ct2 == ref.repository)
      if (const fs::path other = environment.models / row.name;
          PulledFrom(other, ref.repository))
        if (std::optional<LocalModel> model = ModelInFolder(other))
          return model;
  return std::nullopt;
}

std::optional<LocalModel> InHubCacheOf(const ModelRef& ref,
                                       const HubEnvironment& environment) {
  if (std::optional<LocalModel> model =
          InHubCache(environment, ref.repository, ref.revision, ref.file))
    return model;
  if (ref.known == nullptr || !ref.file.empty() || ref.revision != "main")
    return std::nullopt;
  if (std::optional<LocalModel> model =
          InHubCache(environment, ref.known->ct2, "main", ""))
    return model;
  return InHubCache(environment, kGgmlRepository, "main",
                    fmt::format("ggml-{}.bin", ref.known->name));
}

std::optional<LocalModel> InOpenAiCache(const ModelRef& ref,
                                        const HubEnvironment& environment) {
  if (ref.known == nullptr || ref.known->openai_sha256.empty() ||
      !ref.file.empty())
    return std::nullopt;
  std::optional<LocalModel> model = ModelInFile(
      environment.openai_cache / fmt::format("{}.pt", ref.known->name));
  if (!model) return std::nullopt;
  if (CheckedOnce(model->path, ref.known->openai_sha256, environment))
    return model;
  Log(LogLevel::kWarning,
      "{}: the checksum differs from the published one, passed over",
      model->path.string());
  return std::nullopt;
}

// note: a quantised file is taken only where its full name was asked for;
// "tiny" must not mean fewer bits on one machine than on another.
std::optional<LocalModel> InGgmlModels(const ModelRef& ref,
                                       const HubEnvironment& environment) {
  if (ref.known == nullptr) return std::nullopt;
  const std::string file =
      ref.file.empty() ? fmt::format("ggml-{}.bin", ref.known->name) : ref.file;
  return ModelInFile(environment.ggml_models / file);
}

std::vector<fs::path> SortedEntries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error))
    if (!at->path().filename().string().starts_with('.'))
      entries.push_back(at->path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

// Single files of a folder that holds several, under the name that gets them.
void ListFiles(const fs::path& folder, const std::string& prefix,
               const char* source, std::vector<FoundModel>& list) {
  for (const fs::path& path : SortedEntries(folder))
    if (std::optional<LocalModel> model = ModelInFile(path);
        model && model->format != "hf" && model->format != "ct2")
      list.push_back(
          Named(prefix + path.filename().string(), source, std::move(*model)));
}

// "org--name@rev" and "models--org--name" as the user writes them.
std::string NameOfFolder(std::string_view folder) {
  if (folder.starts_with("models--")) folder.remove_prefix(8);
  const size_t at = folder.find("--");
  if (at == std::string_view::npos) return std::string(folder);
  return fmt::format("{}/{}", folder.substr(0, at), folder.substr(at + 2));
}

void ListOwn(const HubEnvironment& environment, std::vector<FoundModel>& list) {
  for (const fs::path& path : SortedEntries(environment.models)) {
    const std::string name = NameOfFolder(path.filename().string());
    if (std::optional<LocalModel> model = ModelInFolder(path))
      list.push_back(Named(name, kSotto, std::move(*model)));
    else
      ListFiles(path, name + "/", kSotto, list);
  }
}

void ListHubCache(const HubEnvironment& environment,
                  std::vector<FoundModel>& list) {
  for (const fs::path& path : SortedEntries(environment.hub_cache)) {
    const std::string folder = path.filename().string();
    if (!folder.starts_with("models--")) continue;
    const std::optional<fs::path> snapshot = Snapshot(path, "main");
    if (!snapshot) continue;
    const std::string name = NameOfFolder(folder);
    std::optional<LocalModel> model = ModelInFolder(*snapshot);
    // This cache is shared with every other kind of model.
    if (model && (model->format == "hf" || model->format == "ct2")) {
      if (SaysWhisper(*snapshot))
        list.push_back(Named(name, kHub, std::move(*model)));
    } else if (name.find("whisper") != std::string::npos) {
      ListFiles(*snapshot, name + "/", kHub, list);
    }
  }
}

std::string StampText(const fs::path& file) {
  std::error_code error;
  const uintmax_t bytes = fs::file_size(file, error);
  const auto time = fs::last_write_time(file, error).time_since_epoch();
  return error ? "" : fmt::format("{} {}\n", bytes, time.count());
}

}  // namespace

bool CheckedOnce(const fs::path& file, std::string_view sha256,
                 const HubEnvironment& environment) {
  const std::string text = StampText(file);
  const fs::path stamp = environment.models / ".checked" / sha256;
  std::error_code error;
  try {
    if (!text.empty() && fs::is_regular_file(stamp, error) &&
        ReadFile(stamp, 1024) == text)
      return true;
    if (DigestOfFile(file, Digest::Kind::kSha256).hex != sha256) return false;
  } catch (const Error&) {
    return false;
  }
  try {
    fs::create_directories(stamp.parent_path(), error);
    WriteFileAtomic(stamp, text);
  } catch (const Error&) {
    // A read-only home only means that the file is hashed again next time.
  }
  return true;
}

std::optional<FoundModel> FindModel(const ModelRef& ref,
                                    const HubEnvironment& environment) {
  using Place =
      std::optional<LocalModel> (*)(const ModelRef&, const HubEnvironment&);
  struct Row {
    const char* source;
    Place look;
    bool any_revision;
  };
  constexpr std::array kPlaces = std::to_array<Row>({
      {kSotto, InOwnFolder, true},
      {kHub, InHubCacheOf, true},
      {kOpenAi, InOpenAiCache, false},
      {kGgml, InGgmlModels, false},
  });
  for (const Row& place : kPlaces) {
    if (ref.revision != "main" && !place.any_revision) continue;
    if (std::optional<LocalModel> model = place.look(ref, environment))
      return Named(ref.Text(), place.source, std::move(*model));
  }
  return std::nullopt;
}

std::vector<FoundModel> ListModels(const HubEnvironment& environment) {
  std::vector<FoundModel> list;
  ListOwn(environment, list);
  ListHubCache(environment, list);
  for (const ModelName& row : ModelNames())
    if (ModelRef ref{&row, "", std::string(row.repository), "main", ""};
        std::optional<LocalModel> model = InOpenAiCache(ref, environment))
      list.push_back(Named(std::string(row.name), kOpenAi, std::move(*model)));
  for (const fs::path& path : SortedEntries(environment.ggml_models))
    if (std::optional<LocalModel> model = ModelInFile(path);
        model && model->format == "ggml")
      list.push_back(Named(path.string(), kGgml, std::move(*model)));
  return list;
}

}  // namespace sotto
