// SPDX-License-Identifier: MIT
#include "hub/pull.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "hub/cache.h"
#include "hub/layout.h"
#include "hub/names.h"
#include "hub/part_file.h"
#include "hub/repo_info.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// A repository with ten thousand files answers in 3 MB.
constexpr uint64_t kInfoLimit = uint64_t{32} << 20;
constexpr uint64_t kSmallFileLimit = uint64_t{256} << 20;

// Holds SOTTO_MODELS/.locks/NAME.lock; another process or thread waits. The
// system gives the lock back if we die.
class ModelLock {
 public:
  explicit ModelLock(const fs::path& path) {
    MakeFolder(path.parent_path());
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) FailErrno(path, "open");
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
    Log(LogLevel::kInfo, "{}: waiting for another pull of it", path.string());
    while (::flock(fd_, LOCK_EX) != 0) {
      if (errno == EINTR) continue;
      const int cause = errno;
      ::close(fd_);
      errno = cause;
      FailErrno(path, "lock");
    }
  }
  ModelLock(const ModelLock&) = delete;
  ModelLock& operator=(const ModelLock&) = delete;
  ~ModelLock() { ::close(fd_); }

 private:
  [[noreturn]] static void FailErrno(const fs::path& path, const char* what) {
    Fail(ErrorCode::kBadInput, "{}: cannot {}: {}", path.string(), what,
         std::strerror(errno));
  }
  int fd_ = -1;
};

std::string Escaped(std::string_view text, bool keep_slash) {
  std::string url;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                       c == '.' || c == '~' || (keep_slash && c == '/');
    if (plain)
      url += c;
    else
      url += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return url;
}

void Rename(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error)
    Fail(ErrorCode::kBadInput, "{}: cannot move to {}: {}", from.string(),
         to.string(), error.message());
}

class Puller {
 public:
  Puller(const ModelRef& ref, const PullOptions& options)
      : ref_(ref),
        options_(options),
        client_(options.timeouts),
        name_(ref.Text()),
        origin_(
            fmt::format("{}/{}", options.environment.endpoint, ref.repository)),
        partial_(options.environment.models / ".partial" / ref.Folder()),
        target_(options.environment.models / ref.Folder()) {}

  PullResult Run() {
    const RepoInfo info = Ask();
    PullPlan plan = PlanPull(info, ref_, origin_);
    RefuseStranger();
    RequireSpace(plan);
    Transfer(plan, info, 0);
    if (plan.needs_index) {
      const size_t have = plan.files.size();
      AddShards(plan, info, ReadFile(partial_ / kShardIndex, kSmallFileLimit),
                origin_);
      RequireSpace(plan);
      Transfer(plan, info, have);
    }
    const LocalModel model = Install(plan, info);
    return {model.path, "hub", model.bytes, transferred_};
  }

 private:
  RepoInfo Ask() {
    const std::string url =
        fmt::format("{}/api/models/{}/revision/{}?blobs=true",
                    options_.environment.endpoint, ref_.repository,
                    Escaped(ref_.revision, false));
    return ParseRepoInfo(DownloadText(client_, url, options_.environment.token,
                                      kInfoLimit, options_.retries),
                         url);
  }

  // Files that `pull` did not bring are the user's: never replaced.
  void RefuseStranger() const {
    std::error_code error;
    if (!ref_.file.empty() || !fs::exists(target_, error)) return;
    if (fs::is_directory(target_, error) && fs::is_empty(target_, error))
      return;
    if (fs::exists(target_ / kManifestName, error)) return;
    Fail(ErrorCode::kBadInput,
         "{}: is there, but `sotto pull` did not make it; move it away",
         target_.string());
  }

  static uint64_t SizeOf(const fs::path& path) {
    std::error_code error;
    const uintmax_t bytes = fs::file_size(path, error);
    return error ? 0 : bytes;
  }

  uint64_t OnDisk(const RepoFile& file) const {
    const fs::path path = partial_ / file.name;
    return std::max(SizeOf(path), SizeOf(path.string() + ".part"));
  }

  void RequireSpace(const PullPlan& plan) {
    uint64_t missing = 0;
    for (const RepoFile& file : plan.files) {
      const uint64_t bytes = file.bytes.value_or(0);
      missing += bytes - std::min(bytes, OnDisk(file));
    }
    MakeFolder(partial_);
    std::error_code error;
    const fs::space_info space = fs::space(partial_, error);
    if (!error && space.available < missing)
      Fail(ErrorCode::kBadInput, "{}: {} free, {} needs {}", partial_.string(),
           FormatBytes(static_cast<double>(space.available)), name_,
           FormatBytes(static_cast<double>(missing)));
  }

  bool IsWhole(const fs::path& path, const RepoFile& file) const {
    std::error_code error;
    return file.digest.kind != Digest::Kind::kNone &&
           fs::is_regular_file(path, error) &&
           (!file.bytes || SizeOf(path) == *file.bytes) &&
           DigestOfFile(path, file.digest.kind) == file.digest;
  }

  // A whole file that an interrupted pull left, or an earlier one brought.
  bool IsThere(const RepoFile& file) const {
    const fs::path path = partial_ / file.name;
    if (IsWhole(path, file)) return true;
    if (!IsWhole(target_ / file.name, file)) return false;
    std::error_code error;
    fs::remove(path, error);
    fs::create_directories(path.parent_path(), error);
    fs::create_hard_link(target_ / file.name, path, error);
    return !error;
  }

