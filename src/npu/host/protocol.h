// SPDX-License-Identifier: MIT
// The host's side of a run, written down and judged: which calls were made, in
// which order, with which flags and banks. `sotto doctor` prints the findings;
// the mock of the tests asserts that there are none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "npu/host/xrt_api.h"

namespace sotto::npu {

struct XrtCall {
  enum class Kind : uint8_t {
    kOpenDevice,
    kRegister,
    kOpenContext,
    kOpenKernel,
    kGroupId,
    kAlloc,
    kSync,
    kStart,
    kWait,
  };
  Kind kind = Kind::kOpenDevice;
  bool failed = false;
  std::string error;
  int argument = 0;              // kGroupId
  int group = 0;                 // kGroupId: the answer; kAlloc: what was asked
  uint32_t flags = 0;            // kAlloc
  const void* buffer = nullptr;  // kAlloc, kSync; kStart: the instructions
  size_t bytes = 0;              // kAlloc, kSync
  int direction = 0;             // kSync
  uint64_t opcode = 0;           // kStart
  uint32_t n_words = 0;          // kStart
  // kStart: what the instruction buffer's header says its bytes are, 0 where
  // it is no stream.
  uint32_t header_bytes = 0;
  std::vector<const void*> data;  // kStart
  unsigned timeout_ms = 0;        // kWait
  int state = 0;                  // kWait
};

// One point of the published checklists.
struct Finding {
  std::string id;  // "instruction-sync"
  bool ok = false;
  bool skipped = false;  // not looked at; `detail` says why, `ok` is true
  std::string detail;    // what was seen
  std::string cause;     // empty where ok
  std::string fix;
};

Finding Ok(std::string id, std::string detail);
Finding Bad(std::string id, std::string detail, std::string cause,
            std::string fix);
Finding Skipped(std::string id, std::string why);

// Judges the calls of one run. Every point is answered, in a fixed order:
// register, context, kernel, instruction-bank, data-banks, instruction-sync,
// data-sync, opcode, arguments, time-out, state, read-sync.
std::vector<Finding> Audit(const std::vector<XrtCall>& calls);

// Stands between the host and an XRT table and writes the calls down. One at a
// time in a process, since the table has no place for a pointer.
class XrtRecorder {
 public:
  explicit XrtRecorder(const SottoXrtApi& inner);
  ~XrtRecorder();
  XrtRecorder(const XrtRecorder&) = delete;
  XrtRecorder& operator=(const XrtRecorder&) = delete;

  const SottoXrtApi& api() const { return api_; }
  const std::vector<XrtCall>& calls() const { return calls_; }
  void Clear() { calls_.clear(); }

 private:
  struct Hooks;
  const SottoXrtApi& inner_;
  SottoXrtApi api_;
  std::vector<XrtCall> calls_;
  std::map<const void*, const void*> mapped_;  // memory of each buffer
};

}  // namespace sotto::npu
