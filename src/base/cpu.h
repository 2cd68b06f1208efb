// SPDX-License-Identifier: MIT
// What the processor can do and how much of it we may use.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sotto {

// Instruction sets that kernels ask for. A value, so that tests can ask what
// another machine would choose.
struct CpuFeatures {
  bool neon = false;         // 128-bit ARM vectors, on every ARM64
  bool avx2 = false;         // AVX2, FMA and F16C
  bool avx512 = false;       // F, BW, CD, DQ, VL
  bool avx512_bf16 = false;  // vdpbf16ps
  bool avx512_vnni = false;
  bool amx_bf16 = false;     // tiles and tdpbf16ps, permission granted
  bool amx_int8 = false;

  friend bool operator==(const CpuFeatures&, const CpuFeatures&) = default;
  // "avx2 avx512 avx512_bf16", for reports.
  std::string ToString() const;
};

// The levels of SOTTO_CPU, which forces less than the machine has:
// amx > avx512 > avx2 > ref. "avx512" keeps the bf16 and vnni extensions.
// Throws kBadInput for another word.
CpuFeatures LimitFeatures(CpuFeatures features, std::string_view level);

// This machine's features as cpuid and the system report them, AMX permission
// asked for once (arch_prctl ARCH_REQ_XCOMP_PERM), limited by SOTTO_CPU.
// Detected once per process; any thread.
const CpuFeatures& HostFeatures();

// Threads worth starting: physical cores within this process's affinity mask
// and cgroup CPU quota, at least 1.
int UsableCores();

struct CacheSizes {
  size_t l1_data = 32 << 10;
  size_t l2 = 1 << 20;
  size_t l3 = 16 << 20;
};
const CacheSizes& HostCaches();

// "AMD EPYC 9B45", as the system names it; empty where it does not.
std::string CpuName();

}  // namespace sotto
