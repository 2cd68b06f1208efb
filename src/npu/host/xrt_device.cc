// SPDX-License-Identifier: MIT
// The protocol that works on Phoenix: register_xclbin, context, the kernel
// MLIR_AIE, opcode 3, the instructions cacheable in the bank of argument 1,
// data host-only in the banks of arguments 3 and up.
#include "npu/host/xrt_device.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace sotto::npu {
namespace {

constexpr uint64_t kOpcode = 3;  // run the instruction stream

// A handle of the table with the function that closes it.
class Handle {
 public:
  Handle() = default;
  Handle(void* handle, void (*close)(void*)) : handle_(handle), close_(close) {}
  Handle(Handle&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (handle_ != nullptr) close_(handle_);
  }
  void* get() const { return handle_; }

 private:
  void* handle_ = nullptr;
  void (*close_)(void*) = nullptr;
};

// Calls `call(&error)` and makes an exception of a refusal.
template <typename Call>
void Must(const char* what, Call&& call) {
  Log(LogLevel::kDebug, "npu: xrt: {}", what);
  SottoXrtError error{};
  if (call(&error) == 0) return;
  if (MeansNoContextFree(error.text))
    Fail(ErrorCode::kDevice,
         "npu: no context free: the driver allows {} at once ({})",
         kMaxContexts, error.text);
  Fail(ErrorCode::kDevice, "npu: {}: {}", what, error.text);
}

class XrtBuffer : public HostBuffer {
 public:
  XrtBuffer(const SottoXrtApi& api, Handle handle, std::span<std::byte> bytes)
      : api_(api), handle_(std::move(handle)), bytes_(bytes) {}
  std::span<std::byte> bytes() override { return bytes_; }
  void SyncToDevice() override { Sync(SOTTO_XRT_TO_DEVICE); }
  void SyncFromDevice() override { Sync(SOTTO_XRT_FROM_DEVICE); }
  void* handle() const { return handle_.get(); }

 private:
  void Sync(int direction) {
    Must("sync", [&](SottoXrtError* error) {
      return api_.sync(handle_.get(), direction, bytes_.size(), error);
    });
  }

  const SottoXrtApi& api_;
  Handle handle_;
  std::span<std::byte> bytes_;
};

class XrtContext : public Context {
 public:
  XrtContext(const SottoXrtApi& api, void* device, const Image& image)
      : api_(api), device_(device) {
    void* made = nullptr;
    Must("register_xclbin", [&](SottoXrtError* error) {
      return api_.register_xclbin(device_, image.xclbin_path.c_str(), &made,
                                  error);
    });
    xclbin_ = Handle(made, api_.close_xclbin);
    Must("hardware context", [&](SottoXrtError* error) {
      return api_.open_context(device_, xclbin_.get(), &made, error);
    });
    context_ = Handle(made, api_.close_context);
    Must("kernel MLIR_AIE", [&](SottoXrtError* error) {
      return api_.open_kernel(context_.get(), xclbin_.get(), "MLIR_AIE", &made,
                              error);
    });
    kernel_ = Handle(made, api_.close_kernel);
  }

  std::unique_ptr<HostBuffer> MakeBuffer(HostBuffer::Kind kind, size_t bytes,
                                         int group) override {
    const bool code = kind == HostBuffer::Kind::kInstructions;
    const int bank = api_.group_id(kernel_.get(), group);
    if (bank < 0) {
      Fail(ErrorCode::kDevice,
           "npu: the kernel has no memory bank for argument {}", group);
    }
    Log(LogLevel::kDebug, "npu: xrt: {} bytes of {} in bank {} (argument {})",
        bytes, code ? "instructions" : "data", bank, group);
    void* buffer = nullptr;
    void* mapped = nullptr;
    Must("buffer", [&](SottoXrtError* error) {
      return api_.alloc(device_, bytes,
                        code ? SOTTO_XRT_BO_CACHEABLE : SOTTO_XRT_BO_HOST_ONLY,
                        bank, &buffer, &mapped, error);
    });
    return std::make_unique<XrtBuffer>(
        api_, Handle(buffer, api_.close_buffer),
        std::span(static_cast<std::byte*>(mapped), bytes));
  }

