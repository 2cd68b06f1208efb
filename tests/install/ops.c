/* SPDX-License-Identifier: MIT
 * An operator library in plain C: outside::twice.out(x, out), f32. */
#include <sotto/ops.h>

static int Twice(sotto_op_context* context, sotto_op_value* stack,
                 size_t count) {
  const float* x;
  float* out;
  int64_t elements = 1;
  int32_t axis;
  if (count != 2 || stack[0].kind != SOTTO_OP_TENSOR ||
      stack[1].kind != SOTTO_OP_TENSOR) {
    context->fail(context, "want two tensors");
    return 1;
  }
  x = (const float*)stack[0].as.tensor->data;
  out = (float*)stack[1].as.tensor->data;
  for (axis = 0; axis < stack[0].as.tensor->rank; ++axis)
    elements *= stack[0].as.tensor->sizes[axis];
  for (; elements > 0; --elements) *out++ = 2 * *x++;
  return 0;
}

static const sotto_op kOps[] = {
    {"outside::twice.out", "f32,f32", "(T,T!)", Twice}};
static const sotto_ops_library kLibrary = {
    SOTTO_OPS_ABI, sizeof(sotto_ops_library), "outside", "1", kOps, 1};

const sotto_ops_library* sotto_ops_entry(void) { return &kLibrary; }
