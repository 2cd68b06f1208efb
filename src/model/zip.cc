// SPDX-License-Identifier: MIT
#include "model/zip.h"

#include <unzip.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "model/bytes.h"
#include "model/checkpoint.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxEntries = 1 << 16;
// Weights hardly compress at all; a pickle of names does so 20-fold.
constexpr uint64_t kMaxRatio = 64;

struct Closer {
  void operator()(void* zip) const { unzClose(zip); }
};
using Zip = std::unique_ptr<void, Closer>;

Zip Open(const fs::path& path) {
  Zip zip(unzOpen64(path.c_str()));
  if (zip == nullptr)
    Fail(ErrorCode::kBadInput,
         "{}: no ZIP directory, the file is damaged or truncated",
         ShortName(path));
  return zip;
}

ZipEntry ReadEntry(void* zip, const unz_file_info64& info, uint64_t file_bytes,
                   const std::string& where) {
  if ((info.flag & 1u) != 0)
    Fail(ErrorCode::kUnsupported, "{}: encrypted", where);
  if (info.compression_method != 0 && info.compression_method != Z_DEFLATED)
    Fail(ErrorCode::kUnsupported,
         "{}: compression method {}, want stored or deflated", where,
         info.compression_method);
  ZipEntry entry{0, info.compressed_size, info.uncompressed_size,
                 info.compression_method == Z_DEFLATED};
  int method = 0, level = 0;
  if (unzOpenCurrentFile2(zip, &method, &level, /*raw=*/1) != UNZ_OK)
    Fail(ErrorCode::kBadInput, "{}: its header is damaged", where);
  entry.offset = unzGetCurrentFileZStreamPos64(zip);
  unzCloseCurrentFile(zip);
  if (entry.offset > file_bytes || entry.stored > file_bytes - entry.offset ||
      (!entry.deflated && entry.size != entry.stored))
    Fail(ErrorCode::kBadInput,
         "{}: {} bytes at offset {} of a file of {} bytes", where, entry.stored,
         entry.offset, file_bytes);
  return entry;
}

}  // namespace

ZipDirectory ReadZipDirectory(const fs::path& path, uint64_t file_bytes) {
  const std::string file = ShortName(path);
  const Zip zip = Open(path);
  ZipDirectory directory;
  for (int next = unzGoToFirstFile(zip.get()); next != UNZ_END_OF_LIST_OF_FILE;
       next = unzGoToNextFile(zip.get())) {
    unz_file_info64 info{};
    std::array<char, 512> name{};
    if (next != UNZ_OK ||
        unzGetCurrentFileInfo64(zip.get(), &info, name.data(), name.size() - 1,
                                nullptr, 0, nullptr, 0) != UNZ_OK)
      Fail(ErrorCode::kBadInput, "{}: its ZIP directory is damaged", file);
    const std::string text = name.data();
    const std::string where = file + ": entry " + Legible(text);
    directory.insert_or_assign(text,
                               ReadEntry(zip.get(), info, file_bytes, where));
    if (directory.size() > kMaxEntries)
      Fail(ErrorCode::kBadInput, "{}: more than {} entries", file, kMaxEntries);
  }
  return directory;
}

Buffer InflateZipEntry(const fs::path& path, const std::string& name,
                       const ZipEntry& entry) {
  const std::string where = ShortName(path) + ": entry " + Legible(name);
  if (entry.size / kMaxRatio > entry.stored)
    Fail(ErrorCode::kBadInput,
         "{}: {} bytes that inflate to {}, want at most "
         "{} times",
         where, entry.stored, entry.size, kMaxRatio);
  const Zip zip = Open(path);
  if (unzLocateFile(zip.get(), name.c_str(), /*case sensitive=*/1) != UNZ_OK ||
      unzOpenCurrentFile(zip.get()) != UNZ_OK)
    Fail(ErrorCode::kBadInput, "{}: cannot be opened", where);
  Buffer out(entry.size);
  uint64_t done = 0;
  while (done < entry.size) {
    const auto want =
        static_cast<unsigned>(std::min<uint64_t>(entry.size - done, 1u << 30));
    const int got = unzReadCurrentFile(zip.get(), out.data() + done, want);
    if (got <= 0)
      Fail(ErrorCode::kBadInput, "{}: inflates to {} bytes or fails, want {}",
           where, done, entry.size);
    done += static_cast<uint64_t>(got);
  }
  if (unzCloseCurrentFile(zip.get()) != UNZ_OK)
    Fail(ErrorCode::kBadInput, "{}: checksum differs", where);
  return out;
}

}  // namespace sotto