  RunResult Run(HostBuffer& instructions, uint32_t n_words,
                std::span<HostBuffer* const> data,
                std::chrono::milliseconds timeout) override {
    if (data.size() > kMaxHostBuffers) {
      Fail(ErrorCode::kDevice,
           "npu: a run takes at most {} data buffers, got {}", kMaxHostBuffers,
           data.size());
    }
    std::array<void*, kMaxHostBuffers> handles{};
    std::transform(data.begin(), data.end(), handles.begin(),
                   [](HostBuffer* b) { return HandleOf(*b); });
    const auto begin = std::chrono::steady_clock::now();
    void* made = nullptr;
    Must("start", [&](SottoXrtError* error) {
      return api_.start(kernel_.get(), kOpcode, HandleOf(instructions), n_words,
                        handles.data(), data.size(), &made, error);
    });
    const Handle run(made, api_.close_run);
    int state = 0;
    Must("wait", [&](SottoXrtError* error) {
      return api_.wait(run.get(), static_cast<unsigned>(timeout.count()),
                       &state, error);
    });
    RunResult result;
    result.wall_ms = std::chrono::duration<double, std::milli>(
                         std::chrono::steady_clock::now() - begin)
                         .count();
    result.state = static_cast<RunState>(state);
    result.detail = Explain(result.state, timeout);
    Log(LogLevel::kDebug, "npu: xrt: {} words, {} buffers: {} in {:.3f} ms",
        n_words, data.size(), Name(result.state), result.wall_ms);
    return result;
  }

 private:
  static void* HandleOf(HostBuffer& buffer) {
    auto* ours = dynamic_cast<XrtBuffer*>(&buffer);
    SOTTO_CHECK(ours != nullptr);
    return ours->handle();
  }

  const SottoXrtApi& api_;
  void* device_;
  Handle xclbin_;
  Handle context_;
  Handle kernel_;
};

class XrtDevice : public Device {
 public:
  XrtDevice(const SottoXrtApi& api, unsigned index) : api_(api) {
    void* made = nullptr;
    Must("open device", [&](SottoXrtError* error) {
      return api_.open_device(index, &made, error);
    });
    device_ = Handle(made, api_.close_device);
    std::array<char, 128> name{};
    Must("device name", [&](SottoXrtError* error) {
      return api_.device_name(device_.get(), name.data(), name.size(), error);
    });
    name_ = fmt::format("{} (XRT {})", name.data(), api_.version);
  }
  std::string name() const override { return name_; }
  bool simulated() const override { return false; }
  std::unique_ptr<Context> Open(const Image& image) override {
    XclbinOf(image);  // asked for before a context is
    return std::make_unique<XrtContext>(api_, device_.get(), image);
  }

 private:
  const SottoXrtApi& api_;
  Handle device_;
  std::string name_;
};

}  // namespace

bool MeansNoContextFree(std::string_view message) {
  if (message.find("HWCTX") == std::string_view::npos &&
      message.find("hw_context") == std::string_view::npos &&
      message.find("hardware context") == std::string_view::npos)
    return false;
  for (const std::string_view sign :
       {"-2)", "-22", "-28", "err=-2", "err -2", "No such file", "No space",
        "Invalid argument"})
    if (message.find(sign) != std::string_view::npos) return true;
  return false;
}

const SottoXrtApi& LoadXrtPlugin(const std::filesystem::path& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) Fail(ErrorCode::kUnsupported, "npu: {}", dlerror());
  // Never closed: XRT starts threads that outlive its objects.
  const auto entry =
      reinterpret_cast<SottoXrtEntry>(dlsym(library, SOTTO_XRT_ENTRY));
  if (entry == nullptr)
    Fail(ErrorCode::kUnsupported,
         "{}: is not Sotto's XRT plug-in: it has no {}", path.string(),
         SOTTO_XRT_ENTRY);
  const SottoXrtApi* api = entry();
  if (api->abi != SOTTO_XRT_ABI)
    Fail(ErrorCode::kUnsupported, "{}: has ABI {}, want {}", path.string(),
         api->abi, SOTTO_XRT_ABI);
  return *api;
}

std::filesystem::path FindXrtPlugin() {
  return FindBesideProgram({"libsotto_xrt.so", "../lib/libsotto_xrt.so",
                            "../lib/sotto/libsotto_xrt.so"});
}

std::unique_ptr<Device> OpenXrtDevice(const SottoXrtApi& api, unsigned index) {
  return std::make_unique<XrtDevice>(api, index);
}

}  // namespace sotto::npu
