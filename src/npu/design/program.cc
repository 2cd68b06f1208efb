// SPDX-License-Identifier: MIT
// Core programs with addresses. A FIFO's elements lie at fixed addresses that
// take turns, so a loop whose body moves a FIFO by less than its depth is
// unrolled until the turns come round, as mlir-aie's lowering does.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "npu/design/draft.h"

namespace sotto::npu {
namespace {

using Kind = Op::Kind;

// A core's side of a FIFO.
struct Side {
  const End* end = nullptr;
  const Ring* ring = nullptr;
  bool produces = false;
  int next = 0;  // turn of the element acquired next
  int held = 0;
};

class Lowering {
 public:
  Lowering(Draft* draft, const CoreDesign& core) : draft_(*draft), core_(core) {
    for (const End& end : draft_.ends) {
      if (end.spec->tile != core.tile || end.ring < 0) continue;
      const Ring& ring = draft_.rings[static_cast<size_t>(end.ring)];
      sides_[end.fifo->name].push_back(
          {.end = &end, .ring = &ring, .produces = end.consumer < 0});
    }
  }

  std::vector<CoreOp> Run() {
    CheckNesting();
    const std::span<const Op> ops = core_.program;
    Repeat(ops, CoreOp::kForever, nullptr);
    return std::move(out_);
  }

 private:
  // What an Index() means inside: trips of a loop in the output, or one trip
  // that was taken out of the loop, or none of both.
  struct Trip {
    enum class Kind : uint8_t { kLoop, kFixed } kind;
    int64_t value = 0;   // kFixed: which
    int64_t unroll = 1;  // kLoop: trip is unroll * (the loop's) + value
  };

  [[noreturn]] void Refuse(const std::string& why) const {
    npu::Refuse(draft_, fmt::format("{}: {}", Label(core_.tile), why));
  }

  void CheckNesting() const {
    int open = 0;
    for (const Op& op : core_.program) {
      open += op.kind == Kind::kLoop ? 1 : op.kind == Kind::kEndLoop ? -1 : 0;
      if (open < 0) break;
    }
    if (open != 0) Refuse("loops of its program are not closed");
    if (core_.program.empty()) Refuse("its program is empty");
  }

  Side& SideOf(const std::string& fifo) {
    const auto found = sides_.find(fifo);
    if (found == sides_.end()) {
      Refuse(fmt::format("its program uses fifo {}, which does not end here",
                         fifo));
    }
    if (found->second.size() > 1) {
      Refuse(fmt::format("fifo {} ends here more than once", fifo));
    }
    return found->second.front();
  }

  static std::span<const Op> Body(std::span<const Op> ops, size_t loop) {
    int open = 0;
    for (size_t i = loop; i < ops.size(); ++i) {
      if (ops[i].kind == Kind::kLoop) ++open;
      if (ops[i].kind == Kind::kEndLoop && --open == 0) {
        return ops.subspan(loop + 1, i - loop - 1);
      }
    }
    return {};
  }

  // By how much one run of the ops moves each FIFO on. Loops of unknown length
  // must move every FIFO by whole turns.
  std::map<std::string, int64_t> Advance(std::span<const Op> ops) {
    std::map<std::string, int64_t> acquired;
    std::map<std::string, int64_t> released;
    AddAdvance(ops, 1, &acquired, &released);
    for (const auto& [fifo, count] : acquired) {
      if (released[fifo] == count) continue;
      Refuse(
          fmt::format("a loop acquires {} elements of fifo {} and releases "
                      "{}",
                      count, fifo, released[fifo]));
    }
    for (const auto& [fifo, count] : released) {
      if (acquired[fifo] == count) continue;
      Refuse(
          fmt::format("a loop acquires {} elements of fifo {} and releases "
                      "{}",
                      acquired[fifo], fifo, count));
    }
    return acquired;
  }

