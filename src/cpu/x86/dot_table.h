// SPDX-License-Identifier: MIT
// The inner loops of an order by how many rows and panels they take.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "cpu/x86/dot.h"

namespace sotto::cpu::x86 {

using DotFn = void (*)(const DotBlock&);

// Loops::kAt<R, P> is the loop; null where the order has no block that wide.
template <typename Order, typename Loops, int R, int P>
constexpr DotFn DotOf() {
  if constexpr (P <= Order::PanelsFor(R)) {
    return Loops::template kAt<R, P>;
  } else {
    return nullptr;
  }
}

template <typename Order, typename Loops, size_t... I>
constexpr auto MakeDotTable(std::index_sequence<I...>) {
  return std::array{std::array<DotFn, 4>{
      DotOf<Order, Loops, static_cast<int>(I) + 1, 1>(),
      DotOf<Order, Loops, static_cast<int>(I) + 1, 2>(),
      DotOf<Order, Loops, static_cast<int>(I) + 1, 3>(),
      DotOf<Order, Loops, static_cast<int>(I) + 1, 4>()}...};
}

// [rows - 1][panels - 1]
template <typename Order, typename Loops>
inline constexpr auto kDotTable =
    MakeDotTable<Order, Loops>(std::make_index_sequence<Order::kMaxRows>());

}  // namespace sotto::cpu::x86
