// SPDX-License-Identifier: MIT
// Core programs.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "npu/kernels/stack.h"
#include "npu/sim/cost.h"
#include "npu/sim/engine.h"

namespace sotto::npu::sim {
namespace {

// Operations a core runs before others get their turn.
constexpr int kSlice = 4096;

}  // namespace

int64_t Engine::Trip(const Core& core, int64_t out) const {
  if (out < 0 || out >= static_cast<int64_t>(core.loops.size())) {
    Stop("{}: index of loop {}, {} loops are open", core.tile.ToString(), out,
         core.loops.size());
  }
  return core.loops[core.loops.size() - 1 - static_cast<size_t>(out)].trip;
}

// Pointers that move with a loop's trips.
void Engine::MovePointers(const Core& core, Core::Op* op) {
  size_t pointer = 0;
  for (const CoreArg& arg : op->op->args) {
    if (arg.kind != CoreArg::Kind::kBuffer) continue;
    if (arg.loop >= 0) {
      try {
        op->pointers[pointer] =
            Resolve(core.tile, Argument(core, arg), 0, core.tile.ToString());
      } catch (const Error& error) {
        Stop("{}", error.what());
      }
    }
    ++pointer;
  }
}

int64_t Engine::Argument(const Core& core, const CoreArg& arg) const {
  switch (arg.kind) {
    case CoreArg::Kind::kConstant:
    case CoreArg::Kind::kBuffer:
      return arg.loop < 0 ? arg.value
                          : arg.value + arg.stride * Trip(core, arg.loop);
    case CoreArg::Kind::kIndex:
      return Trip(core, arg.value);
    case CoreArg::Kind::kParameter: {
      // The address was checked when the configuration was loaded.
      int32_t value = 0;
      std::memcpy(&value,
                  tiles_.at(core.tile).memory.data() + (arg.value & 0xFFFF),
                  sizeof value);
      return value;
    }
  }
  return 0;
}

void Engine::CheckStack(const Core& core, const KernelInfo& kernel) const {
  const int64_t needs = kernel.frame_bytes + options_.caller_stack_bytes;
  if (needs <= core.config->stack_bytes) return;
  if (!options_.corrupting_stack) {
    Stop(
        "{}: kernel {} needs {} bytes of stack, {} of them its frame; the "
        "stack at {:#x} has {}",
        core.tile.ToString(), kernel.name, needs, kernel.frame_bytes,
        core.config->stack_address, core.config->stack_bytes);
  }
  if (core.config->stack_address + needs >
      LimitsOf(TileKind::kCore).memory_bytes) {
    Stop("{}: kernel {} runs its stack past the end of memory",
         core.tile.ToString(), kernel.name);
  }
}

// Runs the kernel; returns when it is done.
int64_t Engine::Call(Core* core, Core::Op* op, int64_t now) {
  const KernelInfo& kernel = *op->kernel;
  CheckStack(*core, kernel);
  MovePointers(*core, op);
  std::vector<int32_t> ints;
  for (size_t i = 0; i < kernel.args.size(); ++i) {
    if (kernel.args[i].kind != KernelArg::Kind::kInt) continue;
    ints.push_back(static_cast<int32_t>(Argument(*core, op->op->args[i])));
  }
  auto found = op->costs.find(ints);
  if (found == op->costs.end()) {
    const CoreParameters& p = options_.parameters.core;
    Core::Op::Cost cost{.cycles = CyclesOf(kernel, ints, p),
                        .macs = MacsOf(kernel, ints)};
    cost.accesses =
        AccessesOf(kernel, ints, p) / static_cast<double>(cost.cycles);
    found = op->costs.emplace(ints, cost).first;
  }
  const auto [cycles, macs, accesses] = found->second;
  Tile& tile = At(core->tile);
  int64_t from = now;
  if (!options_.overlap) {
    from = std::max(from, tile.serial);
    tile.serial = from + cycles;
  }
  core->in_kernel = true;
  core->moved = tile.moved;
  const auto banks =
      static_cast<double>(std::count(op->banks.begin(), op->banks.end(), true));
  for (size_t i = 0; i < op->banks.size(); ++i) {
    // Each bank is two that take turns.
    core->meets[i] = op->banks[i] ? std::min(1.0, accesses / (2 * banks)) : 0.0;
  }
  RunKernel(core, kernel, op->pointers, ints);
  core->totals.compute += cycles;
  core->totals.control += from - now;
  ++core->totals.calls;
  core->totals.macs += macs;
  KernelTotals& totals = totals_.kernels[std::string(kernel.name)];
  ++totals.calls;
  totals.cycles += cycles;
  totals.macs += macs;
  if (options_.trace) {
    Trace(core->tile, 0, TraceSpan::Kind::kCompute, from, from + cycles,
          std::string(kernel.name));
  }
  return from + cycles;
}

// Cycles the kernel that just ended waited for banks: the beats of DMA in its
// banks, each as likely to meet an access as the core makes them.
int64_t Engine::Conflicts(Core* core) {
  const Tile& tile = At(core->tile);
  double cycles = 0;
  for (size_t i = 0; i < core->moved.size(); ++i) {
    cycles += static_cast<double>(tile.moved[i] - core->moved[i]) /
              options_.parameters.words_per_beat * core->meets[i];
  }
  core->in_kernel = false;
  return static_cast<int64_t>(cycles);
}

void Engine::StepCore(int index, int64_t now) {
  Core& core = cores_[static_cast<size_t>(index)];
  core.scheduled = false;
  if (core.job != nullptr) {
    workers_->Wait(core.job);
    core.job.reset();
  }
  if (core.in_kernel && options_.bank_conflicts) {
    if (const int64_t extra = Conflicts(&core); extra > 0) {
      core.totals.conflicts += extra;
      core.scheduled = true;
      Schedule(now + extra, {Actor::Kind::kCore, index});
      return;
    }
  }
  int64_t t = now;
  if (core.waiting) {
    core.waiting = false;
    core.totals.waiting += now - core.wait_from;
    if (options_.trace && now > core.wait_from) {
      const CoreOp& op = *core.ops[core.at].op;
      Trace(core.tile, 0, TraceSpan::Kind::kWait, core.wait_from, now,
            fmt::format("lock {} of {}", op.lock, op.lock_tile.ToString()));
    }
  }
  const CoreParameters& p = options_.parameters.core;
  const auto spend = [&](int64_t cycles) {
    t += cycles;
    core.totals.control += cycles;
  };
  for (int slice = 0; slice < kSlice; ++slice) {
    if (core.at == core.ops.size()) {
      core.done = true;
      return;
    }
    Core::Op& op = core.ops[core.at];
    switch (op.op->kind) {
      case CoreOp::Kind::kAcquire:
        if (op.lock->value < op.op->value) {
          op.lock->waiters.push_back({Actor::Kind::kCore, index});
          core.waiting = true;
          core.wait_from = t;
          return;
        }
        op.lock->value -= static_cast<int>(op.op->value);
        spend(options_.parameters.lock_cycles);
        ++core.at;
        break;
      case CoreOp::Kind::kRelease:
        Release(op.lock, static_cast<int>(op.op->value), op.op->lock_tile,
                op.op->lock, t);
        spend(options_.parameters.lock_cycles);
        ++core.at;
        break;
      case CoreOp::Kind::kCall:
        t = Call(&core, &op, t);
        ++core.at;
        core.scheduled = true;
        Schedule(t, {Actor::Kind::kCore, index});
        return;
      case CoreOp::Kind::kLoop: {
        const int64_t count =
            op.op->args.empty() ? op.op->value : Argument(core, op.op->args[0]);
        spend(1);
        if (count == 0) {
          core.at = op.match + 1;
          break;
        }
        core.loops.push_back({core.at + 1, count, 0});
        ++core.at;
        break;
      }
      case CoreOp::Kind::kEndLoop: {
        Core::Loop& loop = core.loops.back();
        spend(static_cast<int64_t>(p.branch_cycles));
        ++loop.trip;
        if (loop.left != CoreOp::kForever && loop.trip >= loop.left) {
          core.loops.pop_back();
          ++core.at;
        } else {
          core.at = loop.begin;
        }
        break;
      }
    }
  }
  core.scheduled = true;
  Schedule(t, {Actor::Kind::kCore, index});
}

// The call itself, on tile memory. Locals of the kernels that reproduce
// published ones stand on the tile's stack.
void Engine::RunKernel(Core* core, const KernelInfo& kernel,
                       std::span<std::byte* const> pointers,
                       std::vector<int32_t> ints) {
  if (kernel.call == nullptr) return;
  if (options_.corrupting_stack) {
    const Tile& tile = At(core->tile);
    TileStack stack{.memory = tile.memory.data(),
                    .memory_bytes = static_cast<int64_t>(tile.memory.size()),
                    .address = core->config->stack_address,
                    .bytes = core->config->stack_bytes,
                    .used = options_.caller_stack_bytes,
                    .overflow = TileStack::Overflow::kCorrupt};
    const ScopedTileStack installed(stack);
    kernel.call({pointers, ints});
    return;
  }
  if (workers_ == nullptr) {
    kernel.call({pointers, ints});
    return;
  }
  core->job =
      workers_->Submit([call = kernel.call, pointers, ints = std::move(ints)] {
        call({pointers, ints});
      });
}

void Engine::FinishKernels() {
  for (Core& core : cores_) {
    if (core.job == nullptr) continue;
    workers_->Wait(core.job);
    core.job.reset();
  }
}

}  // namespace sotto::npu::sim
