// SPDX-License-Identifier: MIT
// A small machine that reads words and holds the number said so far. Numbers
// are decimal strings: "decillion" alone has 34 digits.
#include "text/english_numbers.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "text/number_words.h"
#include "text/python_regex.h"
#include "text/regex.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace sotto {
namespace {

using Kind = NumberWordKind;

bool IsDecimal(Kind kind) {
  return kind == Kind::kOnes || kind == Kind::kTens || kind == Kind::kZero;
}

// "12" or "12.5", digits of any script.
bool IsArabic(std::string_view word) {
  bool point = false, digit = false, valid = true;
  for (size_t pos = 0; pos < word.size();) {
    const char32_t c = NextCodePoint(word, pos, valid);
    if (c == '.' && !point && digit) {
      point = true;
      digit = false;
    } else if (DigitValue(c) >= 0) {
      digit = true;
    } else {
      return false;
    }
  }
  return digit;
}

std::string StripZeros(std::string digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  return digits.empty() ? "0" : digits;
}

std::string Add(const std::string& a, const std::string& b) {
  std::string sum;
  int carry = 0;
  for (size_t i = 0; i < std::max(a.size(), b.size()) || carry > 0; ++i) {
    if (i < a.size()) carry += a[a.size() - 1 - i] - '0';
    if (i < b.size()) carry += b[b.size() - 1 - i] - '0';
    sum.push_back(static_cast<char>('0' + carry % 10));
    carry /= 10;
  }
  std::reverse(sum.begin(), sum.end());
  return StripZeros(sum);
}

std::string TimesPowerOfTen(const std::string& digits, int zeros) {
  return StripZeros(digits + std::string(static_cast<size_t>(zeros), '0'));
}

// text * 10^zeros as an integer; nothing where `text` is no number or the
// product has a fraction.
std::optional<std::string> Scaled(std::string_view text, int zeros) {
  std::string whole, fraction;
  bool point = false, valid = true;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, pos, valid);
    const int digit = DigitValue(c);
    if (c == '.' && !point)
      point = true;
    else if (digit >= 0)
      (point ? fraction : whole).push_back(static_cast<char>('0' + digit));
    else
      return std::nullopt;
  }
  if (whole.empty() && fraction.empty()) return std::nullopt;
  while (fraction.ends_with('0')) fraction.pop_back();
  const auto places = static_cast<size_t>(zeros);
  if (fraction.size() > places) return std::nullopt;
  fraction.resize(places, '0');
  return StripZeros(whole + fraction);
}

// The number said so far. A written one ("10" of "one oh") only grows by
// digits at its end; a counted one adds up.
struct Number {
  std::string digits;
  bool written = false;
};

class Machine {
 public:
  std::string Run(const std::vector<std::string_view>& words) {
    for (size_t i = 0; i < words.size(); ++i) {
      if (std::exchange(skip_, false)) continue;
      previous_ = i > 0 ? FindNumberWord(words[i - 1]).kind : Kind::kOther;
      current_ = words[i];
      next_ = i + 1 < words.size() ? words[i + 1] : std::string_view();
      Step();
    }
    Flush();
    return std::move(out_);
  }

 private:
  void Emit(std::string_view text) {
    if (!out_.empty()) out_ += ' ';
    out_ += prefix_;
    out_ += text;
    prefix_.clear();
    number_.reset();
  }
  void Flush() {
    if (number_) Emit(std::string(number_->digits));
  }
  void EmitWord() {
    Flush();
    Emit(current_);
  }
  void Write(std::string digits) { number_ = {std::move(digits), true}; }
  void Count(std::string digits) { number_ = {std::move(digits), false}; }
  // What is there to write digits behind: a counted zero does not show.
  std::string Head() const {
    if (!number_ || (!number_->written && number_->digits == "0")) return "";
    return number_->digits;
  }
  bool NextIsArabic() const { return !next_.empty() && IsArabic(next_); }
  Kind NextKind() const { return FindNumberWord(next_).kind; }

