// SPDX-License-Identifier: MIT
// The words of spoken English numbers and what each does to a number.
#pragma once

#include <string>
#include <string_view>

namespace sotto {

enum class NumberWordKind {
  kOther,
  kZero,          // o, oh, zero
  kOnes,          // one to nineteen
  kOnesSuffixed,  // sixes, third
  kTens,          // twenty to ninety
  kTensSuffixed,  // twenties, twentieth
  kMultiplier,    // hundred, thousand ...
  kMultiplierSuffixed,
  kSign,      // minus, plus: before a number
  kCurrency,  // dollars: after a number, written before it
  kPercent,   // per (cent), percent
  kSpecial,   // and, double, triple, point
};

struct NumberWord {
  NumberWordKind kind = NumberWordKind::kOther;
  int value = 0;            // the number; of a multiplier, its zeros
  std::string suffix = "";  // or the sign of kSign and kCurrency
};

// The word's row; kOther for a word of none. Any thread.
const NumberWord& FindNumberWord(std::string_view word);

}  // namespace sotto
