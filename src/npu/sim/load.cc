// SPDX-License-Identifier: MIT
// Loads a configuration: everything that can be wrong before anything runs is
// refused here.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "npu/sim/engine.h"

namespace sotto::npu::sim {
namespace {

constexpr uint32_t kCanary = 0xC0DEA11A;

uint32_t CanaryAt(size_t word) {
  return kCanary ^ static_cast<uint32_t>(word) * 0x9E3779B9U;
}

int64_t ElementBytes(std::string_view type) {
  if (type == "i8" || type == "u8") return 1;
  if (type == "bf16" || type == "i16") return 2;
  return 4;
}

// The windows in which a core sees memories: S, W, N, own.
struct Window {
  int64_t base;
  int col;
  int row;
};
constexpr int64_t kOwnWindow = 0x70000;
constexpr Window kWindows[] = {
    {0x40000, 0, -1}, {0x50000, -1, 0}, {0x60000, 0, 1}, {kOwnWindow, 0, 0}};

template <typename... Args>
[[noreturn]] void Refuse(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorCode::kBadInput,
              fmt::format(format, std::forward<Args>(args)...));
}

bool Reaches(TileId core, TileId other) {
  for (const Window& w : kWindows) {
    if (other == TileId{core.col + w.col, core.row + w.row}) return true;
  }
  return false;
}

void CheckBuffers(TileId tile, const TileConfig& config) {
  struct Piece {
    std::string name;
    int64_t from;
    int64_t to;
  };
  const int64_t memory = LimitsOf(KindOf(tile)).memory_bytes;
  std::vector<Piece> pieces;
  for (const PlacedBuffer& b : config.buffers) {
    pieces.push_back({b.name, b.address, b.address + b.bytes});
    if (static_cast<int64_t>(b.initial.size()) > b.bytes) {
      Refuse("{}: buffer {} has {} bytes, its contents {}", tile.ToString(),
             b.name, b.bytes, b.initial.size());
    }
  }
  if (!config.program.empty()) {
    pieces.push_back({"the stack", config.stack_address,
                      config.stack_address + config.stack_bytes});
  }
  for (const Piece& p : pieces) {
    if (p.from < 0 || p.to > memory || p.to < p.from) {
      Refuse("{}: {} is at {:#x} to {:#x}, memory ends at {:#x}",
             tile.ToString(), p.name, p.from, p.to, memory);
    }
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece& a, const Piece& b) { return a.from < b.from; });
  for (size_t i = 1; i < pieces.size(); ++i) {
    if (pieces[i].from < pieces[i - 1].to) {
      Refuse("{}: {} at {:#x} overlaps {}, which ends at {:#x}",
             tile.ToString(), pieces[i].name, pieces[i].from,
             pieces[i - 1].name, pieces[i - 1].to);
    }
  }
}

}  // namespace

void Engine::Load() {
  if (config_->host_buffer_bytes.size() > kMaxHostBuffers) {
    Refuse("{}: {} host buffers, a kernel takes at most {}", config_->name,
           config_->host_buffer_bytes.size(), kMaxHostBuffers);
  }
  const std::vector<Route> routes = TraceRoutes(*config_);
  cores_.reserve(config_->tiles.size());
  for (const auto& [id, config] : config_->tiles) {
    Tile& tile = tiles_[id];
    tile.id = id;
    LoadTile(&tile, config);
  }
  CheckNeighbours();
  LoadRoutes(routes);
  for (auto& [id, tile] : tiles_) LoadCore(&tile);
  FillCanaries();
  ResetTotals();
  for (auto& [id, tile] : tiles_) {
    for (const ChannelStart& start : tile.config->starts) {
      const auto& channels = tile.channels[static_cast<int>(start.direction)];
      if (start.channel < 0 ||
          start.channel >= static_cast<int>(channels.size())) {
        Refuse("{}: starts channel {} of {}", id.ToString(), start.channel,
               channels.size());
      }
      try {
        Push(channels[static_cast<size_t>(start.channel)],
             {.descriptor = start.first_bd, .repeat = start.repeat}, 0);
      } catch (const Fault& fault) {
        throw Error(ErrorCode::kBadInput, fault.what());
      }
    }
  }
}

