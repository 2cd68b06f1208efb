// SPDX-License-Identifier: MIT
#pragma once

namespace sotto {

// What the model writes: the language spoken, or English.
enum class Task { kTranscribe, kTranslate };

}  // namespace sotto
