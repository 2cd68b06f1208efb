// SPDX-License-Identifier: MIT
// Times as the writers and the terminal show them.
#pragma once

#include <cstdint>
#include <string>

#include "text/transcript.h"

namespace sotto {

// Rounded to the nearest millisecond, halves to even as Python rounds. Times
// before zero (there are none in a sound file) count as zero.
int64_t Milliseconds(double seconds);

// "01:02.345", with hours "00:01:02.345" where they are wanted or not zero.
std::string FormatTimestamp(double seconds, bool always_hours = false,
                            char decimal_marker = '.');

// The line OpenAI's program prints for a segment, without a line end:
// "[00:00.000 --> 00:11.000]  And so" (the text brings its own space).
std::string SegmentLine(const Segment& segment);

}  // namespace sotto
