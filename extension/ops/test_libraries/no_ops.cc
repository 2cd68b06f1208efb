// SPDX-License-Identifier: MIT
// A shared library that exports no operators.
extern "C" __attribute__((visibility("default"))) int sotto_no_ops(void) {
  return 0;
}
