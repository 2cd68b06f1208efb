// SPDX-License-Identifier: MIT
// Streams between DMA channels: words move in bursts, packets take their ways.
#include <algorithm>
#include <cmath>
#include <utility>

#include "npu/sim/engine.h"

namespace sotto::npu::sim {
namespace {

// Shim channels share DDR, so their bursts are short: 2 KB in turn.
constexpr int64_t kShimBurstWords = 512;

}  // namespace

int64_t Engine::BurstEnd(const RouteState& route, int64_t from, int64_t words) {
  const SimParameters& p = options_.parameters;
  if (!route.shim) {
    return from + static_cast<int64_t>(std::ceil(static_cast<double>(words) /
                                                 p.words_per_cycle));
  }
  const auto n = static_cast<double>(words);
  double end = static_cast<double>(from) + n / p.shim_words_per_cycle;
  // DDR serves bursts in the order they come, all channels of one direction
  // together at its rate.
  const auto share = [&](Direction direction, double gbps) {
    double& free = ddr_free_[static_cast<int>(direction)];
    free = std::max(free, static_cast<double>(from)) +
           4 * n / (gbps / p.clock_ghz);
    end = std::max(end, free);
  };
  const auto& source = channels_[static_cast<size_t>(route.source)];
  if (KindOf(source.tile) == TileKind::kShim) {
    share(Direction::kMM2S, p.ddr_read_gbps);
    totals_.ddr_read_bytes += 4 * words;
  }
  for (const int index : route.ends) {
    if (KindOf(channels_[static_cast<size_t>(index)].tile) != TileKind::kShim) {
      continue;
    }
    share(Direction::kS2MM, p.ddr_write_gbps);
    totals_.ddr_write_bytes += 4 * words;
  }
  return static_cast<int64_t>(std::ceil(end));
}

// A packet takes all outputs on its way, or waits for all.
bool Engine::Claim(int index) {
  RouteState& route = routes_[static_cast<size_t>(index)];
  const auto taken = [&](int output) {
    const int owner = outputs_[static_cast<size_t>(output)].owner;
    return owner >= 0 && owner != index;
  };
  if (std::any_of(route.outputs.begin(), route.outputs.end(), taken)) {
    if (std::find(kept_waiting_.begin(), kept_waiting_.end(), index) ==
        kept_waiting_.end()) {
      kept_waiting_.push_back(index);
    }
    return false;
  }
  for (const int output : route.outputs) {
    OutputState& state = outputs_[static_cast<size_t>(output)];
    state.owner = index;
    route.free = std::max(route.free, state.free);
  }
  return true;
}

// The packet has passed; those that waited for its outputs go first.
void Engine::GiveUp(int index, int64_t now) {
  const RouteState& route = routes_[static_cast<size_t>(index)];
  if (route.outputs.empty()) return;
  for (const int output : route.outputs) {
    outputs_[static_cast<size_t>(output)] = {.owner = -1, .free = route.free};
  }
  std::deque<int> waiting;
  waiting.swap(kept_waiting_);
  for (const int other : waiting) Move(other, now);
}

// Sends a packet's header to the ends that keep it. False where one of them is
// not ready.
bool Engine::MoveHeader(int index, int64_t now) {
  RouteState& route = routes_[static_cast<size_t>(index)];
  Channel& source = channels_[static_cast<size_t>(route.source)];
  int64_t from = std::max(source.ready, route.free);
  for (size_t i = 0; i < route.ends.size(); ++i) {
    if (route.drops_header[i]) continue;
    const Channel& end = channels_[static_cast<size_t>(route.ends[i])];
    if (end.state != Channel::State::kReady) return false;
    from = std::max(from, end.ready - route.latencies[i]);
  }
  words_.assign(
      1, PacketHeader(source.tile, source.bd.packet, source.bd.packet_type));
  for (size_t i = 0; i < route.ends.size(); ++i) {
    if (route.drops_header[i]) continue;
    Channel& end = channels_[static_cast<size_t>(route.ends[i])];
    end.walk.Write(MemoryOf(end), words_);
  }
  source.header = false;
  route.in_header = true;
  route.busy = true;
  route.burst = 1;
  route.from = from;
  route.free = from + 1;
  Schedule(std::max(now, route.free), {Actor::Kind::kRoute, index});
  return true;
}

// Starts a burst if the source and all ends are ready. The words move now; the
// locks that guard both sides see the end of it at its time.
void Engine::Move(int index, int64_t now) {
  RouteState& route = routes_[static_cast<size_t>(index)];
  if (route.busy) return;
  Channel& source = channels_[static_cast<size_t>(route.source)];
  if (source.state != Channel::State::kReady || source.route != index) return;
  if (source.header) {
    if (Claim(index)) MoveHeader(index, now);
    return;
  }
  int64_t n = source.walk.remaining();
  int64_t from = std::max(source.ready, route.free);
  for (size_t i = 0; i < route.ends.size(); ++i) {
    const Channel& end = channels_[static_cast<size_t>(route.ends[i])];
    if (end.state != Channel::State::kReady) return;
    n = std::min(n, end.walk.remaining());
    // Words already on the way fill the switches' FIFOs (4 deep at 4 cycles a
    // hop) while the end gets ready.
    from = std::max(from, end.ready - route.latencies[i]);
  }
  if (route.shim) n = std::min(n, kShimBurstWords);
  if (!options_.overlap) {
    from = std::max(from, At(source.tile).serial);
    for (const int end : route.ends) {
      from =
          std::max(from, At(channels_[static_cast<size_t>(end)].tile).serial);
    }
  }
  words_.resize(static_cast<size_t>(n));
  source.walk.Read(MemoryOf(source), words_);
  for (const int end : route.ends) {
    Channel& c = channels_[static_cast<size_t>(end)];
    c.walk.Write(MemoryOf(c), words_);
  }
  route.busy = true;
  route.burst = n;
  route.from = from;
  route.free = BurstEnd(route, from, n);
  if (!options_.overlap) {
    if (KindOf(source.tile) == TileKind::kCore) {
      At(source.tile).serial = route.free;
    }
    for (const int end : route.ends) {
      const TileId tile = channels_[static_cast<size_t>(end)].tile;
      if (KindOf(tile) == TileKind::kCore) At(tile).serial = route.free;
    }
  }
  Schedule(std::max(now, route.free), {Actor::Kind::kRoute, index});
}

void Engine::EndBurst(int index, int64_t now) {
  RouteState& route = routes_[static_cast<size_t>(index)];
  const int64_t at = route.free;
  const bool header = std::exchange(route.in_header, false);
  route.busy = false;
  const auto account = [&](Channel& c, int64_t shift) {
    c.totals.words += route.burst;
    if (KindOf(c.tile) == TileKind::kCore) {
      const auto bank =
          static_cast<size_t>(c.bd.address / options_.parameters.bank_bytes);
      At(c.tile).moved.at(bank) += route.burst;
    }
    c.totals.busy += at - route.from;
    if (options_.trace) {
      Trace(c.tile, c.Lane(), TraceSpan::Kind::kTransfer, route.from + shift,
            at + shift,
            fmt::format("BD {}: {} words", c.descriptor, route.burst));
    }
  };
  for (size_t i = 0; i < route.ends.size(); ++i) {
    if (header && route.drops_header[i]) continue;
    Channel& end = channels_[static_cast<size_t>(route.ends[i])];
    account(end, route.latencies[i]);
    if (end.walk.remaining() > 0) continue;
    end.state = Channel::State::kEnding;
    Schedule(std::max(now, at + route.latencies[i]),
             {Actor::Kind::kChannel, route.ends[i]});
    end.ready = at + route.latencies[i];
  }
  Channel& source = channels_[static_cast<size_t>(route.source)];
  if (!header) {
    account(source, 0);
    if (source.walk.remaining() == 0) {
      GiveUp(index, now);
      EndDescriptor(route.source, at);
    }
  }
  Move(index, now);
}

}  // namespace sotto::npu::sim
