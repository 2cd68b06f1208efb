// SPDX-License-Identifier: MIT
// The event loop: one queue of times at which something can go on.
#include "npu/sim/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace sotto::npu::sim {
namespace {

// Events between two calls of the progress function.
constexpr uint64_t kProgressEvents = 1 << 15;
// Of what waits, a deadlock's line names this many.
constexpr size_t kNamed = 12;

}  // namespace

Engine::Engine(std::shared_ptr<const ArrayConfig> config, SimOptions options)
    : config_(std::move(config)), options_(std::move(options)) {
  Load();
  if (options_.threads > 1) {
    workers_ = std::make_unique<Workers>(options_.threads);
  }
}

Tile& Engine::At(TileId id) {
  const auto found = tiles_.find(id);
  SOTTO_CHECK(found != tiles_.end());
  return found->second;
}

void Engine::Schedule(int64_t time, Actor actor) {
  events_.push({time, order_++, actor});
}

void Engine::Wake(Lock* lock, int64_t now) {
  std::vector<Actor> waiters;
  waiters.swap(lock->waiters);
  for (const Actor& actor : waiters) Schedule(now, actor);
}

void Engine::Release(Lock* lock, int amount, TileId tile, int id, int64_t now) {
  const int value = lock->value + amount;
  if (value < 0 || value > kMaxLockValue) {
    Stop("{}: lock {} is {} and is released by {}, want 0 to {}",
         tile.ToString(), id, lock->value, amount, kMaxLockValue);
  }
  lock->value = value;
  if (!lock->waiters.empty()) Wake(lock, now);
}

void Engine::Resume(const Actor& actor, int64_t now) {
  switch (actor.kind) {
    case Actor::Kind::kCore: {
      const Core& core = cores_[static_cast<size_t>(actor.index)];
      if (!core.done) StepCore(actor.index, now);
      return;
    }
    case Actor::Kind::kRoute:
      EndBurst(actor.index, now);
      return;
    case Actor::Kind::kController:
      StepController(now);
      return;
    case Actor::Kind::kChannel:
      break;
  }
  const Channel& c = channels_[static_cast<size_t>(actor.index)];
  switch (c.state) {
    case Channel::State::kStarting:
      LoadDescriptor(actor.index, c.queue.front().descriptor, now);
      return;
    case Channel::State::kLocked:
      TryAcquire(actor.index, now);
      return;
    case Channel::State::kEnding:
      EndDescriptor(actor.index, c.ready);
      return;
    case Channel::State::kIdle:
    case Channel::State::kReady:
      return;
  }
}

void Engine::Settle() {
  const int64_t until = now_ + options_.settle_cycles;
  while (!events_.empty() && events_.top().time <= until) {
    const Event event = events_.top();
    events_.pop();
    now_ = std::max(now_, event.time);
    Resume(event.actor, event.time);
  }
}

SimRun Engine::Run(const TxnStream& stream,
                   std::span<const std::span<std::byte>> host, int64_t limit) {
  SimRun run;
  if (!broken_.empty()) {
    run.state = RunState::kError;
    run.detail = "the array stopped in an earlier run: " + broken_;
    return run;
  }
  stream_ = &stream;
  host_ = host;
  ResetTotals();
  started_ = now_;
  ScheduleController(now_ + options_.parameters.command_cold_cycles);
  try {
    uint64_t events = 0;
    while (!controller_done_ && run.state == RunState::kNew) {
      if (events_.empty()) {
        run.state = RunState::kTimeout;
        run.detail = "deadlock, nothing can move: " + Waiting();
        break;
      }
      const Event event = events_.top();
      events_.pop();
      now_ = std::max(now_, event.time);
      if (limit > 0 && now_ - started_ > limit) {
        run.state = RunState::kTimeout;
        run.detail =
            fmt::format("still running after {} cycles: {}", limit, Waiting());
        break;
      }
      Resume(event.actor, event.time);
      if (++events % kProgressEvents == 0 && options_.progress &&
          !options_.progress(now_ - started_, Done())) {
        run.state = RunState::kAbort;
        run.detail = "stopped by the caller";
      }
    }
    if (controller_done_) {
      Settle();
      FinishKernels();
      CheckCanaries();
      run.state = RunState::kCompleted;
    }
  } catch (const Fault& fault) {
    run.state = RunState::kError;
    run.detail = fault.what();
  }
  FinishKernels();
  if (run.state != RunState::kCompleted) {
    ended_ = now_;
    broken_ = run.detail;
  }
  run.report = Report();
  stream_ = nullptr;
  host_ = {};
  return run;
}

void Engine::ResetTotals() {
  totals_ = {};
  op_ = 0;
  controller_done_ = false;
  controller_waiting_ = false;
  for (Channel& c : channels_) {
    c.totals = {.tile = c.tile, .direction = c.direction, .channel = c.index};
    c.cold = true;
    c.tokens = 0;
  }
  for (Core& core : cores_) {
    core.totals = {};
    if (core.waiting) core.wait_from = now_;
  }
}

SimReport Engine::Report() const {
  SimReport report = totals_;
  report.parameters = options_.parameters;
  report.cycles = ended_ - started_;
  report.launch_cycles = options_.parameters.LaunchCycles();
  for (const Core& core : cores_) report.cores[core.tile] = core.totals;
  for (const Channel& c : channels_) {
    if (c.totals.words > 0) report.channels.push_back(c.totals);
  }
  return report;
}

