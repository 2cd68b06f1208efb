// SPDX-License-Identifier: MIT
// An xclbin made by hand, as XRT's header lays it out. For tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace sotto::npu {

struct TestXclbin {
  std::string kernel = "MLIR_AIE:MLIRAIE";
  uint32_t kernel_id = 0x901;
  uint32_t group_kernel = 0x901;
  uint8_t group_type = 1;  // primary
  uint8_t function = 0;
  uint16_t columns = 4;
  std::vector<std::byte> pdi = std::vector<std::byte>(300, std::byte{0x5C});

  std::vector<std::byte> Bytes() const {
    std::vector<std::byte> layout(88);
    Put<uint32_t>(layout, 0, 1);  // one entry
    Put<uint32_t>(layout, 8, 7);  // IP_PS_KERNEL
    Put<uint32_t>(layout, 12, 1u | function * 16u | kernel_id << 16);
    std::memcpy(layout.data() + 24, kernel.data(), kernel.size());

    // The partition, then one PDI, its group, its kernel, its image.
    constexpr size_t kImage = 184 + 96 + 96 + 8;
    std::vector<std::byte> partition(kImage + pdi.size());
    Put<uint32_t>(partition, 8, 2048);
    Put<uint16_t>(partition, 32, columns);
    PutArray(partition, 120, 1, 184);
    PutArray(partition, 184 + 16, pdi.size(), kImage);
    PutArray(partition, 184 + 24, 1, 280);
    Put<uint8_t>(partition, 280 + 4, group_type);
    PutArray(partition, 280 + 16, 1, 376);
    Put<uint64_t>(partition, 376, group_kernel);
    std::copy(pdi.begin(), pdi.end(), partition.begin() + kImage);

    constexpr size_t kData = 456 + 2 * 40;
    std::vector<std::byte> file(kData + layout.size() + partition.size());
    std::memcpy(file.data(), "xclbin2", 8);
    Put<uint32_t>(file, 304 + 144, 2);
    AddSection(file, 0, 8, layout, kData);
    AddSection(file, 1, 32, partition, kData + layout.size());
    return file;
  }

 private:
  template <typename T>
  static void Put(std::vector<std::byte>& to, size_t at, T value) {
    std::memcpy(to.data() + at, &value, sizeof value);
  }
  static void PutArray(std::vector<std::byte>& to, size_t at, size_t count,
                       size_t offset) {
    Put(to, at, static_cast<uint32_t>(count));
    Put(to, at + 4, static_cast<uint32_t>(offset));
  }
  static void AddSection(std::vector<std::byte>& file, size_t index,
                         uint32_t kind, const std::vector<std::byte>& bytes,
                         size_t offset) {
    const size_t at = 456 + 40 * index;
    Put(file, at, kind);
    Put<uint64_t>(file, at + 24, offset);
    Put<uint64_t>(file, at + 32, bytes.size());
    std::copy(bytes.begin(), bytes.end(),
              file.begin() + static_cast<ptrdiff_t>(offset));
  }
};

}  // namespace sotto::npu
