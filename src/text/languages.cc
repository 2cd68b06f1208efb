// SPDX-License-Identifier: MIT
#include "text/languages.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"

namespace sotto {
namespace {

constexpr Language kLanguages[] = {
    {"en", "english"},     {"zh", "chinese"},    {"de", "german"},
    {"es", "spanish"},     {"ru", "russian"},    {"ko", "korean"},
    {"fr", "french"},      {"ja", "japanese"},   {"pt", "portuguese"},
    {"tr", "turkish"},     {"pl", "polish"},     {"ca", "catalan"},
    {"nl", "dutch"},       {"ar", "arabic"},     {"sv", "swedish"},
    {"it", "italian"},     {"id", "indonesian"}, {"hi", "hindi"},
    {"fi", "finnish"},     {"vi", "vietnamese"}, {"he", "hebrew"},
    {"uk", "ukrainian"},   {"el", "greek"},      {"ms", "malay"},
    {"cs", "czech"},       {"ro", "romanian"},   {"da", "danish"},
    {"hu", "hungarian"},   {"ta", "tamil"},      {"no", "norwegian"},
    {"th", "thai"},        {"ur", "urdu"},       {"hr", "croatian"},
    {"bg", "bulgarian"},   {"lt", "lithuanian"}, {"la", "latin"},
    {"mi", "maori"},       {"ml", "malayalam"},  {"cy", "welsh"},
    {"sk", "slovak"},      {"te", "telugu"},     {"fa", "persian"},
    {"lv", "latvian"},     {"bn", "bengali"},    {"sr", "serbian"},
    {"az", "azerbaijani"}, {"sl", "slovenian"},  {"kn", "kannada"},
    {"et", "estonian"},    {"mk", "macedonian"}, {"br", "breton"},
    {"eu", "basque"},      {"is", "icelandic"},  {"hy", "armenian"},
    {"ne", "nepali"},      {"mn", "mongolian"},  {"bs", "bosnian"},
    {"kk", "kazakh"},      {"sq", "albanian"},   {"sw", "swahili"},
    {"gl", "galician"},    {"mr", "marathi"},    {"pa", "punjabi"},
    {"si", "sinhala"},     {"km", "khmer"},      {"sn", "shona"},
    {"yo", "yoruba"},      {"so", "somali"},     {"af", "afrikaans"},
    {"oc", "occitan"},     {"ka", "georgian"},   {"be", "belarusian"},
    {"tg", "tajik"},       {"sd", "sindhi"},     {"gu", "gujarati"},
    {"am", "amharic"},     {"yi", "yiddish"},    {"lo", "lao"},
    {"uz", "uzbek"},       {"fo", "faroese"},    {"ht", "haitian creole"},
    {"ps", "pashto"},      {"tk", "turkmen"},    {"nn", "nynorsk"},
    {"mt", "maltese"},     {"sa", "sanskrit"},   {"lb", "luxembourgish"},
    {"my", "myanmar"},     {"bo", "tibetan"},    {"tl", "tagalog"},
    {"mg", "malagasy"},    {"as", "assamese"},   {"tt", "tatar"},
    {"haw", "hawaiian"},   {"ln", "lingala"},    {"ha", "hausa"},
    {"ba", "bashkir"},     {"jw", "javanese"},   {"su", "sundanese"},
    {"yue", "cantonese"},
};
static_assert(std::size(kLanguages) == 100);

// Other names for the codes above. The first twelve are OpenAI's; then come
// codes: English-only files write Hebrew as <|iw|>, ISO 639 writes Javanese
// as jv, and transformers takes nb for Norwegian.
constexpr Language kAliases[] = {
    {"my", "burmese"},
    {"ca", "valencian"},
    {"nl", "flemish"},
    {"ht", "haitian"},
    {"lb", "letzeburgesch"},
    {"ps", "pushto"},
    {"pa", "panjabi"},
    {"ro", "moldavian"},
    {"ro", "moldovan"},
    {"si", "sinhalese"},
    {"es", "castilian"},
    {"zh", "mandarin"},
    {"he", "iw"},
    {"jw", "jv"},
    {"no", "nb"},
};

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Levenshtein distance, one row at a time.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t swap = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, swap});
    }
  }
  return row.back();
}

// The name nearest to `wrong`; empty where nothing is near.
std::string_view Nearest(std::string_view wrong) {
  std::string_view best;
  size_t least = std::max<size_t>(1, wrong.size() / 3) + 1;
  const auto consider = [&](std::string_view name) {
    const size_t distance = EditDistance(wrong, name);
    if (distance >= least) return;
    least = distance;
    best = name;
  };
  if (wrong.size() > 40) return best;
  for (const Language& language : kLanguages) consider(language.name);
  for (const Language& alias : kAliases) consider(alias.name);
  return best;
}

}  // namespace

std::span<const Language> Languages() { return kLanguages; }

std::optional<std::string_view> FindLanguage(std::string_view code_or_name) {
  const std::string wanted = Lower(code_or_name);
  for (const Language& language : kLanguages)
    if (wanted == language.code || wanted == language.name)
      return language.code;
  for (const Language& alias : kAliases)
    if (wanted == alias.name) return alias.code;
  return std::nullopt;
}

std::string_view ParseLanguage(std::string_view code_or_name) {
  if (const auto code = FindLanguage(code_or_name)) return *code;
  const std::string_view near = Nearest(Lower(code_or_name));
  if (!near.empty())
    Fail(ErrorCode::kBadInput, "unknown language '{}', did you mean '{}'?",
         code_or_name, near);
  Fail(ErrorCode::kBadInput,
       "unknown language '{}', want a code such as en or a name such as "
       "english",
       code_or_name);
}

std::string_view LanguageName(std::string_view code) {
  for (const Language& language : kLanguages)
    if (code == language.code) return language.name;
  return {};
}

}  // namespace sotto
