// SPDX-License-Identifier: MIT
#include "hub/fake_hub.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>

namespace sotto {
namespace {

constexpr size_t kRequestLimit = size_t{64} << 10;
constexpr size_t kChunk = size_t{64} << 10;
constexpr std::chrono::seconds kLongestStall{20};

std::string Hex(const std::string& text, const EVP_MD* method) {
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_Digest(text.data(), text.size(), sum, &length, method, nullptr);
  std::string hex;
  for (unsigned int i = 0; i < length; ++i)
    hex += fmt::format("{:02x}", sum[i]);
  return hex;
}

std::optional<FakeRequest> ReadRequest(int connection) {
  std::string text;
  while (text.find("\r\n\r\n") == std::string::npos) {
    char buffer[4096];
    const ssize_t count = ::recv(connection, buffer, sizeof buffer, 0);
    if (count <= 0 || text.size() > kRequestLimit) return std::nullopt;
    text.append(buffer, static_cast<size_t>(count));
  }
  FakeRequest request;
  size_t at = text.find("\r\n");
  const std::string first = text.substr(0, at);
  const size_t space = first.find(' ');
  request.target = first.substr(space + 1, first.rfind(' ') - space - 1);
  for (;;) {
    at += 2;
    const size_t end = text.find("\r\n", at);
    if (end == at) return request;
    const std::string line = text.substr(at, end - at);
    const size_t colon = line.find(':');
    std::string name = line.substr(0, colon);
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    request.headers[name] = line.substr(
        std::min(line.size(), line.find_first_not_of(' ', colon + 1)));
    at = end;
  }
}

bool SendAll(int connection, const char* data, size_t count) {
  while (count > 0) {
    const ssize_t sent = ::send(connection, data, count, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    count -= static_cast<size_t>(sent);
  }
  return true;
}

}  // namespace

std::string FakeRequest::Header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? "" : at->second;
}

FakeServer::FakeServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, generic, length) != 0 ||
      ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &length) != 0)
    throw std::runtime_error("no socket on loopback");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

FakeServer::~FakeServer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
  ::close(listener_);
}

std::string FakeServer::url(const std::string& host) const {
  return fmt::format("http://{}:{}", host, port_);
}

std::vector<FakeRequest> FakeServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeServer::Forget() {
  const std::lock_guard lock(mutex_);
  requests_.clear();
}

void FakeServer::Settle() const { const std::lock_guard lock(mutex_); }

void FakeServer::Accept() {
  for (;;) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    const timeval limit{10, 0};
    ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    connections_.emplace_back([this, connection] {
      Serve(connection);
      ::close(connection);
    });
  }
}

void FakeServer::Serve(int connection) {
  const std::optional<FakeRequest> request = ReadRequest(connection);
  if (!request) return;
  FakeAnswer answer;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(*request);
    answer = handler_(*request);
  }
  Send(connection, answer);
}

