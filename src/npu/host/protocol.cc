// SPDX-License-Identifier: MIT
#include "npu/host/protocol.h"

#include <fmt/format.h>

#include <algorithm>

#include "npu/host/device.h"

namespace sotto::npu {

Finding Ok(std::string id, std::string detail) {
  return {std::move(id), true, false, std::move(detail), {}, {}};
}
Finding Bad(std::string id, std::string detail, std::string cause,
            std::string fix) {
  return {std::move(id),    false,         false, std::move(detail),
          std::move(cause), std::move(fix)};
}
Finding Skipped(std::string id, std::string why) {
  return {std::move(id), true, true, std::move(why), {}, {}};
}

namespace {

using Kind = XrtCall::Kind;

constexpr unsigned kLeastTimeout = 1000;  // ms; the published checklist's

// The calls of a run, sorted for asking.
class Record {
 public:
  explicit Record(const std::vector<XrtCall>& calls) : calls_(calls) {
    for (size_t i = 0; i < calls.size(); ++i)
      if (calls[i].kind == Kind::kStart) start_ = i;
  }

  const XrtCall* First(Kind kind) const {
    for (const XrtCall& call : calls_)
      if (call.kind == kind) return &call;
    return nullptr;
  }
  size_t IndexOf(Kind kind) const {
    const auto at = std::find_if(calls_.begin(), calls_.end(), [&](auto& call) {
      return call.kind == kind && !call.failed;
    });
    return static_cast<size_t>(at - calls_.begin());
  }
  const XrtCall* start() const {
    return start_ < calls_.size() ? &calls_[start_] : nullptr;
  }
  const XrtCall* AllocOf(const void* buffer) const {
    for (const XrtCall& call : calls_)
      if (call.kind == Kind::kAlloc && call.buffer == buffer && !call.failed)
        return &call;
    return nullptr;
  }
  // The bank the kernel named for an argument; -1 where nobody asked.
  int BankOf(int argument) const {
    for (const XrtCall& call : calls_)
      if (call.kind == Kind::kGroupId && call.argument == argument)
        return call.group;
    return -1;
  }
  bool Synced(const void* buffer, int direction, bool before_start) const {
    for (size_t i = 0; i < calls_.size(); ++i)
      if (calls_[i].kind == Kind::kSync && calls_[i].buffer == buffer &&
          calls_[i].direction == direction && !calls_[i].failed &&
          (i < start_) == before_start)
        return true;
    return false;
  }
  size_t size() const { return calls_.size(); }

