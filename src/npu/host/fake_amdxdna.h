// SPDX-License-Identifier: MIT
// A driver that is not there: amdxdna's calls over plain memory, as strict as
// the kernel's sources are. Host and device see different copies of a buffer,
// so that a forgotten sync shows. For tests.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "npu/host/amdxdna.h"
#include "npu/host/device.h"
#include "npu/host/ioctl.h"

namespace sotto::npu {

// What the test sets and sees; outlives the nodes that it opens.
class FakeAmdxdna {
 public:
  // What the "array" does: gets the device's copies.
  using Program =
      std::function<RunState(std::span<const uint32_t> instructions,
                             std::span<const std::span<std::byte>> data)>;

  // An open node.
  std::unique_ptr<Ioctl> Open();

  Program program;                    // none: a command never ends
  bool gives_up = false;              // ... or the driver gives it up
  std::map<unsigned long, int> fail;  // request -> errno
  bool no_memory = false;             // mmap fails
  std::string driver = "amdxdna";
  int columns = 5;
  int context_limit = kMaxContexts;
  int full_errno = 16;  // EBUSY; of the context past the limit

  std::vector<int64_t> others;  // contexts of other processes, by their ids

  // What is open now.
  int nodes = 0, buffers = 0, contexts = 0, timelines = 0, mappings = 0;
  int runs = 0;
  // Of the context configured last, as the device saw it.
  std::vector<std::byte> pdi;
  uint32_t tiles = 0;

 private:
  class Node;
};

}  // namespace sotto::npu
