/* SPDX-License-Identifier: MIT
 * libsotto_executorch.so: loading it into a process with the ExecuTorch runtime
 * adds `executorch::alias.out` and `executorch::update_cross_attn_cache.out` to
 * the runtime's registry. Nothing here has to be called for that; these
 * functions look inside. All may be called from any thread. */
#ifndef SOTTO_EXECUTORCH_H_
#define SOTTO_EXECUTORCH_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SOTTO_EXECUTORCH_API __attribute__((visibility("default")))

/* Sums since loading, or since the last reset. */
typedef struct sotto_executorch_counts {
  uint64_t alias_calls;
  uint64_t update_calls;
  uint64_t alias_bytes_copied;  /* results of alias that had to be copied */
  uint64_t value_bytes_written; /* value elements written into caches */
  uint64_t out_bytes_copied;    /* whole caches copied to another out */
  uint64_t repointed;           /* outs made to show kept memory instead */
  uint64_t refused;             /* calls that failed with an error */
} sotto_executorch_counts;

SOTTO_EXECUTORCH_API void sotto_executorch_counters(
    sotto_executorch_counts* counts);
SOTTO_EXECUTORCH_API void sotto_executorch_reset_counters(void);

/* Empty when both operators run from this library; else one line that says why
 * not. Valid as long as the library is loaded. */
SOTTO_EXECUTORCH_API const char* sotto_executorch_status(void);

/* The ExecuTorch version this was built with, as "1.5.1+cpu". */
SOTTO_EXECUTORCH_API const char* sotto_executorch_built_with(void);

/* Off unless called. Says that [begin, begin + bytes) outlives every call of
 * every program that reads it, as an arena that holds nothing but mutable
 * buffers does. Where an argument of alias, or the cache of an update, lies
 * wholly in such memory, a distinct out is made to show it and nothing is
 * copied. Call it before the method is loaded. Memory that the planner hands
 * out again within a call must not be named: results would be wrong.
 * Returns 0, or -1 where the range is empty or 64 are kept already. */
SOTTO_EXECUTORCH_API int sotto_executorch_keep_memory(const void* begin,
                                                      size_t bytes);
/* Forgets all ranges; only after the methods that used them are unloaded. */
SOTTO_EXECUTORCH_API void sotto_executorch_forget_memory(void);

#ifdef __cplusplus
}
#endif

#endif /* SOTTO_EXECUTORCH_H_ */