void Engine::LoadRoutes(const std::vector<Route>& routes) {
  std::map<Route::Output, int> outputs;
  for (const Route& route : routes) {
    RouteState state;
    state.source =
        At(route.tile).channels[1][static_cast<size_t>(route.channel)];
    state.shim = KindOf(route.tile) == TileKind::kShim;
    state.packet = route.packet;
    for (const Route::Output& output : route.outputs) {
      state.outputs.push_back(
          outputs.emplace(output, static_cast<int>(outputs.size()))
              .first->second);
    }
    const auto index = static_cast<int>(routes_.size());
    channels_[static_cast<size_t>(state.source)].routes.push_back(index);
    for (const RouteEnd& end : route.ends) {
      const int channel =
          At(end.tile).channels[0][static_cast<size_t>(end.channel)];
      channels_[static_cast<size_t>(channel)].routes.push_back(index);
      state.ends.push_back(channel);
      state.latencies.push_back(end.hops * options_.parameters.hop_cycles);
      state.drops_header.push_back(end.drops_header);
      state.shim = state.shim || KindOf(end.tile) == TileKind::kShim;
    }
    routes_.push_back(std::move(state));
  }
  outputs_.resize(outputs.size());
}

// Mem tiles beside the array's are not the program's.
void Engine::CheckNeighbours() const {
  for (const auto& [id, tile] : tiles_) {
    for (const BufferDescriptor& bd : tile.config->descriptors) {
      for (const int side :
           {bd.memory_side, bd.acquire_side, bd.release_side}) {
        if (tiles_.contains(Beside(id, side))) continue;
        Refuse("{}: descriptor {} reaches {}, which is not in the array",
               id.ToString(), bd.id, Beside(id, side).ToString());
      }
    }
  }
}

void Engine::LoadTile(Tile* tile, const TileConfig& config) {
  const TileKind kind = KindOf(tile->id);
  const TileLimits limits = LimitsOf(kind);
  tile->kind = kind;
  tile->config = &config;
  CheckBuffers(tile->id, config);
  if (config.program_bytes > limits.program_bytes) {
    Refuse("{}: program of {} bytes, program memory has {}",
           tile->id.ToString(), config.program_bytes, limits.program_bytes);
  }
  tile->memory = Buffer(static_cast<size_t>(limits.memory_bytes));
  for (const PlacedBuffer& b : config.buffers) {
    if (b.initial.empty()) continue;
    std::memcpy(tile->memory.data() + b.address, b.initial.data(),
                b.initial.size());
  }
  tile->locks.resize(static_cast<size_t>(limits.locks));
  for (const LockInit& lock : config.locks) {
    if (lock.id < 0 || lock.id >= limits.locks || lock.value < 0 ||
        lock.value > kMaxLockValue) {
      Refuse("{}: lock {} with value {}, want 0 to {} and 0 to {}",
             tile->id.ToString(), lock.id, lock.value, limits.locks - 1,
             kMaxLockValue);
    }
    tile->locks[static_cast<size_t>(lock.id)].value = lock.value;
  }
  for (const Direction direction : {Direction::kS2MM, Direction::kMM2S}) {
    for (int i = 0; i < limits.dma_channels; ++i) {
      tile->channels[static_cast<int>(direction)].push_back(
          static_cast<int>(channels_.size()));
      channels_.push_back(
          {.tile = tile->id, .direction = direction, .index = i});
    }
  }
  LoadDescriptors(tile, config);
}

