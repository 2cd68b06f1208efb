// SPDX-License-Identifier: MIT
// Order of the calls, as the driver wants it: version, metadata, heap (mapped
// before anything is cut from it); for a context create, then its compute unit
// with the PDI; for a run a command buffer, exec, wait on the context's
// timeline, the state read back. Device memory is not coherent: every sync is
// the driver's.
#include "npu/host/raw_device.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "npu/host/amdxdna.h"
#include "npu/host/doctor.h"
#include "npu/host/xclbin.h"
#include "npu/target.h"

namespace sotto::npu {
namespace {

using namespace amdxdna;  // NOLINT: what the driver is told

// Of npu1; column 0 has no shim tile and is nobody's.
constexpr int kArrayColumns = 5;
constexpr int kCoreRows = kRows - kFirstCoreRow;
constexpr uint64_t kOpcode = 3;  // run the instruction stream
constexpr size_t kPage = 4096;

template <typename T>
uint64_t AddressOf(const T* data) {
  return reinterpret_cast<uintptr_t>(data);
}

void Must(Ioctl& node, unsigned long request, void* argument,
          const char* what) {
  if (const int error = node.Call(request, argument))
    Fail(ErrorCode::kDevice, "npu: {}: {}", what, std::strerror(error));
}

// A buffer object and its memory in this process.
class Bo {
 public:
  Bo(Ioctl& node, BoType type, size_t bytes, const char* what) : node_(node) {
    const size_t whole = (bytes + kPage - 1) / kPage * kPage;
    CreateBo create{};
    create.bytes = whole;
    create.type = static_cast<uint32_t>(type);
    Must(node, kCreateBo, &create, what);
    handle_ = create.bo;
    try {
      Place(type, whole, what);
    } catch (...) {
      Close();
      throw;
    }
  }
  ~Bo() {
    if (mapped_ != 0) node_.Unmap(memory_, mapped_);
    Close();
  }
  Bo(const Bo&) = delete;
  Bo& operator=(const Bo&) = delete;

  uint32_t handle() const { return handle_; }
  std::byte* memory() const { return memory_; }
  // As the array sees it.
  uint64_t address() const { return address_; }
  void Sync(uint32_t direction, size_t bytes) {
    amdxdna::SyncBo sync{};
    sync.bo = handle_;
    sync.direction = direction;
    sync.bytes = bytes;
    Must(node_, kSyncBo, &sync, "sync");
  }

 private:
  void Place(BoType type, size_t bytes, const char* what) {
    BoInfo info{};
    info.bo = handle_;
    Must(node_, kBoInfo, &info, what);
    if (info.map_offset == kNoAddress) {
      memory_ = reinterpret_cast<std::byte*>(
          static_cast<uintptr_t>(info.host_address));
    } else {
      memory_ = node_.Map(bytes, info.map_offset,
                          type == BoType::kHeap ? kHeapBytes : 0);
      mapped_ = memory_ != nullptr ? bytes : 0;
    }
    if (memory_ == nullptr)
      Fail(ErrorCode::kDevice, "npu: {}: its memory cannot be mapped", what);
    address_ = info.device_address != kNoAddress ? info.device_address
                                                 : AddressOf(memory_);
  }
  void Close() {
    amdxdna::CloseBo close{};
    close.bo = handle_;
    node_.Call(kCloseBo, &close);
  }

  Ioctl& node_;
  uint32_t handle_ = kNoHandle;
  std::byte* memory_ = nullptr;
  size_t mapped_ = 0;
  uint64_t address_ = 0;
};

class RawBuffer : public HostBuffer {
 public:
  RawBuffer(Ioctl& node, Kind kind, size_t bytes)
      : bo_(node,
            kind == Kind::kInstructions ? BoType::kDevice : BoType::kShared,
            bytes, "buffer"),
        bytes_(bytes) {}
  std::span<std::byte> bytes() override { return {bo_.memory(), bytes_}; }
  void SyncToDevice() override { bo_.Sync(0, bytes_); }
  void SyncFromDevice() override { bo_.Sync(1, bytes_); }
  const Bo& bo() const { return bo_; }

  static RawBuffer& Of(HostBuffer& buffer) {
    auto* ours = dynamic_cast<RawBuffer*>(&buffer);
    SOTTO_CHECK(ours != nullptr);
    return *ours;
  }

