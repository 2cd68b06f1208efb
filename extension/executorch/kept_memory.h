// SPDX-License-Identifier: MIT
// Memory of which a caller said that it outlives the programs that read it;
// only such memory may a result be made to point at. A tensor does not tell
// whether it is a mutable buffer or a temporary whose place the planner gives
// to the next value, so without that word every result is copied.
#pragma once

#include <cstddef>

namespace sotto::pte {

// Thread-safe. False where the range is empty or there is no place for more.
bool KeepMemory(const void* begin, size_t bytes);
void ForgetMemory();
// Whether all bytes lie in one kept range.
bool IsKept(const void* begin, size_t bytes);

}  // namespace sotto::pte
