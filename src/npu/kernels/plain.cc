// SPDX-License-Identifier: MIT
// Small kernels of mlir-aie's nightly benchmark, here as the simulator's cost
// tables and designs need them.
#include "npu/kernels/device.h"
#include "npu/kernels/vec.h"

namespace sotto::npu {
namespace {

// n bytes, a multiple of 64.
SOTTO_INLINE void Copy(const uint8_t* in, uint8_t* out, int n) {
  for (int i = 0; i < n; i += 64) {
    vec::store_v(out + i, vec::load_v<64>(in + i));
  }
}

}  // namespace
}  // namespace sotto::npu

using namespace sotto::npu;  // NOLINT: the symbols below are the device's

extern "C" {

void passthrough_u8(const uint8_t* in, uint8_t* out, int32_t bytes) {
  Copy(in, out, bytes);
}

// n int8 sums, saturated; n a multiple of 32.
void add_i8(const int8_t* a, const int8_t* b, int8_t* out, int32_t n) {
  vec::set_saturation(vec::saturation_mode::saturate);
  for (int i = 0; i < n; i += 32) {
    const vec::accum<vec::acc32, 32> sum =
        vec::add(vec::accum<vec::acc32, 32>(vec::load_v<32>(a + i)),
                 vec::accum<vec::acc32, 32>(vec::load_v<32>(b + i)));
    vec::store_v(out + i, sum.to_vector<int8_t>(0));
  }
}

}  // extern "C"
