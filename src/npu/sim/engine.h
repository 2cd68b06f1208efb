// SPDX-License-Identifier: MIT
// Inside the simulator: the state of the array and the event loop. array.h is
// what others use.
#pragma once

#include <fmt/format.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <queue>
#include <stdexcept>
#include <string>
#include <vector>

#include "npu/registers.h"
#include "npu/sim/array.h"
#include "npu/sim/routes.h"
#include "npu/sim/walk.h"
#include "npu/sim/workers.h"
#include "tensor/buffer.h"

namespace sotto::npu::sim {

// A fault of the simulated array; becomes RunState::kError and its line.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
template <typename... Args>
[[noreturn]] void Stop(fmt::format_string<Args...> format, Args&&... args) {
  throw Fault(fmt::format(format, std::forward<Args>(args)...));
}

// Everything that can be resumed at a time.
struct Actor {
  enum class Kind : uint8_t { kCore, kChannel, kRoute, kController };
  Kind kind = Kind::kController;
  int index = 0;
};

struct Event {
  int64_t time = 0;
  uint64_t order = 0;  // equal times: first scheduled, first run
  Actor actor;
  friend bool operator>(const Event& a, const Event& b) {
    return a.time != b.time ? a.time > b.time : a.order > b.order;
  }
};

struct Lock {
  int value = 0;
  std::vector<Actor> waiters;
};

// A descriptor as its registers hold it, decoded when it is first run.
struct DescriptorState {
  std::vector<uint32_t> words;
  bool written = false;
  bool decoded = false;
  BufferDescriptor value;
  int64_t iteration = 0;
};

struct Channel {
  TileId tile;
  Direction direction = Direction::kS2MM;
  int index = 0;
  enum class State : uint8_t {
    kIdle,
    kStarting,  // shim start-up, until an event
    kLocked,    // waits for the lock of its descriptor
    kReady,     // has a descriptor, waits for or moves words
    kEnding,    // last words are on their way
  };
  State state = State::kIdle;
  std::deque<QueueEntry> queue;  // the front one runs
  int repeats_left = 0;
  int descriptor = -1;
  BufferDescriptor bd;
  Walk walk;
  int host_buffer = -1;  // shim
  int64_t ready = 0;     // since when kReady; when kEnding ends
  int64_t wait_from = 0;
  int route = -1;           // MM2S: of the descriptor in hand
  std::vector<int> routes;  // MM2S: all it has; S2MM: those that feed it
  bool header = false;      // MM2S: of a packet, still to be sent
  bool cold = true;
  int64_t tokens = 0;
  ChannelTotals totals;
  std::string Name() const;
  int Lane() const;  // of TraceSpan
};

struct RouteState {
  int source = -1;
  std::vector<int> ends;           // channels
  std::vector<int> latencies;      // cycles
  std::vector<bool> drops_header;  // by end
  int packet = Route::kAnything;
  std::vector<int> outputs;  // packet-switched ones, into outputs_
  bool in_header = false;    // the burst in hand is a packet's header
  bool busy = false;
  bool shim = false;
  int64_t burst = 0;
  int64_t from = 0;
  int64_t free = 0;  // end of the last burst
};

// A packet-switched output of a switch: one packet at a time.
struct OutputState {
  int owner = -1;  // route
  int64_t free = 0;
};

struct Core {
  TileId tile;
  const TileConfig* config = nullptr;
  struct Op {
    const CoreOp* op = nullptr;
    const KernelInfo* kernel = nullptr;
    size_t match = 0;  // the loop's other end
    Lock* lock = nullptr;
    // kCall: where constant pointers lead, and costs by integer arguments.
    std::vector<std::byte*> pointers;
    std::array<bool, 4> banks{};  // of the core's own memory that they lie in
    struct Cost {
      int64_t cycles = 0;
      double macs = 0;
      double accesses = 0;  // a cycle
    };
    std::map<std::vector<int32_t>, Cost> costs;
  };
  std::vector<Op> ops;
  size_t at = 0;
  struct Loop {
    size_t begin = 0;
    int64_t left = 0;
    int64_t trip = 0;
  };
  std::vector<Loop> loops;
  bool waiting = false;
  bool done = false;
  bool scheduled = false;  // an event will go on with it
  int64_t wait_from = 0;
  // While a kernel runs: what DMA had moved by bank when it began, and how
  // likely a beat meets an access.
  bool in_kernel = false;
  std::array<int64_t, 4> moved{};
  std::array<double, 4> meets{};
  Workers::Ticket job;  // the kernel it is in, where threads run kernels
  CoreTotals totals;
};

struct Tile {
  TileId id;
  TileKind kind = TileKind::kCore;
  const TileConfig* config = nullptr;
  Buffer memory;
  std::vector<bool> owned;  // bytes / 4 that buffers, stack or writes cover
  std::vector<Lock> locks;
  std::vector<DescriptorState> descriptors;
  std::vector<int> channels[2];  // by direction
  int core = -1;
  std::array<int64_t, 4> moved{};  // core: words by DMA, by bank
  int64_t serial = 0;  // without overlap: when the tile is free again
};

class Engine {
 public:
  Engine(std::shared_ptr<const ArrayConfig> config, SimOptions options);

