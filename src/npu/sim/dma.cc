// SPDX-License-Identifier: MIT
// DMA channels: their tasks, descriptors and locks.
#include <utility>

#include "base/error.h"
#include "npu/sim/engine.h"

namespace sotto::npu::sim {

std::string Channel::Name() const {
  return fmt::format("{} {} {}", tile.ToString(),
                     direction == Direction::kS2MM ? "S2MM" : "MM2S", index);
}

int Channel::Lane() const {
  return 1 + index +
         (direction == Direction::kMM2S ? LimitsOf(KindOf(tile)).dma_channels
                                        : 0);
}

std::span<std::byte> Engine::MemoryOf(const Channel& channel) {
  if (channel.host_buffer >= 0) {
    const auto buffer = static_cast<size_t>(channel.host_buffer);
    // Tasks left over from an earlier run may name what this one lacks.
    if (buffer >= host_.size()) {
      Stop("{}: descriptor {} needs host buffer {}, {} were passed",
           channel.Name(), channel.descriptor, buffer, host_.size());
    }
    return host_[buffer];
  }
  return At(Beside(channel.tile, channel.bd.memory_side)).memory.bytes();
}

Lock& Engine::LockOf(TileId tile, int side, int lock) {
  return At(Beside(tile, side)).locks[static_cast<size_t>(lock)];
}

// Whether a mem tile's channel may reach where its descriptor says.
void Engine::CheckSides(const Channel& channel) const {
  constexpr int kReaching = 4;  // channels 0 to 3 (AM020)
  const BufferDescriptor& bd = channel.bd;
  for (const int side : {bd.memory_side, bd.acquire_side, bd.release_side}) {
    if (side == 0) continue;
    if (channel.index >= kReaching) {
      Stop("{}: descriptor {} reaches a neighbour, which channels 0 to {} can",
           channel.Name(), channel.descriptor, kReaching - 1);
    }
    if (!tiles_.contains(Beside(channel.tile, side))) {
      Stop("{}: descriptor {} reaches {}, which is not in the array",
           channel.Name(), channel.descriptor,
           Beside(channel.tile, side).ToString());
    }
  }
}

// The way of an MM2S channel's descriptor.
void Engine::FindRoute(Channel* channel) {
  channel->header = channel->bd.packet >= 0;
  channel->route = -1;
  for (const int index : channel->routes) {
    const int packet = routes_[static_cast<size_t>(index)].packet;
    if (packet == Route::kAnything || packet == channel->bd.packet) {
      channel->route = index;
    }
  }
  if (channel->route >= 0 || channel->routes.empty()) return;
  if (!channel->header) {
    Stop("{}: descriptor {} sends no header, its stream is packet switched",
         channel->Name(), channel->descriptor);
  }
  Stop("{}: descriptor {}: no slot takes packet {} to a DMA", channel->Name(),
       channel->descriptor, channel->bd.packet);
}

void Engine::Push(int channel, QueueEntry entry, int64_t now) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  c.queue.push_back(entry);
  if (c.state == Channel::State::kIdle && c.queue.size() == 1) {
    StartTask(channel, now);
  }
}

void Engine::StartTask(int channel, int64_t now) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  c.repeats_left = c.queue.front().repeat;
  ++c.totals.tasks;
  if (KindOf(c.tile) != TileKind::kShim) {
    LoadDescriptor(channel, c.queue.front().descriptor, now);
    return;
  }
  const SimParameters& p = options_.parameters;
  const bool mm2s = c.direction == Direction::kMM2S;
  const int cost = c.cold ? (mm2s ? p.shim_start_mm2s : p.shim_start_s2mm)
                          : (mm2s ? p.shim_task_mm2s : p.shim_task_s2mm);
  c.cold = false;
  c.state = Channel::State::kStarting;
  Schedule(now + cost, {Actor::Kind::kChannel, channel});
}

BufferDescriptor& Engine::Decoded(const Channel& channel, int id) {
  Tile& tile = At(channel.tile);
  const TileLimits limits = LimitsOf(tile.kind);
  if (id < 0 || id >= limits.buffer_descriptors) {
    Stop("{}: descriptor {} of {}", channel.Name(), id,
         limits.buffer_descriptors);
  }
  // A mem tile's even channels use the first half, odd ones the second.
  if (tile.kind == TileKind::kMem &&
      (id >= limits.buffer_descriptors / 2) != (channel.index % 2 == 1)) {
    Stop("{}: descriptor {} belongs to {} channels", channel.Name(), id,
         id >= limits.buffer_descriptors / 2 ? "odd" : "even");
  }
  DescriptorState& state = tile.descriptors[static_cast<size_t>(id)];
  if (!state.written) {
    Stop("{}: descriptor {} was never written", channel.Name(), id);
  }
  if (!state.decoded) {
    try {
      state.value = DecodeDescriptor(tile.kind, state.words);
    } catch (const Error& error) {
      Stop("{}: descriptor {}: {}", channel.Name(), id, error.what());
    }
    state.value.id = id;
    state.decoded = true;
  }
  return state.value;
}

