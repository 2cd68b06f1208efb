// SPDX-License-Identifier: MIT
#include "npu/kernels/vec.h"

namespace sotto::npu::vec {
namespace {

int Detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vnni")) {
    return 2;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

int level = Detect();

}  // namespace

int HostLevel() { return level; }
void SetHostLevel(int wanted) {
  const int best = Detect();
  level = wanted < best ? wanted : best;
}

}  // namespace sotto::npu::vec