  SimRun Run(const TxnStream& stream,
             std::span<const std::span<std::byte>> host, int64_t limit);

  const ArrayConfig& config() const { return *config_; }
  Tile& At(TileId id);
  const std::vector<TraceSpan>& trace() const { return trace_; }

 private:
  // load.cc
  void Load();
  void LoadTile(Tile* tile, const TileConfig& config);
  void LoadDescriptors(Tile* tile, const TileConfig& config);
  void LoadRoutes(const std::vector<Route>& routes);
  void CheckNeighbours() const;
  void LoadCore(Tile* tile);
  void LoadCall(const Core& core, Core::Op* op);
  void MarkBanks(const Core& core, int64_t at, Core::Op* op) const;
  std::byte* Resolve(TileId core, int64_t address, int64_t bytes,
                     const std::string& who);
  void FillCanaries();
  void CheckCanaries();

  // Events.
  void Schedule(int64_t time, Actor actor);
  void Resume(const Actor& actor, int64_t now);
  void Release(Lock* lock, int amount, TileId tile, int id, int64_t now);
  void Wake(Lock* lock, int64_t now);
  std::string Waiting() const;
  std::string WaitsFor(const Channel& channel) const;
  void Settle();
  SimReport Report() const;
  void ResetTotals();

  // dma.cc
  void Push(int channel, QueueEntry entry, int64_t now);
  void StartTask(int channel, int64_t now);
  void LoadDescriptor(int channel, int id, int64_t now);
  void TryAcquire(int channel, int64_t now);
  void Begin(int channel, int64_t now);
  void EndDescriptor(int channel, int64_t now);
  void Move(int route, int64_t now);
  bool MoveHeader(int route, int64_t now);
  bool Claim(int route);
  void GiveUp(int route, int64_t now);
  void FindRoute(Channel* channel);
  void CheckSides(const Channel& channel) const;
  Lock& LockOf(TileId tile, int side, int lock);
  void EndBurst(int route, int64_t now);
  int64_t BurstEnd(const RouteState& route, int64_t from, int64_t words);
  std::span<std::byte> MemoryOf(const Channel& channel);
  BufferDescriptor& Decoded(const Channel& channel, int id);
  void ResolveHost(Channel* channel);
  void CheckRange(const Channel& channel);

  // core.cc
  void StepCore(int core, int64_t now);
  int64_t Call(Core* core, Core::Op* op, int64_t now);
  int64_t Trip(const Core& core, int64_t out) const;
  void MovePointers(const Core& core, Core::Op* op);
  int64_t Argument(const Core& core, const CoreArg& arg) const;
  void CheckStack(const Core& core, const KernelInfo& kernel) const;
  void RunKernel(Core* core, const KernelInfo& kernel,
                 std::span<std::byte* const> pointers,
                 std::vector<int32_t> ints);
  void FinishKernels();
  int64_t Conflicts(Core* core);

  // control.cc
  void ScheduleController(int64_t time);
  void StepController(int64_t now);
  bool RunOp(const TxnOp& op, int64_t now);
  bool WriteRegister(uint32_t address, uint32_t value, uint32_t mask,
                     int64_t now);
  void WriteDescriptor(const RegisterAddress& at, uint32_t value);
  void Patch(const TxnOp& op);
  bool TakeTokens(const TxnOp& op);
  bool InUse(const Tile& tile, int descriptor) const;
  bool InChain(const Tile& tile, int at, int descriptor) const;
  Channel& ChannelAt(TileId tile, Direction direction, int index);

  void Trace(TileId tile, int lane, TraceSpan::Kind kind, int64_t from,
             int64_t to, std::string what);

  std::shared_ptr<const ArrayConfig> config_;
  SimOptions options_;
  std::map<TileId, Tile> tiles_;
  std::vector<Channel> channels_;
  std::vector<RouteState> routes_;
  std::vector<OutputState> outputs_;
  std::deque<int> kept_waiting_;  // routes, for outputs
  std::vector<Core> cores_;
  std::vector<uint32_t> words_;  // of the burst in hand

  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t order_ = 0;
  int64_t now_ = 0;
  std::string broken_;

  // The share of the instruction stream that was run.
  double Done() const {
    return stream_->ops.empty() ? 1
                                : static_cast<double>(op_) /
                                      static_cast<double>(stream_->ops.size());
  }

  // Of the run in hand.
  const TxnStream* stream_ = nullptr;
  std::span<const std::span<std::byte>> host_;
  size_t op_ = 0;
  bool controller_done_ = false;
  bool controller_waiting_ = false;
  bool controller_woken_ = false;  // an event will go on with it
  int64_t controller_from_ = 0;    // since when it waits
  int64_t started_ = 0;
  int64_t ended_ = 0;
  double ddr_free_[2] = {0, 0};  // by direction of the shim's channel
  SimReport totals_;
  std::vector<TraceSpan> trace_;
  std::unique_ptr<Workers> workers_;  // last: its threads use the memories
};

// The mem tile that a descriptor's side says.
constexpr TileId Beside(TileId tile, int side) {
  return {tile.col + side, tile.row};
}

// Host buffer i as descriptors name it: an address no other can have.
constexpr int64_t HostAddress(uint32_t argument) {
  return (int64_t{argument} + 1) << 40;
}

}  // namespace sotto::npu::sim
