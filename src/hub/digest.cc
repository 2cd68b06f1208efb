// SPDX-License-Identifier: MIT
#include "hub/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "base/file.h"

namespace sotto {
namespace {

// Pages are given back as they are hashed, so that a model of gigabytes does
// not push everything else out of memory.
constexpr size_t kStep = size_t{8} << 20;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

bool IsHex(std::string_view text, size_t count) {
  return text.size() == count &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
                  (c >= 'A' && c <= 'F');
         });
}

std::string DigestText(const Digest& digest) {
  switch (digest.kind) {
    case Digest::Kind::kSha256:
      return "sha256 " + digest.hex;
    case Digest::Kind::kGitBlob:
      return "git blob " + digest.hex;
    case Digest::Kind::kNone:
      break;
  }
  return "no checksum";
}

Digest DigestOfFile(const std::filesystem::path& path, Digest::Kind kind) {
  if (kind == Digest::Kind::kNone) return {};
  const MappedFile file(path);
  const bool git = kind == Digest::Kind::kGitBlob;
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  bool good = context != nullptr &&
              EVP_DigestInit_ex(context.get(), git ? EVP_sha1() : EVP_sha256(),
                                nullptr) == 1;
  if (git) {
    // The terminating zero of the header is part of what git hashes.
    const std::string header = fmt::format("blob {}", file.size());
    good = good && EVP_DigestUpdate(context.get(), header.c_str(),
                                    header.size() + 1) == 1;
  }
  for (size_t at = 0; good && at < file.size(); at += kStep) {
    const size_t count = std::min(kStep, file.size() - at);
    good =
        EVP_DigestUpdate(context.get(), file.bytes().data() + at, count) == 1;
    file.Release(at, count);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned int length = 0;
  good = good && EVP_DigestFinal_ex(context.get(), sum.data(), &length) == 1;
  if (!good)
    Fail(ErrorCode::kInternal, "{}: the checksum cannot be computed",
         path.string());
  Digest digest{kind, ""};
  for (unsigned int i = 0; i < length; ++i)
    digest.hex += fmt::format("{:02x}", sum[i]);
  return digest;
}

}  // namespace sotto
