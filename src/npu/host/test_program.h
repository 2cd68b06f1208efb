// SPDX-License-Identifier: MIT
// What the mock XRT and the fake driver run in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "npu/host/device.h"
#include "npu/txn.h"

namespace sotto::npu {

// out = in + 1, on the device's copies.
inline RunState AddOne(std::span<const uint32_t>,
                       std::span<const std::span<std::byte>> data) {
  for (size_t i = 0; i < data[1].size(); ++i)
    data[1][i] = static_cast<std::byte>(std::to_integer<int>(data[0][i]) + 1);
  return RunState::kCompleted;
}

inline std::vector<uint32_t> SomeStream() {
  TxnStream stream;
  stream.ops.push_back({.address = 0x1D214, .values = {1}});
  return Encode(stream);
}

}  // namespace sotto::npu
