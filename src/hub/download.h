// SPDX-License-Identifier: MIT
// Brings one file whole or not at all: resume, retries, checksum.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "hub/digest.h"
#include "hub/http.h"

namespace sotto {

struct RetryPolicy {
  // Tries without a megabyte of progress between them. A host that cannot be
  // reached at all is tried twice.
  int attempts = 5;
  std::chrono::milliseconds first_wait{500};  // doubled each time
  std::chrono::milliseconds longest_wait{8000};
};

struct DownloadJob {
  std::string url;
  std::string token = {};  // for the url's own origin
  std::filesystem::path target;
  // What the hub says of the file; the size of a file without it comes from
  // the answer.
  std::optional<uint64_t> bytes = {};
  Digest digest = {};
  // Longer files are refused whatever the server says.
  uint64_t limit = uint64_t{64} << 30;
};

// Bytes of this file that are on disk, and of how many (0: not yet known).
// May throw to stop the transfer (ErrorCode::kCancelled); the part stays.
using DownloadProgress = std::function<void(uint64_t done, uint64_t total)>;

// Writes TARGET.part (and TARGET.part.etag, the entity tag it belongs to),
// checks size and checksum, syncs, and only then renames to TARGET. A part
// left by an earlier run is continued if the server still has that file, else
// begun again. A part with a wrong checksum is removed. Throws Error naming
// the url, the status or the file: kNotFound (404), kBadInput (refused,
// checksum, disk), kDevice (network).
void Download(HttpClient& client, const DownloadJob& job,
              const RetryPolicy& policy, const DownloadProgress& progress);

// The text at `url`, at most `limit` bytes. Same errors, same retries.
std::string DownloadText(HttpClient& client, const std::string& url,
                         const std::string& token, uint64_t limit,
                         const RetryPolicy& policy);

// "bytes 100-199/200" -> first and total (none for "*"). Nothing for other
// text.
struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;
  std::optional<uint64_t> total;
};
std::optional<ContentRange> ParseContentRange(std::string_view text);

}  // namespace sotto
