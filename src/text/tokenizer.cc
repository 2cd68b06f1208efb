// SPDX-License-Identifier: MIT
#include "text/tokenizer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "text/languages.h"
#include "text/utf8.h"

namespace sotto {

Tokenizer::Tokenizer(Vocabulary vocabulary, int n_vocab)
    : vocabulary_(std::move(vocabulary)),
      n_vocab_(n_vocab),
      special_(FindSpecialTokens(vocabulary_, n_vocab)),
      bpe_(vocabulary_, special_.eot) {
  for (const auto& [code, id] : special_.languages) {
    language_codes_.push_back(code);
    language_tokens_.push_back(id);
  }
}

int Tokenizer::LanguageToken(std::string_view code_or_name) const {
  const std::string_view wanted = ParseLanguage(code_or_name);
  for (const auto& [code, id] : special_.languages)
    if (code == wanted) return id;
  Fail(ErrorCode::kUnsupported, "this model has no token for the language {}",
       wanted);
}

std::string_view Tokenizer::LanguageOfToken(int token) const {
  for (const auto& [code, id] : special_.languages)
    if (id == token) return code;
  return {};
}

std::vector<int> Tokenizer::SotSequence(std::string_view language,
                                        Task task) const {
  std::vector<int> sequence = {sot()};
  if (!is_multilingual()) return sequence;
  if (!language.empty()) sequence.push_back(LanguageToken(language));
  sequence.push_back(task == Task::kTranslate ? translate() : transcribe());
  return sequence;
}

std::string_view Tokenizer::Bytes(int token) const {
  return token < eot() ? vocabulary_.Bytes(token) : std::string_view();
}

std::string Tokenizer::Decode(std::span<const int> tokens) const {
  std::string bytes;
  for (const int token : tokens) bytes += Bytes(token);
  return ReplaceInvalidUtf8(bytes);
}

void Tokenizer::AppendWithSpecials(std::string& out, int token) const {
  if (IsTimestamp(token)) {
    const int hundredths = (token - timestamp_begin()) * 2;
    out += fmt::format("<|{}.{:02}|>", hundredths / 100, hundredths % 100);
    return;
  }
  if (token < eot()) {
    out += Bytes(token);
    return;
  }
  // The file's own spelling first: it may write <|nocaptions|>.
  if (const std::string_view own = vocabulary_.Bytes(token); !own.empty()) {
    out += own;
    return;
  }
  if (const auto code = LanguageOfToken(token); !code.empty())
    out += fmt::format("<|{}|>", code);
  else
    out += SpecialTokenName(special_, token);
}

std::string Tokenizer::DecodeWithTimestamps(std::span<const int> tokens) const {
  std::string bytes;
  for (const int token : tokens) AppendWithSpecials(bytes, token);
  return ReplaceInvalidUtf8(bytes);
}

std::vector<int> Tokenizer::NonSpeechTokens() const {
  // openai/whisper, tokenizer.py, non_speech_tokens: signs of annotation that
  // are one token, with or without a space before them ...
  static constexpr const char* kSigns[] = {
      "\"",  "#",  "(",   ")",  "*",  "+",  "/",   ":",  ";",  "<",
      "=",   ">",  "@",   "[",  "\\", "]",  "^",   "_",  "`",  "{",
      "|",   "}",  "~",   "「", "」", "『", "』",  "<<", ">>", "<<<",
      ">>>", "--", "---", "-(", "-[", "('", "(\"", "((", "))", "(((",
      ")))", "[[", "]]",  "{{", "}}", "♪♪", "♪♪♪"};
  // ... and musical signs, of which the first token is taken: they share it
  // with nothing that is spoken.
  static constexpr const char* kMusic[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};
  // Hyphen and apostrophe may stand in a word, not before one.
  std::set<int> found = {Encode(" -").front(), Encode(" '").front()};
  const auto add = [&](const std::string& text, bool always) {
    const std::vector<int> ids = Encode(text);
    if (ids.size() == 1 || always) found.insert(ids.front());
  };
  for (const char* sign : kSigns)
    for (const char* space : {"", " "}) add(std::string(space) + sign, false);
  for (const char* sign : kMusic)
    for (const char* space : {"", " "}) add(std::string(space) + sign, true);
  return {found.begin(), found.end()};
}

std::vector<int> Tokenizer::SuppressedTokens() const {
  std::vector<int> tokens = NonSpeechTokens();
  for (const int id :
       {transcribe(), translate(), sot(), sot_prev(), sot_lm(), no_speech()})
    tokens.push_back(id);
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

}  // namespace sotto
