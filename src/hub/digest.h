// SPDX-License-Identifier: MIT
// Checksums of files, by OpenSSL.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace sotto {

// What a file's bytes must hash to. A large file of the hub has a SHA-256, a
// small one the id of its git blob (SHA-1 over "blob SIZE\0" and the bytes).
struct Digest {
  enum class Kind { kNone, kSha256, kGitBlob };
  Kind kind = Kind::kNone;
  std::string hex;  // lower case; 64 or 40 digits
  bool operator==(const Digest&) const = default;
};

// "sha256 1a5a..." for messages.
std::string DigestText(const Digest& digest);

// Reads the file once. Throws kNotFound, kBadInput naming the file.
Digest DigestOfFile(const std::filesystem::path& path, Digest::Kind kind);

// `count` lower- or upper-case hexadecimal digits and nothing else.
bool IsHex(std::string_view text, size_t count);

}  // namespace sotto
