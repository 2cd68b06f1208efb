// SPDX-License-Identifier: MIT
#include "text/vocabulary.h"

#include <array>
#include <utility>

#include "base/error.h"

namespace sotto {
namespace {

// The largest character of GPT-2's alphabet is U+0143.
constexpr size_t kAlphabetEnd = 0x144;

// Character to byte, -1 where it is outside the alphabet. Printable bytes of
// Latin-1 stand for themselves; the other 68 follow from U+0100 on.
constexpr std::array<int16_t, kAlphabetEnd> MakeAlphabet() {
  std::array<int16_t, kAlphabetEnd> table{};
  for (int16_t& byte : table) byte = -1;
  size_t next = 0x100;
  for (size_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) ||
                           (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    table[printable ? byte : next++] = static_cast<int16_t>(byte);
  }
  return table;
}

constexpr std::array<int16_t, kAlphabetEnd> kAlphabet = MakeAlphabet();

}  // namespace

uint32_t Vocabulary::Append(std::string_view bytes) {
  // Offsets are 32 bits wide; a source this large is no vocabulary anyway.
  if (arena_.size() + bytes.size() > (size_t{1} << 30))
    Fail(ErrorCode::kBadInput, "{}: over 1 GiB of tokens", origin_);
  const auto offset = static_cast<uint32_t>(arena_.size());
  arena_.append(bytes);
  return offset;
}

void Vocabulary::Add(int64_t id, std::string_view bytes) {
  if (id < 0 || id >= kMaxTokens)
    Fail(ErrorCode::kBadInput, "{}: token id {}, want 0 to {}", origin_, id,
         kMaxTokens - 1);
  const auto index = static_cast<size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  tokens_[index] = {Append(bytes), static_cast<uint32_t>(bytes.size())};
}

void Vocabulary::AddSpecial(int64_t id, std::string_view text) {
  Add(id, text);
  specials_.insert_or_assign(std::string(text), static_cast<int>(id));
}

void Vocabulary::AddMerge(std::string_view left, std::string_view right) {
  if (merges_.size() >= static_cast<size_t>(kMaxTokens))
    Fail(ErrorCode::kBadInput, "{}: over {} merges", origin_, kMaxTokens);
  Merge merge;
  merge.offset = Append(left);
  Append(right);
  merge.left_size = static_cast<uint32_t>(left.size());
  merge.size = static_cast<uint32_t>(left.size() + right.size());
  merges_.push_back(merge);
}

void Vocabulary::Reserve(size_t tokens, size_t bytes) {
  tokens_.reserve(tokens);
  merges_.reserve(tokens);
  arena_.reserve(bytes);
}

std::string_view Vocabulary::Bytes(int id) const {
  if (id < 0 || id >= size()) return {};
  const Slice slice = tokens_[static_cast<size_t>(id)];
  return std::string_view(arena_).substr(slice.offset, slice.size);
}

bool LooksSpecial(std::string_view token) {
  return token.size() > 4 && token.starts_with("<|") && token.ends_with("|>");
}

std::string_view BytesOfAlphabet(std::string_view text, std::string& scratch) {
  scratch.resize(text.size());
  size_t size = 0;
  for (size_t pos = 0; pos < text.size();) {
    // The alphabet ends below U+0800: one byte, or a lead and one more. This
    // runs for every token and merge, so it does not go by NextCodePoint.
    size_t c = static_cast<unsigned char>(text[pos++]);
    if (c >= 0x80) {
      const size_t next =
          pos < text.size() ? static_cast<unsigned char>(text[pos++]) : 0;
      if (c < 0xC2 || c > 0xDF || (next & 0xC0) != 0x80) return text;
      c = (c & 0x1F) << 6 | (next & 0x3F);
    }
    const int byte = c < kAlphabetEnd ? kAlphabet[c] : -1;
    if (byte < 0) return text;
    scratch[size++] = static_cast<char>(byte);
  }
  scratch.resize(size);
  return scratch;
}

}  // namespace sotto
