// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <cmath>

#include "npu/sim/validate.h"

namespace sotto::npu {

using Group = ValidationRow::Group;

double GateOf(Group group) {
  switch (group) {
    case Group::kKernel:
      return 0.15;
    case Group::kTransfer:
      return 0.05;
    case Group::kGemm:
    case Group::kOpenGemm:
      return 0.10;
    case Group::kDispatch:
    case Group::kCompat:
      return 0.25;
    case Group::kEncoder:
      return 0.30;
  }
  return 0;
}

std::string_view Name(Group group) {
  switch (group) {
    case Group::kKernel:
      return "kernels";
    case Group::kTransfer:
      return "transfers";
    case Group::kGemm:
      return "GEMM on the array";
    case Group::kOpenGemm:
      return "GEMM on the array, open compiler";
    case Group::kDispatch:
      return "dispatch";
    case Group::kCompat:
      return "published scalar kernels, whole call";
    case Group::kEncoder:
      return "published Whisper encoder";
  }
  return "";
}

std::string ValidationTable(std::span<const ValidationRow> rows) {
  std::string text =
      "| What | Published | Predicted (modelled) | Error | Source | Note |\n"
      "| --- | --- | --- | --- | --- | --- |\n";
  const auto figure = [](double x) {
    return x >= 1000  ? fmt::format("{:.0f}", x)
           : x >= 100 ? fmt::format("{:.1f}", x)
                      : fmt::format("{:.3g}", x);
  };
  std::string gates;
  for (int g = 0; g <= static_cast<int>(Group::kEncoder); ++g) {
    const auto group = static_cast<Group>(g);
    int within = 0;
    int counted = 0;
    int missing = 0;
    for (const ValidationRow& row : rows) {
      if (row.group != group) continue;
      std::string error = "-";
      if (row.predicted) {
        error = fmt::format("{:+.1f} %", 100 * row.Error());
      } else {
        ++missing;
      }
      if (row.predicted && !row.training) {
        ++counted;
        if (std::abs(row.Error()) <= GateOf(group)) ++within;
      }
      std::string note = row.note;
      if (row.training) note += note.empty() ? "training" : "; training";
      text += fmt::format("| {} | {} {} | {} | {} | {} | {} |\n", row.what,
                          figure(row.published), row.unit,
                          row.predicted ? figure(*row.predicted) : "missing",
                          error, row.source, note);
    }
    if (counted + missing == 0) continue;
    gates +=
        fmt::format("| {} | {:.0f} % | {} of {} | {} | {} |\n", Name(group),
                    100 * GateOf(group), within, counted, missing,
                    counted == 0        ? "nothing to judge"
                    : within == counted ? "holds"
                                        : "does not hold");
  }
  return text +
         "\n| Gate | Limit | Within | Missing | Verdict |\n"
         "| --- | --- | --- | --- | --- |\n" +
         gates;
}

}  // namespace sotto::npu
