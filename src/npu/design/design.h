// SPDX-License-Identifier: MIT
// Design: what an array shall do, as plain data: which cores run which kernels
// over which object FIFOs, how data flow between host, mem tiles and cores, and
// what the host's instruction stream orders. The planner (planner.h) gives it
// addresses, locks, descriptors and routes; it needs no edit for a new design.
//
// Streams and DMAs count 32-bit words; buffers and offsets count bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "npu/array_config.h"
#include "npu/target.h"

namespace sotto::npu {

// One end of a FIFO. At a shim the instruction stream gives the descriptors; at
// a core or mem tile there is a ring of `depth` elements, filled or emptied by
// a chain of descriptors that runs from the start, unless `by_tasks`.
struct FifoEnd {
  TileId tile;
  int depth = 2;
  // Size of an element here; 0: as the FIFO says. Both ends of a stream only
  // have to agree on the number of words in the long run.
  int64_t element_bytes = 0;
  // How an element lies in memory (innermost first, words): a producer reads
  // so, a consumer writes so. Empty: contiguous.
  std::vector<DmaDim> dims{};
  // Zeros a mem tile's producer adds around each dimension.
  std::array<int, 3> pad_before{};
  std::array<int, 3> pad_after{};
  // The ring's elements stand one behind the other, so that a kernel may take
  // several that are held together as one buffer.
  bool contiguous = false;
  // No ring: the instruction stream programs this end as it does a shim.
  bool by_tasks = false;
  int channel = -1;  // DMA channel; -1: the first free one
};

// A stream of equal elements from one producer to one or more consumers, each
// of which gets all of it (broadcast in the stream switches).
struct Fifo {
  std::string name;
  FifoEnd producer;
  std::vector<FifoEnd> consumers;
  int64_t element_bytes = 0;
  // Cores that are neighbours: the ring lies in the producer's memory, locks
  // pass elements on, no DMA is used. One consumer.
  bool shared = false;
  // The producer sends each element so many times before it lets go of it.
  int repeat = 1;
};

// A mem tile passes on what it receives, without copying. The rings of both
// sides are the same memory, of the incoming end's depth (join: the outgoing).
struct Link {
  struct In {
    std::string fifo;
    int consumer = 0;  // which of its consumers is the mem tile's end
  };
  std::vector<In> in;
  std::vector<std::string> out;
  // One in, several out: where in the element each part starts (distribute);
  // several in, one out: likewise (join). Bytes. One in, one out: empty.
  std::vector<int64_t> offsets;
};

// Memory of a tile that is no FIFO: tables, state, parameters; in a mem tile
// whatever tasks put there.
struct StaticBuffer {
  std::string name;
  TileId tile;
  int64_t bytes = 0;
  std::vector<uint8_t> initial{};
};

// A lock that core programs and tasks name. FIFOs have their own.
struct NamedLock {
  std::string name;
  TileId tile;
  int initial = 0;
};

struct Arg {
  enum class Kind : uint8_t {
    kElement,    // FIFO `name`, the `value`-th of the elements held
    kBuffer,     // address of static buffer `name` plus `value` bytes
    kConstant,   // `value`
    kParameter,  // i32 at byte `value` of static buffer `name`, read each time
    kIndex,      // trip of the loop that is `value` loops out (0: innermost)
  };
  Kind kind = Kind::kConstant;
  std::string name{};
  int64_t value = 0;
  int64_t offset = 0;  // kElement: bytes from the element's start
  // kElement, kBuffer, kConstant: plus `stride` for each trip of the loop that
  // is `loop` loops out (0: innermost); -1: nothing.
  int64_t loop = -1;
  int64_t stride = 0;
  Arg PerTrip(int64_t stride_of_loop, int64_t loops_out = 0) const {
    Arg moved = *this;
    moved.loop = loops_out;
    moved.stride = stride_of_loop;
    return moved;
  }
};
inline Arg Element(std::string fifo, int64_t index = 0, int64_t offset = 0) {
  return {Arg::Kind::kElement, std::move(fifo), index, offset};
}
inline Arg Memory(std::string name, int64_t offset = 0) {
  return {Arg::Kind::kBuffer, std::move(name), offset};
}
inline Arg Constant(int64_t value) { return {Arg::Kind::kConstant, "", value}; }
inline Arg Parameter(std::string name, int64_t offset) {
  return {Arg::Kind::kParameter, std::move(name), offset};
}
inline Arg Index(int64_t loops_out = 0) {
  return {Arg::Kind::kIndex, "", loops_out};
}

// One step of a core's program. Which side of a FIFO a core is on follows from
// the FIFO. A core's whole program is run again and again without end: loop
// bounds like 0xFFFFFFFF depend on the toolchain (a published trap).
struct Op {
  enum class Kind : uint8_t {
    kAcquire,      // `count` more elements of FIFO `name`
    kRelease,      // the `count` oldest elements held of FIFO `name`
    kAcquireLock,  // wait until named lock >= count, take count
    kReleaseLock,  // add count to a named lock
    kCall,         // kernel `name`
    kLoop,         // `count` times, or as often as args[0] (a parameter) says
    kEndLoop,
  };
  Kind kind = Kind::kCall;
  std::string name{};
  int64_t count = 1;
  std::vector<Arg> args{};
};
inline Op Acquire(std::string fifo, int64_t n = 1) {
  return {Op::Kind::kAcquire, std::move(fifo), n};
}
inline Op Release(std::string fifo, int64_t n = 1) {
  return {Op::Kind::kRelease, std::move(fifo), n};
}
inline Op AcquireLock(std::string lock, int64_t n = 1) {
  return {Op::Kind::kAcquireLock, std::move(lock), n};
}
inline Op ReleaseLock(std::string lock, int64_t n = 1) {
  return {Op::Kind::kReleaseLock, std::move(lock), n};
}
inline Op Call(std::string kernel, std::vector<Arg> args) {
  return {Op::Kind::kCall, std::move(kernel), 1, std::move(args)};
}
inline Op Loop(int64_t count) { return {Op::Kind::kLoop, "", count}; }
inline Op LoopBy(Arg parameter) {
  return {Op::Kind::kLoop, "", 0, {std::move(parameter)}};
}
inline Op EndLoop() { return {Op::Kind::kEndLoop}; }

struct CoreDesign {
  TileId tile;
  std::vector<Op> program;
  // 0: what the kernels' frames need, at least the default of 1 KB.
  int64_t stack_bytes = 0;
};

struct HostBufferDesign {
  std::string name;
  int64_t bytes = 0;
  bool output = false;
  std::vector<uint8_t> initial{};  // what the design itself wants there
};

// One step of the instruction stream.
struct Step {
  enum class Kind : uint8_t {
    kTask,   // one DMA task at end `end` of FIFO `fifo`
    kWait,   // until the last task with a token on each of `fifos` is done
    kWrite,  // `values` into static buffer `buffer` from byte `offset`
    kLock,   // named lock `acquire` becomes `acquire_value`
  };
  static constexpr int kProducer = -1;