  void AddAdvance(std::span<const Op> ops, int64_t times,
                  std::map<std::string, int64_t>* acquired,
                  std::map<std::string, int64_t>* released) {
    for (size_t i = 0; i < ops.size(); ++i) {
      const Op& op = ops[i];
      if (op.kind == Kind::kAcquire) (*acquired)[op.name] += times * op.count;
      if (op.kind == Kind::kRelease) (*released)[op.name] += times * op.count;
      if (op.kind != Kind::kLoop) continue;
      const std::span<const Op> body = Body(ops, i);
      if (op.args.empty()) {
        AddAdvance(body, times * op.count, acquired, released);
      } else {
        for (const auto& [fifo, count] : Advance(body)) {
          const int depth = SideOf(fifo).ring->depth;
          if (count % depth == 0) continue;
          Refuse(
              fmt::format("a loop as long as a parameter says moves fifo {} "
                          "by {} a trip, want a multiple of its depth {}",
                          fifo, count, depth));
        }
      }
      i += body.size() + 1;
    }
  }

  // Trips after which every FIFO's turn has come round.
  int64_t Unroll(std::span<const Op> body) {
    int64_t unroll = 1;
    for (const auto& [fifo, count] : Advance(body)) {
      const int64_t depth = SideOf(fifo).ring->depth;
      unroll = std::lcm(unroll, depth / std::gcd(depth, count));
    }
    return unroll;
  }

  void Repeat(std::span<const Op> body, int64_t count, const Arg* parameter) {
    const bool open = count == CoreOp::kForever || parameter != nullptr;
    const int64_t unroll = Unroll(body);
    const int64_t loops = open ? 1 : count / unroll;
    const int64_t rest = open ? 0 : count % unroll;
    if (open || loops > 1) {
      CoreOp loop{.kind = CoreOp::Kind::kLoop, .lock_tile = core_.tile};
      loop.value = open ? (count == CoreOp::kForever ? count : 0) : loops;
      if (parameter != nullptr) loop.args.push_back(LowerArg(*parameter));
      out_.push_back(loop);
      for (int64_t i = 0; i < unroll; ++i) {
        trips_.push_back({Trip::Kind::kLoop, i, unroll});
        Emit(body);
        trips_.pop_back();
      }
      out_.push_back({.kind = CoreOp::Kind::kEndLoop, .lock_tile = core_.tile});
    } else {
      for (int64_t i = 0; i < loops * unroll; ++i) EmitTrip(body, i);
    }
    for (int64_t i = 0; i < rest; ++i) EmitTrip(body, loops * unroll + i);
  }

  void EmitTrip(std::span<const Op> body, int64_t trip) {
    trips_.push_back({Trip::Kind::kFixed, trip});
    Emit(body);
    trips_.pop_back();
  }

  void Emit(std::span<const Op> ops) {
    for (size_t i = 0; i < ops.size(); ++i) {
      const Op& op = ops[i];
      switch (op.kind) {
        case Kind::kAcquire:
        case Kind::kRelease:
          EmitFifo(op);
          break;
        case Kind::kAcquireLock:
        case Kind::kReleaseLock:
          EmitLock(op);
          break;
        case Kind::kCall:
          EmitCall(op);
          break;
        case Kind::kLoop: {
          const std::span<const Op> body = Body(ops, i);
          if (!op.args.empty() && op.args[0].kind != Arg::Kind::kParameter) {
            Refuse("a loop's length is a constant or a parameter");
          }
          if (op.args.empty() && op.count < 0) {
            Refuse(fmt::format("a loop of {} trips", op.count));
          }
          Repeat(body, op.count, op.args.empty() ? nullptr : &op.args[0]);
          i += body.size() + 1;
          break;
        }
        case Kind::kEndLoop:
          break;
      }
    }
  }

  void EmitFifo(const Op& op) {
    Side& side = SideOf(op.name);
    const Ring::Part& part = side.ring->parts.front();
    const int count = static_cast<int>(op.count);
    const bool acquires = op.kind == Kind::kAcquire;
    if (op.count < 1 || side.held + (acquires ? count : -count) < 0 ||
        side.held + (acquires ? count : 0) > side.ring->depth) {
      Refuse(fmt::format("{} {} elements of fifo {} while holding {} of its {}",
                         acquires ? "acquires" : "releases", op.count, op.name,
                         side.held, side.ring->depth));
    }
    CoreOp lowered{.lock_tile = side.ring->tile};
    lowered.kind = acquires ? CoreOp::Kind::kAcquire : CoreOp::Kind::kRelease;
    lowered.lock = side.produces == acquires ? part.empty_lock : part.full_lock;
    lowered.value = side.produces ? count * part.takes : count;
    out_.push_back(lowered);
    side.held += acquires ? count : -count;
    if (acquires) side.next = (side.next + count) % side.ring->depth;
  }

