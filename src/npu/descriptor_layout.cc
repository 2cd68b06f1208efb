// SPDX-License-Identifier: MIT
#include "npu/descriptor_layout.h"

namespace sotto::npu {
namespace {

constexpr DescriptorLayout kCoreLayout{
    .words = 6,
    .length = {0, 0, 14},
    .address = {0, 14, 14},
    .step = {{{2, 0, 13}, {2, 13, 13}, {3, 0, 13}, kNoField}},
    .wrap = {{{3, 13, 8}, {3, 21, 8}, kNoField, kNoField}},
    .iteration_step = {4, 0, 13},
    .iteration_wrap = {4, 13, 6},
    .iteration_current = {4, 19, 6},
    .pad_before = {},
    .pad_after = {},
    .next = {5, 27, 4},
    .use_next = {5, 26, 1},
    .valid = {5, 25, 1},
    .release_value = {5, 18, 7},
    .release_lock = {5, 13, 4},
    .acquire_enable = {5, 12, 1},
    .acquire_value = {5, 5, 7},
    .acquire_lock = {5, 0, 4},
    .packet = {1, 30, 1},
    .packet_id = {1, 19, 5},
    .packet_type = {1, 16, 3},
    .compression = {1, 31, 1},
};
constexpr DescriptorLayout kMemLayout{
    .words = 8,
    .length = {0, 0, 17},
    .address = {1, 0, 19},
    .step = {{{2, 0, 17}, {3, 0, 17}, {4, 0, 17}, {5, 0, 17}}},
    .wrap = {{{2, 17, 10}, {3, 17, 10}, {4, 17, 10}, kNoField}},
    .iteration_step = {6, 0, 17},
    .iteration_wrap = {6, 17, 6},
    .iteration_current = {6, 23, 6},
    .pad_before = {{{1, 26, 6}, {3, 27, 5}, {4, 27, 4}}},
    .pad_after = {{{5, 17, 6}, {5, 23, 5}, {5, 28, 4}}},
    .next = {1, 20, 6},
    .use_next = {1, 19, 1},
    .valid = {7, 31, 1},
    .release_value = {7, 24, 7},
    .release_lock = {7, 16, 8},
    .acquire_enable = {7, 15, 1},
    .acquire_value = {7, 8, 7},
    .acquire_lock = {7, 0, 8},
    .packet = {0, 31, 1},
    .packet_id = {0, 23, 5},
    .packet_type = {0, 28, 3},
    .compression = {4, 31, 1},
};
constexpr DescriptorLayout kShimLayout{
    .words = 8,
    .length = {0, 0, 32},
    .address = {1, 2, 30},
    .step = {{{3, 0, 20}, {4, 0, 20}, {5, 0, 20}, kNoField}},
    .wrap = {{{3, 20, 10}, {4, 20, 10}, kNoField, kNoField}},
    .iteration_step = {6, 0, 20},
    .iteration_wrap = {6, 20, 6},
    .iteration_current = {6, 26, 6},
    .pad_before = {},
    .pad_after = {},
    .next = {7, 27, 4},
    .use_next = {7, 26, 1},
    .valid = {7, 25, 1},
    .release_value = {7, 18, 7},
    .release_lock = {7, 13, 4},
    .acquire_enable = {7, 12, 1},
    .acquire_value = {7, 5, 7},
    .acquire_lock = {7, 0, 4},
    .packet = {2, 30, 1},
    .packet_id = {2, 19, 5},
    .packet_type = {2, 16, 3},
    .compression = kNoField,
};

}  // namespace

const DescriptorLayout& LayoutOf(TileKind kind) {
  return kind == TileKind::kShim  ? kShimLayout
         : kind == TileKind::kMem ? kMemLayout
                                  : kCoreLayout;
}

}  // namespace sotto::npu
