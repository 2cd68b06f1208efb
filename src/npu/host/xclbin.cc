// SPDX-License-Identifier: MIT
#include "npu/host/xclbin.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace sotto::npu {
namespace {

using Bytes = std::span<const std::byte>;

// Offsets of XRT's xclbin.h.
constexpr size_t kHeader = 8 + 4 + 28 + 256 + 8;  // axlf: before axlf_header
constexpr size_t kSectionCount = kHeader + 144;
constexpr size_t kSections = kHeader + 152;
constexpr size_t kSectionBytes = 40;  // kind, name[16], (4), offset, size
constexpr uint32_t kMostSections = 0x10000;
constexpr uint32_t kIpLayout = 8;
constexpr uint32_t kAiePartition = 32;

constexpr size_t kIpBytes = 80;  // type, properties, base address, name[64]
constexpr uint32_t kPsKernel = 7;
constexpr uint32_t kDpu = 1;

constexpr size_t kOpsPerCycle = 8;
constexpr size_t kColumnWidth = 32;
constexpr size_t kPdis = 120;
constexpr size_t kPdiBytes = 96;  // uuid[16], image, groups
constexpr size_t kPdiImage = 16;
constexpr size_t kPdiGroups = 24;
constexpr size_t kGroupBytes = 96;  // name, type, (3), pdi id, kernel ids
constexpr size_t kGroupType = 4;
constexpr size_t kGroupKernels = 16;
constexpr uint8_t kPrimary = 1;

// A part of the file that knows its name for messages.
class Part {
 public:
  Part(std::string_view file, std::string what, Bytes bytes)
      : file_(file), what_(std::move(what)), bytes_(bytes) {}

  template <typename T>
  T Get(size_t offset) const {
    T value{};
    const Bytes at = Slice(offset, sizeof value);
    std::memcpy(&value, at.data(), sizeof value);
    return value;
  }
  Bytes Slice(uint64_t offset, uint64_t bytes) const {
    if (bytes > bytes_.size() || offset > bytes_.size() - bytes)
      Fail(ErrorCode::kBadInput, "{}: {} ends after {} bytes, want {} at {}",
           file_, what_, bytes_.size(), bytes, offset);
    return bytes_.subspan(offset, bytes);
  }
  size_t size() const { return bytes_.size(); }
  Bytes bytes() const { return bytes_; }
  std::string_view file() const { return file_; }

 private:
  std::string_view file_;
  std::string what_;
  Bytes bytes_;
};

Part Section(const Part& file, uint32_t kind, const char* what) {
  const auto count = file.Get<uint32_t>(kSectionCount);
  if (count > kMostSections)
    Fail(ErrorCode::kBadInput, "{}: has {} sections, want at most {}",
         file.file(), count, kMostSections);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = kSections + i * kSectionBytes;
    if (file.Get<uint32_t>(at) != kind) continue;
    return {
        file.file(), what,
        file.Slice(file.Get<uint64_t>(at + 24), file.Get<uint64_t>(at + 32))};
  }
  Fail(ErrorCode::kBadInput, "{}: has no {}, want an xclbin for the NPU",
       file.file(), what);
}

