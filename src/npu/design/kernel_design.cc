// SPDX-License-Identifier: MIT
// A design for any kernel of the list.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "npu/design/designs.h"
#include "npu/design/kernel_sizes.h"

namespace sotto::npu {
namespace {

constexpr int64_t kItemAlign = 64;

int64_t BytesOf(std::string_view type) {
  if (type == "i8" || type == "u8") return 1;
  return type == "bf16" || type == "i16" ? 2 : 4;
}

// The pointers on one side of a kernel, packed into one element or, where they
// are few enough, a FIFO each.
struct Packed {
  struct Item {
    std::string fifo;
    int64_t offset = 0;
    int64_t bytes = 0;
  };
  std::vector<Item> items;
  std::vector<std::pair<std::string, int64_t>> fifos;  // with element bytes
};

Packed Pack(const std::string& base, const std::vector<int64_t>& sizes) {
  Packed packed;
  const bool each =
      static_cast<int>(sizes.size()) <= LimitsOf(TileKind::kCore).dma_channels;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t bytes = (sizes[i] + 3) / 4 * 4;
    if (each) {
      const std::string fifo = i == 0 ? base : fmt::format("{}{}", base, i);
      packed.fifos.emplace_back(fifo, bytes);
      packed.items.push_back({fifo, 0, sizes[i]});
      continue;
    }
    if (i == 0) packed.fifos.emplace_back(base, 0);
    int64_t& end = packed.fifos[0].second;
    end = (end + kItemAlign - 1) / kItemAlign * kItemAlign;
    packed.items.push_back({base, end, sizes[i]});
    end += bytes;
  }
  return packed;
}

// Sizes of a kernel's pointers in bytes, and its ints.
struct Sizes {
  std::vector<int64_t> of;  // each argument; 0: an int
  std::vector<int64_t> in;
  std::vector<int64_t> out;
  std::vector<int32_t> ints;
};

// Throws kBadInput where the kernel would leave its pointers.
Sizes SizesOf(const KernelInfo& kernel, const KernelDesign& options) {
  Sizes sizes;
  sizes.ints = WholeInts(kernel, options.ints);
  const std::vector<int64_t> wanted = ElementsOf(kernel, sizes.ints);
  if (options.elements.size() > wanted.size())
    Fail(ErrorCode::kBadInput, "npu: {} leaves {} sizes open, not {}",
         kernel.name, wanted.size(), options.elements.size());
  size_t open = 0;
  for (const KernelArg& arg : kernel.args) {
    int64_t elements = arg.elements;
    if (arg.kind != KernelArg::Kind::kInt && elements == 0) {
      elements = wanted.at(open);
      if (open < options.elements.size()) {
        if (options.elements[open] < elements)
          Fail(ErrorCode::kBadInput,
               "npu: {}: {} elements, its ints {} want {}", kernel.name,
               options.elements[open], fmt::join(sizes.ints, ","), elements);
        elements = options.elements[open];
      }
      ++open;
    }
    const int64_t bytes = elements * BytesOf(arg.type);
    sizes.of.push_back(arg.kind == KernelArg::Kind::kInt ? 0 : bytes);
    if (arg.kind == KernelArg::Kind::kInt) continue;
    if (arg.kind != KernelArg::Kind::kOut) sizes.in.push_back(bytes);
    if (arg.kind != KernelArg::Kind::kIn) sizes.out.push_back(bytes);
  }
  return sizes;
}

Arg ElementOf(const Packed::Item& item) {
  return Element(item.fifo, 0, item.offset);
}

// The call, and before it the copies of what is read and written.
std::vector<Op> CallsOf(const KernelInfo& kernel, const Packed& in,
                        const Packed& out) {
  std::vector<Op> ops;
  std::vector<Arg> args;
  size_t next_in = 0;
  size_t next_out = 0;
  int64_t ints = 0;
  for (const KernelArg& arg : kernel.args) {
    switch (arg.kind) {
      case KernelArg::Kind::kIn:
        args.push_back(ElementOf(in.items[next_in++]));
        break;
      case KernelArg::Kind::kOut:
        args.push_back(ElementOf(out.items[next_out++]));
        break;
      case KernelArg::Kind::kInOut: {
        const Packed::Item& from = in.items[next_in++];
        const Packed::Item& to = out.items[next_out++];
        ops.push_back(Call("passthrough_u8", {ElementOf(from), ElementOf(to),
                                              Constant(from.bytes)}));
        args.push_back(ElementOf(to));
        break;
      }
      case KernelArg::Kind::kInt:
        args.push_back(Parameter("parameters", 4 * ints++));
        break;
    }
  }
  ops.push_back(Call(std::string(kernel.name), std::move(args)));
  return ops;
}

}  // namespace

