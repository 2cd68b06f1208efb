/* SPDX-License-Identifier: MIT
 *
 * Operator libraries: what a shared library exports so that Sotto's programs of
 * operators can call what is in it. docs/operators.md is the guide.
 *
 * A library exports one function, sotto_ops_entry, that returns a table of
 * operators. It registers nothing by itself, links nothing of Sotto's, and is
 * loaded by sotto_load_ops or `sotto ops --load`. From C++ the table is one
 * line an operator: sotto/ops.hpp.
 */
#ifndef SOTTO_OPS_H_
#define SOTTO_OPS_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SOTTO_OPS_EXPORT __attribute__((visibility("default")))
#else
#define SOTTO_OPS_EXPORT
#endif

/* Grows when a struct below changes; a library of another number is refused. */
#define SOTTO_OPS_ABI 1
#define SOTTO_OPS_MAX_RANK 8

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sotto_op_dtype {
  SOTTO_OP_F32 = 0,
  SOTTO_OP_F16 = 1,
  SOTTO_OP_BF16 = 2,
  SOTTO_OP_F64 = 3,
  SOTTO_OP_I8 = 4,
  SOTTO_OP_U8 = 5,
  SOTTO_OP_I16 = 6,
  SOTTO_OP_I32 = 7,
  SOTTO_OP_I64 = 8,
  SOTTO_OP_BOOL = 9 /* one byte, 0 or 1 */
} sotto_op_dtype;

/* The tensor owns no memory: an operator that may write it may also point it at
 * other memory of the same dtype and sizes (strides are its own to set). */
#define SOTTO_OP_TENSOR_IS_VIEW 1u

/* A handle to strided memory. Only a view's `data` and `strides` may be changed
 * by an operator, nothing else of the handle ever. */
typedef struct sotto_op_tensor {
  void* data;
  int32_t dtype; /* sotto_op_dtype */
  int32_t rank;  /* at most SOTTO_OPS_MAX_RANK */
  int64_t sizes[SOTTO_OPS_MAX_RANK];
  int64_t strides[SOTTO_OPS_MAX_RANK]; /* in elements */
  uint32_t flags;
  uint32_t reserved;
} sotto_op_tensor;

typedef enum sotto_op_kind {
  SOTTO_OP_NONE = 0,
  SOTTO_OP_TENSOR = 1,
  SOTTO_OP_INT = 2,
  SOTTO_OP_FLOAT = 3,
  SOTTO_OP_TRUTH = 4,
  SOTTO_OP_INTS = 5,
  SOTTO_OP_TENSORS = 6
} sotto_op_kind;

/* One entry of the stack. Lists stay the caller's. */
typedef struct sotto_op_value {
  int32_t kind; /* sotto_op_kind */
  int32_t reserved;
  size_t count; /* of the lists */
  union {
    sotto_op_tensor* tensor;
    int64_t integer; /* also SOTTO_OP_TRUTH: 0 or 1 */
    double number;
    const int64_t* integers;
    sotto_op_tensor* const* tensors;
  } as;
} sotto_op_value;

typedef enum sotto_op_counter {
  SOTTO_OP_BYTES_WRITTEN = 0, /* new values put where they belong */
  SOTTO_OP_BYTES_COPIED = 1   /* bytes moved that were already somewhere */
} sotto_op_counter;

/* What an operator may ask of its caller, for the time of one call. */
typedef struct sotto_op_context sotto_op_context;
struct sotto_op_context {
  uint32_t struct_bytes;
  uint32_t reserved;
  const char* op_name;
  /* Keeps one line about why the call fails; return non-zero after it. */
  void (*fail)(sotto_op_context* context, const char* line);
  /* 64-byte aligned memory that lives until the program's next run; NULL where
   * there is none. */
  void* (*allocate)(sotto_op_context* context, size_t bytes);
  void (*count)(sotto_op_context* context, sotto_op_counter counter,
                uint64_t bytes);
};

/* The stack holds the arguments, then one tensor for each result, which the
 * operator fills (its memory may be an argument's or allocated). Returns 0
 * where it worked. Must not throw and must leave everything untouched where it
 * refuses its arguments. Called from several threads at once. */
typedef int (*sotto_op_function)(sotto_op_context* context,
                                 sotto_op_value* stack, size_t count);

/* `name`: "space::name" or "space::name.overload". `key`: the dtypes of the
 * tensor arguments it is for, as "f32,f32", or "any". `schema`: "(T,T!,i)->(T)"
 * of T tensor, T! tensor that may be written, T? tensor or none, i, f, b, i[],
 * T[], T![]. */
typedef struct sotto_op {
  const char* name;
  const char* key;
  const char* schema;
  sotto_op_function function;
} sotto_op;

typedef struct sotto_ops_library {
  uint32_t abi;          /* SOTTO_OPS_ABI; always first */
  uint32_t struct_bytes; /* sizeof(sotto_ops_library) */
  const char* name;
  const char* version;
  const sotto_op* ops;
  size_t count;
} sotto_ops_library;

/* The one symbol a library exports. What it returns lives as long as the
 * library is loaded. */
SOTTO_OPS_EXPORT const sotto_ops_library* sotto_ops_entry(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* SOTTO_OPS_H_ */
