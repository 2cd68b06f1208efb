// SPDX-License-Identifier: MIT
// What the runner tells besides text: the list of methods and the statistics.
#pragma once

#include <string>
#include <vector>

#include "phase_clock.h"
#include "pte_model.h"
#include "pte_program.h"

namespace sotto {

// A line for each method, then one for each constant:
//   encoder(input_features f32[1,80,3000]) -> f32[1,1500,384]  XnnpackBackend
//   get_sot_id = 50257
std::string MethodList(const PteProgram& program);

struct RunFacts {
  std::string model;
  int threads = 0;
  double audio_s = 0;
  int files = 0;
  std::vector<std::string> operators;  // libraries loaded
};

// One line of JSON. Times in ms; "cross_kv_ms" is what the steps at position 0
// took beyond the median of the others, or null where that is no more than
// the steps' own spread.
std::string StatsJson(const RunFacts& facts, const PhaseClock& clock,
                      const PteModel& model);

// The most memory this process has held at once; 0 where the system does not
// say.
int64_t PeakRssBytes();

}  // namespace sotto
