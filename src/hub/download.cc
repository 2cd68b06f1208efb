// SPDX-License-Identifier: MIT
#include "hub/download.h"

#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "hub/names.h"
#include "hub/part_file.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// So many new bytes make the count of tries begin again.
constexpr uint64_t kProgressBytes = uint64_t{1} << 20;
constexpr int kLongestRetryAfterS = 30;

const char* WhyNotFound(const std::string& error_code) {
  if (error_code == "RevisionNotFound") return "no such revision";
  if (error_code == "EntryNotFound") return "no such file";
  return "not found";
}

const char* WhyForbidden(const std::string& error_code, bool has_token) {
  if (error_code == "GatedRepo")
    return "a gated model; accept its terms on its page and set HF_TOKEN";
  return has_token ? "no such model, or HF_TOKEN gives no access to it"
                   : "no such model, or a private one that wants HF_TOKEN";
}

// The hub names its reasons in X-Error-Code; it answers 401 for a repository
// that does not exist where no token came.
[[noreturn]] void FailStatus(const HttpResponse& response,
                             const std::string& url, bool has_token) {
  const int status = response.status;
  ErrorCode code = ErrorCode::kDevice;
  std::string why = "the server refuses";
  if (!response.error_message.empty()) why = Printable(response.error_message);
  if (status == 401 || status == 403) {
    code = ErrorCode::kBadInput;
    why = WhyForbidden(response.error_code, has_token);
  } else if (status == 404) {
    code = ErrorCode::kNotFound;
    why = WhyNotFound(response.error_code);
  } else if (status == 429) {
    why = "too many requests, try later";
  }
  Fail(code, "{}: {} (HTTP {})", url, why, status);
}

[[noreturn]] void FailTransport(const HttpResponse& response,
                                const std::string& url) {
  Fail(ErrorCode::kDevice, "{}: {}: {}", url,
       response.unreachable ? "not reachable" : "the transfer broke off",
       response.transport_error);
}

// Counts tries and waits between them.
class Tries {
 public:
  explicit Tries(const RetryPolicy& policy)
      : policy_(policy), left_(policy.attempts), wait_(policy.first_wait) {}

  // True after a wait, false where it is time to give up.
  bool Again(const HttpResponse& response) {
    if (response.unreachable) left_ = std::min(left_, 2);
    if (!response.may_retry || --left_ <= 0) return false;
    const std::chrono::milliseconds asked = std::chrono::seconds(
        std::min(response.retry_after_s.value_or(0), kLongestRetryAfterS));
    std::this_thread::sleep_for(std::max(wait_, asked));
    wait_ = std::min(wait_ * 2, policy_.longest_wait);
    return true;
  }
  void Gained() {
    left_ = policy_.attempts;
    wait_ = policy_.first_wait;
  }

 private:
  const RetryPolicy& policy_;
  int left_;
  std::chrono::milliseconds wait_;
};

// The part on disk does not fit what the server sends: begin again.
struct PartIsStale {};

class FileDownload {
 public:
  FileDownload(HttpClient& client, const DownloadJob& job,
               const RetryPolicy& policy, const DownloadProgress& progress)
      : client_(client),
        job_(job),
        progress_(progress),
        part_(job.target),
        digest_(job.digest),
        total_(job.bytes),
        tries_(policy) {}

  void Run() {
    if (part_.size() > 0 && !MayResume()) part_.Clear();
    resumed_ = part_.size() > 0;
    for (;;) {
      if (total_ && part_.size() == *total_) {
        if (Verified()) return;
        continue;
      }
      Attempt();
    }
  }

 private:
  bool MayResume() const {
    if (job_.bytes && part_.size() > *job_.bytes) return false;
    // Without tag and checksum nobody could tell two files apart.
    return !part_.tag().empty() || digest_.kind != Digest::Kind::kNone;
  }

  void Attempt() {
    const uint64_t before = part_.size();
    HttpRequest request{.url = job_.url,
                        .token = job_.token,
                        .first = part_.size(),
                        .if_range = part_.tag(),
                        .limit = job_.bytes.value_or(job_.limit)};
    HttpResponse response;
    try {
      response = client_.Get(
          request, [this](const HttpResponse& head) { Begin(head); },
          [this](std::span<const std::byte> bytes) { Take(bytes); });
    } catch (const PartIsStale&) {
      part_.Clear();
      response.may_retry = true;
      response.transport_error = "the server's range does not fit";
    }
    if (part_.size() >= before + kProgressBytes) tries_.Gained();
    if (response.status == 416) {
      part_.Clear();
      response.may_retry = true;
    }
    const bool good = response.transport_error.empty() &&
                      (response.status == 200 || response.status == 206);
    if (good && !total_) total_ = LengthByDigest();
    if (good && part_.size() == *total_) return;
    if (good) {
      response.may_retry = true;
      response.transport_error =
          fmt::format("{} bytes came, want {}", part_.size(), *total_);
    }
    if (tries_.Again(response)) return;
    if (!response.transport_error.empty()) FailTransport(response, job_.url);
    FailStatus(response, job_.url, !job_.token.empty());
  }

