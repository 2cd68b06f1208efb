/* SPDX-License-Identifier: MIT */
/* The packed files as read-only data, without the 10 bytes of gzip header. */
#define SOTTO_SHIPPED(symbol, path)        \
  .globl sotto_shipped_##symbol;           \
  sotto_shipped_##symbol: .incbin path, 10; \
  .globl sotto_shipped_end_##symbol;       \
  sotto_shipped_end_##symbol: .byte 0;
  .section .rodata
#include "shipped.def"
  .section .note.GNU-stack, "", %progbits