  // Brings plan.files[first ...].
  void Transfer(const PullPlan& plan, const RepoInfo& info, size_t first) {
    total_ = 0;
    for (const RepoFile& file : plan.files) total_ += file.bytes.value_or(0);
    const std::string& revision =
        info.commit.empty() ? ref_.revision : info.commit;
    for (size_t i = first; i < plan.files.size(); ++i) {
      const RepoFile& file = plan.files[i];
      if (!IsThere(file)) Bring(file, revision);
      done_ += SizeOf(partial_ / file.name);
      Report(file, 0);
    }
  }

  void Bring(const RepoFile& file, const std::string& revision) {
    const bool small = FormatOfFile(file.name).empty();
    DownloadJob job{
        .url = fmt::format("{}/resolve/{}/{}", origin_,
                           Escaped(revision, false), Escaped(file.name, true)),
        .token = options_.environment.token,
        .target = partial_ / file.name,
        .bytes = file.bytes,
        .digest = file.digest};
    if (small) job.limit = kSmallFileLimit;
    uint64_t before = SizeOf(job.target.string() + ".part");
    Download(client_, job, options_.retries, [&](uint64_t done, uint64_t) {
      // Less than before: the part was begun again.
      transferred_ += done < before ? done : done - before;
      before = done;
      Report(file, done);
    });
  }

  void Report(const RepoFile& file, uint64_t of_file) const {
    if (!options_.progress) return;
    const uint64_t done = done_ + of_file;
    options_.progress({name_, file.name, done, std::max(done, total_)});
  }

  LocalModel Install(const PullPlan& plan, const RepoInfo& info) {
    if (plan.format != "hf" && plan.format != "ct2" && !ref_.file.empty()) {
      const fs::path file = target_ / ref_.file;
      MakeFolder(file.parent_path());
      Rename(partial_ / ref_.file, file);
      SyncFolder(file.parent_path());
      std::error_code ignored;
      fs::remove_all(partial_, ignored);
      return {file, plan.format, SizeOf(file)};
    }
    PullManifest manifest{ref_.repository, info.commit, {}};
    for (const RepoFile& file : plan.files)
      manifest.files.push_back({file.name, SizeOf(partial_ / file.name)});
    RemoveOthers(plan);
    WriteManifest(partial_, manifest);
    const std::optional<LocalModel> whole = ModelInFolder(partial_);
    if (!whole)
      Fail(ErrorCode::kInternal, "{}: not whole after the transfer",
           partial_.string());
    Replace();
    const fs::path path =
        whole->path == partial_ ? target_ : target_ / whole->path.filename();
    return {path, whole->format, whole->bytes};
  }

  // What an interrupted pull of another revision left must not move along.
  void RemoveOthers(const PullPlan& plan) const {
    std::vector<fs::path> others;
    for (const fs::directory_entry& entry : fs::directory_iterator(partial_)) {
      const std::string name = entry.path().filename().string();
      if (std::none_of(plan.files.begin(), plan.files.end(),
                       [&](const RepoFile& f) { return f.name == name; }))
        others.push_back(entry.path());
    }
    std::error_code ignored;
    for (const fs::path& other : others) fs::remove_all(other, ignored);
  }

  void Replace() const {
    std::error_code error;
    const fs::path old = partial_.string() + ".old";
    fs::remove_all(old, error);
    if (fs::exists(target_, error)) Rename(target_, old);
    Rename(partial_, target_);
    SyncFolder(options_.environment.models);
    fs::remove_all(old, error);
  }

  const ModelRef& ref_;
  const PullOptions& options_;
  HttpClient client_;
  std::string name_;
  std::string origin_;
  fs::path partial_;
  fs::path target_;
  uint64_t total_ = 0;
  uint64_t done_ = 0;
  uint64_t transferred_ = 0;
};

std::optional<PullResult> Already(const ModelRef& ref,
                                  const PullOptions& options) {
  if (options.force) return std::nullopt;
  const std::optional<FoundModel> found = FindModel(ref, options.environment);
  if (!found) return std::nullopt;
  return PullResult{found->path, found->source, found->bytes, 0};
}

}  // namespace

PullResult Pull(std::string_view name, const PullOptions& options) {
  const ModelRef ref = RequireModelRef(name);
  if (std::optional<PullResult> there = Already(ref, options)) return *there;
  const HubEnvironment& environment = options.environment;
  if (environment.offline)
    Fail(ErrorCode::kNotFound,
         "model {}: not on this machine, and HF_HUB_OFFLINE forbids to bring "
         "it from {}",
         ref.Text(), environment.endpoint);
  if (!IsAllowedUrl(environment.endpoint))
    Fail(ErrorCode::kBadInput,
         "HF_ENDPOINT is {}, want https://host (http only for this machine)",
         Printable(environment.endpoint));
  const ModelLock lock(environment.models / ".locks" /
                       (ref.Folder() + ".lock"));
  // Another process may have brought it while we waited.
  if (std::optional<PullResult> there = Already(ref, options)) return *there;
  return Puller(ref, options).Run();
}

}  // namespace sotto