  // The headers are here, the body not yet.
  void Begin(const HttpResponse& head) {
    std::optional<uint64_t> total = head.content_length;
    if (head.status == 206) {
      const auto range = ParseContentRange(head.content_range);
      if (!range || range->first != part_.size()) throw PartIsStale{};
      total = range->total;
    } else {
      part_.Clear();
      part_.SetTag(head.etag);
    }
    if (job_.bytes && total && *total != *job_.bytes) {
      if (head.status == 206) throw PartIsStale{};
      Fail(ErrorCode::kBadInput, "{}: the server has {} bytes, want {}",
           job_.url, *total, *job_.bytes);
    }
    if (!job_.bytes) total_ = total ? total : head.linked_bytes;
    if (digest_.kind == Digest::Kind::kNone) TakeLinkedDigest(head);
  }

  // A redirect to a large file carries its checksum, quoted.
  void TakeLinkedDigest(const HttpResponse& head) {
    std::string tag = head.linked_etag;
    std::erase(tag, '"');
    if (IsHex(tag, 64)) digest_ = {Digest::Kind::kSha256, tag};
  }

  void Take(std::span<const std::byte> bytes) {
    const uint64_t limit = std::min(job_.limit, total_.value_or(job_.limit));
    if (part_.size() + bytes.size() > limit) {
      part_.Remove();
      Fail(ErrorCode::kBadInput, "{}: more than {} bytes come", job_.url,
           limit);
    }
    part_.Append(bytes);
    if (progress_) progress_(part_.size(), total_.value_or(0));
  }

  // A body that ended without having told its length may be half of one.
  uint64_t LengthByDigest() {
    if (digest_.kind == Digest::Kind::kNone) {
      part_.Remove();
      Fail(ErrorCode::kBadInput,
           "{}: the server tells neither length nor checksum", job_.url);
    }
    return part_.size();
  }

  // False: the part was stale and is gone, try once more from the start.
  bool Verified() {
    const Digest found = part_.Sum(digest_.kind);
    if (found == digest_) {
      part_.Finish();
      return true;
    }
    if (std::exchange(resumed_, false)) {
      Log(LogLevel::kInfo, "{}: the continued file has another checksum",
          job_.url);
      part_.Clear();
      if (!job_.bytes) total_.reset();
      return false;
    }
    part_.Remove();
    Fail(ErrorCode::kBadInput, "{}: {} came, want {}; nothing was kept",
         job_.url, DigestText(found), DigestText(digest_));
  }

  HttpClient& client_;
  const DownloadJob& job_;
  const DownloadProgress& progress_;
  PartFile part_;
  Digest digest_;
  std::optional<uint64_t> total_;
  Tries tries_;
  bool resumed_ = false;
};

}  // namespace

std::optional<ContentRange> ParseContentRange(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  const char* at = text.data() + kUnit.size();
  const char* const end = text.data() + text.size();
  const auto number = [&](uint64_t& value) {
    const auto [next, error] = std::from_chars(at, end, value);
    at = next;
    return error == std::errc();
  };
  const auto letter = [&](char c) { return at != end && *at++ == c; };
  ContentRange range;
  if (!number(range.first) || !letter('-') || !number(range.last) ||
      !letter('/') || range.last < range.first)
    return std::nullopt;
  if (at != end && *at == '*')
    return at + 1 == end ? std::optional(range) : std::nullopt;
  uint64_t total = 0;
  if (!number(total) || at != end || total <= range.last) return std::nullopt;
  range.total = total;
  return range;
}

void Download(HttpClient& client, const DownloadJob& job,
              const RetryPolicy& policy, const DownloadProgress& progress) {
  if (job.bytes && *job.bytes > job.limit)
    Fail(ErrorCode::kBadInput, "{}: {} bytes, want at most {}", job.url,
         *job.bytes, job.limit);
  FileDownload(client, job, policy, progress).Run();
}

std::string DownloadText(HttpClient& client, const std::string& url,
                         const std::string& token, uint64_t limit,
                         const RetryPolicy& policy) {
  for (Tries tries(policy);;) {
    std::string text;
    const HttpResponse response =
        client.Get({.url = url, .token = token, .limit = limit}, {},
                   [&](std::span<const std::byte> bytes) {
                     for (const std::byte b : bytes)
                       text += static_cast<char>(b);
                   });
    if (response.transport_error.empty() && response.status == 200) return text;
    if (tries.Again(response)) continue;
    if (!response.transport_error.empty()) FailTransport(response, url);
    FailStatus(response, url, !token.empty());
  }
}

}  // namespace sotto
