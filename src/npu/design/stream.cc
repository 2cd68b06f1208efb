// SPDX-License-Identifier: MIT
// Designs in which elements pass several tiles.
#include <fmt/format.h>

#include "base/error.h"
#include "npu/design/designs.h"

namespace sotto::npu {

Design MakeChain(std::string_view name, std::span<const ChainLink> links,
                 int64_t bytes, int calls, bool shared) {
  Design d;
  d.name = name;
  const int cores = static_cast<int>(links.size());
  if (cores < 1 || cores > kRows - kFirstCoreRow) {
    Fail(ErrorCode::kBadInput, "chain {}: {} kernels, want 1 to {}", name,
         cores, kRows - kFirstCoreRow);
  }
  d.host_buffers = {{"in", calls * bytes, false}, {"out", calls * bytes, true}};
  for (int i = 0; i <= cores; ++i) {
    const TileId from{0, i == 0 ? kShimRow : kFirstCoreRow + i - 1};
    const TileId to{0, i == cores ? kShimRow : kFirstCoreRow + i};
    const std::string fifo = i == 0       ? "in"
                             : i == cores ? "out"
                                          : fmt::format("link{}", i);
    d.Connect(fifo, At(from), {At(to)}, bytes).shared =
        shared && i > 0 && i < cores;
  }
  for (int i = 0; i < cores; ++i) {
    const TileId tile{0, kFirstCoreRow + i};
    const std::string in = d.fifos[static_cast<size_t>(i)].name;
    const std::string out = d.fifos[static_cast<size_t>(i) + 1].name;
    const ChainLink& link = links[static_cast<size_t>(i)];
    std::vector<Arg> args{Element(in), Element(out)};
    if (!link.ints.empty()) {
      const std::string parameters = fmt::format("parameters{}", i);
      const auto count = static_cast<int64_t>(link.ints.size());
      d.buffers.push_back({parameters, tile, 4 * count, {}});
      d.sequence.push_back(WriteParameters(parameters, link.ints));
      for (int64_t k = 0; k < count; ++k) {
        args.push_back(Parameter(parameters, 4 * k));
      }
    }
    CoreDesign& core = d.cores.emplace_back();
    core.tile = tile;
    core.program = {Acquire(in), Acquire(out), Call(link.kernel, args),
                    Release(in), Release(out)};
  }
  d.Transfer("in", "in", calls * bytes);
  d.Transfer("out", "out", calls * bytes);
  d.sequence.push_back(WaitFor({"out"}));
  return d;
}

Design MakeStream(const StreamShape& s) {
  constexpr TileId kShim{0, kShimRow};
  constexpr TileId kMem{0, kMemRow};
  constexpr TileId kPass{0, 2};
  constexpr TileId kAdd{0, 3};
  const int64_t chunk = s.chunk_rows * s.row_bytes;
  const int64_t block = s.chunk_rows * s.block_bytes;
  const int64_t chunks = (s.rows + s.chunk_rows - 1) / s.chunk_rows;
  const int64_t tail_rows = chunks * s.chunk_rows - s.rows;
  // A chunk as blocks: the words of a block's row, its rows, the blocks.
  const std::vector<DmaDim> blocks{
      {s.block_bytes / 4, 1},
      {s.chunk_rows, s.row_bytes / 4},
      {s.row_bytes / s.block_bytes, s.block_bytes / 4}};
  Design d;
  d.name = fmt::format("stream-{}x{}", s.rows, s.row_bytes / 2);
  d.host_buffers = {{"in", s.rows * s.row_bytes, false},
                    {"out", s.rows * s.row_bytes, true}};
  // The same stream fills two rings: one for the cores, a deeper one for what
  // goes round them.
  d.Connect("in", At(kShim), {At(kMem, s.depth), At(kMem, s.skip_depth)},
            chunk);
  const auto in_blocks = [&](int depth) {
    FifoEnd end = At(kMem, depth, blocks);
    end.element_bytes = chunk;
    return end;
  };
  d.Connect("blocks", in_blocks(s.depth), {At(kPass)}, block);
  d.Connect("skip", in_blocks(s.skip_depth), {At(kAdd)}, block);
  d.Connect("passed", At(kPass), {At(kAdd)}, block).shared = true;
  d.Connect("sum", At(kAdd), {in_blocks(s.depth)}, block);
  d.Connect("out", At(kMem, s.depth), {At(kShim)}, chunk);
  d.links = {{{{"in", 0}}, {"blocks"}, {}},
             {{{"in", 1}}, {"skip"}, {}},
             {{{"sum", 0}}, {"out"}, {}}};
  CoreDesign& pass = d.cores.emplace_back();
  pass.tile = kPass;
  pass.program = {Acquire("blocks"), Acquire("passed"),
                  Call("passthrough_u8",
                       {Element("blocks"), Element("passed"), Constant(block)}),
                  Release("blocks"), Release("passed")};
  CoreDesign& add = d.cores.emplace_back();
  add.tile = kAdd;
  add.program = {Acquire("passed"),
                 Acquire("skip"),
                 Acquire("sum"),
                 Call("add_i8", {Element("passed"), Element("skip"),
                                 Element("sum"), Constant(block)}),
                 Release("passed"),
                 Release("skip"),
                 Release("sum")};

  d.Transfer("in", "in", s.rows * s.row_bytes);
  d.Transfer("out", "out", s.rows * s.row_bytes).token = tail_rows == 0;
  if (tail_rows > 0) {
    const int64_t tail = tail_rows * s.row_bytes;
    d.host_buffers.push_back({"zeros", tail, false});
    d.host_buffers.push_back({"rest", tail, true});
    d.Transfer("in", "zeros", tail);
    d.Transfer("out", "rest", tail);
  }
  d.sequence.push_back(WaitFor({"out"}));
  return d;
}

}  // namespace sotto::npu
