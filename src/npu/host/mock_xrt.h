// SPDX-License-Identifier: MIT
// An XRT that is not there: the table of xrt_api.h over plain memory. Host and
// device see different copies of a buffer, so that a forgotten sync shows. For
// tests.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "npu/host/device.h"
#include "npu/host/xrt_api.h"

namespace sotto::npu {

class MockXrt {
 public:
  // What the "array" does: gets the device's copies.
  using Program =
      std::function<RunState(std::span<const uint32_t> instructions,
                             std::span<const std::span<std::byte>> data)>;

  MockXrt();
  ~MockXrt();
  MockXrt(const MockXrt&) = delete;
  MockXrt& operator=(const MockXrt&) = delete;

  const SottoXrtApi& api() const { return api_; }

  Program program;
  int context_limit = kMaxContexts;
  // By the table's names, "open_context": the call fails with this text.
  std::map<std::string, std::string> fail;
  std::string device_name = "RyzenAI-npu1";
  std::string kernel_name = "MLIR_AIE";
  bool old_words = false;  // the firmware counts ninstr in bytes

  int contexts = 0;  // open now
  int handles = 0;   // of any kind, open now
  int runs = 0;

 private:
  struct Buffer;
  struct Run;
  struct Hooks;
  SottoXrtApi api_;
};

// The memory banks of arguments 0 to 7 as a Phoenix reports them.
int MockBank(int argument);

}  // namespace sotto::npu
