// SPDX-License-Identifier: MIT
#include "npu/sim/validate.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace sotto::npu {
namespace {
TEST(Validate, Print) {
  const auto rows = Validate();
  std::fputs(ValidationTable(rows).c_str(), stderr);
}
}  // namespace
}  // namespace sotto::npu
