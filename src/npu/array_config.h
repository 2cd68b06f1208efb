// SPDX-License-Identifier: MIT
// ArrayConfig: an array ready to run, after planning: every buffer has its
// address, every transfer its descriptor, every stream its route. The planner
// (design/) makes it, the simulator (sim/) runs it, emission prints it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "npu/target.h"

namespace sotto::npu {

// A piece of a tile's memory. `address` is in bytes from the tile's own start.
struct PlacedBuffer {
  std::string name;
  int64_t address = 0;
  int64_t bytes = 0;
  // What the buffer holds when the configuration is loaded; empty: not set.
  std::vector<uint8_t> initial;
  friend bool operator==(const PlacedBuffer&, const PlacedBuffer&) = default;
};

struct LockInit {
  int id = 0;
  int value = 0;
  std::string name;
  friend bool operator==(const LockInit&, const LockInit&) = default;
};

// Dimensions are innermost first and count 32-bit words; size 0: not used. An
// address is base + sum(index[i] * stride[i]).
struct DmaDim {
  int64_t size = 0;
  int64_t stride = 0;
  friend bool operator==(const DmaDim&, const DmaDim&) = default;
};

struct BufferDescriptor {
  int id = 0;
  int64_t address = 0;  // bytes, in the memory that memory_side says
  int64_t words = 0;    // words moved to or from memory, without padding
  std::array<DmaDim, 4> dims{};
  DmaDim iteration{};  // advanced once per run of this descriptor
  // Zeros sent before and after each dimension (mem tile MM2S only); innermost
  // counts words, the others rows of the dimension below.
  std::array<int, 3> pad_before{};
  std::array<int, 3> pad_after{};
  // Before the transfer waits until lock >= acquire_value, then subtracts it;
  // after it adds release_value. -1: no lock.
  int acquire_lock = -1;
  int acquire_value = 1;
  int release_lock = -1;
  int release_value = 1;
  int next = -1;  // descriptor that follows without a new task; -1: none
  // Mem tiles, channels 0 to 3: whose memory and whose locks. -1: the western
  // neighbour's, 0: the tile's own, 1: the eastern neighbour's.
  int memory_side = 0;
  int acquire_side = 0;
  int release_side = 0;
  // MM2S: a header with this packet ID, 0 to 31, goes ahead; -1: none does.
  int packet = -1;
  int packet_type = 0;  // 0 to 7, for whoever receives it
  friend bool operator==(const BufferDescriptor&,
                         const BufferDescriptor&) = default;
};

enum class Direction : uint8_t { kS2MM, kMM2S };

// What a channel does from the start, without being told by the instruction
// stream: runs the chain at `first_bd`, `repeat` times and once more.
struct ChannelStart {
  Direction direction = Direction::kS2MM;
  int channel = 0;
  int first_bd = 0;
  int repeat = 0;
  friend bool operator==(const ChannelStart&, const ChannelStart&) = default;
};

// A port of a tile's stream switch. kDma of a switch's inputs is the tile's
// MM2S channel `index`, of its outputs the S2MM channel. On shim tiles too: the
// mux between shim DMA and switch is not shown here.
struct Port {
  enum class Bundle : uint8_t { kDma, kNorth, kSouth, kEast, kWest };
  Bundle bundle = Bundle::kDma;
  int index = 0;
  friend auto operator<=>(const Port&, const Port&) = default;
};
// Circuit switched. One input may feed several outputs (broadcast: moves on
// when all can take the word); an output has one input.
struct Connection {
  Port in;
  Port out;
  friend bool operator==(const Connection&, const Connection&) = default;
};

// Packet switched: what comes in at `in` goes where its header says. A slot
// takes the packets whose ID equals `id` in the bits of `mask`, the first slot
// of an input that does, to (arbiter, msel); each output of that arbiter that
// has the msel sends it on. A packet holds its outputs from its header to its
// last word. Source: AM020, and AM025's Stream_Switch_* registers.
struct PacketSlot {
  Port in;
  int id = 0;
  int mask = 31;
  int arbiter = 0;  // 0 to 5
  int msel = 0;     // 0 to 3
  friend bool operator==(const PacketSlot&, const PacketSlot&) = default;
};
struct PacketOutput {
  Port out;
  int arbiter = 0;
  int msels = 1;  // a bit each
  bool drop_header = false;
  friend bool operator==(const PacketOutput&, const PacketOutput&) = default;
};

// One argument of a kernel's call.
struct CoreArg {
  enum class Kind : uint8_t {
    kBuffer,     // value: a byte address in the core's data address space,
                 // where the tile's own memory starts at 0x70000, and those of
                 // the neighbours at S 0x40000, W 0x50000, N 0x60000
    kConstant,   // value: the integer itself
    kParameter,  // value: byte address of an i32 that is read when called
    kIndex,      // value: how many loops out (0: innermost); its trip number
  };
  Kind kind = Kind::kConstant;
  int64_t value = 0;
  // kBuffer and kConstant: plus `stride` for each trip of the loop that is
  // `loop` loops out (0: innermost); -1: nothing.
  int loop = -1;
  int64_t stride = 0;
  friend bool operator==(const CoreArg&, const CoreArg&) = default;
};

// A core runs these in order; loops nest.
struct CoreOp {
  enum class Kind : uint8_t {
    kAcquire,  // wait until lock `lock` >= value, then subtract value
    kRelease,  // add value to lock
    kCall,     // call kernel with args
    kLoop,     // count times (args[0], if there, gives the count instead)
    kEndLoop,
  };
  static constexpr int64_t kForever = -1;
  Kind kind = Kind::kCall;
  int lock = 0;        // own tile 48..63 as core code numbers them is lock + 48
  TileId lock_tile;    // whose lock: the core's own or a neighbour's
  int64_t value = 1;   // acquire, release: amount; loop: count
  std::string kernel;  // name in kernels.def
  std::vector<CoreArg> args;
  friend bool operator==(const CoreOp&, const CoreOp&) = default;
};

struct TileConfig {
  std::vector<PlacedBuffer> buffers;
  std::vector<LockInit> locks;
  std::vector<BufferDescriptor> descriptors;
  std::vector<ChannelStart> starts;
  std::vector<Connection> connections;
  std::vector<PacketSlot> packet_slots;
  std::vector<PacketOutput> packet_outputs;
  // Cores only.
  std::vector<CoreOp> program;
  int64_t stack_address = 0;
  int64_t stack_bytes = kDefaultStackBytes;
  int64_t program_bytes = 0;  // estimated from the kernels' sizes
  friend bool operator==(const TileConfig&, const TileConfig&) = default;
};

struct ArrayConfig {
  std::string name;
  std::map<TileId, TileConfig> tiles;
  // Bytes of each host buffer the instruction stream refers to, in the order
  // of its arguments.
  std::vector<int64_t> host_buffer_bytes;
};

}  // namespace sotto::npu
