// SPDX-License-Identifier: MIT
#include "npu/host/fake_amdxdna.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>

namespace sotto::npu {
namespace {

using namespace amdxdna;  // NOLINT: the fake's whole vocabulary

constexpr uint64_t kHeapBase = 0x4000000;  // npu1_regs.c
constexpr int kCoreRowsOfNpu1 = 4;
constexpr int64_t kOwnPid = 100;

struct Object {
  BoType type = BoType::kShared;
  std::vector<std::byte> device;
  std::byte* host = nullptr;
  uint64_t heap_offset = 0;  // kDevice
  uint64_t map_offset = 0;
};

struct HwContext {
  uint32_t syncobj = 0;
  bool configured = false;
  uint64_t next = 0;  // sequence
};

struct Command {
  uint32_t bo = 0;
  RunState state = RunState::kNew;
  bool signalled = false;
};

template <typename T>
T* At(uint64_t address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

}  // namespace

class FakeAmdxdna::Node : public Ioctl {
 public:
  explicit Node(FakeAmdxdna* fake) : fake_(*fake) { ++fake_.nodes; }
  // As close(2): whatever is left goes too, but the test sees it counted.
  ~Node() override { --fake_.nodes; }

  int Call(unsigned long request, void* argument) override {
    const std::lock_guard lock(mutex_);
    if (const auto at = fake_.fail.find(request); at != fake_.fail.end())
      return at->second;
    switch (request) {
      case kVersion:
        return Do(*static_cast<Version*>(argument));
      case kGetInfo:
        return Do(*static_cast<GetInfo*>(argument));
      case kCreateBo:
        return Do(*static_cast<CreateBo*>(argument));
      case kBoInfo:
        return Do(*static_cast<BoInfo*>(argument));
      case kSyncBo:
        return Do(*static_cast<SyncBo*>(argument));
      case kCloseBo:
        return Do(*static_cast<CloseBo*>(argument));
      case kCreateContext:
        return Do(*static_cast<CreateContext*>(argument));
      case kConfigContext:
        return Do(*static_cast<ConfigContext*>(argument));
      case kDestroyContext:
        return Do(*static_cast<DestroyContext*>(argument));
      case kExecCommand:
        return Do(*static_cast<ExecCommand*>(argument));
      case kTimelineWait:
        return Do(*static_cast<TimelineWait*>(argument));
      case kDestroySyncobj:
        return Do(*static_cast<DestroySyncobj*>(argument));
      default:
        return ENOTTY;
    }
  }

  std::byte* Map(size_t bytes, uint64_t offset, size_t alignment) override {
    const std::lock_guard lock(mutex_);
    const auto at = std::find_if(
        objects_.begin(), objects_.end(),
        [&](const auto& o) { return o.second.map_offset == offset; });
    if (fake_.no_memory || at == objects_.end()) return nullptr;
    Object& object = at->second;
    // The firmware maps the heap in one page of its size.
    if (object.type == BoType::kHeap && alignment != kHeapBytes) return nullptr;
    if (bytes > object.device.size() || object.host != nullptr) return nullptr;
    object.host = static_cast<std::byte*>(
        std::aligned_alloc(std::max<size_t>(alignment, 4096), bytes));
    // Rubbish, not zeros: nobody may rely on either.
    if (object.type != BoType::kHeap) std::memset(object.host, 0xA5, bytes);
    ++fake_.mappings;
    return object.host;
  }
  void Unmap(std::byte* memory, size_t) override {
    --fake_.mappings;
    std::free(memory);
  }

 private:
  Object* Find(uint32_t bo) {
    const auto at = objects_.find(bo);
    return at == objects_.end() ? nullptr : &at->second;
  }
  Object* Heap() {
    for (auto& [handle, object] : objects_)
      if (object.type == BoType::kHeap) return &object;
    return nullptr;
  }

  int Do(Version& v) {
    const size_t n = std::min(v.name_bytes, fake_.driver.size());
    std::memcpy(v.name, fake_.driver.data(), n);
    v.name_bytes = fake_.driver.size();
    v.major = 0, v.minor = 6;
    return 0;
  }

  int Do(GetInfo& get) {
    if (get.what == static_cast<uint32_t>(Info::kMetadata)) {
      if (get.bytes < sizeof(Metadata)) return EINVAL;
      auto& m = *At<Metadata>(get.buffer);
      m.columns = static_cast<uint16_t>(fake_.columns);
      m.rows = 6;
      m.core.rows = kCoreRowsOfNpu1;
      m.core.first_row = 2;
      m.mem.rows = m.shim.rows = 1;
      return 0;
    }
    if (get.what == static_cast<uint32_t>(Info::kFirmware)) {
      if (get.bytes < sizeof(Firmware)) return EINVAL;
      *At<Firmware>(get.buffer) = {1, 5, 5, 391};
      return 0;
    }
    if (get.what == static_cast<uint32_t>(Info::kContexts)) {
      const size_t n = contexts_.size() + fake_.others.size();
      if (get.bytes < n * sizeof(ContextInfo)) return EINVAL;
      auto* info = At<ContextInfo>(get.buffer);
      for (const auto& context : contexts_)
        *info++ = {.id = context.first, .pid = kOwnPid};
      for (const int64_t pid : fake_.others) *info++ = {.id = 1, .pid = pid};
      get.bytes = static_cast<uint32_t>(n * sizeof(ContextInfo));
      return 0;
    }
    return EOPNOTSUPP;
  }