std::string Engine::WaitsFor(const Channel& c) const {
  if (c.state == Channel::State::kLocked) {
    return fmt::format("{} descriptor {} waits for lock {} >= {}, it is {}",
                       c.Name(), c.descriptor, c.bd.acquire_lock,
                       c.bd.acquire_value,
                       tiles_.at(Beside(c.tile, c.bd.acquire_side))
                           .locks[static_cast<size_t>(c.bd.acquire_lock)]
                           .value);
  }
  if (c.routes.empty()) {
    return fmt::format("{} descriptor {} has no route", c.Name(), c.descriptor);
  }
  std::string who;
  if (c.direction == Direction::kS2MM) {
    std::set<int> sources;
    for (const int index : c.routes) {
      const int source = routes_[static_cast<size_t>(index)].source;
      if (!sources.insert(source).second) continue;
      if (!who.empty()) who += " or ";
      who += channels_[static_cast<size_t>(source)].Name();
    }
  } else {
    const RouteState& route = routes_[static_cast<size_t>(c.route)];
    for (const int output : route.outputs) {
      const int owner = outputs_[static_cast<size_t>(output)].owner;
      if (owner < 0 || owner == c.route) continue;
      const RouteState& other = routes_[static_cast<size_t>(owner)];
      return fmt::format(
          "{} descriptor {} waits for an output that packet {} of {} holds",
          c.Name(), c.descriptor, other.packet,
          channels_[static_cast<size_t>(other.source)].Name());
    }
    for (const int end : route.ends) {
      const Channel& e = channels_[static_cast<size_t>(end)];
      if (e.state == Channel::State::kReady) continue;
      if (!who.empty()) who += " and ";
      who += e.Name();
    }
  }
  return fmt::format("{} descriptor {} waits for {}, {} words are left",
                     c.Name(), c.descriptor, who, c.walk.remaining());
}

// Who waits for what, the controller first.
std::string Engine::Waiting() const {
  std::vector<std::string> all;
  if (stream_ != nullptr && op_ < stream_->ops.size()) {
    const TxnOp& op = stream_->ops[op_];
    if (op.kind == TxnOp::Kind::kWaitToken) {
      all.push_back(fmt::format("controller waits for the token of {} {} {}",
                                op.tile.ToString(), op.mm2s ? "MM2S" : "S2MM",
                                op.channel));
    } else {
      all.push_back(
          fmt::format("controller waits at operation {} for a place in a task "
                      "queue",
                      op_));
    }
  }
  for (const Core& core : cores_) {
    if (!core.waiting) continue;
    const CoreOp& op = *core.ops[core.at].op;
    all.push_back(fmt::format("core {} waits for lock {} of {} >= {}, it is {}",
                              core.tile.ToString(), op.lock,
                              op.lock_tile.ToString(), op.value,
                              core.ops[core.at].lock->value));
  }
  for (const Channel& c : channels_) {
    if (c.state == Channel::State::kLocked ||
        c.state == Channel::State::kReady) {
      all.push_back(WaitsFor(c));
    }
  }
  const size_t more = all.size() > kNamed ? all.size() - kNamed : 0;
  all.resize(all.size() - more);
  std::string text = fmt::format("{}", fmt::join(all, "; "));
  if (more > 0) text += fmt::format("; and {} more", more);
  return text;
}

void Engine::Trace(TileId tile, int lane, TraceSpan::Kind kind, int64_t from,
                   int64_t to, std::string what) {
  if (!options_.trace || to <= from) return;
  trace_.push_back({tile, lane, kind, from, to, std::move(what)});
}

}  // namespace sotto::npu::sim

namespace sotto::npu {

class Array::Impl : public sim::Engine {
 public:
  using Engine::Engine;
};

Array::Array(std::shared_ptr<const ArrayConfig> config, SimOptions options)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(options))) {}
Array::~Array() = default;

SimRun Array::Run(const TxnStream& stream,
                  std::span<const std::span<std::byte>> host_buffers,
                  int64_t limit_cycles) {
  const auto refuse = [](std::string why) {
    return SimRun{.state = RunState::kError, .detail = std::move(why)};
  };
  if (host_buffers.size() > kMaxHostBuffers) {
    return refuse(fmt::format("{} host buffers, a kernel takes at most {}",
                              host_buffers.size(), kMaxHostBuffers));
  }
  const auto& wanted = impl_->config().host_buffer_bytes;
  if (host_buffers.size() < wanted.size()) {
    return refuse(fmt::format("{} host buffers, {} wants {}",
                              host_buffers.size(), impl_->config().name,
                              wanted.size()));
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (static_cast<int64_t>(host_buffers[i].size()) < wanted[i]) {
      return refuse(fmt::format("host buffer {} has {} bytes, {} wants {}", i,
                                host_buffers[i].size(), impl_->config().name,
                                wanted[i]));
    }
  }
  return impl_->Run(stream, host_buffers, limit_cycles);
}

const ArrayConfig& Array::config() const { return impl_->config(); }
std::span<std::byte> Array::Memory(TileId tile) {
  return impl_->At(tile).memory.bytes();
}
int Array::LockValue(TileId tile, int lock) const {
  return impl_->At(tile).locks.at(static_cast<size_t>(lock)).value;
}
std::span<const TraceSpan> Array::trace() const { return impl_->trace(); }

}  // namespace sotto::npu
