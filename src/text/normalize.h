// SPDX-License-Identifier: MIT
// Whisper's text normalisers, for counting word errors fairly ("Robust Speech
// Recognition via Large-Scale Weak Supervision", appendix C). Nothing that
// transcribes uses them. The results equal those of the Python package
// whisper-normalizer 0.1.15.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sotto {

// For English: case, punctuation, fillers, contractions, numbers as digits,
// American spelling. Const after construction; any thread. Bytes that are no
// UTF-8 count as U+FFFD.
class EnglishNormalizer {
 public:
  EnglishNormalizer();
  ~EnglishNormalizer();
  std::string operator()(std::string_view text) const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

struct BasicNormalizerOptions {
  bool remove_diacritics = false;
  bool split_letters = false;  // for languages written without spaces
};

// For any language: case, brackets and punctuation.
std::string NormalizeBasic(std::string_view text,
                           const BasicNormalizerOptions& options = {});

}  // namespace sotto
