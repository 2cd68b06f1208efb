// SPDX-License-Identifier: MIT
// A folder written as one: every file goes to a temporary neighbour first,
// and Commit puts all in place. Without Commit nothing is left behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sotto {

// One file being written from front to back. Throws kBadInput with the cause
// (a full disk, say). Closed by Close or, unwritten errors ignored, at the
// end.
class OutFile {
 public:
  explicit OutFile(const std::filesystem::path& path);
  OutFile(const OutFile&) = delete;
  OutFile& operator=(const OutFile&) = delete;
  ~OutFile();

  void Write(const void* data, size_t bytes);
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  template <typename T>
  void Number(T value) {
    Write(&value, sizeof(value));
  }
  // Zeros up to a multiple of `alignment`.
  void PadTo(uint64_t alignment);
  uint64_t offset() const { return offset_; }
  // What is buffered goes out and to the disk.
  void Close();

 private:
  void Flush();

  std::filesystem::path path_;
  std::vector<std::byte> buffer_;
  uint64_t offset_ = 0;
  int fd_ = -1;
};

class OutFolder {
 public:
  // Makes the folder where it is missing (its parent must be there). Throws
  // kBadInput.
  explicit OutFolder(const std::filesystem::path& folder);
  OutFolder(const OutFolder&) = delete;
  OutFolder& operator=(const OutFolder&) = delete;
  ~OutFolder();

  const std::filesystem::path& path() const { return folder_; }
  // The temporary path to write; Commit renames it to `name`.
  std::filesystem::path Add(const std::string& name);
  void AddText(const std::string& name, std::string_view text);
  bool Has(const std::string& name) const;
  void Commit();

 private:
  struct Pending {
    std::filesystem::path part;
    std::string name;
  };
  std::filesystem::path folder_;
  bool made_ = false;
  std::vector<Pending> pending_;
};

}  // namespace sotto