void FakeServer::Send(int connection, const FakeAnswer& answer) {
  std::string head =
      fmt::format("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
  for (const auto& [name, value] : answer.headers)
    head += fmt::format("{}: {}\r\n", name, value);
  if (answer.tell_length)
    head += fmt::format("Content-Length: {}\r\n", answer.body.size());
  head += "\r\n";
  if (!SendAll(connection, head.data(), head.size())) return;
  const size_t end = std::min(
      answer.body.size(), std::min(answer.cut.value_or(answer.body.size()),
                                   answer.stall.value_or(answer.body.size())));
  const auto wait = [&](std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return stopping_.wait_for(lock, time, [&] { return stop_; });
  };
  for (size_t at = 0; at < end; at += kChunk) {
    if (answer.pause.count() > 0 && wait(answer.pause)) return;
    if (!SendAll(connection, answer.body.data() + at,
                 std::min(kChunk, end - at)))
      return;
  }
  if (answer.stall) wait(kLongestStall);
  // What the peer still sends would make a close a reset, and lose our end.
  ::shutdown(connection, SHUT_WR);
}

FakeHub::FakeHub()
    : storage_([this](const FakeRequest& r) { return AnswerStorage(r); }),
      hub_([this](const FakeRequest& r) { return AnswerHub(r); }) {}

size_t FakeHub::Count(const std::string& part) const {
  size_t count = 0;
  for (const FakeServer* server : {&hub_, &storage_})
    for (const FakeRequest& request : server->requests())
      count += request.target.find(part) != std::string::npos ? 1 : 0;
  return count;
}

FakeAnswer FakeHub::Refusal(int status) const {
  FakeAnswer answer{.status = status, .body = "<html>no</html>"};
  if (!error_code.empty())
    answer.headers.emplace_back("X-Error-Code", error_code);
  answer.headers.emplace_back("X-Error-Message", "says the fake hub");
  return answer;
}

FakeAnswer FakeHub::AnswerInfo(const std::string& repository) const {
  const auto found = repositories.find(repository);
  if (found == repositories.end()) return Refusal(404);
  nlohmann::json siblings = nlohmann::json::array();
  siblings.push_back({{"rfilename", ".gitattributes"}, {"size", 10}});
  for (const auto& [name, file] : found->second) {
    nlohmann::json entry = {{"rfilename", name}};
    const uint64_t bytes = file.told_bytes.value_or(file.body.size());
    const std::string sum =
        file.told_sum.empty() ? Sha256Hex(file.body) : file.told_sum;
    if (tell_blobs) {
      entry["size"] = bytes;
      entry["blobId"] = GitBlobHex(file.body);
      if (file.large)
        entry["lfs"] = {{"sha256", sum}, {"size", bytes}, {"pointerSize", 134}};
    }
    siblings.push_back(entry);
  }
  const nlohmann::json answer = {
      {"id", repository}, {"sha", commit}, {"siblings", siblings}};
  return {.headers = {{"Content-Type", "application/json"}},
          .body = answer.dump()};
}

// /api/models/ORG/NAME/revision/REV, /ORG/NAME/resolve/REV/FILE.
FakeAnswer FakeHub::AnswerHub(const FakeRequest& request) {
  std::string path = request.target.substr(0, request.target.find('?'));
  if (!token.empty() && request.Header("authorization") != "Bearer " + token)
    return Refusal(error_code == "GatedRepo" ? 403 : 401);
  const std::string api = "/api/models/";
  if (path.starts_with(api)) {
    const size_t end = path.find("/revision/");
    if (path.substr(end + 10) != "main" && path.substr(end + 10) != commit)
      return Refusal(404);
    return AnswerInfo(path.substr(api.size(), end - api.size()));
  }
  const size_t resolve = path.find("/resolve/");
  if (resolve == std::string::npos) return Refusal(404);
  const std::string repository = path.substr(1, resolve - 1);
  const size_t name_at = path.find('/', resolve + 9);
  const std::string name = path.substr(name_at + 1);
  const auto found = repositories.find(repository);
  if (found == repositories.end() || !found->second.contains(name))
    return Refusal(404);
  FakeFile& file = found->second.at(name);
  if (!file.large) return AnswerFile(file, request);
  const std::string base = storage_url.empty() ? storage_.url() : storage_url;
  return {.status = 302,
          .headers = {{"Location", base + "/store/" + repository + "/" + name +
                                       "?signature=x"},
                      {"X-Linked-Size", std::to_string(file.body.size())},
                      {"X-Linked-Etag",
                       fmt::format("\"{}\"", Sha256Hex(file.body))},
                      {"X-Repo-Commit", commit}},
          .body = "Found"};
}

FakeAnswer FakeHub::AnswerStorage(const FakeRequest& request) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  for (auto& [repository, files] : repositories)
    for (auto& [name, file] : files)
      if (path == "/store/" + repository + "/" + name)
        return AnswerFile(file, request);
  return {.status = 404};
}

FakeAnswer FakeHub::AnswerFile(FakeFile& file, const FakeRequest& request) {
  FakeFault fault;
  if (!file.faults.empty()) {
    fault = file.faults.front();
    file.faults.pop_front();
  }
  using Kind = FakeFault::Kind;
  if (fault.kind == Kind::kStatus)
    return {.status = static_cast<int>(fault.value),
            .headers = {{"Retry-After", "0"}}};
  const std::string etag =
      file.etag.empty()
          ? fmt::format("\"{}\"", Sha256Hex(file.body).substr(0, 16))
          : file.etag;
  FakeAnswer answer{.headers = {{"ETag", etag}, {"Accept-Ranges", "bytes"}},
                    .body = file.body,
                    .pause = pause};
  const std::string range = request.Header("range");
  const std::string only_if = request.Header("if-range");
  if (!range.empty() && (only_if.empty() || only_if == etag) &&
      fault.kind != Kind::kIgnoreRange) {
    const size_t first = std::strtoull(range.c_str() + 6, nullptr, 10);
    if (first >= file.body.size()) return {.status = 416};
    const size_t from = fault.kind == Kind::kWrongRange ? first / 2 : first;
    answer.status = 206;
    answer.body = file.body.substr(from);
    answer.headers.emplace_back(
        "Content-Range", fmt::format("bytes {}-{}/{}", from,
                                     file.body.size() - 1, file.body.size()));
  }
  if (fault.kind == Kind::kCut) answer.cut = fault.value;
  if (fault.kind == Kind::kStall) answer.stall = fault.value;
  if (fault.kind == Kind::kCorrupt && !answer.body.empty())
    answer.body[answer.body.size() / 2] ^= 1;
  if (fault.kind == Kind::kNoLength) answer.tell_length = false;
  if (fault.kind == Kind::kLonger) answer.body += "!";
  bytes_sent_ += answer.cut.value_or(answer.body.size());
  return answer;
}

std::string RandomBytes(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(count, '\0');
  for (char& c : text) c = static_cast<char>(random() & 0xff);
  return text;
}

std::string Sha256Hex(const std::string& text) {
  return Hex(text, EVP_sha256());
}

std::string GitBlobHex(const std::string& text) {
  return Hex(fmt::format("blob {}", text.size()) + '\0' + text, EVP_sha1());
}

}  // namespace sotto
