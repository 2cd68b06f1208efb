// SPDX-License-Identifier: MIT
// One HTTP GET at a time, by libcurl: redirects, time-outs and limits; no
// policy about retries or files.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sotto {

struct HttpTimeouts {
  std::chrono::milliseconds connect{10'000};
  // With no byte for so long the transfer counts as broken; looked at once a
  // second or more often.
  std::chrono::milliseconds stall{30'000};
};

struct HttpRequest {
  std::string url = {};
  // Sent as a bearer token to the url's own origin (scheme, host and port)
  // and to no other host that a redirect names.
  std::string token = {};
  // Ask for the bytes from here on; with `if_range` only if the file still
  // has that entity tag.
  uint64_t first = 0;
  std::string if_range = {};
  // A longer body is refused.
  uint64_t limit = 0;
};

// Of the last answer, but for the linked_ fields, which the hub sends along
// with its redirect. All text is a stranger's.
struct HttpResponse {
  int status = 0;
  std::string etag = {};
  std::string content_range = {};
  std::optional<uint64_t> content_length = {};
  std::string linked_etag = {};
  std::optional<uint64_t> linked_bytes = {};
  std::string error_code = {};     // X-Error-Code: "GatedRepo", "EntryNotFound"
  std::string error_message = {};  // X-Error-Message
  std::optional<int> retry_after_s = {};
  // Why there is no (whole) answer, in curl's words; empty if there is one.
  std::string transport_error = {};
  // No connection came about: the name, the route, the proxy or TLS.
  bool unreachable = false;
  // Trying again may help.
  bool may_retry = false;
};

// True for https, and for http on this machine (localhost, 127.x, [::1]):
// nothing else may carry a token or a model.
bool IsAllowedUrl(const std::string& url);

// Keeps one connection open between requests. One thread at a time. Proxies
// come from the environment by curl's own rules, never for this machine.
class HttpClient {
 public:
  explicit HttpClient(HttpTimeouts timeouts = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `start` is told the final answer's headers before its body; `body` gets
  // the bytes, and only of a 200 or 206. What they throw comes out of Get.
  // Throws kBadInput for a url (also a redirect's) that is not allowed, and
  // for a body over the limit.
  using Start = std::function<void(const HttpResponse&)>;
  using Body = std::function<void(std::span<const std::byte>)>;
  HttpResponse Get(const HttpRequest& request, const Start& start,
                   const Body& body);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
  HttpTimeouts timeouts_;
};

}  // namespace sotto
