// SPDX-License-Identifier: MIT
// The instruction stream: descriptors, address patches, task queue entries,
// tokens, parameters. Descriptors come back when a token says that their task
// is done; a channel's queue takes four tasks.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <set>

#include "npu/design/draft.h"
#include "npu/registers.h"

namespace sotto::npu {
namespace {

// Tokens carry the controller's number; 15 in the published streams.
constexpr uint32_t kController = 0xF00;
constexpr uint32_t kControllerMask = 0x1F00;
constexpr int kMaxRuns = 256;  // 8 bits of a queue entry hold runs less one
constexpr int64_t kMaxWrite = 1024;  // words of one block write

// A DMA channel as the stream has driven it so far.
struct Channel {
  struct Task {
    size_t step = 0;  // of the sequence
    std::vector<int> descriptors;
    bool token = false;
  };
  std::deque<Task> open;  // pushed, not known to be done
  bool controller = false;
  bool waited = false;  // its oldest task, to make room
};

class Sequencer {
 public:
  explicit Sequencer(Draft* draft) : draft_(*draft) {
    draft_.plan.stream.columns = draft_.design->columns;
    for (const auto& [tile, config] : draft_.plan.config.tiles) {
      for (const BufferDescriptor& bd : config.descriptors) {
        busy_.insert({tile, bd.id});
      }
    }
    // Descriptors that a step names are nobody else's.
    for (const Step& step : draft_.design->sequence) {
      if (step.kind != Step::Kind::kTask || step.descriptor < 0) continue;
      reserved_.insert({EndOf(step).spec->tile, step.descriptor});
    }
  }

  void Run() {
    const std::vector<Step>& steps = draft_.design->sequence;
    if (draft_.design->paced) CountTasks(steps);
    for (size_t i = 0; i < steps.size(); ++i) {
      switch (steps[i].kind) {
        case Step::Kind::kTask:
          Task(i, steps[i]);
          break;
        case Step::Kind::kWait:
          Wait(steps[i]);
          break;
        case Step::Kind::kWrite:
          WriteBuffer(steps[i]);
          break;
        case Step::Kind::kLock:
          WriteLock(steps[i]);
          break;
      }
    }
  }

 private:
  using Key = std::tuple<TileId, Direction, int>;

  End& EndOf(const Step& step) {
    const Fifo& fifo = draft_.FifoNamed(step.fifo);
    if (step.end < Step::kProducer ||
        step.end >= static_cast<int>(fifo.consumers.size())) {
      Refuse(draft_, fmt::format("task on fifo {}: no consumer {}", step.fifo,
                                 step.end));
    }
    End& end = draft_.EndOf(fifo, step.end);
    if (end.ring >= 0) {
      Refuse(draft_,
             fmt::format("task on {}: its ring moves by itself", end.Label()));
    }
    return end;
  }

  int HostBuffer(const std::string& name) const {
    const auto& buffers = draft_.design->host_buffers;
    for (size_t i = 0; i < buffers.size(); ++i) {
      if (buffers[i].name == name) return static_cast<int>(i);
    }
    Refuse(draft_, fmt::format("no host buffer named {}", name));
  }

  const std::pair<const StaticBuffer*, int64_t>& Static(
      const std::string& name) const {
    const auto found = draft_.statics.find(name);
    if (found == draft_.statics.end()) {
      Refuse(draft_, fmt::format("no buffer named {}", name));
    }
    return found->second;
  }

  // The last byte that the task touches, and one more.
  static int64_t Reach(const BufferDescriptor& bd, int64_t offset, int runs) {
    int64_t last = 0;
    bool any = false;
    for (const DmaDim& dim : bd.dims) {
      if (dim.size == 0) continue;
      any = true;
      last += (dim.size - 1) * dim.stride;
    }
    if (!any) last = bd.words - 1;
    if (bd.iteration.size > 1) {
      last += (std::min<int64_t>(bd.iteration.size, runs) - 1) *
              bd.iteration.stride;
    }
    return offset + 4 * (last + 1);
  }

