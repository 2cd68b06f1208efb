// SPDX-License-Identifier: MIT
// What the kernel driver amdxdna is told and answers, as bytes. Facts of the
// Linux user interface (include/uapi/drm/amdxdna_accel.h and drm.h, from 6.14
// on), declared anew: numbers, order and sizes are the kernel's, the names are
// ours. Fields called `zero` must be 0 or the driver refuses.
#pragma once

#include <linux/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace sotto::npu::amdxdna {

inline constexpr char kDriverName[] = "amdxdna";
// An address or offset that is none.
inline constexpr uint64_t kNoAddress = ~uint64_t{0};
inline constexpr uint32_t kNoHandle = 0;

enum class BoType : uint32_t {
  kShared = 1,   // host memory, mapped by both
  kHeap = 2,     // one a client, what kDevice is cut from
  kDevice = 3,   // in the heap: code and configurations
  kCommand = 4,  // what ExecCommand runs
};
// npu1's heap: its size and its alignment in the process (npu1_regs.c,
// dev_mem_size).
inline constexpr uint64_t kHeapBytes = 64 << 20;

struct CreateContext {
  uint64_t zero[2];
  uint64_t qos;  // address of a Qos
  uint32_t user_queue_bo;
  uint32_t log_bo;
  uint32_t max_ops_per_cycle;
  uint32_t tiles;  // core tiles: columns times rows of cores
  uint32_t memory;
  uint32_t doorbell;  // out
  uint32_t context;   // out
  uint32_t syncobj;   // out: a timeline, one point a command
};
struct Qos {
  uint32_t gops, fps, dma_bandwidth, latency, frame_time, priority;
};
struct DestroyContext {
  uint32_t context;
  uint32_t zero;
};
struct ConfigContext {
  uint32_t context;
  uint32_t what;   // kConfigCus
  uint64_t value;  // address of a CuConfigs
  uint32_t value_bytes;
  uint32_t zero;
};
inline constexpr uint32_t kConfigCus = 0;
struct CuConfig {
  uint32_t bo;  // kDevice, holds the PDI
  uint8_t function;
  uint8_t zero[3];
};
struct CuConfigs {
  uint16_t count;
  uint16_t zero[3];
  CuConfig cu[1];
};
struct CreateBo {
  uint64_t zero[2];
  uint64_t bytes;
  uint32_t type;
  uint32_t bo;  // out
};
struct BoInfo {
  uint64_t zero[2];
  uint32_t bo;
  uint32_t zero_too;
  uint64_t map_offset;      // out: for mmap, or kNoAddress: it is mapped
  uint64_t host_address;    // out
  uint64_t device_address;  // out, or kNoAddress: the host's is the device's
};
struct SyncBo {
  uint32_t bo;
  uint32_t direction;  // 0 to the device, 1 from it
  uint64_t offset;
  uint64_t bytes;
};
struct ExecCommand {
  uint64_t zero[2];
  uint32_t context;
  uint32_t type;      // 0: run a command buffer
  uint64_t commands;  // the handle itself, where there is one
  uint64_t bos;       // address of the handles of all that it touches
  uint32_t command_count;
  uint32_t bo_count;
  uint64_t sequence;  // out: the command's point on the context's timeline
};
struct GetInfo {
  uint32_t what;
  uint32_t bytes;  // in and out
  uint64_t buffer;
};
enum class Info : uint32_t {
  kMetadata = 1,
  kContexts = 5,
  kFirmware = 8,
};
struct TileMetadata {
  uint16_t rows, first_row, dma_channels, locks, events;
  uint16_t padding[3];
};
struct Metadata {
  uint32_t column_bytes;
  uint16_t columns;
  uint16_t rows;
  uint32_t major, minor;
  TileMetadata core, mem, shim;
};
struct ContextInfo {
  uint32_t id, first_column, columns, padding;
  int64_t pid;
  uint64_t submissions, completions, migrations, preemptions, errors;
};
struct Firmware {
  uint32_t major, minor, patch, build;
};

// drm.h
struct Version {
  int32_t major, minor, patch;
  size_t name_bytes;
  char* name;
  size_t date_bytes;
  char* date;
  size_t text_bytes;
  char* text;
};
struct CloseBo {
  uint32_t bo;
  uint32_t zero;
};
struct DestroySyncobj {
  uint32_t syncobj;
  uint32_t zero;
};
struct TimelineWait {
  uint64_t syncobjs;  // addresses of arrays
  uint64_t points;
  int64_t deadline_ns;  // CLOCK_MONOTONIC
  uint32_t count;
  uint32_t flags;
  uint32_t first;  // out
  uint32_t zero;
};

static_assert(sizeof(CreateContext) == 56 && sizeof(Qos) == 24 &&
              sizeof(DestroyContext) == 8 && sizeof(ConfigContext) == 24 &&
              sizeof(CuConfig) == 8 && sizeof(CuConfigs) == 16 &&
              sizeof(CreateBo) == 32 && sizeof(BoInfo) == 48 &&
              sizeof(SyncBo) == 24 && sizeof(ExecCommand) == 56 &&
              sizeof(GetInfo) == 16 && sizeof(TileMetadata) == 16 &&
              sizeof(Metadata) == 64 && sizeof(ContextInfo) == 64 &&
              sizeof(Firmware) == 16 && sizeof(TimelineWait) == 40);

// Both directions, as DRM numbers them: a driver's own calls from 0x40 on.
template <typename T>
constexpr unsigned long Request(unsigned number) {
  return _IOC(_IOC_READ | _IOC_WRITE, 'd', number, sizeof(T));
}
inline constexpr unsigned long kVersion = Request<Version>(0x00);
inline constexpr unsigned long kCloseBo =
    _IOC(_IOC_WRITE, 'd', 0x09, sizeof(CloseBo));
inline constexpr unsigned long kCreateContext = Request<CreateContext>(0x40);
inline constexpr unsigned long kDestroyContext = Request<DestroyContext>(0x41);
inline constexpr unsigned long kConfigContext = Request<ConfigContext>(0x42);
inline constexpr unsigned long kCreateBo = Request<CreateBo>(0x43);
inline constexpr unsigned long kBoInfo = Request<BoInfo>(0x44);
inline constexpr unsigned long kSyncBo = Request<SyncBo>(0x45);
inline constexpr unsigned long kExecCommand = Request<ExecCommand>(0x46);
inline constexpr unsigned long kGetInfo = Request<GetInfo>(0x47);
inline constexpr unsigned long kDestroySyncobj = Request<DestroySyncobj>(0xC0);
inline constexpr unsigned long kTimelineWait = Request<TimelineWait>(0xCA);

// A command buffer: a header, one mask of compute units, the kernel's
// arguments as words. The driver writes the state back (drivers/accel/amdxdna/
// amdxdna_ctx.h).
inline constexpr size_t kCommandBytes = 4096;
inline constexpr int kCountShift = 12;   // words after the header
inline constexpr int kOpcodeShift = 23;  // 0: start a compute unit
inline constexpr uint32_t kStateMask = 0xF;
// What the firmware's message has room for (aie2_msg_priv.h,
// execute_buffer_req).
inline constexpr size_t kMaxPayloadWords = 19;

}  // namespace sotto::npu::amdxdna
