// SPDX-License-Identifier: MIT
// The encoder's design on the simulated array, as the real device would run it.
#pragma once

#include <functional>
#include <memory>

#include "npu/encoder/runner.h"
#include "npu/sim/array.h"

namespace sotto::npu {

// Named "npu1 array simulator". A context per shape and precision, its weights
// written once; one submission a window, after which `report` is called. Runs
// throw Error(kDevice) with the fault's line where the array has one, and
// Error(kUnsupported) for a shape that does not fit it.
std::unique_ptr<EncoderRunner> MakeArrayRunner(
    SimOptions options = {}, std::function<void(const SimReport&)> report = {});

// What a window of this shape takes on the array: the design run with kernels
// that cost what they cost and compute nothing. Phases from `first` to `last`
// of the layout. `options`' kernels are ignored.
SimReport TimeEncoder(const EncoderShape& shape, EncoderPrecision precision,
                      SimOptions options = {}, size_t first = 0,
                      size_t last = SIZE_MAX);

// Phase by phase, at several clocks, and what changes with DDR and launch: a
// page of text, every figure modelled.
std::string EncoderTimes(const EncoderShape& shape, EncoderPrecision precision);

}  // namespace sotto::npu
