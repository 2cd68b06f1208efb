// SPDX-License-Identifier: MIT
// Designs of one or a few kernels, the published ones among them. run/ lists
// all designs by name.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "npu/design/design.h"
#include "npu/kernels/kernel.h"

namespace sotto::npu {

// A kernel on core (0,2), with its buffers in FIFOs and its ints read from a
// parameter buffer that the instruction stream fills.
struct KernelDesign {
  // Elements of the pointers for which the kernel leaves that to its ints, in
  // order; missing ones are what the ints want (kernel_sizes.h).
  std::vector<int64_t> elements{};
  std::vector<int32_t> ints{};  // missing ones are the usual ones
  int calls = 1;  // how often one dispatch runs the kernel, on data of each
};
// Inputs go in one FIFO, "in", and outputs in one, "out", one after the other
// at multiples of 64 bytes, where the core's DMA has no channel for each. A
// pointer that is read and written is copied from the input to the output
// first. Throws kBadInput for ints that the kernel cannot take and for sizes
// that it would leave.
Design MakeKernelDesign(const KernelInfo& kernel, const KernelDesign& options);
// Where one of the kernel's pointers lies in that design's host buffers (of the
// first call), in the order of the kernel's arguments. What is read and written
// has both.
struct KernelBuffer {
  KernelArg arg;
  int64_t bytes = 0;
  std::string in;  // host buffer; empty: only written
  int64_t in_offset = 0;
  std::string out;  // empty: only read
  int64_t out_offset = 0;
};
std::vector<KernelBuffer> BuffersOf(const KernelInfo& kernel,
                                    const KernelDesign& options);

// int8 attention, published form: 64x64, one tile a column, each on its own.
// `shift` goes through the parameter buffer. Heads beyond 4 take turns.
Design MakeAttention(std::string_view kernel, int columns, int heads,
                     int32_t shift);
// The stream that was published for four columns: one after the other, eight
// host buffers.
Design MakePublishedMulticore();

// Kernels of one input and one output of `bytes`, core after core up column 0,
// through shared memory (or streams); `ints` for each kernel.
struct ChainLink {
  std::string kernel;
  std::vector<int32_t> ints{};
};
Design MakeChain(std::string_view name, std::span<const ChainLink> links,
                 int64_t bytes, int calls, bool shared);

// Rows of 512 bf16 in chunks of 64 through the mem tile as 64x64 blocks: one
// core passes them on, the next adds the same chunk, which went round it
// through a deeper ring. The last chunk is filled up with zero rows.
struct StreamShape {
  int64_t rows = 1500;
  int64_t row_bytes = 1024;
  int64_t chunk_rows = 64;
  int64_t block_bytes = 128;  // of a row
  int depth = 2;
  int skip_depth = 4;
};
Design MakeStream(const StreamShape& shape);

}  // namespace sotto::npu
