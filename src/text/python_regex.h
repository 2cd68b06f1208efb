// SPDX-License-Identifier: MIT
// Character classes of Python's re for PCRE2 patterns: they differ from
// PCRE2's own in a few characters and must not change with its version.
#pragma once

// \s, for use within [...].
#define SOTTO_PY_SPACE                                         \
  R"(\t-\r\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a})" \
  R"(\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})"

// \b, \w being letters, numbers and the underscore.
#define SOTTO_PY_BOUNDARY                     \
  R"((?:(?<=[\p{L}\p{N}_])(?![\p{L}\p{N}_]))" \
  R"(|(?<![\p{L}\p{N}_])(?=[\p{L}\p{N}_])))"
