// SPDX-License-Identifier: MIT
#include "npu/design/single.h"

#include <fmt/format.h>

namespace sotto::npu {
namespace {

constexpr TileId kShim{0, 0};
constexpr TileId kCore{0, 2};

}  // namespace

Design MakeSingleTile(const std::string& name, const SingleTile& tile,
                      bool compat) {
  Design d{.name = name};
  d.what = fmt::format("{} on one core", tile.kernel);
  d.compat = compat;
  std::vector<Op> ops;
  std::vector<Arg> args;
  std::vector<std::string> ins;
  for (size_t i = 0; i < tile.in_bytes.size(); ++i) {
    const std::string in = i == 0 ? "in" : fmt::format("in{}", i);
    d.Connect(in, At(kShim), {At(kCore)}, tile.in_bytes[i]);
    d.host_buffers.push_back(
        {.name = in, .bytes = tile.calls * tile.in_bytes[i]});
    ops.push_back(Acquire(in));
    args.push_back(Element(in));
    ins.push_back(in);
  }
  d.Connect("out", At(kCore), {At(kShim)}, tile.out_bytes);
  d.host_buffers.push_back(
      {.name = "out", .bytes = tile.calls * tile.out_bytes, .output = true});
  ops.push_back(Acquire("out"));
  args.push_back(Element("out"));
  for (const int64_t constant : tile.constants) {
    args.push_back(Constant(constant));
  }
  if (!tile.parameters.empty()) {
    const auto count = static_cast<int64_t>(tile.parameters.size());
    d.buffers.push_back(
        {.name = "parameters", .tile = kCore, .bytes = 4 * count});
    for (int64_t i = 0; i < count; ++i) {
      args.push_back(Parameter("parameters", 4 * i));
    }
    d.sequence.push_back(WriteParameters("parameters", tile.parameters));
  }
  ops.push_back(Call(tile.kernel, std::move(args)));
  for (const std::string& in : ins) ops.push_back(Release(in));
  ops.push_back(Release("out"));
  d.cores.push_back({.tile = kCore, .program = std::move(ops)});

  // The published streams move inputs with descriptor 1 and outputs with 0.
  int descriptor = 1;
  for (size_t i = 0; i < ins.size(); ++i) {
    d.Transfer(ins[i], ins[i], tile.calls * tile.in_bytes[i]).descriptor =
        descriptor++;
  }
  d.Transfer("out", "out", tile.calls * tile.out_bytes).descriptor = 0;
  d.sequence.push_back(WaitFor({"out"}));
  return d;
}

}  // namespace sotto::npu
