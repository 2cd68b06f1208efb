// SPDX-License-Identifier: MIT
// libsotto_xrt.so: xrt_api.h over the XRT that is installed. Built only where
// its headers know hardware contexts.
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "npu/host/xrt_api.h"
#include "xrt/experimental/xrt_ext.h"
#include "xrt/experimental/xrt_xclbin.h"
#include "xrt/xrt_bo.h"
#include "xrt/xrt_device.h"
#include "xrt/xrt_hw_context.h"
#include "xrt/xrt_kernel.h"

namespace {

// Runs `body`; XRT reports everything by exceptions, C knows none.
template <typename Body>
int Guard(SottoXrtError* error, Body&& body) {
  try {
    body();
    return 0;
  } catch (const std::exception& e) {
    std::strncpy(error->text, e.what(), sizeof error->text - 1);
  } catch (...) {
    std::strncpy(error->text, "unknown exception", sizeof error->text - 1);
  }
  error->text[sizeof error->text - 1] = '\0';
  return -1;
}

struct Xclbin {
  xrt::xclbin file;
  xrt::uuid uuid;
};

int OpenDevice(unsigned index, void** device, SottoXrtError* error) {
  return Guard(
      error, [&] { *device = std::make_unique<xrt::device>(index).release(); });
}

int DeviceName(void* device, char* name, size_t size, SottoXrtError* error) {
  return Guard(error, [&] {
    const auto text =
        static_cast<xrt::device*>(device)->get_info<xrt::info::device::name>();
    std::strncpy(name, text.c_str(), size - 1);
    name[size - 1] = '\0';
  });
}

int RegisterXclbin(void* device, const char* path, void** xclbin,
                   SottoXrtError* error) {
  return Guard(error, [&] {
    auto made = std::make_unique<Xclbin>();
    made->file = xrt::xclbin(std::string(path));
    made->uuid = static_cast<xrt::device*>(device)->register_xclbin(made->file);
    *xclbin = made.release();
  });
}

int OpenContext(void* device, void* xclbin, void** context,
                SottoXrtError* error) {
  return Guard(error, [&] {
    *context =
        std::make_unique<xrt::hw_context>(*static_cast<xrt::device*>(device),
                                          static_cast<Xclbin*>(xclbin)->uuid)
            .release();
  });
}

int OpenKernel(void* context, void* xclbin, const char* prefix, void** kernel,
               SottoXrtError* error) {
  return Guard(error, [&] {
    for (const auto& k : static_cast<Xclbin*>(xclbin)->file.get_kernels()) {
      if (k.get_name().rfind(prefix, 0) != 0) continue;
      *kernel = std::make_unique<xrt::kernel>(
                    *static_cast<xrt::hw_context*>(context), k.get_name())
                    .release();
      return;
    }
    throw std::runtime_error(std::string("no kernel named ") + prefix +
                             "* in the xclbin");
  });
}

int GroupId(void* kernel, int argument) {
  try {
    return static_cast<xrt::kernel*>(kernel)->group_id(argument);
  } catch (...) {
    return -1;
  }
}

int Alloc(void* device, size_t bytes, uint32_t flags, int group, void** buffer,
          void** mapped, SottoXrtError* error) {
  return Guard(error, [&] {
    const auto kind = flags == SOTTO_XRT_BO_CACHEABLE
                          ? xrt::bo::flags::cacheable
                          : xrt::bo::flags::host_only;
    auto made =
        std::make_unique<xrt::bo>(*static_cast<xrt::device*>(device), bytes,
                                  kind, static_cast<xrt::memory_group>(group));
    *mapped = made->map<void*>();
    *buffer = made.release();
  });
}

int Sync(void* buffer, int direction, size_t bytes, SottoXrtError* error) {
  return Guard(error, [&] {
    static_cast<xrt::bo*>(buffer)->sync(direction == SOTTO_XRT_TO_DEVICE
                                            ? XCL_BO_SYNC_BO_TO_DEVICE
                                            : XCL_BO_SYNC_BO_FROM_DEVICE,
                                        bytes, 0);
  });
}

int Start(void* kernel, uint64_t opcode, void* instructions, uint32_t n_words,
          void* const* data, size_t n_data, void** run, SottoXrtError* error) {
  return Guard(error, [&] {
    auto made = std::make_unique<xrt::run>(*static_cast<xrt::kernel*>(kernel));
    made->set_arg(0, opcode);
    made->set_arg(1, *static_cast<xrt::bo*>(instructions));
    made->set_arg(2, n_words);
    for (size_t i = 0; i < n_data; ++i)
      made->set_arg(static_cast<int>(3 + i), *static_cast<xrt::bo*>(data[i]));
    made->start();
    *run = made.release();
  });
}

int Wait(void* run, unsigned timeout_ms, int* state, SottoXrtError* error) {
  return Guard(error, [&] {
    *state = static_cast<int>(static_cast<xrt::run*>(run)->wait(timeout_ms));
  });
}

template <typename T>
void Close(void* handle) {
  const std::unique_ptr<T> closed(static_cast<T*>(handle));
}

// The version whose headers this was built against, "2.25".
const char* Version() {
  static const std::string text = [] {
    const xrt::detail::abi abi;
    return std::to_string(abi.major) + '.' + std::to_string(abi.minor);
  }();
  return text.c_str();
}

const SottoXrtApi kApi = {
    SOTTO_XRT_ABI,
    Version(),
    OpenDevice,
    DeviceName,
    RegisterXclbin,
    OpenContext,
    OpenKernel,
    GroupId,
    Alloc,
    Sync,
    Start,
    Wait,
    Close<xrt::run>,
    Close<xrt::bo>,
    Close<xrt::kernel>,
    Close<xrt::hw_context>,
    Close<Xclbin>,
    Close<xrt::device>,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const SottoXrtApi*
sotto_xrt_api(void) {
  return &kApi;
}
