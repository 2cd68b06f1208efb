/* SPDX-License-Identifier: MIT
 * The few calls of XRT that the NPU needs, as a C table. XRT itself is C++ and
 * changes its ABI; only xrt_plugin.cc includes it, and only that small library
 * is built where XRT is. The engine opens it at run time, tests give a mock.
 *
 * Every function that can fail returns 0, or -1 with the reason in `error`.
 * Order of a run: open_device, register_xclbin, open_context, open_kernel,
 * alloc, sync, start, wait, sync. */
#ifndef SOTTO_NPU_XRT_API_H_
#define SOTTO_NPU_XRT_API_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SOTTO_XRT_ABI 1
#define SOTTO_XRT_ENTRY "sotto_xrt_api"

/* xrt::bo::flags */
#define SOTTO_XRT_BO_CACHEABLE 0x01000000u
#define SOTTO_XRT_BO_HOST_ONLY 0x20000000u

/* xclBOSyncDirection */
#define SOTTO_XRT_TO_DEVICE 0
#define SOTTO_XRT_FROM_DEVICE 1

typedef struct SottoXrtError {
  char text[512];
} SottoXrtError;

typedef struct SottoXrtApi {
  uint32_t abi; /* SOTTO_XRT_ABI */
  const char* version;
  int (*open_device)(unsigned index, void** device, SottoXrtError* error);
  int (*device_name)(void* device, char* name, size_t size,
                     SottoXrtError* error);
  /* register_xclbin of XRT, never load_xclbin: the NPU's driver refuses it. */
  int (*register_xclbin)(void* device, const char* path, void** xclbin,
                         SottoXrtError* error);
  int (*open_context)(void* device, void* xclbin, void** context,
                      SottoXrtError* error);
  /* The first kernel whose name begins with `prefix`. */
  int (*open_kernel)(void* context, void* xclbin, const char* prefix,
                     void** kernel, SottoXrtError* error);
  /* The memory bank of the kernel's argument; -1 where there is none. */
  int (*group_id)(void* kernel, int argument);
  int (*alloc)(void* device, size_t bytes, uint32_t flags, int group,
               void** buffer, void** mapped, SottoXrtError* error);
  int (*sync)(void* buffer, int direction, size_t bytes, SottoXrtError* error);
  /* kernel(opcode, instructions, n_words, data[0], ...). */
  int (*start)(void* kernel, uint64_t opcode, void* instructions,
               uint32_t n_words, void* const* data, size_t n_data, void** run,
               SottoXrtError* error);
  /* `state`: ert_cmd_state. */
  int (*wait)(void* run, unsigned timeout_ms, int* state, SottoXrtError* error);
  void (*close_run)(void* run);
  void (*close_buffer)(void* buffer);
  void (*close_kernel)(void* kernel);
  void (*close_context)(void* context);
  void (*close_xclbin)(void* xclbin);
  void (*close_device)(void* device);
} SottoXrtApi;

/* What the plug-in exports under SOTTO_XRT_ENTRY. */
typedef const SottoXrtApi* (*SottoXrtEntry)(void);

#ifdef __cplusplus
}
#endif
#endif
