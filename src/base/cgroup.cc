// SPDX-License-Identifier: MIT
#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "base/kernel_file.h"

namespace sotto {
namespace {

// CPUs of "quota period" in microseconds; 0 for "max", -1 or nonsense.
double Ratio(const std::string& text) {
  std::istringstream in(text);
  double quota = 0, period = 0;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) return 0;
  return quota / period;
}

double GroupCores(const std::filesystem::path& folder) {
  const double v2 = Ratio(FirstLine(folder / "cpu.max"));
  if (v2 > 0) return v2;
  return Ratio(FirstLine(folder / "cpu.cfs_quota_us") + " " +
               FirstLine(folder / "cpu.cfs_period_us"));
}

// The tightest limit of `group` and the groups above it, below `mount`.
double TightestCores(const std::filesystem::path& mount,
                     std::filesystem::path group) {
  double least = 0;
  for (;;) {
    const double cores = GroupCores(mount / group.relative_path());
    if (cores > 0) least = least == 0 ? cores : std::min(least, cores);
    if (group.relative_path().empty()) return least;
    group = group.parent_path();
  }
}

bool NamesCpu(const std::string& controllers) {
  std::istringstream in(controllers);
  for (std::string one; std::getline(in, one, ',');)
    if (one == "cpu") return true;
  return false;
}

}  // namespace

int CgroupCores(const std::filesystem::path& mount,
                const std::filesystem::path& self) {
  // note: in a container the group's own path may not be visible; its limits
  // then stand at the mount's root, which every walk ends with.
  double least = TightestCores(mount, "/");
  std::ifstream file(self);
  for (std::string line; std::getline(file, line);) {  // "4:cpu,cpuacct:/a/b"
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && !NamesCpu(controllers)) continue;
    const double cores = TightestCores(
        controllers.empty() ? mount : mount / "cpu", line.substr(second + 1));
    if (cores > 0) least = least == 0 ? cores : std::min(least, cores);
  }
  return least == 0 ? 0 : std::max(1, static_cast<int>(least + 0.5));
}

}  // namespace sotto
