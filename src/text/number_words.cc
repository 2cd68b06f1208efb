// SPDX-License-Identifier: MIT
#include "text/number_words.h"

#include <iterator>
#include <unordered_map>
#include <utility>

namespace sotto {
namespace {

using Kind = NumberWordKind;
using Lexicon = std::unordered_map<std::string, NumberWord>;

constexpr const char* kOnes[] = {"one",       "two",      "three",   "four",
                                 "five",      "six",      "seven",   "eight",
                                 "nine",      "ten",      "eleven",  "twelve",
                                 "thirteen",  "fourteen", "fifteen", "sixteen",
                                 "seventeen", "eighteen", "nineteen"};
constexpr const char* kTens[] = {"twenty", "thirty",  "forty",  "fifty",
                                 "sixty",  "seventy", "eighty", "ninety"};
constexpr std::pair<const char*, int> kMultipliers[] = {
    {"hundred", 2},      {"thousand", 3},    {"million", 6},
    {"billion", 9},      {"trillion", 12},   {"quadrillion", 15},
    {"quintillion", 18}, {"sextillion", 21}, {"septillion", 24},
    {"octillion", 27},   {"nonillion", 30},  {"decillion", 33}};

void AddOnes(Lexicon& words) {
  for (int value = 1; value <= 19; ++value) {
    const std::string name = kOnes[value - 1];
    words[name] = {Kind::kOnes, value};
    words[value == 6 ? "sixes" : name + "s"] = {Kind::kOnesSuffixed, value,
                                                "s"};
    // note: whisper's rule makes "nineth"; "ninth" is left as it is.
    if (value > 3 && value != 5 && value != 12)
      words[name + (name.back() == 't' ? "h" : "th")] = {Kind::kOnesSuffixed,
                                                         value, "th"};
  }
  words["zeroth"] = {Kind::kOnesSuffixed, 0, "th"};
  words["first"] = {Kind::kOnesSuffixed, 1, "st"};
  words["second"] = {Kind::kOnesSuffixed, 2, "nd"};
  words["third"] = {Kind::kOnesSuffixed, 3, "rd"};
  words["fifth"] = {Kind::kOnesSuffixed, 5, "th"};
  words["twelfth"] = {Kind::kOnesSuffixed, 12, "th"};
}

Lexicon MakeLexicon() {
  Lexicon words;
  for (const char* zero : {"o", "oh", "zero"}) words[zero] = {Kind::kZero, 0};
  AddOnes(words);
  for (int i = 0; i < static_cast<int>(std::size(kTens)); ++i) {
    const int value = 20 + 10 * i;
    const std::string name = kTens[i];
    const std::string stem = name.substr(0, name.size() - 1);
    words[name] = {Kind::kTens, value};
    words[stem + "ies"] = {Kind::kTensSuffixed, value, "s"};
    words[stem + "ieth"] = {Kind::kTensSuffixed, value, "th"};
  }
  for (const auto& [name, zeros] : kMultipliers) {
    const std::string text = name;
    words[text] = {Kind::kMultiplier, zeros};
    words[text + "s"] = {Kind::kMultiplierSuffixed, zeros, "s"};
    words[text + "th"] = {Kind::kMultiplierSuffixed, zeros, "th"};
  }
  for (const char* minus : {"minus", "negative"})
    words[minus] = {Kind::kSign, 0, "-"};
  for (const char* plus : {"plus", "positive"})
    words[plus] = {Kind::kSign, 0, "+"};
  for (const auto& [name, sign] :
       {std::pair("pound", "£"), std::pair("euro", "€"),
        std::pair("dollar", "$"), std::pair("cent", "¢")}) {
    words[name] = {Kind::kCurrency, 0, sign};
    words[std::string(name) + "s"] = {Kind::kCurrency, 0, sign};
  }
  for (const char* percent : {"per", "percent"})
    words[percent] = {Kind::kPercent, 0, "%"};
  for (const char* special : {"and", "double", "triple", "point"})
    words[special] = {Kind::kSpecial};
  return words;
}

}  // namespace

const NumberWord& FindNumberWord(std::string_view word) {
  static const Lexicon words = MakeLexicon();
  static const NumberWord other;
  const auto found = words.find(std::string(word));
  return found == words.end() ? other : found->second;
}

}  // namespace sotto