std::vector<XclbinKernel> Kernels(const Part& layout) {
  std::vector<XclbinKernel> kernels;
  const auto count = layout.Get<uint32_t>(0);
  // The array begins at the alignment of its 64-bit member.
  for (uint64_t i = 0; i < count; ++i) {
    const Part ip(layout.file(), "a kernel",
                  layout.Slice(8 + i * kIpBytes, kIpBytes));
    const auto bits = ip.Get<uint32_t>(4);
    if (ip.Get<uint32_t>(0) != kPsKernel || (bits & 3) != kDpu) continue;
    const Bytes name = ip.Slice(16, 64);
    const auto end = std::find(name.begin(), name.end(), std::byte{0});
    XclbinKernel kernel;
    std::transform(name.begin(), end, std::back_inserter(kernel.name),
                   [](std::byte b) {
                     // It stands in messages of one line.
                     const char c = static_cast<char>(b);
                     return c > ' ' && c < 0x7F ? c : '?';
                   });
    kernel.function = static_cast<uint8_t>(bits >> 4 & 3);
    kernel.id = bits >> 16 & 0xFFF;
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

// What a (count, offset) pair at `at` of `holder` names: that many elements of
// the section.
Part ArrayOf(const Part& section, const Part& holder, size_t at, size_t element,
             const char* what) {
  return {section.file(), what,
          section.Slice(holder.Get<uint32_t>(at + 4),
                        uint64_t{holder.Get<uint32_t>(at)} * element)};
}

Part Element(const Part& array, size_t index, size_t bytes, const char* what) {
  return {array.file(), what, array.Slice(index * bytes, bytes)};
}

// Is `kernel` in one of the primary groups of this PDI?
bool Serves(const Part& partition, const Part& pdi, uint32_t kernel) {
  const Part groups =
      ArrayOf(partition, pdi, kPdiGroups, kGroupBytes, "the groups of a PDI");
  for (size_t g = 0; g < groups.size() / kGroupBytes; ++g) {
    const Part group = Element(groups, g, kGroupBytes, "a group");
    if (group.Get<uint8_t>(kGroupType) != kPrimary) continue;
    const Part ids = ArrayOf(partition, group, kGroupKernels, sizeof(uint64_t),
                             "a group's kernels");
    for (size_t i = 0; i < ids.size(); i += sizeof(uint64_t))
      if (ids.Get<uint64_t>(i) == kernel) return true;
  }
  return false;
}

}  // namespace

NpuProgram ReadXclbin(std::span<const std::byte> bytes, std::string_view name,
                      std::string_view prefix) {
  const Part file(name, "the file", bytes);
  if (bytes.size() < 8 || std::memcmp(bytes.data(), "xclbin2", 8) != 0)
    Fail(ErrorCode::kBadInput, "{}: is no xclbin: does not begin with xclbin2",
         name);
  NpuProgram program;
  const auto kernels =
      Kernels(Section(file, kIpLayout, "the list of kernels (IP_LAYOUT)"));
  const auto wanted = std::find_if(
      kernels.begin(), kernels.end(),
      [&](const XclbinKernel& k) { return k.name.starts_with(prefix); });
  if (wanted == kernels.end()) {
    std::string there;
    for (const XclbinKernel& k : kernels) there += " " + k.name.substr(0, 64);
    Fail(ErrorCode::kBadInput, "{}: has no kernel {}*, only:{}", name, prefix,
         there.empty() ? " none" : there);
  }
  program.kernel = *wanted;
  const Part partition =
      Section(file, kAiePartition, "the partition (AIE_PARTITION)");
  program.ops_per_cycle = partition.Get<uint32_t>(kOpsPerCycle);
  program.columns = partition.Get<uint16_t>(kColumnWidth);
  if (program.columns < 1)
    Fail(ErrorCode::kBadInput, "{}: takes {} columns, want 1 or more", name,
         program.columns);
  const Part pdis =
      ArrayOf(partition, partition, kPdis, kPdiBytes, "the list of PDIs");
  for (size_t i = 0; i < pdis.size() / kPdiBytes; ++i) {
    const Part pdi = Element(pdis, i, kPdiBytes, "a PDI");
    if (!Serves(partition, pdi, wanted->id)) continue;
    const std::span<const std::byte> image =
        ArrayOf(partition, pdi, kPdiImage, 1, "a PDI's image").bytes();
    if (image.empty()) break;
    program.pdi.assign(image.begin(), image.end());
    return program;
  }
  Fail(ErrorCode::kBadInput, "{}: no PDI serves the kernel {}", name,
       wanted->name);
}

}  // namespace sotto::npu
