// SPDX-License-Identifier: MIT
// The runner's command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/options.h"

namespace sotto {

struct RunnerFlags {
  std::string model;
  std::string processor;  // looked for, not used
  std::string tokenizer;
  std::vector<std::string> audio;
  std::vector<std::string> ops;
  int threads = -1;  // -1: the performance cores
  bool stats = false;
  bool list_methods = false;
  bool verbose = false;
  Options decode;  // language, task, temperature, sample_len
};

// Nothing where the program is done already (--help, --version): `text` is
// what to print. Throws kBadInput for what cannot be: an unknown flag, a
// missing one, a value out of range.
std::optional<RunnerFlags> ParseFlags(int argc, const char* const* argv,
                                      std::string* text);

}  // namespace sotto
