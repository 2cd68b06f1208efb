// SPDX-License-Identifier: MIT
// An operator library of the future.
#include "sotto/ops.h"

namespace {
constexpr sotto_ops_library kLibrary = {
    SOTTO_OPS_ABI + 1, sizeof(sotto_ops_library), "other_abi", "1", nullptr, 0};
}  // namespace

const sotto_ops_library* sotto_ops_entry(void) { return &kLibrary; }
