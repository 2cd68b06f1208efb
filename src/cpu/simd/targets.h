// SPDX-License-Identifier: MIT
// Which instruction sets the Highway kernels are compiled for. Include before
// anything of Highway.
#pragma once

// x86: AVX2 and AVX-512. Nothing below AVX2 (no fused multiply-add: reference
// kernels run there), nothing between. ARM64: NEON; SVE's vectors have no size
// that a register block could be built on.
#if defined(__x86_64__)
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#define HWY_BASELINE_TARGETS HWY_AVX2
#elif defined(__aarch64__)
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif
