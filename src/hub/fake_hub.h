// SPDX-License-Identifier: MIT
// For tests: a web server on loopback, and a Hugging Face hub made of two of
// them (large files come from a second origin, as they do on the real one).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sotto {

struct FakeRequest {
  std::string target;                          // path and query as sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string Header(const std::string& name) const;
};

struct FakeAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  // Close the connection after so many bytes of the body.
  std::optional<size_t> cut = {};
  // Send nothing more after so many bytes, but keep the connection.
  std::optional<size_t> stall = {};
  bool tell_length = true;
  // Before each 64 kB of the body.
  std::chrono::milliseconds pause{0};
};

// Serves each connection in a thread of its own, one request each. The
// handler is called from those threads, one at a time.
class FakeServer {
 public:
  using Handler = std::function<FakeAnswer(const FakeRequest&)>;
  explicit FakeServer(Handler handler);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  // "http://127.0.0.1:PORT".
  std::string url(const std::string& host = "127.0.0.1") const;
  std::vector<FakeRequest> requests() const;
  void Forget();
  // What the handler did so far happened before this returns, for memory too.
  void Settle() const;

 private:
  void Accept();
  void Serve(int connection);
  void Send(int connection, const FakeAnswer& answer);

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;
  std::vector<FakeRequest> requests_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

// What goes wrong with the next answer that has a file's bytes.
struct FakeFault {
  enum class Kind {
    kNone,  // this one is good
    kCut,
    kStall,
    kCorrupt,      // one byte differs
    kStatus,       // `value` is the status
    kIgnoreRange,  // 200 with the whole file
    kWrongRange,   // 206 from another offset
    kNoLength,     // close tells the end
    kLonger,       // one byte too many
  };
  Kind kind = Kind::kNone;
  uint64_t value = 0;
};

struct FakeFile {
  std::string body;
  bool large = false;     // kept in large-file storage: redirect and sha256
  std::string etag = {};  // of the bytes' server; made from the body if empty
  std::deque<FakeFault> faults = {};
  // Replaces the checksum or size that the hub tells.
  std::string told_sum = {};
  std::optional<uint64_t> told_bytes = {};
};

// Public members may be changed while no request is on its way.
class FakeHub {
 public:
  FakeHub();
  // "org/name" -> file name -> file.
  std::map<std::string, std::map<std::string, FakeFile>> repositories;
  // Of every answer about a model; empty: none is needed.
  std::string token;
  std::string error_code;  // with 401, 403 and 404
  std::string commit = "00112233445566778899aabbccddeeff00112233";
  bool tell_blobs = true;  // blobs=true is understood
  // Where the large files are said to be; the second server where empty.
  std::string storage_url;
  std::chrono::milliseconds pause{0};

  // Before members are read or changed: see FakeServer::Settle.
  void Settle() const {
    hub_.Settle();
    storage_.Settle();
  }
  std::string url() const { return hub_.url(); }
  FakeServer& hub() { return hub_; }
  FakeServer& storage() { return storage_; }
  // Requests at either server whose target holds `part`.
  size_t Count(const std::string& part) const;
  uint64_t bytes_sent() const { return bytes_sent_; }

 private:
  FakeAnswer AnswerHub(const FakeRequest& request);
  FakeAnswer AnswerStorage(const FakeRequest& request);
  FakeAnswer AnswerInfo(const std::string& repository) const;
  FakeAnswer AnswerFile(FakeFile& file, const FakeRequest& request);
  FakeAnswer Refusal(int status) const;

  std::atomic<uint64_t> bytes_sent_ = 0;
  FakeServer storage_;
  FakeServer hub_;
};

// Bytes that look like weights: seeded, no two runs of them alike.
std::string RandomBytes(size_t count, unsigned seed);
std::string Sha256Hex(const std::string& text);
std::string GitBlobHex(const std::string& text);

}  // namespace sotto