  BufferDescriptor Transfer(const Step& step, const End& end) {
    BufferDescriptor bd;
    if (step.dims.size() > bd.dims.size() || step.offset < 0 ||
        step.offset % 4 != 0) {
      Refuse(draft_, fmt::format("task on {}: {} dimensions from byte {}, want "
                                 "at most {} from a multiple of 4",
                                 end.Label(), step.dims.size(), step.offset,
                                 bd.dims.size()));
    }
    bd.words = step.words;
    if (bd.words == 0) {
      bd.words = 1;
      for (const DmaDim& dim : step.dims) bd.words *= dim.size;
    }
    for (size_t d = 0; d < step.dims.size(); ++d) {
      bd.dims[d] = step.dims[d];
      if (bd.dims[d].size == 1) bd.dims[d].stride = 1;
    }
    bd.iteration = step.iteration;
    bd.pad_before = step.pad_before;
    bd.pad_after = step.pad_after;
    const auto lock = [&](const std::string& name) {
      if (name.empty()) return -1;
      if (draft_.LockNamed(name).tile != end.spec->tile) {
        Refuse(draft_,
               fmt::format("task on {}: lock {} is at {}", end.Label(), name,
                           draft_.LockNamed(name).tile.ToString()));
      }
      return draft_.lock_ids.find(name)->second;
    };
    bd.acquire_lock = lock(step.acquire);
    bd.acquire_value = step.acquire_value;
    bd.release_lock = lock(step.release);
    bd.release_value = step.release_value;
    return bd;
  }

  // Paced: which channels get more tasks than their queue takes; all but the
  // last of those tell when they are done.
  void CountTasks(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      if (step.kind != Step::Kind::kTask) continue;
      const End& end = EndOf(step);
      ++tasks_left_[{end.spec->tile, end.direction, end.channel}];
    }
    for (const auto& [key, count] : tasks_left_) {
      if (count > kTaskQueueDepth) crowded_.insert(key);
    }
  }

  // Paced: waits for the channel's oldest task if there is a token to wait for.
  bool WaitForOldest(const Key& key, Channel* channel) {
    if (!draft_.design->paced || channel->open.empty() ||
        !channel->open.front().token) {
      return false;
    }
    AddWait(key, 1);
    Retire(key, channel);
    channel->waited = true;
    return true;
  }

  // Known to be done: every task up to the first that told so.
  void Retire(const Key& key, Channel* channel) {
    while (!channel->open.empty()) {
      const Channel::Task task = channel->open.front();
      channel->open.pop_front();
      for (const int id : task.descriptors) {
        busy_.erase({std::get<0>(key), id});
      }
      if (task.token) return;
    }
  }

  int FreeDescriptor(const Step& step, const End& end) {
    const TileId tile = end.spec->tile;
    const TileKind kind = KindOf(tile);
    const int all = LimitsOf(kind).buffer_descriptors;
    const bool odd = kind == TileKind::kMem && end.channel % 2 == 1;
    const int first = odd ? all / 2 : 0;
    const int limit = kind == TileKind::kMem && !odd ? all / 2 : all;
    for (int id = first; id < limit; ++id) {
      if (step.descriptor >= 0 ? id != step.descriptor
                               : reserved_.contains({tile, id})) {
        continue;
      }
      if (busy_.insert({tile, id}).second) return id;
    }
    return -1;
  }

  int TakeDescriptor(const Step& step, const End& end) {
    const TileId tile = end.spec->tile;
    while (true) {
      const int id = FreeDescriptor(step, end);
      if (id >= 0) return id;
      // The oldest task there is to wait for is the likeliest to be done; of
      // those whose descriptors this channel may use.
      const Key* oldest = nullptr;
      for (const auto& [key, channel] : channels_) {
        if (std::get<0>(key) != tile || channel.open.empty() ||
            !channel.open.front().token ||
            (KindOf(tile) == TileKind::kMem &&
             std::get<2>(key) % 2 != end.channel % 2))
          continue;
        if (oldest == nullptr ||
            channel.open.front().step < channels_.at(*oldest).open.front().step)
          oldest = &key;
      }
      if (oldest != nullptr && WaitForOldest(*oldest, &channels_.at(*oldest)))
        continue;
      Refuse(draft_,
             fmt::format("{}: a task on {} finds no free buffer descriptor; "
                         "wait for one first",
                         Label(tile), end.Label()));
    }
  }

