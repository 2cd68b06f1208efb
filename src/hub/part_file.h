// SPDX-License-Identifier: MIT
// A file on its way: TARGET.part and the entity tag it belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "hub/digest.h"

namespace sotto {

// Owns the descriptor of TARGET.part. All failures are Error(kBadInput) with
// path and cause, so that a full disk is told as one. One thread.
class PartFile {
 public:
  // Opens what an earlier run left, or an empty file; makes the folder.
  explicit PartFile(const std::filesystem::path& target);
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile();

  uint64_t size() const { return size_; }
  // The strong entity tag that came with these bytes; may be empty.
  const std::string& tag() const { return tag_; }
  void SetTag(std::string_view tag);
  void Append(std::span<const std::byte> bytes);
  // Back to no bytes and no tag.
  void Clear();
  // Clear, and nothing stays on disk. The object is of no use afterwards.
  void Remove();
  Digest Sum(Digest::Kind kind) const;
  // Syncs and renames to the target, then forgets the tag.
  void Finish();

 private:
  [[noreturn]] void FailErrno(const char* what) const;

  std::filesystem::path target_;
  std::filesystem::path part_;
  std::filesystem::path tag_path_;
  std::string tag_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Makes a folder and those above it. Throws kBadInput with the cause.
void MakeFolder(const std::filesystem::path& folder);

// Writes the folder's entries to the disk, as a rename needs to last.
void SyncFolder(const std::filesystem::path& folder);

}  // namespace sotto
