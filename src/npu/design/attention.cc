// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "base/error.h"
#include "npu/design/designs.h"

namespace sotto::npu {
namespace {

constexpr int64_t kQkvBytes = 12288;
constexpr int64_t kOutBytes = 4096;

// One column: Q, K, V of a head in, its output back, on core (column,2).
void AddColumn(Design* d, int column, std::string_view kernel, Arg shift) {
  const std::string in = fmt::format("qkv{}", column);
  const std::string out = fmt::format("out{}", column);
  d->Connect(in, At({column, 0}), {At({column, 2})}, kQkvBytes);
  d->Connect(out, At({column, 2}), {At({column, 0})}, kOutBytes);
  CoreDesign& core = d->cores.emplace_back();
  core.tile = {column, 2};
  core.program = {
      Acquire(in), Acquire(out),
      Call(std::string(kernel), {Element(in), Element(out), std::move(shift)}),
      Release(in), Release(out)};
}

}  // namespace

Design MakeAttention(std::string_view kernel, int columns, int heads,
                     int32_t shift) {
  if (heads % columns != 0) {
    Fail(ErrorCode::kBadInput,
         "attention: {} heads on {} columns, want a multiple", heads, columns);
  }
  Design d;
  d.name = fmt::format("{}-{}x{}", kernel, columns, heads);
  d.host_buffers = {{"qkv", heads * kQkvBytes, false},
                    {"out", heads * kOutBytes, true}};
  std::vector<std::string> outs;
  for (int c = 0; c < columns; ++c) {
    const std::string parameters = fmt::format("parameters{}", c);
    d.buffers.push_back({parameters, {c, 2}, 4, {}});
    AddColumn(&d, c, kernel, Parameter(parameters, 0));
    d.sequence.push_back(WriteParameters(parameters, {shift}));
    outs.push_back(fmt::format("out{}", c));
  }
  // Everything is ordered before anything is waited for: waiting for a column
  // before the next one starts makes four columns as slow as one.
  const int each = heads / columns;
  for (int c = 0; c < columns; ++c) {
    d.Transfer(fmt::format("qkv{}", c), "qkv", each * kQkvBytes,
               c * each * kQkvBytes);
    d.Transfer(outs[static_cast<size_t>(c)], "out", each * kOutBytes,
               c * each * kOutBytes);
  }
  d.sequence.push_back(WaitFor(outs));
  return d;
}

Design MakePublishedMulticore() {
  Design d;
  d.name = "attention-4col-published";
  d.compat = true;
  for (int c = 0; c < kColumns; ++c) {
    d.host_buffers.push_back({fmt::format("qkv{}", c), kQkvBytes, false});
  }
  for (int c = 0; c < kColumns; ++c) {
    d.host_buffers.push_back({fmt::format("out{}", c), kOutBytes, true});
    AddColumn(&d, c, "attention_64x64_v0", Constant(3));
  }
  for (int c = 0; c < kColumns; ++c) {
    const std::string in = fmt::format("qkv{}", c);
    const std::string out = fmt::format("out{}", c);
    d.Transfer(in, in, kQkvBytes).descriptor = 0;
    d.Transfer(out, out, kOutBytes).descriptor = 1;
    d.sequence.push_back(WaitFor({out}));
  }
  return d;
}

}  // namespace sotto::npu
