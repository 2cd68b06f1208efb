// SPDX-License-Identifier: MIT
// Which format is this? Told by content, never by the name's ending.
#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

#include "base/error.h"
#include "model/bytes.h"
#include "model/checkpoint.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

using Reader = Checkpoint (*)(const fs::path&);

// A file format and how its first bytes tell it. In a folder the first row
// with a file wins.
struct FormatRow {
  bool (*matches)(std::span<const std::byte> bytes);
  Reader read;
};

bool StartsWith(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() &&
         std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

bool IsZip(std::span<const std::byte> bytes) {
  return StartsWith(bytes, std::string_view("PK\3\4", 4));
}
bool IsGgml(std::span<const std::byte> bytes) {
  return StartsWith(bytes, "lmgg");  // 0x67676d6c, little-endian
}
bool IsGguf(std::span<const std::byte> bytes) {
  return StartsWith(bytes, "GGUF");
}
// u32 version, then a counted, closed "WhisperSpec".
bool IsCt2(std::span<const std::byte> bytes) {
  constexpr std::string_view kSpec("\x0c\0WhisperSpec", 14);
  return bytes.size() > 18 && StartsWith(bytes.subspan(4), kSpec);
}
// u64 length of a JSON object that follows at once.
bool IsSafetensors(std::span<const std::byte> bytes) {
  if (bytes.size() < 10 || bytes[8] != std::byte{'{'}) return false;
  uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof(length));
  return length <= bytes.size() - 8;
}

constexpr FormatRow kFormats[] = {
    {IsCt2, ReadCt2},
    {IsZip, ReadOpenAi},
    {IsGgml, ReadGgml},
    {IsGguf, ReadGguf},
    {IsSafetensors, ReadSafetensorsFile},
};

const FormatRow* FormatOf(std::span<const std::byte> bytes) {
  for (const FormatRow& row : kFormats)
    if (row.matches(bytes)) return &row;
  return nullptr;
}

[[noreturn]] void FailUnknown(const fs::path& path,
                              std::span<const std::byte> bytes) {
  if (StartsWith(bytes, "version https://git-lfs"))
    Fail(ErrorCode::kBadInput,
         "{}: a git-lfs pointer, not the model itself: run git lfs pull",
         path.string());
  const std::string_view kind = bytes.empty() ? "empty" : "no known model";
  Fail(ErrorCode::kBadInput,
       "{}: {}, want safetensors, OpenAI .pt, CTranslate2 model.bin, ggml or "
       "GGUF",
       path.string(), kind);
}

// A neighbour that cannot be read is none of our business, unless there is no
// model beside it: *why, if it is empty, is set then.
const FormatRow* FormatOfFile(const fs::path& file, std::string* why) {
  try {
    return FormatOf(MappedFile(file).bytes());
  } catch (const Error& error) {
    if (why->empty()) *why = error.what();
    return nullptr;
  }
}

Checkpoint ReadFolder(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / "model.safetensors.index.json", error) ||
      fs::exists(folder / "model.safetensors", error))
    return ReadHfFolder(folder);
  std::vector<fs::path> files;
  const fs::directory_iterator entries(folder, error);
  if (error)
    Fail(ErrorCode::kBadInput, "{}: cannot open: {}", folder.string(),
         error.message());
  for (const auto& entry : entries) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  const FormatRow* best = nullptr;
  fs::path chosen;
  std::string why;
  for (const fs::path& file : files) {
    const FormatRow* row = FormatOfFile(file, &why);
    if (row == nullptr || (best != nullptr && row >= best)) continue;
    best = row;
    chosen = file;
  }
  if (best == nullptr)
    Fail(ErrorCode::kNotFound,
         "{}: no model in this folder, want model.safetensors, model.bin, a "
         ".pt, ggml or GGUF file{}{}",
         folder.string(), why.empty() ? "" : "; ", why);
  return best->read(chosen);
}

Checkpoint ReadAny(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    Fail(ErrorCode::kNotFound, "{}: no such file or folder", path.string());
  if (fs::is_directory(status)) return ReadFolder(path);
  if (path.filename() == "model.safetensors.index.json")
    return ReadHfFolder(FolderOf(path));
  const MappedFile mapped(path);
  const FormatRow* row = FormatOf(mapped.bytes());
  if (row == nullptr) FailUnknown(path, mapped.bytes());
  return row->read(path);
}

}  // namespace

std::shared_ptr<const WeightStore> WeightStore::Load(const fs::path& path,
                                                     bool encoder_only) {
  try {
    return WeightStoreBuilder::Build(ReadAny(path), path, encoder_only);
  } catch (const fs::filesystem_error& error) {
    Fail(ErrorCode::kBadInput, "{}: {}", path.string(), error.code().message());
  } catch (const std::bad_alloc&) {
    Fail(ErrorCode::kOutOfMemory, "{}: out of memory while loading",
         path.string());
  }
}

}  // namespace sotto
