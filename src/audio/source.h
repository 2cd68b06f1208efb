// SPDX-License-Identifier: MIT
// The bytes of an audio file or of standard input, as libav reads them. Every
// byte that libav sees comes through here: it is never given a name to open.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audio/av.h"
#include "audio/spool.h"

namespace sotto::av {

// One reader, one thread. Must stay where it is while io() is in use.
class Source {
 public:
  // `path` "-" is standard input. Pipes and devices are read as they come.
  // Throws kNotFound, or kBadInput for a folder or an empty file.
  explicit Source(const std::filesystem::path& path);
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source();

  // For messages: the path, or "stdin".
  const std::string& name() const { return name_; }
  AVIOContext* io() { return io_.get(); }
  // The first bytes, at most 4 KiB.
  std::span<const std::byte> head() const { return head_; }
  // The size of a file; for a pipe how much has come so far.
  uint64_t bytes_seen() const;
  // The last bytes (of a pipe: that have come so far), at least 64 KiB where
  // there are as many.
  std::vector<std::byte> Tail() const;

  // mp4 and its kin may end with the index that decoding needs first. Where
  // this is a pipe and the head shows such a file, everything is brought into
  // a temporary file (at most `limit` bytes), and reading starts over.
  void SpoolIfIndexMayComeLast(uint64_t limit);

 private:
  static int OnRead(void* self, uint8_t* out, int size);
  static int64_t OnSeek(void* self, int64_t offset, int whence);
  void OpenIo(bool seekable);
  // Bytes at position_; 0 at the end, -1 and errno on failure.
  int64_t ReadHere(std::span<std::byte> out);
  void ReadHead();
  void KeepTail(std::span<const std::byte> bytes);

  std::string name_;
  int fd_ = -1;
  bool owns_fd_ = false;
  int64_t size_ = -1;            // of a regular file; -1 for a pipe
  int64_t start_ = 0;            // where standard input stood when we got it
  int64_t position_ = 0;         // in bytes from the start
  std::vector<std::byte> head_;  // of a pipe: read before libav asked for it
  std::vector<std::byte> tail_;  // of a pipe: the last bytes given out
  std::optional<SpoolFile> spool_;
  Owner<AVIOContext> io_;
};

}  // namespace sotto::av
