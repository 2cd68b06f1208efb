// SPDX-License-Identifier: MIT
#include "base/cgroup.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "base/test_folder.h"

namespace sotto {
namespace {

class Cgroup : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    root_.Write(path, text + '\n');
  }
  int Cores() const { return CgroupCores(root_ / "mount", root_ / "self"); }

  const TestFolder root_;
};

TEST_F(Cgroup, NoFilesNoLimit) { EXPECT_EQ(Cores(), 0); }

TEST_F(Cgroup, TheTightestGroupAboveCounts) {
  Write("self", "0::/user/job/step");
  Write("mount/user/job/step/cpu.max", "max 100000");
  EXPECT_EQ(Cores(), 0);
  Write("mount/user/cpu.max", "600000 100000");
  EXPECT_EQ(Cores(), 6);
  Write("mount/user/job/cpu.max", "150000 100000");
  EXPECT_EQ(Cores(), 2);
  Write("mount/user/job/step/cpu.max", "10000 100000");
  EXPECT_EQ(Cores(), 1);
}

TEST_F(Cgroup, AContainerSeesItsLimitAtTheRoot) {
  Write("self", "0::/../outside");
  Write("mount/cpu.max", "300000 100000");
  EXPECT_EQ(Cores(), 3);
}

TEST_F(Cgroup, VersionOneToo) {
  Write("self", "7:memory:/m\n4:cpu,cpuacct:/a/b\n3:cpuset:/c");
  Write("mount/cpu/a/cpu.cfs_quota_us", "400000");
  Write("mount/cpu/a/cpu.cfs_period_us", "100000");
  Write("mount/cpu/a/b/cpu.cfs_quota_us", "-1");
  Write("mount/cpu/a/b/cpu.cfs_period_us", "100000");
  EXPECT_EQ(Cores(), 4);
}

TEST_F(Cgroup, NonsenseIsNoLimit) {
  Write("self", "no colons here\n0::/x");
  Write("mount/x/cpu.max", "lots");
  EXPECT_EQ(Cores(), 0);
}

}  // namespace
}  // namespace sotto