  void EmitLock(const Op& op) {
    const NamedLock& lock = draft_.LockNamed(op.name);
    if (MemoryWindow(core_.tile, lock.tile) == 0) {
      Refuse(fmt::format("lock {} is at {}, out of its reach", op.name,
                         lock.tile.ToString()));
    }
    out_.push_back({.kind = op.kind == Kind::kAcquireLock
                                ? CoreOp::Kind::kAcquire
                                : CoreOp::Kind::kRelease,
                    .lock = draft_.lock_ids.find(op.name)->second,
                    .lock_tile = lock.tile,
                    .value = op.count});
  }

  void EmitCall(const Op& op) {
    const KernelInfo* kernel = draft_.lookup(op.name);
    if (kernel == nullptr) {
      Refuse(fmt::format("no kernel named {}", op.name));
    }
    if (kernel->args.size() != op.args.size()) {
      Refuse(fmt::format("kernel {} takes {} arguments, is given {}", op.name,
                         kernel->args.size(), op.args.size()));
    }
    CoreOp call{.kind = CoreOp::Kind::kCall, .lock_tile = core_.tile};
    call.kernel = op.name;
    for (size_t i = 0; i < op.args.size(); ++i) {
      const CoreArg arg = LowerArg(op.args[i]);
      const bool pointer = arg.kind == CoreArg::Kind::kBuffer;
      if (pointer == (kernel->args[i].kind == KernelArg::Kind::kInt)) {
        Refuse(fmt::format("kernel {} wants {} as argument {}", op.name,
                           pointer ? "a number" : "a buffer", i));
      }
      if (pointer) CheckSize(op, i, kernel->args[i]);
      call.args.push_back(arg);
    }
    out_.push_back(std::move(call));
  }

  // A kernel must not reach past the buffer it is given.
  void CheckSize(const Op& op, size_t i, const KernelArg& want) {
    const int64_t item = want.type == "i8" || want.type == "u8"      ? 1
                         : want.type == "bf16" || want.type == "i16" ? 2
                                                                     : 4;
    const Arg& arg = op.args[i];
    const int64_t has = arg.kind == Arg::Kind::kElement
                            ? RoomOf(SideOf(arg.name), arg)
                            : StaticNamed(arg.name).first->bytes - arg.value;
    if (has >= want.elements * item) return;
    Refuse(fmt::format("kernel {} reads or writes {} bytes of {}, which has {}",
                       op.name, want.elements * item, arg.name, has));
  }

  const std::pair<const StaticBuffer*, int64_t>& StaticNamed(
      const std::string& name) const {
    const auto found = draft_.statics.find(name);
    if (found == draft_.statics.end()) {
      Refuse(
          fmt::format("its program uses buffer {}, which is not there", name));
    }
    return found->second;
  }

  int64_t StaticAddress(const Arg& arg, int64_t bytes) const {
    const auto& [buffer, address] = StaticNamed(arg.name);
    const int64_t window = MemoryWindow(core_.tile, buffer->tile);
    if (window == 0) {
      Refuse(fmt::format("buffer {} is at {}, out of its reach", arg.name,
                         buffer->tile.ToString()));
    }
    if (arg.value < 0 || arg.value + bytes > buffer->bytes) {
      Refuse(fmt::format("byte {} of buffer {}, which has {}", arg.value,
                         arg.name, buffer->bytes));
    }
    return window + address + arg.value;
  }

