// SPDX-License-Identifier: MIT
#include "text/normalize.h"

#include <simdjson.h>

#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/english_numbers.h"
#include "text/python_regex.h"
#include "text/regex.h"
#include "text/shipped.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace sotto {
namespace {

// A spoken short form and what it stands for. Where `anywhere` is not set the
// form must begin a word; it must end one in any case.
struct ShortForm {
  const char* form;
  const char* meaning;
  bool anywhere = false;
};

// In this order: later rules see what earlier ones wrote.
constexpr ShortForm kShortForms[] = {
    {"won't", "will not"},
    {"can't", "can not"},
    {"let's", "let us"},
    {"ain't", "aint"},
    {"y'all", "you all"},
    {"wanna", "want to"},
    {"kinda", "kind of"},
    {"sorta", "sort of"},
    {"dunno", "do not know"},
    {"gotta", "got to"},
    {"gonna", "going to"},
    {"i'ma", "i am going to"},
    {"imma", "i am going to"},
    {"woulda", "would have"},
    {"coulda", "could have"},
    {"shoulda", "should have"},
    {"cause", "because"},
    {"ma'am", "madam"},
    {"mr", "mister "},
    {"mrs", "missus "},
    {"st", "saint "},
    {"dr", "doctor "},
    {"prof", "professor "},
    {"capt", "captain "},
    {"gov", "governor "},
    {"ald", "alderman "},
    {"gen", "general "},
    {"sen", "senator "},
    {"rep", "representative "},
    {"pres", "president "},
    {"rev", "reverend "},
    {"hon", "honorable "},
    {"asst", "assistant "},
    {"assoc", "associate "},
    {"lt", "lieutenant "},
    {"col", "colonel "},
    {"jr", "junior "},
    {"sr", "senior "},
    {"esq", "esquire "},
    {"'d been", " had been", true},
    {"'s been", " has been", true},
    {"'d gone", " had gone", true},
    {"'s gone", " has gone", true},
    {"'d done", " had done", true},
    {"'s got", " has got", true},
    {"n't", " not", true},
    {"'re", " are", true},
    {"'s", " is", true},
    {"'d", " would", true},
    {"'ll", " will", true},
    {"'t", " not", true},
    {"'ve", " have", true},
    {"'m", " am", true},
};

// Letters that do not decompose into a plain one and a mark.
constexpr std::pair<char32_t, const char*> kPlainLetters[] = {
    {U'œ', "oe"}, {U'Œ', "OE"}, {U'ø', "o"},  {U'Ø', "O"},
    {U'æ', "ae"}, {U'Æ', "AE"}, {U'ß', "ss"}, {U'ẞ', "SS"},
    {U'đ', "d"},  {U'Đ', "D"},  {U'ð', "d"},  {U'Ð', "D"},
    {U'þ', "th"}, {U'Þ', "th"}, {U'ł', "l"},  {U'Ł', "L"}};

bool IsWordCharacter(char32_t c) {
  if (c == '_') return true;
  const char kind = Category(c)[0];
  return kind == 'L' || kind == 'N';
}

bool WordCharacterAt(std::string_view text, size_t pos) {
  bool valid = true;
  return pos < text.size() && IsWordCharacter(NextCodePoint(text, pos, valid));
}

bool WordCharacterBefore(std::string_view text, size_t pos) {
  if (pos == 0) return false;
  do --pos;
  while (pos > 0 && (static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80);
  return WordCharacterAt(text, pos);
}

std::string Expand(const std::string& text, const ShortForm& rule) {
  const size_t size = std::strlen(rule.form);
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(rule.form); at != std::string::npos;
       at = text.find(rule.form, at)) {
    const bool whole = !WordCharacterAt(text, at + size) &&
                       (rule.anywhere || !WordCharacterBefore(text, at));
    if (!whole) {
      ++at;
      continue;
    }
    out.append(text, done, at - done);
    out += rule.meaning;
    done = at += size;
  }
  return out.append(text, done);
}

const char* PlainLetter(char32_t c) {
  for (const auto& [letter, plain] : kPlainLetters)
    if (letter == c) return plain;
  return nullptr;
}

// Marks vanish, symbols and punctuation become spaces, but for `keep`.
std::string RemoveSymbolsAndDiacritics(std::string_view text,
                                       std::u32string_view keep) {
  const std::string decomposed = Nfkd(text);
  std::string out;
  bool valid = true;
  for (size_t pos = 0; pos < decomposed.size();) {
    const char32_t c = NextCodePoint(decomposed, pos, valid);
    const std::string_view kind = Category(c);
    if (keep.find(c) != std::u32string_view::npos)
      AppendUtf8(out, c);
    else if (const char* plain = PlainLetter(c))
      out += plain;
    else if (kind == "Mn")
      continue;
    else if (kind[0] == 'M' || kind[0] == 'S' || kind[0] == 'P')
      out += ' ';
    else
      AppendUtf8(out, c);
  }
  return out;
}

// Symbols, punctuation and marks that stand alone become spaces.
std::string RemoveSymbols(std::string_view text) {
  const std::string composed = Nfkc(text);
  std::string out;
  bool valid = true;
  for (size_t pos = 0; pos < composed.size();) {
    const char32_t c = NextCodePoint(composed, pos, valid);
    const char kind = Category(c)[0];
    if (kind == 'M' || kind == 'S' || kind == 'P')
      out += ' ';
    else
      AppendUtf8(out, c);
  }
  return out;
}

// What stands in brackets was not said.
std::string RemoveBrackets(std::string_view text) {
  static const Regex square(R"([<\[][^>\]]*[>\]])");
  static const Regex round(R"(\(([^)]+?)\))");
  return round.Replace(square.Replace(text, ""), "");
}

std::string OneSpace(std::string_view text) {
  static const Regex spaces("[" SOTTO_PY_SPACE "]+");
  return spaces.Replace(text, " ");
}

std::string WithGroups(const RegexGroups& groups, const char* before,
                       const char* after) {
  return before + std::string(groups[1]) + after;
}

}  // namespace