 private:
  const std::vector<XrtCall>& calls_;
  size_t start_ = static_cast<size_t>(-1);
};

Finding CheckCall(const Record& r, Kind kind, const char* id, const char* name,
                  const char* cause, const char* fix) {
  const XrtCall* call = r.First(kind);
  if (call == nullptr)
    return Bad(id, fmt::format("{} was not called", name), cause, fix);
  if (call->failed)
    return Bad(id, fmt::format("{}: {}", name, call->error), cause, fix);
  return Ok(id, fmt::format("{} worked", name));
}

Finding CheckRegister(const Record& r) {
  Finding found = CheckCall(
      r, Kind::kRegister, "register", "register_xclbin",
      "the xclbin is damaged or made for another device; or load_xclbin was "
      "called, which the NPU's driver does not support",
      "build the xclbin again for npu1 and use register_xclbin");
  if (found.ok && r.IndexOf(Kind::kRegister) > r.IndexOf(Kind::kOpenContext))
    return Bad("register", "register_xclbin came after the context",
               "a context is made for an xclbin the device knows",
               "call register_xclbin first");
  return found;
}

Finding CheckContext(const Record& r) {
  return CheckCall(r, Kind::kOpenContext, "context", "hw_context",
                   "all six hardware contexts of the NPU are taken, or the "
                   "xclbin wants more columns than are free",
                   "end other programs that use the NPU, or wait");
}

Finding CheckInstructionBank(const Record& r) {
  const XrtCall* start = r.start();
  const XrtCall* alloc = start ? r.AllocOf(start->buffer) : nullptr;
  const char* fix = "allocate it cacheable in group_id(1)";
  if (alloc == nullptr)
    return Bad("instruction-bank", "no instruction buffer was passed",
               "without instructions the firmware answers ERROR", fix);
  if (alloc->flags != SOTTO_XRT_BO_CACHEABLE)
    return Bad("instruction-bank",
               fmt::format("flags are {:#x}, want cacheable {:#x}",
                           alloc->flags, SOTTO_XRT_BO_CACHEABLE),
               "the controller reads instructions from its own memory", fix);
  if (alloc->group != r.BankOf(1))
    return Bad("instruction-bank",
               fmt::format("bank {}, the kernel's argument 1 is in bank {}",
                           alloc->group, r.BankOf(1)),
               "the group of another argument or another kernel", fix);
  return Ok("instruction-bank",
            fmt::format("cacheable, bank {}", alloc->group));
}

Finding CheckDataBanks(const Record& r) {
  const XrtCall* start = r.start();
  const char* fix = "allocate buffer i host_only in group_id(3 + i)";
  for (size_t i = 0; start != nullptr && i < start->data.size(); ++i) {
    const XrtCall* alloc = r.AllocOf(start->data[i]);
    if (alloc == nullptr)
      return Bad("data-banks", fmt::format("data buffer {} is no buffer", i),
                 "XRT warns of argument indices and the array reads 0xFF", fix);
    if (alloc->flags != SOTTO_XRT_BO_HOST_ONLY)
      return Bad("data-banks",
                 fmt::format("data buffer {}: flags are {:#x}, want host_only "
                             "{:#x}",
                             i, alloc->flags, SOTTO_XRT_BO_HOST_ONLY),
                 "device_only and p2p are refused, cacheable is not coherent",
                 fix);
    const int bank = r.BankOf(static_cast<int>(3 + i));
    if (alloc->group != bank)
      return Bad("data-banks",
                 fmt::format("data buffer {}: bank {}, argument {} is in bank "
                             "{}",
                             i, alloc->group, 3 + i, bank),
                 "the group of another argument or another kernel", fix);
  }
  if (start == nullptr || start->data.empty())
    return Bad("data-banks", "no data buffer was passed",
               "the kernel has nothing to read or write", fix);
  return Ok("data-banks", fmt::format("{} buffers, host_only, each in its "
                                      "argument's bank",
                                      start->data.size()));
}

Finding CheckInstructionSync(const Record& r) {
  const XrtCall* start = r.start();
  if (start != nullptr &&
      r.Synced(start->buffer, SOTTO_XRT_TO_DEVICE, /*before_start=*/true))
    return Ok("instruction-sync", "synced to the device before the run");
  return Bad("instruction-sync",
             "the instructions were not synced to the device",
             "the controller reads what stood there before",
             "sync the instruction buffer TO_DEVICE after writing it");
}

Finding CheckDataSync(const Record& r) {
  const XrtCall* start = r.start();
  for (size_t i = 0; start != nullptr && i < start->data.size(); ++i)
    if (!r.Synced(start->data[i], SOTTO_XRT_TO_DEVICE, /*before_start=*/true))
      return Bad("data-sync",
                 fmt::format("data buffer {} was not synced to the device", i),
                 "the array reads old data, or dirty cache lines fall on what "
                 "it writes",
                 "sync every data buffer TO_DEVICE before the run");
  return start == nullptr
             ? Bad("data-sync", "nothing was run", "no start", "start the run")
             : Ok("data-sync", "all synced to the device before the run");
}

Finding CheckOpcode(const Record& r) {
  const XrtCall* start = r.start();
  if (start != nullptr && start->opcode == 3)
    return Ok("opcode", "3: run the instruction stream");
  return Bad("opcode",
             start == nullptr ? std::string("the kernel was not started")
                              : fmt::format("the first argument is {}, want 3",
                                            start->opcode),
             "a call kernel(in, out) puts a buffer where the opcode belongs: "
             "ERROR, or zeros",
             "call kernel(3, instructions, n, data...)");
}

Finding CheckArguments(const Record& r) {
  const XrtCall* start = r.start();
  const char* fix = "call kernel(3, instructions, n, data...)";
  if (start == nullptr)
    return Bad("arguments", "the kernel was not started", "no start", fix);
  for (size_t i = 0; i < start->data.size(); ++i)
    if (start->data[i] == start->buffer)
      return Bad("arguments",
                 fmt::format("argument {} is the instruction buffer", 3 + i),
                 "arguments are shifted by one", fix);
  if (start->data.size() > kMaxHostBuffers)
    return Bad("arguments",
               fmt::format("{} data buffers, the kernel has {}",
                           start->data.size(), kMaxHostBuffers),
               "an xclbin declares bo0 to bo4 only",
               "put several tensors into one buffer");
  const uint32_t bytes = start->header_bytes;
  if (bytes == 0 || bytes % 4 != 0 ||
      (start->n_words != bytes / 4 && start->n_words != bytes))
    return Bad("arguments",
               fmt::format("length {} with a stream of {} bytes",
                           start->n_words, bytes),
               "the third argument is the stream's length in 32-bit words",
               "pass the number of words of the stream");
  return Ok("arguments",
            fmt::format("instructions, {} {}, {} data buffers", start->n_words,
                        start->n_words == bytes ? "bytes" : "words",
                        start->data.size()));
}

Finding CheckTimeout(const Record& r) {
  const XrtCall* wait = r.First(Kind::kWait);
  if (wait == nullptr)
    return Bad("time-out", "nobody waited for the run", "no wait",
               "wait for the run before reading");
  if (wait->timeout_ms != 0 && wait->timeout_ms < kLeastTimeout)
    return Bad("time-out",
               fmt::format("waits {} ms, want {} or more", wait->timeout_ms,
                           kLeastTimeout),
               "the first run also loads the array", "wait longer");
  return Ok("time-out", wait->timeout_ms == 0
                            ? std::string("waits without end")
                            : fmt::format("waits {} ms", wait->timeout_ms));
}

Finding CheckState(const Record& r) {
  const XrtCall* wait = r.First(Kind::kWait);
  if (wait == nullptr)
    return Bad("state", "nobody waited for the run", "no wait",
               "wait for the run and look at its state");
  if (wait->failed)
    return Bad("state", wait->error, "the wait itself failed",
               "look at dmesg for amdxdna");
  const auto state = static_cast<RunState>(wait->state);
  const std::string seen = fmt::format("{} ({})", Name(state), wait->state);
  if (state == RunState::kCompleted) return Ok("state", seen);
  if (state == RunState::kError)
    return Bad("state", seen,
               "no opcode or no instructions, a stream the firmware refuses, "
               "or an error of the array",
               "see opcode, arguments and instruction-sync above");
  if (state == RunState::kTimeout)
    return Bad("state", seen,
               "the array waits for ever: a lock or descriptor in the wrong "
               "order, or a core that never gives its output free",
               "run the same program on the simulator: it names who waits");
  return Bad("state", seen, "the run did not end in time or its context died",
             "wait longer; look at dmesg for amdxdna");
}

Finding CheckReadSync(const Record& r) {
  const XrtCall* start = r.start();
  for (size_t i = 0; start != nullptr && i < start->data.size(); ++i)
    if (r.Synced(start->data[i], SOTTO_XRT_FROM_DEVICE, /*before_start=*/false))
      return Ok("read-sync", "synced from the device after the run");
  return Bad("read-sync", "no buffer was synced from the device after the run",
             "the host reads its own old cache lines",
             "sync the output FROM_DEVICE before reading it");
}

}  // namespace

std::vector<Finding> Audit(const std::vector<XrtCall>& calls) {
  const Record r(calls);
  return {CheckRegister(r),
          CheckContext(r),
          CheckCall(r, Kind::kOpenKernel, "kernel", "kernel MLIR_AIE",
                    "the xclbin holds no kernel of that name",
                    "build it with aiecc for npu1"),
          CheckInstructionBank(r),
          CheckDataBanks(r),
          CheckInstructionSync(r),
          CheckDataSync(r),
          CheckOpcode(r),
          CheckArguments(r),
          CheckTimeout(r),
          CheckState(r),
          CheckReadSync(r)};
}

}  // namespace sotto::npu
