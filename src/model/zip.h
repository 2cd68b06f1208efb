// SPDX-License-Identifier: MIT
// The directory of a ZIP file and where its stored entries lie, so that they
// can be used without a copy. minizip does the reading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "tensor/buffer.h"

namespace sotto {

struct ZipEntry {
  uint64_t offset = 0;  // of the entry's data in the file
  uint64_t stored = 0;  // bytes there
  uint64_t size = 0;    // bytes once inflated; equals `stored` if not deflated
  bool deflated = false;
};
using ZipDirectory = std::map<std::string, ZipEntry, std::less<>>;

// Throws kBadInput where the file is no ZIP or an entry does not lie inside
// its `file_bytes`; kUnsupported for encryption and methods but deflate.
ZipDirectory ReadZipDirectory(const std::filesystem::path& path,
                              uint64_t file_bytes);

// A deflated entry's content. Throws kBadInput where it does not inflate to
// what the directory says, or says more than 64 times what is stored.
Buffer InflateZipEntry(const std::filesystem::path& path,
                       const std::string& name, const ZipEntry& entry);

}  // namespace sotto
