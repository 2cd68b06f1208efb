// SPDX-License-Identifier: MIT
#include "npu/host/mock_xrt.h"

#include <cstring>

#include "base/error.h"

namespace sotto::npu {
namespace {

MockXrt* current = nullptr;

int Refuse(SottoXrtError* error, const std::string& text) {
  std::strncpy(error->text, text.c_str(), sizeof error->text - 1);
  error->text[sizeof error->text - 1] = '\0';
  return -1;
}

}  // namespace

int MockBank(int argument) {
  // Scalars, the instructions' SRAM, host memory (a published box's numbers).
  switch (argument) {
    case 0:
    case 2:
      return 131071;
    case 1:
      return 65537;
    default:
      return argument <= 7 ? 65536 : -1;
  }
}

struct MockXrt::Buffer {
  std::vector<std::byte> host;
  std::vector<std::byte> device;
  uint32_t flags = 0;
  int group = 0;
};

struct MockXrt::Run {
  RunState state = RunState::kNew;
};

struct MockXrt::Hooks {
  // Fails where the test wants it.
  static bool Failing(const char* name, SottoXrtError* error) {
    const auto at = current->fail.find(name);
    if (at == current->fail.end()) return false;
    Refuse(error, at->second);
    return true;
  }
  template <typename T>
  static int Give(std::unique_ptr<T> made, void** out) {
    ++current->handles;
    *out = made.release();
    return 0;
  }
  template <typename T>
  static void Close(void* handle) {
    --current->handles;
    const std::unique_ptr<T> closed(static_cast<T*>(handle));
  }

  static int OpenDevice(unsigned index, void** device, SottoXrtError* error) {
    if (Failing("open_device", error)) return -1;
    if (index != 0) return Refuse(error, "No such device with index");
    return Give(std::make_unique<int>(0), device);
  }
  static int DeviceName(void*, char* name, size_t size, SottoXrtError*) {
    std::strncpy(name, current->device_name.c_str(), size - 1);
    name[size - 1] = '\0';
    return 0;
  }
  static int Register(void*, const char* path, void** xclbin,
                      SottoXrtError* error) {
    if (Failing("register_xclbin", error)) return -1;
    return Give(std::make_unique<std::string>(path), xclbin);
  }
  static int OpenContext(void*, void* xclbin, void** context,
                         SottoXrtError* error) {
    if (Failing("open_context", error)) return -1;
    if (xclbin == nullptr) return Refuse(error, "no xclbin registered");
    if (current->contexts >= current->context_limit)
      return Refuse(error,
                    "DRM_IOCTL_AMDXDNA_CREATE_HWCTX IOCTL failed (err=-22): "
                    "Invalid argument");
    ++current->contexts;
    return Give(std::make_unique<int>(0), context);
  }
  static void CloseContext(void* context) {
    --current->contexts;
    Close<int>(context);
  }
  static int OpenKernel(void* context, void*, const char* prefix, void** kernel,
                        SottoXrtError* error) {
    if (Failing("open_kernel", error)) return -1;
    if (context == nullptr) return Refuse(error, "no context");
    if (current->kernel_name.rfind(prefix, 0) != 0)
      return Refuse(
          error, "no kernel named " + std::string(prefix) + "* in the xclbin");
    return Give(std::make_unique<int>(0), kernel);
  }
  static int GroupId(void*, int argument) { return MockBank(argument); }
  static int Alloc(void*, size_t bytes, uint32_t flags, int group,
                   void** buffer, void** mapped, SottoXrtError* error) {
    if (Failing("alloc", error)) return -1;
    if (flags != SOTTO_XRT_BO_CACHEABLE && flags != SOTTO_XRT_BO_HOST_ONLY)
      return Refuse(error,
                    "allocation failed (err=95): Operation not "
                    "supported");
    auto made = std::make_unique<Buffer>();
    // Both hold rubbish, not zeros: nobody may rely on either.
    made->host.assign(bytes, std::byte{0xA5});
    made->device.assign(bytes, std::byte{0xFF});
    made->flags = flags;
    made->group = group;
    *mapped = made->host.data();
    return Give(std::move(made), buffer);
  }
  static int Sync(void* buffer, int direction, size_t bytes,
                  SottoXrtError* error) {
    if (Failing("sync", error)) return -1;
    auto& b = *static_cast<Buffer*>(buffer);
    if (bytes > b.host.size()) return Refuse(error, "sync past the buffer");
    if (direction == SOTTO_XRT_TO_DEVICE)
      std::memcpy(b.device.data(), b.host.data(), bytes);
    else
      std::memcpy(b.host.data(), b.device.data(), bytes);
    return 0;
  }
  // What the firmware sees decides, not what the host meant.
  static RunState Execute(uint64_t opcode, const Buffer* instructions,
                          uint32_t n_words, void* const* data, size_t n_data) {
    if (opcode != 3 || instructions == nullptr ||
        instructions->flags != SOTTO_XRT_BO_CACHEABLE ||
        instructions->group != MockBank(1) || instructions->device.size() < 16)
      return RunState::kError;
    uint32_t bytes = 0;
    std::memcpy(&bytes, instructions->device.data() + 12, 4);
    const uint32_t said = current->old_words ? n_words : 4 * n_words;
    if (bytes != said || bytes > instructions->device.size())
      return RunState::kError;
    std::vector<std::span<std::byte>> device_data;
    for (size_t i = 0; i < n_data; ++i) {
      auto* buffer = static_cast<Buffer*>(data[i]);
      if (buffer == nullptr || buffer->flags != SOTTO_XRT_BO_HOST_ONLY)
        return RunState::kError;
      device_data.emplace_back(buffer->device);
    }
    if (!current->program) return RunState::kTimeout;
    std::vector<uint32_t> words(bytes / 4);
    std::memcpy(words.data(), instructions->device.data(), 4 * words.size());
    return current->program(words, device_data);
  }
  static int Start(void* kernel, uint64_t opcode, void* instructions,
                   uint32_t n_words, void* const* data, size_t n_data,
                   void** run, SottoXrtError* error) {
    if (Failing("start", error)) return -1;
    if (kernel == nullptr) return Refuse(error, "no kernel");
    ++current->runs;
    auto made = std::make_unique<Run>();
    made->state = Execute(opcode, static_cast<Buffer*>(instructions), n_words,
                          data, n_data);
    return Give(std::move(made), run);
  }
  static int Wait(void* run, unsigned, int* state, SottoXrtError* error) {
    if (Failing("wait", error)) return -1;
    *state = static_cast<int>(static_cast<Run*>(run)->state);
    return 0;
  }
};

MockXrt::MockXrt()
    : api_{SOTTO_XRT_ABI,
           "2.25",
           Hooks::OpenDevice,
           Hooks::DeviceName,
           Hooks::Register,
           Hooks::OpenContext,
           Hooks::OpenKernel,
           Hooks::GroupId,
           Hooks::Alloc,
           Hooks::Sync,
           Hooks::Start,
           Hooks::Wait,
           Hooks::Close<Run>,
           Hooks::Close<Buffer>,
           Hooks::Close<int>,
           Hooks::CloseContext,
           Hooks::Close<std::string>,
           Hooks::Close<int>} {
  SOTTO_CHECK(current == nullptr);
  current = this;
}

MockXrt::~MockXrt() { current = nullptr; }

}  // namespace sotto::npu
