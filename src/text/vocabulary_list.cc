// SPDX-License-Identifier: MIT
// Vocabularies without merges: tiktoken rank files and plain lists.
#include <array>
#include <charconv>
#include <string>

#include "base/error.h"
#include "text/vocabulary.h"

namespace sotto {
namespace {

// Value of a base64 digit, -1 for any other character.
int Base64Value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// Decodes `text` into `out`; false where it is no base64. As Python's
// b64decode, a lone "=" is empty: multilingual.tiktoken ends so.
bool DecodeBase64(std::string_view text, std::string& out) {
  out.clear();
  while (text.ends_with('=')) text.remove_suffix(1);
  unsigned bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = Base64Value(c);
    if (value < 0) return false;
    bits = bits << 6 | static_cast<unsigned>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<char>(bits >> held & 0xFF));
  }
  return held != 6;  // one digit alone holds no byte
}

bool HasAllBytes(const Vocabulary& vocabulary) {
  std::array<bool, 256> seen{};
  int count = 0;
  for (int id = 0; id < vocabulary.size(); ++id) {
    const std::string_view bytes = vocabulary.Bytes(id);
    if (bytes.size() != 1) continue;
    bool& mark = seen[static_cast<unsigned char>(bytes[0])];
    count += mark ? 0 : 1;
    mark = true;
  }
  return count == 256;
}

Vocabulary ListAs(std::span<const std::string> tokens,
                  const std::string& origin, bool in_alphabet) {
  Vocabulary vocabulary(origin);
  size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  vocabulary.Reserve(tokens.size(), bytes);
  std::string scratch;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<int64_t>(i);
    if (LooksSpecial(tokens[i]))
      vocabulary.AddSpecial(id, tokens[i]);
    else
      vocabulary.Add(id, in_alphabet ? BytesOfAlphabet(tokens[i], scratch)
                                     : std::string_view(tokens[i]));
  }
  return vocabulary;
}

}  // namespace

Vocabulary ParseTiktoken(std::string_view text, const std::string& origin) {
  Vocabulary vocabulary(origin);
  vocabulary.Reserve(52000, text.size());
  std::string bytes;
  size_t number = 0;
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = std::min(text.find('\n', pos), text.size());
    std::string_view line = text.substr(pos, end - pos);
    pos = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    int rank = -1;
    const char* last = line.data() + line.size();
    if (space == std::string_view::npos ||
        !DecodeBase64(line.substr(0, space), bytes) ||
        std::from_chars(line.data() + space + 1, last, rank).ptr != last)
      Fail(ErrorCode::kBadInput, "{}:{}: want 'base64 rank'", origin, number);
    vocabulary.Add(rank, bytes);
  }
  return vocabulary;
}

Vocabulary FromTokenList(std::span<const std::string> tokens,
                         const std::string& origin) {
  // Raw bytes hold each byte as a token; so does the alphabet once decoded.
  Vocabulary raw = ListAs(tokens, origin, false);
  if (HasAllBytes(raw)) return raw;
  Vocabulary decoded = ListAs(tokens, origin, true);
  return HasAllBytes(decoded) ? std::move(decoded) : std::move(raw);
}

}  // namespace sotto
