// SPDX-License-Identifier: MIT
#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "hub/names.h"

namespace sotto {
namespace {

// The hub needs one or two; the rest is room for mirrors.
constexpr int kRedirects = 6;
constexpr size_t kHeaderLimit = 8192;

using Clock = std::chrono::steady_clock;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Origin {
  std::string scheme;
  std::string host;
  std::string port;
  bool operator==(const Origin&) const = default;
  bool loopback() const {
    // "127.evil.org" is a name like any other.
    return host == "localhost" || host == "[::1]" ||
           (host.starts_with("127.") &&
            host.find_first_not_of("0123456789.") == std::string::npos);
  }
  bool allowed() const {
    return scheme == "https" || (scheme == "http" && loopback());
  }
};

std::string UrlPart(CURLU* url, CURLUPart part, unsigned int flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

std::optional<Origin> OriginOf(const std::string& text) {
  const std::unique_ptr<CURLU, FreeUrl> url(curl_url());
  if (url == nullptr ||
      curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    return std::nullopt;
  Origin origin{UrlPart(url.get(), CURLUPART_SCHEME),
                UrlPart(url.get(), CURLUPART_HOST),
                UrlPart(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT)};
  for (char& c : origin.host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  // A password in the address would end up in messages.
  if (!UrlPart(url.get(), CURLUPART_USER).empty()) return std::nullopt;
  return origin;
}

template <typename T>
std::optional<T> Number(std::string_view text) {
  T value{};
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    return std::nullopt;
  return value;
}

bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y;
         });
}

void TakeHeader(std::string_view line, HttpResponse& response) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || line.size() > kHeaderLimit) return;
  const std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
  if (SameName(name, "etag")) {
    response.etag = value;
  } else if (SameName(name, "content-range")) {
    response.content_range = value;
  } else if (SameName(name, "content-length")) {
    response.content_length = Number<uint64_t>(value);
  } else if (SameName(name, "x-linked-etag")) {
    response.linked_etag = value;
  } else if (SameName(name, "x-linked-size")) {
    response.linked_bytes = Number<uint64_t>(value);
  } else if (SameName(name, "x-error-code")) {
    response.error_code = value;
  } else if (SameName(name, "x-error-message")) {
    response.error_message = value;
  } else if (SameName(name, "retry-after")) {
    response.retry_after_s = Number<int>(value);
  }
}

// What curl's callbacks see of one hop.
struct Transfer {
  CURL* curl = nullptr;
  const HttpRequest* request = nullptr;
  const HttpClient::Start* start = nullptr;
  const HttpClient::Body* body = nullptr;
  HttpResponse response;
  uint64_t received = 0;
  bool started = false;
  bool too_long = false;
  bool stalled = false;
  HttpTimeouts timeouts;
  Clock::time_point last_byte;
  std::exception_ptr error;  // curl is C: nothing may fly through it

  bool wanted() const {
    return response.status == 200 || response.status == 206;
  }
  // Forgets the last answer, but for what the hub's redirect told.
  void NewAnswer() {
    response = {.linked_etag = std::move(response.linked_etag),
                .linked_bytes = response.linked_bytes};
  }
  void Begin() {
    if (std::exchange(started, true)) return;
    if (wanted() && *start) (*start)(response);
  }
};

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  transfer.last_byte = Clock::now();
  if (line.starts_with("HTTP/")) {
    transfer.NewAnswer();  // after a 100 or a proxy's own
    const size_t space = line.find(' ');
    if (space != std::string_view::npos)
      transfer.response.status =
          Number<int>(line.substr(space + 1, 3)).value_or(0);
  } else {
    TakeHeader(line, transfer.response);
  }
  return size * count;
}

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  transfer.last_byte = Clock::now();
  if (!transfer.wanted()) {
    // The page of an error or a redirect; read it so that the connection can
    // be kept, but not for ever.
    transfer.received += bytes;
    return transfer.received > (size_t{1} << 20) ? 0 : bytes;
  }
  try {
    transfer.Begin();
    transfer.received += bytes;
    if (transfer.received > transfer.request->limit) {
      transfer.too_long = true;
      return 0;
    }
    (*transfer.body)(std::as_bytes(std::span(data, bytes)));
  } catch (...) {
    transfer.error = std::current_exception();
    return 0;
  }
  return bytes;
}

// curl's own low-speed limit averages over five seconds and more.
int OnTick(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.stalled =
      Clock::now() - transfer.last_byte >= transfer.timeouts.stall;
  return transfer.stalled ? 1 : 0;
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 ||
         status == 308;
}

bool NeverConnected(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST ||
         code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_CONNECT;
}

// A certificate does not become right by trying again.
bool IsFinal(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION ||
         code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CONNECT_ERROR ||
         code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ||
         code == CURLE_WRITE_ERROR || code == CURLE_OUT_OF_MEMORY;
}

void InitOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
      Fail(ErrorCode::kInternal, "libcurl cannot be initialised");
  });
}

}  // namespace

struct HttpClient::Handle {
  CURL* curl = curl_easy_init();
  std::array<char, CURL_ERROR_SIZE> message{};
  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { curl_easy_cleanup(curl); }