  Kind kind = Kind::kTask;
  std::string fifo{};
  int end = kProducer;  // or the consumer's number
  // What is read or written: a host buffer at a shim, a static buffer elsewhere
  std::string buffer{};
  int64_t offset = 0;
  int64_t words = 0;  // 0: the product of dims
  std::vector<DmaDim> dims{};
  DmaDim iteration{};  // advances from run to run
  int runs = 1;
  bool token = false;  // tells when it is done, so that a kWait can follow
  std::string acquire{};
  int acquire_value = 1;
  std::string release{};
  int release_value = 1;
  std::array<int, 3> pad_before{};
  std::array<int, 3> pad_after{};
  int descriptor = -1;  // -1: a free one
  std::vector<int32_t> values{};
  std::vector<std::string> fifos{};
  int tokens = 0;  // kWait: only so many of the oldest; 0: all
  int left = 0;    // kWait: but not for so many of the newest
  // kTask: further descriptors of the same task, run one after the other; of
  // these steps only what describes a transfer counts (buffer to pads).
  std::vector<Step> more{};
};

inline Step WaitFor(std::vector<std::string> fifos, int tokens = 0) {
  Step step{.kind = Step::Kind::kWait};
  step.tokens = tokens;
  step.fifos = std::move(fifos);
  return step;
}
inline Step WriteParameters(std::string buffer, std::vector<int32_t> values,
                            int64_t offset = 0) {
  Step step{.kind = Step::Kind::kWrite};
  step.buffer = std::move(buffer);
  step.offset = offset;
  step.values = std::move(values);
  return step;
}
inline Step SetLock(std::string lock, int value) {
  Step step{.kind = Step::Kind::kLock};
  step.acquire = std::move(lock);
  step.acquire_value = value;
  return step;
}

// FIFO ends. At a shim the depth means nothing.
inline FifoEnd At(TileId tile, int depth = 2) {
  FifoEnd end;
  end.tile = tile;
  end.depth = depth;
  return end;
}
inline FifoEnd At(TileId tile, int depth, std::vector<DmaDim> dims) {
  FifoEnd end = At(tile, depth);
  end.dims = std::move(dims);
  return end;
}

struct Design {
  std::string name;
  std::string what;  // one line for listings
  std::vector<HostBufferDesign> host_buffers;
  std::vector<Fifo> fifos;
  std::vector<Link> links;
  std::vector<StaticBuffer> buffers;
  std::vector<NamedLock> locks;
  std::vector<CoreDesign> cores;
  std::vector<Step> sequence;
  int columns = kColumns;
  // Where a channel's queue is full or descriptors run out, the stream waits
  // for the channel's oldest task; without, such a sequence is refused.
  bool paced = false;
  // Stacks at 0, where the linker scripts of mlir-aie's aiecc put them, instead
  // of at the end of the memory. For packages of real devices; their build
  // checks the frames of the kernels.
  bool stack_below = false;
  // As published, faults included: stack of 1 KB at 0, buffers after it one by
  // one in the order of the FIFOs, any number of host buffers.
  bool compat = false;

  // Adds a FIFO; the reference holds until the next one.
  Fifo& Connect(std::string fifo, FifoEnd producer,
                std::vector<FifoEnd> consumers, int64_t element_bytes);
  // One task that moves `bytes` of a host buffer in a row, through the shim's
  // end of a FIFO; outputs give a token.
  Step& Transfer(const std::string& fifo, const std::string& host_buffer,
                 int64_t bytes, int64_t offset = 0);
};

}  // namespace sotto::npu
