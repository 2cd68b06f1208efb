// SPDX-License-Identifier: MIT
// The parts of `sotto npu` that are more than a call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "npu/sim/array.h"

namespace sotto::cli {

struct CalibrateRequest {
  std::string model;
  std::vector<std::string> files;
  std::string out;  // empty: beside the weights
  int windows = 40;
};
// Runs speech through the f32 encoder and writes what int8 needs to know.
int Calibrate(const CalibrateRequest& request);

struct SimulateRequest {
  std::string name;
  npu::SimOptions options;
  uint64_t seed = 42;
  std::string svg;
};
// Runs a design on random data twice and prints the second run; throws where
// the two differ.
void SimulateDesign(const SimulateRequest& request);

}  // namespace sotto::cli
