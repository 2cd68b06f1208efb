// SPDX-License-Identifier: MIT
#include "engine/version.h"

#include <fmt/format.h>

#include "base/cpu.h"

namespace sotto {

const char* Version() { return SOTTO_VERSION; }

std::string VersionLine() {
  return fmt::format("sotto {} ({}; {} cores of {})", Version(),
                     HostFeatures().ToString(), UsableCores(), CpuName());
}

}  // namespace sotto