  void Step() {
    if (TakeArabic()) return;
    const NumberWord& entry = FindNumberWord(current_);
    switch (entry.kind) {
      case Kind::kOther:
        return EmitWord();
      case Kind::kZero:
        return Write(Head() + "0");
      case Kind::kOnes:
        return TakeOnes(entry.value);
      case Kind::kOnesSuffixed:
        TakeOnes(entry.value);
        return EmitSuffixed(entry.suffix);
      case Kind::kTens:
        return TakeTens(entry.value);
      case Kind::kTensSuffixed:
        TakeTens(entry.value);
        return EmitSuffixed(entry.suffix);
      case Kind::kMultiplier:
        return TakeMultiplier(entry.value);
      case Kind::kMultiplierSuffixed:
        return TakeMultiplierSuffixed(entry);
      case Kind::kSign:
        Flush();
        if (NextKind() == Kind::kOther && !NextIsArabic()) return EmitWord();
        prefix_ = entry.suffix;
        return;
      case Kind::kCurrency:
        if (!number_) return EmitWord();
        prefix_ = entry.suffix;
        return Flush();
      case Kind::kPercent:
        return TakePercent();
      case Kind::kSpecial:
        return TakeSpecial();
    }
  }

  void EmitSuffixed(const std::string& suffix) {
    Emit(number_->digits + suffix);
  }

  // Digits in the text, perhaps with a sign before them.
  bool TakeArabic() {
    size_t sign = 0;
    for (const char* prefix : {"-", "+", "£", "€", "$", "¢"})
      if (current_.starts_with(prefix)) sign = std::string_view(prefix).size();
    const std::string_view plain = current_.substr(sign);
    if (!IsArabic(plain)) return false;
    if (number_ && number_->written && number_->digits.ends_with('.')) {
      number_->digits += current_;
      return true;
    }
    Flush();
    if (sign > 0) prefix_ = std::string(current_.substr(0, sign));
    if (auto integer = Scaled(plain, 0))
      Count(*std::move(integer));
    else
      Write(std::string(plain));
    return true;
  }

  void TakeOnes(int ones) {
    const std::string text = std::to_string(ones);
    if (!number_) return Count(text);
    std::string& digits = number_->digits;
    if (number_->written || previous_ == Kind::kOnes) {
      // "twenty five" after digits: the five takes the place of the zero.
      if (previous_ == Kind::kTens && ones < 10) digits.pop_back();
      return Write(digits + text);
    }
    const char* room = ones < 10 ? "0" : "00";
    if (digits.ends_with(room) || digits == "0")
      Count(Add(digits, text));
    else
      Write(digits + text);
  }

  void TakeTens(int tens) {
    const std::string text = std::to_string(tens);
    if (!number_) return Count(text);
    const std::string& digits = number_->digits;
    if (!number_->written && (digits.ends_with("00") || digits == "0"))
      Count(Add(digits, text));
    else
      Write(digits + text);
  }

  // "two thousand three hundred": only the last three digits are multiplied.
  std::string Multiplied(int zeros) const {
    const std::string& digits = number_->digits;
    const size_t tail = std::min<size_t>(3, digits.size());
    const std::string residual = digits.substr(digits.size() - tail);
    return Add(digits.substr(0, digits.size() - tail) + std::string(tail, '0'),
               TimesPowerOfTen(residual, zeros));
  }

  void TakeMultiplier(int zeros) {
    const std::string multiplier = TimesPowerOfTen("1", zeros);
    if (!number_) return Count(multiplier);
    if (!number_->written) return Count(Multiplied(zeros));
    if (auto product = Scaled(number_->digits, zeros))
      return Count(*std::move(product));
    Flush();
    Count(multiplier);
  }

  void TakeMultiplierSuffixed(const NumberWord& entry) {
    const std::string multiplier = TimesPowerOfTen("1", entry.value);
    if (!number_) return Emit(multiplier + entry.suffix);
    if (!number_->written) return Emit(Multiplied(entry.value) + entry.suffix);
    if (const auto product = Scaled(number_->digits, entry.value))
      return Emit(*product + entry.suffix);
    Flush();
    Emit(multiplier + entry.suffix);
  }

  void TakePercent() {
    if (!number_) return EmitWord();
    if (current_ == "percent") return Emit(number_->digits + "%");
    if (next_ != "cent") return EmitWord();
    Emit(number_->digits + "%");
    skip_ = true;
  }

