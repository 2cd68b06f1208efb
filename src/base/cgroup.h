// SPDX-License-Identifier: MIT
// The CPU quota of the control groups this process runs in.
#pragma once

#include <filesystem>

namespace sotto {

// Whole CPUs that the quota allows, rounded, at least 1; 0 where no group sets
// one. The tightest of this process's group and all above it counts, in
// version 2 (cpu.max) and version 1 (cpu.cfs_quota_us). The arguments are for
// tests. Source: Linux, Documentation/admin-guide/cgroup-v2.rst.
int CgroupCores(const std::filesystem::path& mount = "/sys/fs/cgroup",
                const std::filesystem::path& self = "/proc/self/cgroup");

}  // namespace sotto
