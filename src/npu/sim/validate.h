// SPDX-License-Identifier: MIT
// The simulator against published measurements: one row each, predicted and
// published side by side, errors included. Nothing was fitted to these rows
// but those marked as the source of a parameter.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "npu/sim/parameters.h"

namespace sotto::npu {

struct ValidationRow {
  // Rows of one group have one gate (aie2.md's section 5.3).
  enum class Group : uint8_t {
    kKernel,    // 15 %
    kTransfer,  // 5 %
    kGemm,      // 10 %, 16 cores
    kOpenGemm,  // likewise, Peano instead of Chess
    kDispatch,  // 25 %
    kCompat,    // published kernels of this chip's first Whisper attempt: 25 %
    kEncoder,   // 30 %
  };
  Group group = Group::kKernel;
  std::string what;
  std::string unit;
  double published = 0;             // the median where there are several
  std::optional<double> predicted;  // absent: missing, `note` says why
  std::string source;
  std::string note;
  // A parameter of the model comes from this row or its neighbours, so it
  // proves nothing.
  bool training = false;

  double Error() const { return *predicted / published - 1; }
};
double GateOf(ValidationRow::Group group);
std::string_view Name(ValidationRow::Group group);

// Runs everything; some seconds. `arrays` false: without the GEMMs on the whole
// array.
std::vector<ValidationRow> Validate(const SimParameters& parameters = {},
                                    bool arrays = true);

// Markdown: the table, then which gates hold. Every predicted figure is
// modelled.
std::string ValidationTable(std::span<const ValidationRow> rows);

}  // namespace sotto::npu