  void TakeSpecial() {
    const Kind next = NextKind();
    if (next == Kind::kOther && !NextIsArabic()) return EmitWord();
    if (current_ == "and") {
      // Within a number ("hundred and one") it is not said.
      if (previous_ != Kind::kMultiplier) EmitWord();
    } else if (current_ == "point") {
      if (IsDecimal(next) || NextIsArabic()) Write(Head() + ".");
    } else if (next == Kind::kOnes || next == Kind::kZero) {
      const std::string digit = std::to_string(FindNumberWord(next_).value);
      std::string text = Head() + digit + digit;
      if (current_ == "triple") text += digit;
      Write(std::move(text));
      skip_ = true;
    } else {
      EmitWord();
    }
  }

  std::string out_;
  bool skip_ = false;  // the next word was used already
  std::string prefix_;
  std::optional<Number> number_;
  Kind previous_ = Kind::kOther;
  std::string_view current_;
  std::string_view next_;
};

// "<number> and a half" is said as "<number> point five".
std::string Halves(std::string_view text) {
  static const Regex half(SOTTO_PY_BOUNDARY "and[" SOTTO_PY_SPACE
                                            "]+a[" SOTTO_PY_SPACE
                                            "]+half" SOTTO_PY_BOUNDARY);
  std::string out;
  const auto append = [&out](std::string_view part) {
    if (!out.empty()) out += ' ';
    out += part;
  };
  const char* rest = text.data();
  half.ForEach(text, [&](const RegexGroups& groups) {
    const std::string_view segment(
        rest, static_cast<size_t>(groups[0].data() - rest));
    rest = groups[0].data() + groups[0].size();
    const auto words = SplitAtSpace(segment);
    if (words.empty()) return;
    const Kind last = FindNumberWord(words.back()).kind;
    append(segment);
    append(IsDecimal(last) || last == Kind::kMultiplier ? "point five"
                                                        : "and a half");
  });
  const std::string_view tail =
      text.substr(text.empty() ? 0 : static_cast<size_t>(rest - text.data()));
  if (!StripSpace(tail).empty()) append(tail);
  return out;
}

std::string Prepare(std::string_view text) {
  static const Regex letter_digit("([a-z])([0-9])");
  static const Regex digit_letter("([0-9])([a-z])");
  static const Regex suffix("([0-9])[" SOTTO_PY_SPACE
                            "]+(st|nd|rd|th|s)" SOTTO_PY_BOUNDARY);
  const auto apart = [](const RegexGroups& groups) {
    return std::string(groups[1]) + " " + std::string(groups[2]);
  };
  std::string s = letter_digit.Replace(Halves(text), apart);
  s = digit_letter.Replace(s, apart);
  return suffix.Replace(s, [](const RegexGroups& groups) {
    return std::string(groups[1]) + std::string(groups[2]);
  });
}

std::string TwoDigits(std::string_view digits) {
  return digits.size() == 1 ? "0" + std::string(digits) : std::string(digits);
}

// "$2 and ¢7" is "$2.07", "$0.07" is "¢7"; and "1" is "one" to the reader.
std::string Finish(std::string_view text) {
  static const Regex dollars_cents(
      R"(([€£$])([0-9]+) (?:and )?¢([0-9]{1,2}))" SOTTO_PY_BOUNDARY);
  static const Regex cents(R"([€£$]0[^\n]([0-9]{1,2}))" SOTTO_PY_BOUNDARY);
  static const Regex one(SOTTO_PY_BOUNDARY "1(s?)" SOTTO_PY_BOUNDARY);
  std::string s = dollars_cents.Replace(text, [](const RegexGroups& groups) {
    return std::string(groups[1]) + std::string(groups[2]) + "." +
           TwoDigits(groups[3]);
  });
  s = cents.Replace(s, [](const RegexGroups& groups) {
    return "¢" + StripZeros(std::string(groups[1]));
  });
  return one.Replace(s, [](const RegexGroups& groups) {
    return "one" + std::string(groups[1]);
  });
}

}  // namespace

std::string NumbersAsDigits(std::string_view text) {
  const std::string prepared = Prepare(text);
  return Finish(Machine().Run(SplitAtSpace(prepared)));
}

}  // namespace sotto