struct EnglishNormalizer::Parts {
  Regex fillers{SOTTO_PY_BOUNDARY "(hmm|mm|mhm|mmm|uh|um)" SOTTO_PY_BOUNDARY};
  Regex space_before_apostrophe{"[" SOTTO_PY_SPACE "]+'"};
  Regex comma_in_number{R"((\p{Nd}),(\p{Nd}))"};
  Regex full_stop{R"(\.([^0-9]|$))"};
  Regex lone_prefix{R"([.$¢€£]([^0-9]))"};
  Regex lone_percent{R"(([^0-9])%)"};
  std::unordered_map<std::string, std::string> american;  // by British

  std::string Spell(std::string_view text) const {
    std::string out;
    for (const std::string_view word : SplitAtSpace(text)) {
      if (!out.empty()) out += ' ';
      const auto found = american.find(std::string(word));
      out += found == american.end() ? word : std::string_view(found->second);
    }
    return out;
  }
};

EnglishNormalizer::EnglishNormalizer() {
  auto parts = std::make_unique<Parts>();
  const simdjson::padded_string text(ShippedFile("normalizer/english.json"));
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document = parser.iterate(text);
  for (auto field : document.get_object()) {
    const std::string_view british = field.unescaped_key();
    const std::string_view american = field.value().get_string();
    parts->american.emplace(british, american);
  }
  parts_ = std::move(parts);
}

EnglishNormalizer::~EnglishNormalizer() = default;

std::string EnglishNormalizer::operator()(std::string_view text) const {
  const Parts& p = *parts_;
  std::string s = RemoveBrackets(LowerCase(ReplaceInvalidUtf8(text)));
  s = p.fillers.Replace(s, "");
  s = p.space_before_apostrophe.Replace(s, "'");
  for (const ShortForm& rule : kShortForms) s = Expand(s, rule);
  s = p.comma_in_number.Replace(s, [](const RegexGroups& groups) {
    return std::string(groups[1]) + std::string(groups[2]);
  });
  s = p.full_stop.Replace(
      s, [](const RegexGroups& groups) { return WithGroups(groups, " ", ""); });
  s = RemoveSymbolsAndDiacritics(s, U".%$¢€£");
  s = p.Spell(NumbersAsDigits(s));
  // Signs of numbers that stand by no number.
  s = p.lone_prefix.Replace(
      s, [](const RegexGroups& groups) { return WithGroups(groups, " ", ""); });
  s = p.lone_percent.Replace(
      s, [](const RegexGroups& groups) { return WithGroups(groups, "", " "); });
  return OneSpace(s);
}

std::string NormalizeBasic(std::string_view text,
                           const BasicNormalizerOptions& options) {
  std::string s = RemoveBrackets(LowerCase(ReplaceInvalidUtf8(text)));
  s = LowerCase(options.remove_diacritics ? RemoveSymbolsAndDiacritics(s, U"")
                                          : RemoveSymbols(s));
  if (options.split_letters) {
    std::string spaced;
    for (const std::string_view letter : SplitGraphemes(s)) {
      if (!spaced.empty()) spaced += ' ';
      spaced += letter;
    }
    s = std::move(spaced);
  }
  return OneSpace(s);
}

}  // namespace sotto
