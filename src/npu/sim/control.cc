// SPDX-License-Identifier: MIT
// The controller: runs the instruction stream.
#include <cstring>

#include "npu/sim/engine.h"

namespace sotto::npu::sim {
namespace {

constexpr uint32_t kChannelReset = 2;
constexpr uint32_t kCoreEnable = 1;
constexpr uint32_t kCoreReset = 2;

}  // namespace

Channel& Engine::ChannelAt(TileId tile, Direction direction, int index) {
  const auto found = tiles_.find(tile);
  if (found == tiles_.end()) {
    Stop("instruction stream: operation {}: tile {} is not in the array", op_,
         tile.ToString());
  }
  const auto& channels = found->second.channels[static_cast<int>(direction)];
  if (index < 0 || index >= static_cast<int>(channels.size())) {
    Stop("instruction stream: operation {}: tile {} has no channel {}", op_,
         tile.ToString(), index);
  }
  return channels_[static_cast<size_t>(channels[static_cast<size_t>(index)])];
}

// Whether `descriptor` is in the chain that starts at `at`.
bool Engine::InChain(const Tile& tile, int at, int descriptor) const {
  for (size_t i = 0; i < tile.descriptors.size(); ++i) {
    if (at == descriptor) return true;
    if (at < 0 || at >= static_cast<int>(tile.descriptors.size())) break;
    const DescriptorState& state = tile.descriptors[static_cast<size_t>(at)];
    if (!state.decoded) break;
    at = state.value.next;
  }
  return false;
}

// Whether a channel runs the descriptor or still has it before it.
bool Engine::InUse(const Tile& tile, int descriptor) const {
  for (const auto& direction : tile.channels) {
    for (const int index : direction) {
      const Channel& c = channels_[static_cast<size_t>(index)];
      for (size_t i = 0; i < c.queue.size(); ++i) {
        const bool running = i == 0 && c.state != Channel::State::kStarting;
        if ((!running || c.repeats_left > 0) &&
            InChain(tile, c.queue[i].descriptor, descriptor)) {
          return true;
        }
        if (running && InChain(tile, c.descriptor, descriptor)) return true;
      }
    }
  }
  return false;
}

void Engine::WriteDescriptor(const RegisterAddress& at, uint32_t value) {
  Tile& tile = At(at.tile);
  if (InUse(tile, at.index)) {
    Stop(
        "instruction stream: operation {}: rewrites descriptor {} of {} while "
        "a channel uses it",
        op_, at.index, at.tile.ToString());
  }
  DescriptorState& state = tile.descriptors[static_cast<size_t>(at.index)];
  if (!state.written) {
    state.words.assign(static_cast<size_t>(DescriptorWords(tile.kind)), 0);
  }
  state.words[static_cast<size_t>(at.word)] = value;
  state.written = true;
  state.decoded = false;
  state.iteration = 0;
}

// False: the queue is full, try again later.
bool Engine::WriteRegister(uint32_t address, uint32_t value, uint32_t mask,
                           int64_t now) {
  const RegisterAddress at = LocateRegister(address);
  if (at.kind == RegisterAddress::Kind::kNone || !tiles_.contains(at.tile)) {
    Stop(
        "instruction stream: operation {}: writes {:#x}, where this array has "
        "no register",
        op_, address);
  }
  Tile& tile = At(at.tile);
  value &= mask;
  switch (at.kind) {
    case RegisterAddress::Kind::kData: {
      std::byte* word = tile.memory.data() + at.offset;
      uint32_t old = 0;
      std::memcpy(&old, word, sizeof old);
      value |= old & ~mask;
      std::memcpy(word, &value, sizeof value);
      tile.owned[at.offset / 4] = true;
      return true;
    }
    case RegisterAddress::Kind::kDescriptor: {
      const DescriptorState& state =
          tile.descriptors[static_cast<size_t>(at.index)];
      if (state.written) {
        value |= state.words[static_cast<size_t>(at.word)] & ~mask;
      }
      WriteDescriptor(at, value);
      return true;
    }
    case RegisterAddress::Kind::kQueue: {
      const int index = tile.channels[static_cast<int>(at.direction)]
                                     [static_cast<size_t>(at.index)];
      if (channels_[static_cast<size_t>(index)].queue.size() >=
          kTaskQueueDepth) {
        return false;
      }
      Push(index, DecodeQueueEntry(tile.kind, value), now);
      return true;
    }
    case RegisterAddress::Kind::kControl: {
      const Channel& c = ChannelAt(at.tile, at.direction, at.index);
      if (tile.kind != TileKind::kShim && (value & kChannelReset) != 0 &&
          c.state != Channel::State::kIdle) {
        Stop("instruction stream: operation {}: resets {} while it works", op_,
             c.Name());
      }
      return true;
    }
    case RegisterAddress::Kind::kLock: {
      Lock& lock = tile.locks[static_cast<size_t>(at.index)];
      lock.value = static_cast<int>(value & kMaxLockValue);
      Wake(&lock, now);
      return true;
    }
    case RegisterAddress::Kind::kCoreControl: {
      if (tile.core < 0) return true;
      Core& core = cores_[static_cast<size_t>(tile.core)];
      if ((value & kCoreReset) != 0) {
        if (core.scheduled || core.waiting) {
          Stop("instruction stream: operation {}: resets core {} while it runs",
               op_, at.tile.ToString());
        }
        core.at = 0;
        core.loops.clear();
      }
      if ((value & kCoreEnable) != 0 && !core.scheduled && !core.waiting &&
          core.at == 0) {
        core.done = false;
        core.scheduled = true;
        Schedule(now, {Actor::Kind::kCore, tile.core});
      }
      return true;
    }
    case RegisterAddress::Kind::kNone:
      break;
  }
  return true;
}

// Adds a host buffer's address to a shim descriptor's words 1 and 2.
void Engine::Patch(const TxnOp& op) {
  const RegisterAddress at = LocateRegister(op.address);
  if (at.kind != RegisterAddress::Kind::kDescriptor || at.word != 1 ||
      KindOf(at.tile) != TileKind::kShim || !tiles_.contains(at.tile)) {
    Stop(
        "instruction stream: operation {}: patches {:#x}, want word 1 of a "
        "shim descriptor",
        op_, op.address);
  }
  if (op.argument >= host_.size()) {
    Stop("instruction stream: operation {}: names host buffer {}, {} {} passed",
         op_, op.argument, host_.size(), host_.size() == 1 ? "was" : "were");
  }
  DescriptorState& state =
      At(at.tile).descriptors[static_cast<size_t>(at.index)];
  int64_t address = HostAddress(op.argument) + op.offset;
  if (state.written) {
    address += int64_t{state.words[1]} | int64_t{state.words[2] & 0xFFFF} << 32;
  }
  RegisterAddress word = at;
  const uint32_t high = state.written ? state.words[2] & 0xFFFF0000 : 0;
  WriteDescriptor(word, static_cast<uint32_t>(address & 0xFFFFFFFF));
  word.word = 2;
  WriteDescriptor(word, high | static_cast<uint32_t>(address >> 32 & 0xFFFF));
}

bool Engine::TakeTokens(const TxnOp& op) {
  const Direction direction = op.mm2s ? Direction::kMM2S : Direction::kS2MM;
  for (const bool take : {false, true}) {
    for (int col = op.tile.col; col < op.tile.col + op.columns; ++col) {
      for (int row = op.tile.row; row < op.tile.row + op.rows; ++row) {
        Channel& c = ChannelAt({col, row}, direction, op.channel);
        if (c.tokens == 0) return false;
        if (take) --c.tokens;
      }
    }
  }
  return true;
}

// False: it has to wait.
bool Engine::RunOp(const TxnOp& op, int64_t now) {
  switch (op.kind) {
    case TxnOp::Kind::kWrite32:
      return WriteRegister(op.address, op.values.at(0), 0xFFFFFFFF, now);
    case TxnOp::Kind::kMaskWrite:
      return WriteRegister(op.address, op.values.at(0), op.mask, now);
    case TxnOp::Kind::kBlockWrite:
      for (size_t i = 0; i < op.values.size(); ++i) {
        const auto at = op.address + static_cast<uint32_t>(4 * i);
        if (LocateRegister(at).kind == RegisterAddress::Kind::kQueue) {
          Stop(
              "instruction stream: operation {}: block write over a task "
              "queue at {:#x}",
              op_, at);
        }
        WriteRegister(at, op.values[i], 0xFFFFFFFF, now);
      }
      return true;
    case TxnOp::Kind::kDdrPatch:
      Patch(op);
      return true;
    case TxnOp::Kind::kWaitToken:
      return TakeTokens(op);
  }
  return true;
}

void Engine::ScheduleController(int64_t time) {
  if (controller_woken_) return;
  controller_woken_ = true;
  Schedule(time, {Actor::Kind::kController, 0});
}

void Engine::StepController(int64_t now) {
  controller_woken_ = false;
  if (stream_ == nullptr || controller_done_) return;
  if (op_ < stream_->ops.size()) {
    if (!RunOp(stream_->ops[op_], now)) {
      if (!controller_waiting_) controller_from_ = now;
      controller_waiting_ = true;
      return;
    }
    if (controller_waiting_) {
      totals_.controller_waiting += now - controller_from_;
      if (options_.trace) {
        Trace({0, 0}, -1, TraceSpan::Kind::kWait, controller_from_, now,
              fmt::format("operation {}", op_));
      }
      controller_waiting_ = false;
    }
    ++totals_.controller_operations;
    ++op_;
  }
  if (op_ == stream_->ops.size()) {
    controller_done_ = true;
    ended_ = now;
    return;
  }
  const SimParameters& p = options_.parameters;
  ScheduleController(now + p.command_task_cycles / p.operations_per_task);
}

}  // namespace sotto::npu::sim