 private:
  Bo bo_;
  size_t bytes_;
};

// A driver's context with the timeline of its commands.
class RawContext : public Context {
 public:
  RawContext(Ioctl& node, const Metadata& array, const NpuProgram& program)
      : node_(node),
        pdi_(node, BoType::kDevice, program.pdi.size(), "configuration"),
        command_(node, BoType::kCommand, kCommandBytes, "command buffer") {
    std::memcpy(pdi_.memory(), program.pdi.data(), program.pdi.size());
    pdi_.Sync(0, program.pdi.size());
    const Qos qos{};
    CreateContext create{};
    create.qos = AddressOf(&qos);
    create.max_ops_per_cycle = program.ops_per_cycle;
    create.tiles = static_cast<uint32_t>(program.columns) * array.core.rows;
    if (const int error = node_.Call(kCreateContext, &create)) Refused(error);
    context_ = create.context;
    syncobj_ = create.syncobj;
    CuConfigs cus{};
    cus.count = 1;
    cus.cu[0].bo = pdi_.handle();
    cus.cu[0].function = program.kernel.function;
    ConfigContext config{};
    config.context = context_;
    config.what = kConfigCus;
    config.value = AddressOf(&cus);
    config.value_bytes = sizeof cus;
    if (const int error = node_.Call(kConfigContext, &config)) {
      Destroy();
      Fail(ErrorCode::kDevice, "npu: configuration: {}", std::strerror(error));
    }
  }
  ~RawContext() override { Destroy(); }

  std::unique_ptr<HostBuffer> MakeBuffer(HostBuffer::Kind kind, size_t bytes,
                                         int group) override {
    const bool code = kind == HostBuffer::Kind::kInstructions;
    if (bytes == 0 || code != (group == kInstructionGroup) ||
        (!code && group < kFirstDataGroup))
      Fail(ErrorCode::kDevice,
           "npu: a buffer of {} bytes for argument {}, want instructions in "
           "{} and data from {} on",
           bytes, group, kInstructionGroup, kFirstDataGroup);
    return std::make_unique<RawBuffer>(node_, kind, bytes);
  }

  RunResult Run(HostBuffer& instructions, uint32_t n_words,
                std::span<HostBuffer* const> data,
                std::chrono::milliseconds timeout) override {
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t point = Submit(instructions, n_words, data);
    const bool in_time = Wait(point, timeout);
    uint32_t header = 0;
    std::memcpy(&header, command_.memory(), sizeof header);
    RunResult result;
    result.wall_ms = std::chrono::duration<double, std::milli>(
                         std::chrono::steady_clock::now() - begin)
                         .count();
    result.state = static_cast<RunState>(header & kStateMask);
    // The driver gives a command up by itself after a minute, and says so by
    // the timeline alone.
    if (in_time && result.state == RunState::kNew)
      result.state = RunState::kTimeout;
    result.detail = Explain(result.state, timeout);
    return result;
  }

 private:
  // The driver's contexts are few, and it has several numbers for "no more".
  // One of them has other causes, so it is asked who holds any.
  [[noreturn]] void Refused(int error) {
    const std::string why = std::strerror(error);
    const auto held = Contexts();
    const bool full =
        error == EBUSY || error == ENOSPC ||
        (error == EINVAL && (!held || held->size() >= kMaxContexts));
    if (!full) Fail(ErrorCode::kDevice, "npu: hardware context: {}", why);
    std::string by;
    if (held && !held->empty()) {
      std::set<int64_t> pids;
      for (const ContextInfo& info : *held) pids.insert(info.pid);
      by = fmt::format("; held by process {}", fmt::join(pids, ", "));
    }
    Fail(ErrorCode::kDevice,
         "npu: no context free: the driver allows {} at once ({}){}",
         kMaxContexts, why, by);
  }

  // All that exist, of every process; nothing where the driver does not say.
  std::optional<std::vector<ContextInfo>> Contexts() {
    std::vector<ContextInfo> infos(4 * kMaxContexts);
    GetInfo get{};
    get.what = static_cast<uint32_t>(Info::kContexts);
    get.bytes = static_cast<uint32_t>(infos.size() * sizeof(ContextInfo));
    get.buffer = AddressOf(infos.data());
    if (node_.Call(kGetInfo, &get) != 0) return std::nullopt;
    infos.resize(std::min(infos.size(), get.bytes / sizeof(ContextInfo)));
    return infos;
  }

  uint64_t Submit(HostBuffer& instructions, uint32_t n_words,
                  std::span<HostBuffer* const> data) {
    const Bo& code = RawBuffer::Of(instructions).bo();
    std::vector<uint32_t> words = {1};  // the first compute unit
    const auto add = [&words](uint64_t value) {
      words.push_back(static_cast<uint32_t>(value));
      words.push_back(static_cast<uint32_t>(value >> 32));
    };
    add(kOpcode);
    add(code.address());
    words.push_back(n_words);
    std::vector<uint32_t> bos = {code.handle()};
    for (HostBuffer* buffer : data) {
      const Bo& bo = RawBuffer::Of(*buffer).bo();
      add(bo.address());
      bos.push_back(bo.handle());
    }
    if (words.size() - 1 > kMaxPayloadWords)
      Fail(ErrorCode::kDevice,
           "npu: {} data buffers, the driver's message has room for {}",
           data.size(), (kMaxPayloadWords - 5) / 2);
    const uint32_t header = static_cast<uint32_t>(RunState::kNew) |
                            static_cast<uint32_t>(words.size()) << kCountShift;
    std::memcpy(command_.memory(), &header, sizeof header);
    std::memcpy(command_.memory() + sizeof header, words.data(),
                words.size() * sizeof(uint32_t));
    ExecCommand exec{};
    exec.context = context_;
    exec.commands = command_.handle();
    exec.command_count = 1;
    exec.bos = AddressOf(bos.data());
    exec.bo_count = static_cast<uint32_t>(bos.size());
    Must(node_, kExecCommand, &exec, "start");
    return exec.sequence;
  }