void Engine::LoadDescriptors(Tile* tile, const TileConfig& config) {
  const TileLimits limits = LimitsOf(tile->kind);
  tile->descriptors.resize(static_cast<size_t>(limits.buffer_descriptors));
  for (const BufferDescriptor& bd : config.descriptors) {
    if (bd.id < 0 || bd.id >= limits.buffer_descriptors ||
        bd.next >= limits.buffer_descriptors) {
      Refuse("{}: descriptor {} with next {}, want 0 to {}",
             tile->id.ToString(), bd.id, bd.next,
             limits.buffer_descriptors - 1);
    }
    DescriptorState& state = tile->descriptors[static_cast<size_t>(bd.id)];
    if (state.written) {
      Refuse("{}: descriptor {} is there twice", tile->id.ToString(), bd.id);
    }
    try {
      state.words = EncodeDescriptor(tile->kind, bd);
    } catch (const Error& error) {
      Refuse("{}: {}", tile->id.ToString(), error.what());
    }
    state.value = bd;
    state.written = true;
    state.decoded = true;
    const int64_t last =
        Walk(bd, std::max<int64_t>(bd.iteration.size, 1) - 1).end_byte();
    if (tile->kind != TileKind::kShim && last > limits.memory_bytes) {
      Refuse("{}: descriptor {} reaches address {:#x}, memory ends at {:#x}",
             tile->id.ToString(), bd.id, last, limits.memory_bytes);
    }
  }
}

// Where a core's data address leads. `bytes` 0: not known.
std::byte* Engine::Resolve(TileId core, int64_t address, int64_t bytes,
                           const std::string& who) {
  for (const Window& w : kWindows) {
    if (address < w.base || address >= w.base + 0x10000) continue;
    const TileId other{core.col + w.col, core.row + w.row};
    const int64_t at = address - w.base;
    const auto found = tiles_.find(other);
    if (found == tiles_.end() || found->second.kind != TileKind::kCore) {
      Refuse(
          "{}: address {:#x} is in the memory of {}, which is no core of "
          "this array",
          who, address, other.ToString());
    }
    Tile& tile = found->second;
    if (at + bytes > LimitsOf(TileKind::kCore).memory_bytes) {
      Refuse("{}: address {:#x} and {} bytes reach past the memory of {}", who,
             address, bytes, other.ToString());
    }
    for (const PlacedBuffer& b : tile.config->buffers) {
      if (at < b.address || at >= b.address + b.bytes) continue;
      if (at + bytes > b.address + b.bytes) {
        Refuse("{}: {} bytes at {:#x} reach past buffer {} of {} bytes", who,
               bytes, address, b.name, b.bytes);
      }
    }
    return tile.memory.data() + at;
  }
  Refuse("{}: address {:#x} is in no memory a core can reach", who, address);
}

// The banks of the buffer that a pointer leads to.
void Engine::MarkBanks(const Core& core, int64_t at, Core::Op* op) const {
  int64_t end = at + 1;
  for (const PlacedBuffer& b : core.config->buffers) {
    if (at >= b.address && at < b.address + b.bytes) end = b.address + b.bytes;
  }
  const int64_t bank = options_.parameters.bank_bytes;
  for (int64_t i = at / bank; i <= (end - 1) / bank; ++i) {
    op->banks.at(static_cast<size_t>(i)) = true;
  }
}

void Engine::LoadCall(const Core& core, Core::Op* op) {
  const std::string& name = op->op->kernel;
  op->kernel =
      options_.find_kernel ? options_.find_kernel(name) : FindKernel(name);
  if (op->kernel == nullptr) {
    Refuse("{}: there is no kernel {}", core.tile.ToString(), name);
  }
  const auto& wanted = op->kernel->args;
  if (op->op->args.size() != wanted.size()) {
    Refuse("{}: kernel {} takes {} arguments, is called with {}",
           core.tile.ToString(), name, wanted.size(), op->op->args.size());
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const CoreArg& arg = op->op->args[i];
    const std::string who = fmt::format("{}: argument {} of kernel {}",
                                        core.tile.ToString(), i, name);
    const bool pointer = wanted[i].kind != KernelArg::Kind::kInt;
    if (pointer != (arg.kind == CoreArg::Kind::kBuffer)) {
      Refuse("{} is {}, want {}", who, pointer ? "a number" : "a buffer",
             pointer ? "a buffer" : "a number");
    }
    if (pointer) {
      op->pointers.push_back(
          Resolve(core.tile, arg.value,
                  wanted[i].elements * ElementBytes(wanted[i].type), who));
      if (arg.value >= kOwnWindow) MarkBanks(core, arg.value - kOwnWindow, op);
    } else if (arg.kind == CoreArg::Kind::kParameter) {
      Resolve(core.tile, arg.value, 4, who);
    }
  }
}

