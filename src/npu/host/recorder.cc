// SPDX-License-Identifier: MIT
#include <cstring>

#include "base/error.h"
#include "npu/host/protocol.h"

namespace sotto::npu {
namespace {

XrtRecorder* current = nullptr;

}  // namespace

struct XrtRecorder::Hooks {
  using Kind = XrtCall::Kind;

  static int Note(XrtCall call, int rc, const SottoXrtError* error) {
    call.failed = rc != 0;
    if (call.failed) call.error = error->text;
    current->calls_.push_back(std::move(call));
    return rc;
  }

  static int OpenDevice(unsigned index, void** device, SottoXrtError* error) {
    const int rc = current->inner_.open_device(index, device, error);
    return Note({.kind = Kind::kOpenDevice}, rc, error);
  }
  static int Register(void* device, const char* path, void** xclbin,
                      SottoXrtError* error) {
    const int rc = current->inner_.register_xclbin(device, path, xclbin, error);
    return Note({.kind = Kind::kRegister}, rc, error);
  }
  static int OpenContext(void* device, void* xclbin, void** context,
                         SottoXrtError* error) {
    const int rc = current->inner_.open_context(device, xclbin, context, error);
    return Note({.kind = Kind::kOpenContext}, rc, error);
  }
  static int OpenKernel(void* context, void* xclbin, const char* prefix,
                        void** kernel, SottoXrtError* error) {
    const int rc =
        current->inner_.open_kernel(context, xclbin, prefix, kernel, error);
    return Note({.kind = Kind::kOpenKernel}, rc, error);
  }
  static int GroupId(void* kernel, int argument) {
    const int group = current->inner_.group_id(kernel, argument);
    current->calls_.push_back({.kind = Kind::kGroupId,
                               .failed = group < 0,
                               .argument = argument,
                               .group = group});
    return group;
  }
  static int Alloc(void* device, size_t bytes, uint32_t flags, int group,
                   void** buffer, void** mapped, SottoXrtError* error) {
    const int rc = current->inner_.alloc(device, bytes, flags, group, buffer,
                                         mapped, error);
    XrtCall call{
        .kind = Kind::kAlloc, .group = group, .flags = flags, .bytes = bytes};
    if (rc == 0) {
      call.buffer = *buffer;
      current->mapped_[*buffer] = *mapped;
    }
    return Note(std::move(call), rc, error);
  }
  static int Sync(void* buffer, int direction, size_t bytes,
                  SottoXrtError* error) {
    const int rc = current->inner_.sync(buffer, direction, bytes, error);
    return Note({.kind = Kind::kSync,
                 .buffer = buffer,
                 .bytes = bytes,
                 .direction = direction},
                rc, error);
  }
  static int Start(void* kernel, uint64_t opcode, void* instructions,
                   uint32_t n_words, void* const* data, size_t n_data,
                   void** run, SottoXrtError* error) {
    XrtCall call{.kind = Kind::kStart,
                 .buffer = instructions,
                 .opcode = opcode,
                 .n_words = n_words};
    call.data.assign(data, data + n_data);
    call.header_bytes = HeaderBytes(instructions);
    const int rc = current->inner_.start(kernel, opcode, instructions, n_words,
                                         data, n_data, run, error);
    return Note(std::move(call), rc, error);
  }
  static int Wait(void* run, unsigned timeout_ms, int* state,
                  SottoXrtError* error) {
    const int rc = current->inner_.wait(run, timeout_ms, state, error);
    return Note({.kind = Kind::kWait,
                 .timeout_ms = timeout_ms,
                 .state = rc == 0 ? *state : 0},
                rc, error);
  }
  static void CloseBuffer(void* buffer) {
    current->mapped_.erase(buffer);
    current->inner_.close_buffer(buffer);
  }

  // Word 3 of a stream is its length in bytes.
  static uint32_t HeaderBytes(const void* buffer) {
    const auto mapped = current->mapped_.find(buffer);
    if (mapped == current->mapped_.end()) return 0;
    uint32_t bytes = 0;
    std::memcpy(&bytes, static_cast<const std::byte*>(mapped->second) + 12, 4);
    return bytes;
  }
};

XrtRecorder::XrtRecorder(const SottoXrtApi& inner)
    : inner_(inner), api_(inner) {
  SOTTO_CHECK(current == nullptr);
  current = this;
  api_.open_device = Hooks::OpenDevice;
  api_.register_xclbin = Hooks::Register;
  api_.open_context = Hooks::OpenContext;
  api_.open_kernel = Hooks::OpenKernel;
  api_.group_id = Hooks::GroupId;
  api_.alloc = Hooks::Alloc;
  api_.sync = Hooks::Sync;
  api_.start = Hooks::Start;
  api_.wait = Hooks::Wait;
  api_.close_buffer = Hooks::CloseBuffer;
}

XrtRecorder::~XrtRecorder() { current = nullptr; }

}  // namespace sotto::npu