  int Do(CreateBo& create) {
    if (create.zero[0] != 0 || create.zero[1] != 0) return EINVAL;
    Object object;
    object.type = static_cast<BoType>(create.type);
    const uint64_t bytes = (create.bytes + 4095) / 4096 * 4096;
    if (bytes == 0) return EINVAL;
    switch (object.type) {
      case BoType::kHeap:
        if (bytes % kHeapBytes != 0) return EINVAL;
        if (Heap() != nullptr) return EBUSY;
        break;
      case BoType::kDevice:
        // The driver needs the heap's address in the process.
        if (Heap() == nullptr || Heap()->host == nullptr) return EAGAIN;
        if (bytes > kHeapBytes - heap_used_) return ENOSPC;
        object.heap_offset = heap_used_;
        object.host = Heap()->host + heap_used_;
        std::memset(object.host, 0xA5, bytes);
        heap_used_ += bytes;
        break;
      case BoType::kShared:
      case BoType::kCommand:
        break;
      default:
        return EINVAL;
    }
    if (object.type == BoType::kDevice)
      object.map_offset = kNoAddress;
    else
      object.map_offset = next_ * uint64_t{1} << 32;
    object.device.assign(bytes, std::byte{0xFF});
    create.bo = static_cast<uint32_t>(next_++);
    objects_[create.bo] = std::move(object);
    ++fake_.buffers;
    return 0;
  }

  int Do(BoInfo& info) {
    if (info.zero[0] != 0 || info.zero[1] != 0 || info.zero_too != 0)
      return EINVAL;
    const Object* object = Find(info.bo);
    if (object == nullptr) return ENOENT;
    info.map_offset = object->map_offset;
    info.host_address = reinterpret_cast<uintptr_t>(object->host);
    info.device_address = object->type == BoType::kDevice
                              ? kHeapBase + object->heap_offset
                          : object->type == BoType::kHeap ? kHeapBase
                                                          : kNoAddress;
    return 0;
  }

  int Do(SyncBo& sync) {
    Object* object = Find(sync.bo);
    if (object == nullptr) return ENOENT;
    const uint64_t size = object->device.size();
    if (sync.direction > 1 || sync.offset >= size ||
        sync.bytes > size - sync.offset || object->host == nullptr)
      return EINVAL;
    std::byte* const host = object->host + sync.offset;
    std::byte* const device = object->device.data() + sync.offset;
    if (sync.direction == 0)
      std::memcpy(device, host, sync.bytes);
    else
      std::memcpy(host, device, sync.bytes);
    return 0;
  }

  int Do(CloseBo& close) {
    if (close.zero != 0 || objects_.erase(close.bo) == 0) return EINVAL;
    --fake_.buffers;
    return 0;
  }

  int Do(CreateContext& create) {
    if (create.zero[0] != 0 || create.zero[1] != 0) return EINVAL;
    if (create.qos == 0) return EFAULT;
    if (Heap() == nullptr || Heap()->host == nullptr) return ENOENT;
    const int columns = static_cast<int>(create.tiles) / kCoreRowsOfNpu1;
    if (columns < 1 || columns > fake_.columns - 1) return EINVAL;
    if (fake_.contexts + static_cast<int>(fake_.others.size()) >=
        fake_.context_limit)
      return fake_.full_errno;
    fake_.tiles = create.tiles;
    create.context = static_cast<uint32_t>(next_++);
    create.syncobj = static_cast<uint32_t>(next_++);
    contexts_[create.context] = {.syncobj = create.syncobj};
    commands_[create.syncobj] = {};
    ++fake_.contexts;
    ++fake_.timelines;
    return 0;
  }

  int Do(ConfigContext& config) {
    const auto at = contexts_.find(config.context);
    if (at == contexts_.end() || config.zero != 0 ||
        config.what != kConfigCus || at->second.configured)
      return EINVAL;
    if (config.value == 0) return EFAULT;
    if (config.value_bytes < sizeof(CuConfigs)) return EINVAL;
    const auto& cus = *At<const CuConfigs>(config.value);
    const Object* object = Find(cus.cu[0].bo);
    if (cus.count != 1 || object == nullptr ||
        object->type != BoType::kDevice || cus.zero[0] != 0 ||
        cus.cu[0].zero[0] != 0)
      return EINVAL;
    fake_.pdi = object->device;
    at->second.configured = true;
    return 0;
  }

