// SPDX-License-Identifier: MIT
// The rows of the NPU's acceptance list, K1 to N12. A test shows a row where
// its name begins with the row's id, K6K7ColumnsAndHeads.. both; what it
// measured it says with ReportRow. tools/npu_acceptance.py makes
// docs/npu-acceptance.md of names, results and figures.
#pragma once

#include <iostream>
#include <string_view>

namespace sotto {

// How a figure came to be: on this machine, by the timing model, by arithmetic.
enum class RowTag { kMeasured, kModelled, kProjected };

// `met` false: the row asks for more than `figure`, and the page says so.
inline void ReportRow(std::string_view id, std::string_view figure, RowTag tag,
                      bool met = true) {
  constexpr std::string_view kTags[] = {"measured", "modelled", "projected"};
  std::cout << "row " << id << ": " << figure << " ("
            << kTags[static_cast<int>(tag)] << (met ? ")\n" : "), missed\n")
            << std::flush;
}

}  // namespace sotto