std::vector<KernelBuffer> BuffersOf(const KernelInfo& kernel,
                                    const KernelDesign& options) {
  const Sizes sizes = SizesOf(kernel, options);
  const Packed in = Pack("in", sizes.in);
  const Packed out = Pack("out", sizes.out);
  std::vector<KernelBuffer> buffers;
  size_t next_in = 0;
  size_t next_out = 0;
  for (size_t i = 0; i < kernel.args.size(); ++i) {
    const KernelArg& arg = kernel.args[i];
    if (arg.kind == KernelArg::Kind::kInt) continue;
    KernelBuffer& buffer = buffers.emplace_back();
    buffer.arg = arg;
    buffer.bytes = sizes.of[i];
    if (arg.kind != KernelArg::Kind::kOut) {
      buffer.in = in.items[next_in].fifo;
      buffer.in_offset = in.items[next_in++].offset;
    }
    if (arg.kind != KernelArg::Kind::kIn) {
      buffer.out = out.items[next_out].fifo;
      buffer.out_offset = out.items[next_out++].offset;
    }
  }
  return buffers;
}

Design MakeKernelDesign(const KernelInfo& kernel, const KernelDesign& options) {
  constexpr TileId kShim{0, kShimRow};
  constexpr TileId kCore{0, kFirstCoreRow};
  const Sizes sizes = SizesOf(kernel, options);
  const Packed in = Pack("in", sizes.in);
  const Packed out = Pack("out", sizes.out);
  Design d;
  d.name = fmt::format("single/{}", kernel.name);
  d.what = fmt::format("kernel {} on one core", kernel.name);
  // One element of each where two do not fit.
  int64_t both = 0;
  for (const Packed* side : {&in, &out}) {
    for (const auto& [fifo, bytes] : side->fifos) both += 2 * bytes;
  }
  const int64_t room = LimitsOf(TileKind::kCore).memory_bytes -
                       kernel.frame_bytes - kernel.data_bytes - 2048;
  const int depth = both > room ? 1 : 2;
  std::vector<Op> ops;
  for (const auto& [fifo, bytes] : in.fifos) {
    d.Connect(fifo, At(kShim), {At(kCore, depth)}, bytes);
    d.host_buffers.push_back({fifo, options.calls * bytes, false});
    ops.push_back(Acquire(fifo));
  }
  for (const auto& [fifo, bytes] : out.fifos) {
    d.Connect(fifo, At(kCore, depth), {At(kShim)}, bytes);
    d.host_buffers.push_back({fifo, options.calls * bytes, true});
    ops.push_back(Acquire(fifo));
  }
  const std::vector<int32_t>& ints = sizes.ints;
  if (!ints.empty()) {
    d.buffers.push_back(
        {"parameters", kCore, 4 * static_cast<int64_t>(ints.size()), {}});
    d.sequence.push_back(WriteParameters("parameters", ints));
  }
  for (Op& op : CallsOf(kernel, in, out)) ops.push_back(std::move(op));
  std::vector<std::string> outs;
  for (const auto& [fifo, bytes] : in.fifos) {
    ops.push_back(Release(fifo));
    d.Transfer(fifo, fifo, options.calls * bytes);
  }
  for (const auto& [fifo, bytes] : out.fifos) {
    ops.push_back(Release(fifo));
    d.Transfer(fifo, fifo, options.calls * bytes);
    outs.push_back(fifo);
  }
  d.sequence.push_back(WaitFor(outs));
  CoreDesign& core = d.cores.emplace_back();
  core.tile = kCore;
  core.program = std::move(ops);
  return d;
}

}  // namespace sotto::npu
