// SPDX-License-Identifier: MIT
// ByteReader: a bounded cursor over little-endian bytes that nobody vouches
// for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace sotto {

// Every model format here is little-endian, and so are both machines that
// Sotto runs on (x86-64, ARM64).
static_assert(std::endian::native == std::endian::little);

// Borrows the bytes. Each take throws kBadInput naming the file, the offset
// and what was wanted, and never reads past the end.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  size_t offset() const { return offset_; }
  size_t left() const { return bytes_.size() - offset_; }
  const std::string& file() const { return file_; }

  std::span<const std::byte> Take(uint64_t count, std::string_view what) {
    if (count > left())
      Fail(ErrorCode::kBadInput,
           "{}: truncated at byte {}: {} wants {} bytes, {} are left", file_,
           offset_, what, count, left());
    const auto part = bytes_.subspan(offset_, static_cast<size_t>(count));
    offset_ += part.size();
    return part;
  }
  std::string_view Text(uint64_t count, std::string_view what) {
    const auto part = Take(count, what);
    if (part.empty()) return {};
    return {static_cast<const char*>(static_cast<const void*>(part.data())),
            part.size()};
  }
  template <typename T>
  T Number(std::string_view what) {
    T value;
    std::memcpy(&value, Take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  uint8_t U8(std::string_view what) { return Number<uint8_t>(what); }
  uint16_t U16(std::string_view what) { return Number<uint16_t>(what); }
  uint32_t U32(std::string_view what) { return Number<uint32_t>(what); }
  int32_t I32(std::string_view what) { return Number<int32_t>(what); }
  uint64_t U64(std::string_view what) { return Number<uint64_t>(what); }

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
  size_t offset_ = 0;
};

// Text from a file as an error message may show it: printable, at most 80
// characters.
inline std::string Legible(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80))
    out += c >= 0x20 && c < 0x7f ? c : '?';
  if (text.size() > 80) out += "...";
  return out;
}

}  // namespace sotto
