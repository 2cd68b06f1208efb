// SPDX-License-Identifier: MIT
// A temporary file without a name: gone when closed, whatever ends the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sotto {

// Lies in $TMPDIR, /var/tmp or /tmp, the first that works (/tmp is often
// memory, so it comes last). One thread at a time; Read is const and may be
// called from any thread while nobody appends.
class SpoolFile {
 public:
  // Throws kUnsupported where no directory takes a file.
  SpoolFile();
  SpoolFile(SpoolFile&& other) noexcept;
  SpoolFile& operator=(SpoolFile&& other) noexcept;
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  ~SpoolFile();

  // Throws kUnsupported with the cause ("No space left on device").
  void Append(std::span<const std::byte> bytes);
  // Reads up to out.size() bytes at `offset`; returns how many (0 at the end).
  size_t Read(uint64_t offset, std::span<std::byte> out) const;
  uint64_t size() const { return size_; }

 private:
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace sotto