  template <typename T>
  void Set(CURLoption option, T value) {
    if (curl_easy_setopt(curl, option, value) != CURLE_OK)
      Fail(ErrorCode::kInternal, "libcurl refuses option {}",
           static_cast<int>(option));
  }
  // One hop. Returns where a redirect leads, else nothing.
  std::string Hop(Transfer& transfer, const std::string& url,
                  const Origin& origin, const std::string& token);
};

bool IsAllowedUrl(const std::string& url) {
  const std::optional<Origin> origin = OriginOf(url);
  return origin && origin->allowed();
}

HttpClient::HttpClient(HttpTimeouts timeouts) : timeouts_(timeouts) {
  InitOnce();
  handle_ = std::make_unique<Handle>();
  if (handle_->curl == nullptr)
    Fail(ErrorCode::kOutOfMemory, "libcurl gives no handle");
}

HttpClient::~HttpClient() = default;

std::string HttpClient::Handle::Hop(Transfer& transfer, const std::string& url,
                                    const Origin& origin,
                                    const std::string& token) {
  const HttpRequest& request = *transfer.request;
  curl_easy_reset(curl);  // keeps connections and the DNS cache
  Set(CURLOPT_ERRORBUFFER, message.data());
  message[0] = '\0';
  Set(CURLOPT_URL, url.c_str());
  Set(CURLOPT_PROTOCOLS_STR, origin.loopback() ? "http,https" : "https");
  Set(CURLOPT_NOSIGNAL, 1L);
  Set(CURLOPT_USERAGENT, "sotto");
  Set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(transfer.timeouts.connect.count()));
  Set(CURLOPT_NOPROGRESS, 0L);
  Set(CURLOPT_XFERINFOFUNCTION, &OnTick);
  Set(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
  transfer.last_byte = Clock::now();
  if (origin.loopback()) Set(CURLOPT_PROXY, "");
  Set(CURLOPT_HEADERFUNCTION, &OnHeader);
  Set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  Set(CURLOPT_WRITEFUNCTION, &OnBody);
  Set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));

  // note: curl follows no redirect itself; each hop is judged in Get.
  std::unique_ptr<curl_slist, FreeList> headers;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
    if (longer == nullptr) Fail(ErrorCode::kOutOfMemory, "a header line");
    static_cast<void>(headers.release());
    headers.reset(longer);
  };
  if (!token.empty()) add("Authorization: Bearer " + token);
  if (request.first > 0) {
    add(fmt::format("Range: bytes={}-", request.first));
    if (!request.if_range.empty()) add("If-Range: " + request.if_range);
  }
  Set(CURLOPT_HTTPHEADER, headers.get());

  const CURLcode code = curl_easy_perform(curl);
  Set(CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
  HttpResponse& response = transfer.response;
  if (transfer.error) std::rethrow_exception(transfer.error);
  if (transfer.too_long)
    Fail(ErrorCode::kBadInput, "{}: the answer is longer than {} bytes", url,
         request.limit);
  // An error page that breaks off is an error page all the same.
  if (code != CURLE_OK && (response.status < 300 || transfer.wanted())) {
    response.transport_error =
        transfer.stalled     ? fmt::format("no byte came for {} ms",
                                           transfer.timeouts.stall.count())
        : message[0] != '\0' ? message.data()
                             : curl_easy_strerror(code);
    response.unreachable = NeverConnected(code) || IsFinal(code);
    response.may_retry = !IsFinal(code);
    return "";
  }
  response.may_retry = response.status == 408 || response.status == 429 ||
                       response.status >= 500;
  if (!IsRedirect(response.status)) return "";
  char* location = nullptr;
  curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
  return location == nullptr ? "" : location;
}

HttpResponse HttpClient::Get(const HttpRequest& request, const Start& start,
                             const Body& body) {
  const std::optional<Origin> first = OriginOf(request.url);
  std::optional<Origin> origin = first;
  std::string url = request.url;
  Transfer transfer;
  transfer.request = &request;
  transfer.start = &start;
  transfer.body = &body;
  transfer.timeouts = timeouts_;
  for (int hop = 0; hop <= kRedirects; ++hop) {
    if (!origin || !origin->allowed())
      Fail(ErrorCode::kBadInput,
           "{}: refused{}, want https (http only on this machine)",
           Printable(url), hop > 0 ? " as a redirect" : "");
    // A page of the internet must not point into this machine.
    if (origin->loopback() && !first->loopback())
      Fail(ErrorCode::kBadInput,
           "{}: redirects to this machine ({}), which is refused",
           Printable(request.url), Printable(url));
    transfer.NewAnswer();
    transfer.started = false;
    transfer.received = 0;
    const std::string next = handle_->Hop(
        transfer, url, *origin, *origin == *first ? request.token : "");
    if (next.empty()) {
      // An empty body still has a start.
      if (transfer.response.transport_error.empty()) transfer.Begin();
      return transfer.response;
    }
    url = next;
    origin = OriginOf(url);
  }
  Fail(ErrorCode::kBadInput, "{}: more than {} redirects",
       Printable(request.url), kRedirects);
}

}  // namespace sotto