  // False where the time is over. 0: for ever.
  bool Wait(uint64_t point, std::chrono::milliseconds timeout) {
    TimelineWait wait{};
    wait.syncobjs = AddressOf(&syncobj_);
    wait.points = AddressOf(&point);
    wait.count = 1;
    wait.deadline_ns = INT64_MAX;
    if (timeout.count() > 0) {
      timespec now{};
      clock_gettime(CLOCK_MONOTONIC, &now);
      wait.deadline_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec +
                         std::chrono::nanoseconds(timeout).count();
    }
    const int error = node_.Call(kTimelineWait, &wait);
    if (error == ETIME) return false;
    if (error != 0)
      Fail(ErrorCode::kDevice, "npu: wait: {}", std::strerror(error));
    return true;
  }

  void Destroy() {
    amdxdna::DestroySyncobj syncobj{};
    syncobj.syncobj = syncobj_;
    if (syncobj_ != kNoHandle) node_.Call(kDestroySyncobj, &syncobj);
    amdxdna::DestroyContext destroy{};
    destroy.context = context_;
    node_.Call(kDestroyContext, &destroy);
  }

  Ioctl& node_;
  Bo pdi_;      // the driver may load it again, so it stays
  Bo command_;  // one at a time
  uint32_t context_ = kNoHandle;
  uint32_t syncobj_ = kNoHandle;
};

template <typename T>
T Ask(Ioctl& node, Info what, const char* name) {
  T answer{};
  GetInfo get{};
  get.what = static_cast<uint32_t>(what);
  get.bytes = sizeof answer;
  get.buffer = AddressOf(&answer);
  Must(node, kGetInfo, &get, name);
  return answer;
}

class RawDevice : public Device {
 public:
  explicit RawDevice(std::unique_ptr<Ioctl> node) : node_(std::move(node)) {
    std::array<char, 64> name{};
    Version version{};
    version.name = name.data();
    version.name_bytes = name.size() - 1;
    Must(*node_, kVersion, &version, "driver version");
    if (std::strcmp(name.data(), kDriverName) != 0)
      Fail(ErrorCode::kDevice, "npu: the node is of driver '{}', want {}",
           name.data(), kDriverName);
    array_ = Ask<Metadata>(*node_, Info::kMetadata, "array's metadata");
    if (array_.columns != kArrayColumns || array_.core.rows != kCoreRows)
      Fail(ErrorCode::kDevice,
           "npu: an array of {} columns with {} cores each, want npu1's {} "
           "with {}",
           array_.columns, array_.core.rows, kArrayColumns, kCoreRows);
    const auto firmware =
        Ask<Firmware>(*node_, Info::kFirmware, "firmware version");
    name_ = fmt::format(
        "npu1 (amdxdna {}.{}, firmware {}.{}.{}.{}, without "
        "XRT)",
        version.major, version.minor, firmware.major, firmware.minor,
        firmware.patch, firmware.build);
    heap_ =
        std::make_unique<Bo>(*node_, BoType::kHeap, kHeapBytes, "device heap");
  }

  std::string name() const override { return name_; }
  bool simulated() const override { return false; }
  std::unique_ptr<Context> Open(const Image& image) override {
    const std::string& path = XclbinOf(image);
    std::string file;
    NpuProgram program;
    try {
      file = ReadFile(path);
      program = ReadXclbin(std::as_bytes(std::span(file)), path);
    } catch (const Error& error) {
      Fail(ErrorCode::kDevice, "npu: {}", error.what());
    }
    if (program.columns > kColumns)
      Fail(ErrorCode::kDevice, "npu: {}: takes {} columns, npu1 gives {}", path,
           program.columns, kColumns);
    return std::make_unique<RawContext>(*node_, array_, program);
  }

 private:
  std::unique_ptr<Ioctl> node_;
  std::string name_;
  Metadata array_{};
  std::unique_ptr<Bo> heap_;
};

}  // namespace

std::unique_ptr<Device> OpenRawDevice(std::unique_ptr<Ioctl> node) {
  return std::make_unique<RawDevice>(std::move(node));
}

Finding ExamineRaw(std::unique_ptr<Ioctl> node) {
  try {
    return Ok("raw-driver", OpenRawDevice(std::move(node))->name());
  } catch (const Error& error) {
    return Bad("raw-driver", error.what(),
               "the driver does not answer as the kernel's does",
               "look at `dmesg | grep amdxdna`, or install XRT");
  }
}

}  // namespace sotto::npu