  CoreArg LowerArg(const Arg& arg) {
    CoreArg lowered;
    switch (arg.kind) {
      case Arg::Kind::kConstant:
        lowered = {CoreArg::Kind::kConstant, arg.value};
        break;
      case Arg::Kind::kBuffer:
        lowered = {CoreArg::Kind::kBuffer, StaticAddress(arg, 1)};
        break;
      case Arg::Kind::kParameter:
        return {CoreArg::Kind::kParameter, StaticAddress(arg, 4)};
      case Arg::Kind::kIndex:
        return AddTrips({}, arg.value, 1);
      case Arg::Kind::kElement:
        lowered = LowerElement(arg);
        break;
    }
    return arg.loop < 0 ? lowered : AddTrips(lowered, arg.loop, arg.stride);
  }

  CoreArg LowerElement(const Arg& arg) {
    const Side& side = SideOf(arg.name);
    if (arg.offset < 0 || arg.offset >= side.ring->element_bytes) {
      Refuse(fmt::format("byte {} of an element of fifo {}, which has {}",
                         arg.offset, arg.name, side.ring->element_bytes));
    }
    if (arg.value < 0 || arg.value >= side.held) {
      Refuse(fmt::format("uses element {} of fifo {} while holding {}",
                         arg.value, arg.name, side.held));
    }
    return {CoreArg::Kind::kBuffer,
            MemoryWindow(core_.tile, side.ring->tile) +
                side.ring->addresses[static_cast<size_t>(Turn(side, arg))] +
                arg.offset};
  }

  static int Turn(const Side& side, const Arg& arg) {
    const int depth = side.ring->depth;
    return (side.next - side.held + static_cast<int>(arg.value) + depth) %
           depth;
  }

  // Bytes that a kernel may take from an element on: of a contiguous ring all
  // held ones up to the ring's end.
  int64_t RoomOf(const Side& side, const Arg& arg) const {
    int64_t elements = 1;
    if (side.ring->contiguous) {
      elements = std::min<int64_t>(side.held - arg.value,
                                   side.ring->depth - Turn(side, arg));
    }
    return elements * side.ring->element_bytes - arg.offset;
  }

  // A value that moves with a loop's trips; loops that were taken apart give
  // constants.
  CoreArg AddTrips(CoreArg arg, int64_t loops_out, int64_t stride) const {
    // The endless loop around the program is none the design knows.
    const int64_t known = static_cast<int64_t>(trips_.size()) - 1;
    if (loops_out < 0 || loops_out >= known) {
      Refuse(fmt::format("index of loop {} in {} loops", loops_out, known));
    }
    const size_t at = trips_.size() - 1 - static_cast<size_t>(loops_out);
    const Trip& trip = trips_[at];
    arg.value += stride * trip.value;
    if (trip.kind == Trip::Kind::kFixed) return arg;
    arg.stride = stride * trip.unroll;
    arg.loop = static_cast<int>(std::count_if(
        trips_.begin() + static_cast<std::ptrdiff_t>(at) + 1, trips_.end(),
        [](const Trip& t) { return t.kind != Trip::Kind::kFixed; }));
    return arg;
  }

  Draft& draft_;
  const CoreDesign& core_;
  std::map<std::string, std::vector<Side>> sides_;
  std::vector<Trip> trips_;
  std::vector<CoreOp> out_;
};

}  // namespace

void LowerPrograms(Draft* draft) {
  std::set<TileId> seen;
  for (const CoreDesign& core : draft->design->cores) {
    if (!seen.insert(core.tile).second) {
      Refuse(*draft, fmt::format("{}: has two programs", Label(core.tile)));
    }
    TileConfig& config = draft->tile(core.tile);
    config.program = Lowering(draft, core).Run();
    config.program_bytes = ProgramBytes(*draft, config.program);
    const int64_t limit = LimitsOf(TileKind::kCore).program_bytes;
    if (config.program_bytes > limit) {
      Refuse(*draft,
             fmt::format("{}: program of {} bytes, want at most {}",
                         Label(core.tile), config.program_bytes, limit));
    }
  }
  for (const Ring& ring : draft->rings) {
    if (IsCore(ring.tile) && !seen.contains(ring.tile)) {
      Refuse(*draft, fmt::format("{}: fifo {} ends here, but no program runs",
                                 Label(ring.tile), ring.name));
    }
  }
}

}  // namespace sotto::npu
