// SPDX-License-Identifier: MIT
#include "apps/cli/args.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "engine/options.h"

namespace sotto::cli {
namespace {

// Names that users of other tools bring with them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7>
    kAliases = {{{"--prompt", "--initial-prompt"},
                 {"--log-prob-threshold", "--logprob-threshold"},
                 {"--model-dir", "--model"},
                 {"--lang", "--language"},
                 {"--help-all", "--help"},
                 {"--no-timestamps", "--without-timestamps"},
                 {"--clip-timestamp", "--clip-timestamps"}}};

// What they know by other names, and what Sotto calls it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16>
    kForeign = {{{"-m", "--model"},
                 {"-l", "--language"},
                 {"-t", "--threads"},
                 {"-v", "--version"},
                 {"-V", "--version"},
                 {"-nt", "--without-timestamps"},
                 {"-tr", "--task translate"},
                 {"--translate", "--task translate"},
                 {"-otxt", "--output-format txt"},
                 {"-osrt", "--output-format srt"},
                 {"-ovtt", "--output-format vtt"},
                 {"-oj", "--output-format json"},
                 {"--output-txt", "--output-format txt"},
                 {"--output-srt", "--output-format srt"},
                 {"--output-vtt", "--output-format vtt"},
                 {"--output-json", "--output-format json"}}};

// What an unknown option may have been meant to be; empty: no idea.
std::string MeantOption(std::string_view name,
                        std::span<const std::string> known) {
  for (const auto& [foreign, option] : kForeign)
    if (name == foreign) return std::string(option);
  if (!name.starts_with("--")) return "";  // letters are all alike
  return Closest(name,
                 std::vector<std::string_view>(known.begin(), known.end()));
}

bool IsBooleanWord(std::string_view word) {
  constexpr std::array<std::string_view, 8> kWords = {
      "True", "False", "true", "false", "1", "0", "yes", "no"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// True where the option cannot matter: word times switched off, no beam.
bool IsNeutral(std::string_view value) {
  return value == "False" || value == "false" || value == "None";
}

}  // namespace

std::vector<std::string> NormaliseArgs(
    std::span<const std::string> args,
    std::span<const std::string_view> booleans) {
  std::vector<std::string> out;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") {
      out.insert(out.end(), args.begin() + static_cast<ptrdiff_t>(i),
                 args.end());
      break;
    }
    if (!arg.starts_with("--")) {
      out.push_back(arg);
      continue;
    }
    const size_t equals = arg.find('=');
    std::string name = arg.substr(0, equals);
    std::replace(name.begin(), name.end(), '_', '-');
    for (const auto& [alias, real] : kAliases)
      if (name == alias) name = real;
    const bool has_value = equals != std::string::npos;
    const bool value_follows =
        i + 1 < args.size() && !args[i + 1].starts_with("--");
    const std::string_view later = LaterOption(name.substr(2));
    if (!later.empty()) {
      const std::string value = has_value       ? arg.substr(equals + 1)
                                : value_follows ? args[i + 1]
                                                : "";
      if (!IsNeutral(value)) Fail(ErrorCode::kBadInput, "{}: {}", name, later);
      if (!has_value) ++i;
      continue;
    }
    const bool boolean = std::find(booleans.begin(), booleans.end(),
                                   name.substr(2)) != booleans.end();
    if (has_value && equals + 1 == arg.size()) {
      out.push_back(name);  // CLI11 would take the next word for the value
      out.emplace_back();
    } else if (has_value) {
      out.push_back(name + arg.substr(equals));
    } else if (boolean) {
      const bool said = value_follows && IsBooleanWord(args[i + 1]);
      out.push_back(name + "=" + (said ? args[++i] : "True"));
    } else if (value_follows && args[i + 1].size() > 1 &&
               args[i + 1][0] == '-' &&
               (std::isdigit(static_cast<unsigned char>(args[i + 1][1])) != 0 ||
                args[i + 1][1] == '.')) {
      out.push_back(name + "=" + args[++i]);  // a negative number, no option
    } else {
      out.push_back(name);
    }
  }
  return out;
}

std::string UnknownOption(std::span<const std::string> args,
                          std::span<const std::string> known) {
  for (const std::string& arg : args) {
    if (arg == "--") break;
    if (arg.size() < 2 || arg[0] != '-') continue;
    const std::string name = arg.substr(0, arg.find('='));
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    // A negative number is a value.
    if (name.find_first_not_of("-.0123456789") == std::string::npos) continue;
    const std::string closest = MeantOption(name, known);
    return "unknown option " + name +
           (closest.empty() ? "" : ", did you mean " + closest + "?");
  }
  return "";
}

}  // namespace sotto::cli