void Engine::LoadCore(Tile* tile) {
  const TileConfig& config = *tile->config;
  if (config.program.empty()) return;
  if (tile->kind != TileKind::kCore) {
    Refuse("{}: only core tiles run programs", tile->id.ToString());
  }
  tile->core = static_cast<int>(cores_.size());
  Core core{.tile = tile->id, .config = &config};
  std::vector<size_t> open;
  for (const CoreOp& op : config.program) {
    Core::Op loaded{.op = &op};
    switch (op.kind) {
      case CoreOp::Kind::kAcquire:
      case CoreOp::Kind::kRelease: {
        const auto found = tiles_.find(op.lock_tile);
        if (!Reaches(tile->id, op.lock_tile) || found == tiles_.end() ||
            op.lock < 0 ||
            op.lock >= static_cast<int>(found->second.locks.size())) {
          Refuse("{}: lock {} of {} is out of the core's reach",
                 tile->id.ToString(), op.lock, op.lock_tile.ToString());
        }
        loaded.lock = &found->second.locks[static_cast<size_t>(op.lock)];
        break;
      }
      case CoreOp::Kind::kCall:
        LoadCall(core, &loaded);
        break;
      case CoreOp::Kind::kLoop:
        open.push_back(core.ops.size());
        if (!op.args.empty() && op.args[0].kind == CoreArg::Kind::kParameter) {
          Resolve(tile->id, op.args[0].value, 4,
                  fmt::format("{}: loop count", tile->id.ToString()));
        }
        break;
      case CoreOp::Kind::kEndLoop:
        if (open.empty()) {
          Refuse("{}: operation {} ends a loop that is not open",
                 tile->id.ToString(), core.ops.size());
        }
        core.ops[open.back()].match = core.ops.size();
        loaded.match = open.back();
        open.pop_back();
        break;
    }
    core.ops.push_back(std::move(loaded));
  }
  if (!open.empty()) {
    Refuse("{}: a loop is not closed", tile->id.ToString());
  }
  core.scheduled = true;
  cores_.push_back(std::move(core));
  Schedule(0, {Actor::Kind::kCore, tile->core});
}

void Engine::FillCanaries() {
  for (auto& [id, tile] : tiles_) {
    tile.owned.assign(tile.memory.size() / 4, tile.config->buffers.empty());
    const auto own = [&tile](int64_t from, int64_t bytes) {
      for (int64_t at = from / 4; at < (from + bytes + 3) / 4; ++at) {
        tile.owned[static_cast<size_t>(at)] = true;
      }
    };
    for (const PlacedBuffer& b : tile.config->buffers) own(b.address, b.bytes);
    own(tile.config->stack_address,
        tile.config->program.empty() ? 0 : tile.config->stack_bytes);
    if (!options_.canaries) continue;
    for (size_t i = 0; i < tile.owned.size(); ++i) {
      if (tile.owned[i]) continue;
      const uint32_t value = CanaryAt(i);
      std::memcpy(tile.memory.data() + 4 * i, &value, sizeof value);
    }
  }
}

void Engine::CheckCanaries() {
  if (!options_.canaries) return;
  for (const auto& [id, tile] : tiles_) {
    for (size_t i = 0; i < tile.owned.size(); ++i) {
      if (tile.owned[i]) continue;
      uint32_t value = 0;
      std::memcpy(&value, tile.memory.data() + 4 * i, sizeof value);
      if (value == CanaryAt(i)) continue;
      Stop("{}: address {:#x} belongs to no buffer and was overwritten",
           id.ToString(), 4 * i);
    }
  }
}

}  // namespace sotto::npu::sim