  void Task(size_t index, const Step& step) {
    const End& end = EndOf(step);
    const TileId tile = end.spec->tile;
    const Key key{tile, end.direction, end.channel};
    Channel& channel = channels_[key];
    if (static_cast<int>(channel.open.size()) == kTaskQueueDepth &&
        !WaitForOldest(key, &channel)) {
      Refuse(draft_, fmt::format("{}: a task on {} is number {} in the queue, "
                                 "want at most {}; wait for one first",
                                 Label(tile), end.Label(),
                                 channel.open.size() + 1, kTaskQueueDepth));
    }
    PlannedTask task{.step = index,
                     .tile = tile,
                     .direction = end.direction,
                     .channel = end.channel,
                     .runs = step.runs,
                     .token = step.token};
    if (crowded_.contains(key) && tasks_left_[key] > 1) task.token = true;
    --tasks_left_[key];
    if (step.runs < 1 || step.runs > kMaxRuns) {
      Refuse(draft_, fmt::format("task on {}: {} runs, want 1..{}", end.Label(),
                                 step.runs, kMaxRuns));
    }
    Describe(step, end, &task);
    for (const Step& more : step.more) Describe(more, end, &task);
    Channel::Task open{.step = index, .token = task.token};
    for (size_t i = 0; i < task.chain.size(); ++i) {
      const bool last = i + 1 == task.chain.size();
      task.chain[i].next = last ? -1 : task.chain[i + 1].id;
      CheckDescriptor(draft_, tile, "task on " + end.Label(), task.chain[i],
                      end.direction);
      open.descriptors.push_back(task.chain[i].id);
    }
    Push(task, &channel);
    channel.open.push_back(std::move(open));
    draft_.plan.tasks.push_back(std::move(task));
  }

  // Adds the step's descriptor, with its address in the buffer that it stays
  // in.
  void Describe(const Step& step, const End& end, PlannedTask* task) {
    BufferDescriptor bd = Transfer(step, end);
    bd.id = TakeDescriptor(step, end);
    int64_t bytes = 0;
    int host_buffer = -1;
    if (KindOf(task->tile) == TileKind::kShim) {
      host_buffer = HostBuffer(step.buffer);
      bytes =
          draft_.design->host_buffers[static_cast<size_t>(host_buffer)].bytes;
      bd.address = step.offset;
    } else {
      const auto& [buffer, address] = Static(step.buffer);
      if (buffer->tile != task->tile) {
        Refuse(draft_,
               fmt::format("task on {}: buffer {} is at {}", end.Label(),
                           step.buffer, buffer->tile.ToString()));
      }
      bytes = buffer->bytes;
      bd.address = address + step.offset;
    }
    const int64_t reach = Reach(bd, step.offset, task->runs);
    if (reach > bytes) {
      Refuse(draft_, fmt::format("task on {}: reaches byte {} of buffer {}, "
                                 "which has {}",
                                 end.Label(), reach, step.buffer, bytes));
    }
    task->chain.push_back(bd);
    task->host_buffers.push_back(host_buffer);
  }

  void Push(const PlannedTask& task, Channel* channel) {
    for (size_t i = 0; i < task.chain.size(); ++i) {
      BufferDescriptor bd = task.chain[i];
      const uint32_t at = DescriptorAddress(task.tile, bd.id);
      const bool host = task.host_buffers[i] >= 0;
      const auto offset = static_cast<uint32_t>(bd.address);
      if (host) bd.address = 0;  // the patch brings all of it
      Add({.kind = TxnOp::Kind::kBlockWrite,
           .address = at,
           .values = EncodeDescriptor(KindOf(task.tile), bd)});
      if (!host) continue;
      Add({.kind = TxnOp::Kind::kDdrPatch,
           .address = at + 4,
           .argument = static_cast<uint32_t>(task.host_buffers[i]),
           .offset = offset});
    }
    if (task.token && !channel->controller) {
      channel->controller = true;
      Add({.kind = TxnOp::Kind::kMaskWrite,
           .address = ControlAddress(task.tile, task.direction, task.channel),
           .values = {kController},
           .mask = kControllerMask});
    }
    Add({.kind = TxnOp::Kind::kWrite32,
         .address = QueueAddress(task.tile, task.direction, task.channel),
         .values = {EncodeQueueEntry({.descriptor = task.chain[0].id,
                                      .repeat = task.runs - 1,
                                      .token = task.token})}});
  }

