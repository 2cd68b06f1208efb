// SPDX-License-Identifier: MIT
// A buffer that a program writes without declaring it is a constant for the
// exporter: it lies in the file, which is mapped read-only, and writing to it
// would end the process.
#pragma once

namespace sotto::pte {

// Whether a byte can be written there. True where the system does not say. The
// byte keeps its value; nobody else may be writing it.
bool IsWritable(void* byte);

}  // namespace sotto::pte
