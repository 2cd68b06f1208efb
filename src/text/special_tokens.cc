// SPDX-License-Identifier: MIT
#include "text/special_tokens.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>

#include "base/error.h"
#include "text/languages.h"

namespace sotto {
namespace {

// Tokens of the layout that are neither text nor languages.
constexpr int kOtherSpecials = 8 + kTimestampTokens;

struct Name {
  std::string_view text;
  int SpecialTokenIds::*id;
};

constexpr Name kNames[] = {
    {"<|endoftext|>", &SpecialTokenIds::eot},
    {"<|startoftranscript|>", &SpecialTokenIds::sot},
    {"<|translate|>", &SpecialTokenIds::translate},
    {"<|transcribe|>", &SpecialTokenIds::transcribe},
    {"<|startoflm|>", &SpecialTokenIds::sot_lm},
    {"<|startofprev|>", &SpecialTokenIds::sot_prev},
    {"<|nospeech|>", &SpecialTokenIds::no_speech},
    {"<|nocaptions|>", &SpecialTokenIds::no_speech},
    {"<|notimestamps|>", &SpecialTokenIds::no_timestamps},
    {"<|0.00|>", &SpecialTokenIds::timestamp_begin},
};

int IdOf(const Vocabulary& vocabulary, std::string_view text) {
  const auto found = vocabulary.specials().find(text);
  return found == vocabulary.specials().end() ? -1 : found->second;
}

// The layout this model follows, if its size fits one.
std::optional<SpecialTokenIds> LayoutOf(const Vocabulary& vocabulary,
                                        int n_vocab) {
  int first = IdOf(vocabulary, "<|endoftext|>");
  if (first < 0) first = IsMultilingual(n_vocab) ? 50257 : 50256;
  const int n_languages = n_vocab - first - kOtherSpecials;
  if (n_languages != 99 && n_languages != 100) return std::nullopt;
  return OpenAiLayout(first, n_languages);
}

std::vector<std::pair<std::string_view, int>> LanguagesIn(
    const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, int>> found;
  for (const auto& [text, id] : vocabulary.specials()) {
    // Only codes: a token such as <|english|> is none of Whisper's.
    const std::string_view inner =
        std::string_view(text).substr(2, text.size() - 4);
    if (inner.size() > 3) continue;
    if (const auto code = FindLanguage(inner)) found.emplace_back(*code, id);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  return found;
}

}  // namespace

SpecialTokenIds OpenAiLayout(int first, int n_languages) {
  SpecialTokenIds ids;
  int next = first;
  ids.eot = next++;
  ids.sot = next++;
  for (const Language& language :
       Languages().first(static_cast<size_t>(n_languages)))
    ids.languages.emplace_back(language.code, next++);
  ids.translate = next++;
  ids.transcribe = next++;
  ids.sot_lm = next++;
  ids.sot_prev = next++;
  ids.no_speech = next++;
  ids.no_timestamps = next++;
  ids.timestamp_begin = next;
  return ids;
}

std::string_view SpecialTokenName(const SpecialTokenIds& ids, int token) {
  for (const Name& name : kNames)
    if (ids.*name.id == token && name.id != &SpecialTokenIds::timestamp_begin)
      return name.text;
  return {};
}

SpecialTokenIds FindSpecialTokens(const Vocabulary& vocabulary, int n_vocab) {
  const std::optional<SpecialTokenIds> layout = LayoutOf(vocabulary, n_vocab);
  SpecialTokenIds ids = layout.value_or(SpecialTokenIds());
  for (const Name& name : kNames)
    if (const int id = IdOf(vocabulary, name.text); id >= 0) ids.*name.id = id;
  // Files of the first releases end with <|notimestamps|> and leave the
  // timestamps to the reader.
  if (ids.no_timestamps >= 0 && IdOf(vocabulary, "<|0.00|>") < 0)
    ids.timestamp_begin = ids.no_timestamps + 1;
  if (auto found = LanguagesIn(vocabulary); !found.empty())
    ids.languages = std::move(found);
  for (const Name& name : kNames) {
    const int id = ids.*name.id;
    if (id < 0)
      Fail(ErrorCode::kBadInput,
           "{}: no token {}, and {} tokens fit no layout of Whisper's (want "
           "51864, 51865 or 51866)",
           vocabulary.origin(), name.text, n_vocab);
    if (id >= n_vocab)
      Fail(ErrorCode::kBadInput, "{}: token {} is {}, want below {}",
           vocabulary.origin(), name.text, id, n_vocab);
  }
  // Ranks of the multilingual vocabulary with an English-only model, say.
  if (IdOf(vocabulary, "<|endoftext|>") < 0 && vocabulary.size() > ids.eot)
    Fail(ErrorCode::kBadInput,
         "{}: {} tokens of text, want {} for a vocabulary of {}",
         vocabulary.origin(), vocabulary.size(), ids.eot, n_vocab);
  return ids;
}

}  // namespace sotto