  // The channel's open tokens, one by one; the last is waited for together with
  // those of neighbouring columns where they are alike.
  void Wait(const Step& step) {
    std::vector<Key> last;
    for (const std::string& name : step.fifos) {
      const Fifo& fifo = draft_.FifoNamed(name);
      const Key key = WaitedEnd(fifo);
      Channel& channel = channels_[key];
      const auto tokens =
          std::count_if(channel.open.begin(), channel.open.end(),
                        [](const Channel::Task& task) { return task.token; });
      if (step.left > 0 && tokens <= step.left) continue;
      // Waited for already, where descriptors or the queue ran out.
      if (tokens == 0 && channel.waited) continue;
      if (tokens == 0) {
        Refuse(draft_, fmt::format("wait for fifo {}: no task with a token is "
                                   "open there",
                                   name));
      }
      const int64_t done = tokens - step.left;
      const int64_t count =
          step.tokens > 0 ? std::min<int64_t>(step.tokens, done) : done;
      for (auto i = count; i > 1; --i) AddWait(key, 1);
      for (auto i = count; i > 0; --i) Retire(key, &channel);
      last.push_back(key);
    }
    std::sort(last.begin(), last.end());
    for (size_t i = 0; i < last.size();) {
      size_t n = 1;
      while (i + n < last.size() && Beside(last[i], last[i + n], n)) ++n;
      AddWait(last[i], static_cast<int>(n));
      i += n;
    }
  }

  static bool Beside(const Key& a, const Key& b, size_t columns) {
    const TileId first = std::get<0>(a);
    const TileId next = std::get<0>(b);
    return next.row == first.row &&
           next.col == first.col + static_cast<int>(columns) &&
           std::get<1>(a) == std::get<1>(b) && std::get<2>(a) == std::get<2>(b);
  }

  // The end of the FIFO that has tasks with tokens; the consumer's rather.
  Key WaitedEnd(const Fifo& fifo) {
    Key producer{};
    std::optional<Key> waited;
    for (int i = static_cast<int>(fifo.consumers.size()) - 1; i >= -1; --i) {
      const End& end = draft_.EndOf(fifo, i);
      const Key key{end.spec->tile, end.direction, end.channel};
      const auto found = channels_.find(key);
      if (found != channels_.end() &&
          std::any_of(found->second.open.begin(), found->second.open.end(),
                      [](const Channel::Task& task) { return task.token; })) {
        return key;
      }
      if (found != channels_.end() && found->second.waited) waited = key;
      producer = key;
    }
    return waited.value_or(producer);
  }

  void AddWait(const Key& key, int columns) {
    Add({.kind = TxnOp::Kind::kWaitToken,
         .tile = std::get<0>(key),
         .mm2s = std::get<1>(key) == Direction::kMM2S,
         .channel = std::get<2>(key),
         .columns = columns});
  }

  void WriteBuffer(const Step& step) {
    const auto& [buffer, address] = Static(step.buffer);
    const auto count = static_cast<int64_t>(step.values.size());
    if (step.offset < 0 || step.offset % 4 != 0 || count == 0 ||
        count > kMaxWrite || step.offset + 4 * count > buffer->bytes) {
      Refuse(draft_,
             fmt::format("write of {} words at byte {} of buffer {}, "
                         "which has {} bytes",
                         count, step.offset, step.buffer, buffer->bytes));
    }
    TxnOp op{.kind = TxnOp::Kind::kBlockWrite,
             .address = DataAddress(buffer->tile, address + step.offset)};
    for (const int32_t value : step.values) {
      op.values.push_back(static_cast<uint32_t>(value));
    }
    if (count == 1) op.kind = TxnOp::Kind::kWrite32;
    Add(std::move(op));
  }

  void WriteLock(const Step& step) {
    const NamedLock& lock = draft_.LockNamed(step.acquire);
    if (step.acquire_value < 0 || step.acquire_value > kMaxLockValue) {
      Refuse(draft_, fmt::format("lock {} set to {}, want 0..{}", lock.name,
                                 step.acquire_value, kMaxLockValue));
    }
    Add({.kind = TxnOp::Kind::kWrite32,
         .address =
             LockAddress(lock.tile, draft_.lock_ids.find(lock.name)->second),
         .values = {static_cast<uint32_t>(step.acquire_value)}});
  }

  void Add(TxnOp op) { draft_.plan.stream.ops.push_back(std::move(op)); }

  Draft& draft_;
  std::map<Key, Channel> channels_;
  std::set<std::pair<TileId, int>> busy_;
  std::set<std::pair<TileId, int>> reserved_;
  std::map<Key, int> tasks_left_;
  std::set<Key> crowded_;
};

}  // namespace

void LowerSequence(Draft* draft) { Sequencer(draft).Run(); }

}  // namespace sotto::npu