// Host addresses become a buffer and an offset.
void Engine::ResolveHost(Channel* channel) {
  const int64_t address = channel->bd.address;
  const int64_t buffer = (address >> 40) - 1;
  if (buffer < 0) {
    Stop("{}: descriptor {}: host address {:#x} was never patched",
         channel->Name(), channel->descriptor, address);
  }
  if (buffer >= static_cast<int64_t>(host_.size())) {
    Stop("{}: descriptor {}: host address {:#x} is in none of the {} buffers",
         channel->Name(), channel->descriptor, address, host_.size());
  }
  channel->host_buffer = static_cast<int>(buffer);
  channel->bd.address = address - HostAddress(static_cast<uint32_t>(buffer));
}

void Engine::CheckRange(const Channel& channel) {
  const int64_t end = channel.walk.end_byte();
  if (channel.host_buffer >= 0) {
    const auto size = static_cast<int64_t>(
        host_[static_cast<size_t>(channel.host_buffer)].size());
    if (end > size) {
      Stop("{}: descriptor {} reaches byte {} of host buffer {}, which has {}",
           channel.Name(), channel.descriptor, end, channel.host_buffer, size);
    }
    return;
  }
  const int64_t size = LimitsOf(KindOf(channel.tile)).memory_bytes;
  if (end > size) {
    Stop("{}: descriptor {} reaches address {:#x}, memory ends at {:#x}",
         channel.Name(), channel.descriptor, end, size);
  }
}

void Engine::LoadDescriptor(int channel, int id, int64_t now) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  c.descriptor = id;
  c.bd = Decoded(c, id);
  c.host_buffer = -1;
  if (KindOf(c.tile) == TileKind::kShim) ResolveHost(&c);
  if (c.direction == Direction::kMM2S) {
    FindRoute(&c);
  } else if (StreamWords(c.bd) != c.bd.words || c.bd.packet >= 0) {
    Stop("{}: descriptor {} {}, which only MM2S can", c.Name(), id,
         c.bd.packet >= 0 ? "sends a header" : "pads");
  }
  CheckSides(c);
  DescriptorState& state = At(c.tile).descriptors[static_cast<size_t>(id)];
  c.walk = Walk(c.bd, state.iteration);
  if (c.walk.remaining() == 0) {
    Stop("{}: descriptor {} has a length of 0", c.Name(), id);
  }
  CheckRange(c);
  if (c.bd.iteration.size > 1) {
    state.iteration = (state.iteration + 1) % c.bd.iteration.size;
  }
  TryAcquire(channel, now);
}

void Engine::TryAcquire(int channel, int64_t now) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  if (c.bd.acquire_lock < 0) {
    Begin(channel, now);
    return;
  }
  Lock& lock = LockOf(c.tile, c.bd.acquire_side, c.bd.acquire_lock);
  if (lock.value < c.bd.acquire_value) {
    if (c.state != Channel::State::kLocked) c.wait_from = now;
    c.state = Channel::State::kLocked;
    lock.waiters.push_back({Actor::Kind::kChannel, channel});
    return;
  }
  if (options_.trace && c.state == Channel::State::kLocked)
    Trace(c.tile, c.Lane(), TraceSpan::Kind::kWait, c.wait_from, now,
          fmt::format("lock {}", c.bd.acquire_lock));
  lock.value -= c.bd.acquire_value;
  Begin(channel, now + options_.parameters.lock_cycles);
}

void Engine::Begin(int channel, int64_t now) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  c.state = Channel::State::kReady;
  c.ready = now;
  if (c.direction == Direction::kMM2S) {
    if (c.route >= 0) Move(c.route, now);
    return;
  }
  for (const int route : c.routes) Move(route, now);
}

void Engine::EndDescriptor(int channel, int64_t now) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  if (c.bd.release_lock >= 0) {
    Release(&LockOf(c.tile, c.bd.release_side, c.bd.release_lock),
            c.bd.release_value, Beside(c.tile, c.bd.release_side),
            c.bd.release_lock, now + options_.parameters.lock_cycles);
  }
  // Between descriptors: LoadDescriptor sets the state that follows.
  c.state = Channel::State::kIdle;
  if (c.bd.next >= 0) {
    LoadDescriptor(channel, c.bd.next, now);
    return;
  }
  if (c.repeats_left > 0) {
    --c.repeats_left;
    LoadDescriptor(channel, c.queue.front().descriptor, now);
    return;
  }
  if (c.queue.front().token) ++c.tokens;
  c.queue.pop_front();
  // It may wait for the token, or for a place in the queue.
  if (controller_waiting_) ScheduleController(now);
  if (!c.queue.empty()) StartTask(channel, now);
}

}  // namespace sotto::npu::sim
