// SPDX-License-Identifier: MIT
// Files: mapped for reading, written whole and atomically.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace sotto {

// A file mapped read-only. Movable; the mapping ends with the object.
// Const after construction, so any thread may read it.
class MappedFile {
 public:
  MappedFile() = default;
  // Throws kNotFound where the file is missing, kBadInput where it is no
  // regular file. An empty file maps to an empty span.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  size_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  // Gives the whole pages inside [offset, offset + bytes) back to the system;
  // reading them again brings them from the file. Any thread.
  void Release(size_t offset, size_t bytes) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole file as text. Throws kNotFound or kBadInput (over `limit` bytes).
std::string ReadFile(const std::filesystem::path& path,
                     size_t limit = size_t{1} << 30);

// Writes to a temporary neighbour, syncs and renames, so that a reader sees
// the old file or the new one, never a part. Throws kBadInput with the cause.
void WriteFileAtomic(const std::filesystem::path& path, std::string_view text);

// The first of these paths, relative to the running program's folder, that
// exists; empty where none does.
std::filesystem::path FindBesideProgram(
    std::initializer_list<std::string_view> places);

// $HOME, or the password file's entry, or "/".
std::filesystem::path HomeDirectory();

}  // namespace sotto
