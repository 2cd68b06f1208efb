// SPDX-License-Identifier: MIT
// Pictures of a run: who worked when, and the array with its routes.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "npu/array_config.h"
#include "npu/sim/trace.h"

namespace sotto::npu {

struct TimelineOptions {
  int64_t from = 0;  // cycles
  int64_t to = 0;    // 0: the last
  int width = 1200;  // pixels
};
// A row for each core and each channel that did something, time to the right:
// kernels, transfers, waits. Of those shorter than a pixel the picture tells
// how much of each pixel they fill, by how dense its colour is.
std::string TimelineSvg(std::span<const TraceSpan> trace,
                        const TimelineOptions& options = {});

// Tiles of the array with what is configured on them, streams between them, and
// with a report how busy each core was.
std::string ArrayMapSvg(const ArrayConfig& config,
                        const SimReport* report = nullptr);

}  // namespace sotto::npu