  int Do(DestroyContext& destroy) {
    if (destroy.zero != 0 || contexts_.erase(destroy.context) == 0)
      return EINVAL;
    --fake_.contexts;
    return 0;
  }

  int Do(ExecCommand& exec) {
    if (exec.zero[0] != 0 || exec.zero[1] != 0 || exec.type != 0 ||
        exec.command_count != 1 || exec.bo_count == 0)
      return EINVAL;
    const Object* command = Find(static_cast<uint32_t>(exec.commands));
    if (command == nullptr || command->type != BoType::kCommand) return EINVAL;
    std::vector<const Object*> touched;
    for (uint32_t i = 0; i < exec.bo_count; ++i) {
      touched.push_back(Find(At<const uint32_t>(exec.bos)[i]));
      if (touched.back() == nullptr) return ENOENT;
    }
    const auto context = contexts_.find(exec.context);
    if (context == contexts_.end() || !context->second.configured)
      return EINVAL;
    ++fake_.runs;
    exec.sequence = context->second.next++;
    Command done{.bo = static_cast<uint32_t>(exec.commands)};
    if (fake_.program || !fake_.gives_up) {
      done.state = Execute(*command, touched);
      done.signalled = done.state != RunState::kNew;
    } else {
      done.signalled = true;
    }
    commands_[context->second.syncobj][exec.sequence] = done;
    return 0;
  }

  // What the firmware sees decides, not what the host meant.
  RunState Execute(const Object& command,
                   const std::vector<const Object*>& touched) {
    const auto word = [&command](size_t i) {
      uint32_t value = 0;
      std::memcpy(&value, command.host + 4 * i, 4);
      return value;
    };
    const auto wide = [&](size_t i) {
      return word(i) | uint64_t{word(i + 1)} << 32;
    };
    const uint32_t header = word(0);
    const size_t words = header >> kCountShift & 0x7FF;
    if ((header & kStateMask) != static_cast<uint32_t>(RunState::kNew) ||
        (header >> kOpcodeShift & 0x1F) != 0 || word(1) != 1 || words < 6 ||
        words - 1 > kMaxPayloadWords || wide(2) != 3)
      return RunState::kError;
    // An address that no object of the command holds is a page fault.
    const auto object = [&](uint64_t address, BoType type) -> const Object* {
      for (const Object* o : touched)
        if (o->type == type &&
            address == (type == BoType::kDevice
                            ? kHeapBase + o->heap_offset
                            : reinterpret_cast<uintptr_t>(o->host)))
          return o;
      return nullptr;
    };
    const Object* code = object(wide(4), BoType::kDevice);
    if (code == nullptr) return RunState::kError;
    uint32_t bytes = 0;
    std::memcpy(&bytes, code->device.data() + 12, 4);
    if (bytes != 4 * word(6) || bytes > code->device.size())
      return RunState::kError;
    std::vector<std::span<std::byte>> data;
    for (size_t i = 7; i + 1 <= words; i += 2) {
      const Object* shared = object(wide(i), BoType::kShared);
      if (shared == nullptr) return RunState::kError;
      data.emplace_back(const_cast<Object*>(shared)->device);
    }
    if (!fake_.program) return RunState::kNew;
    std::vector<uint32_t> instructions(bytes / 4);
    std::memcpy(instructions.data(), code->device.data(), bytes);
    return fake_.program(instructions, data);
  }

  int Do(TimelineWait& wait) {
    if (wait.zero != 0 || wait.count != 1) return EINVAL;
    const auto line = commands_.find(*At<const uint32_t>(wait.syncobjs));
    if (line == commands_.end()) return ENOENT;
    const auto at = line->second.find(*At<const uint64_t>(wait.points));
    if (at == line->second.end()) return EINVAL;
    // Nobody waits here: what has not ended by now never will.
    if (!at->second.signalled) return ETIME;
    Object* command = Find(at->second.bo);
    uint32_t header = 0;
    std::memcpy(&header, command->host, 4);
    header = (header & ~kStateMask) | static_cast<uint32_t>(at->second.state);
    std::memcpy(command->host, &header, 4);
    return 0;
  }

  int Do(DestroySyncobj& destroy) {
    if (destroy.zero != 0 || commands_.erase(destroy.syncobj) == 0)
      return EINVAL;
    --fake_.timelines;
    return 0;
  }

  FakeAmdxdna& fake_;
  std::mutex mutex_;
  uint64_t next_ = 1;
  uint64_t heap_used_ = 0;
  std::map<uint32_t, Object> objects_;
  std::map<uint32_t, HwContext> contexts_;
  std::map<uint32_t, std::map<uint64_t, Command>> commands_;  // by timeline
};

std::unique_ptr<Ioctl> FakeAmdxdna::Open() {
  return std::make_unique<Node>(this);
}

}  // namespace sotto::npu
