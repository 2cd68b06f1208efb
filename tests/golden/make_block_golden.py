#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Golden values of ggml's block types, from the gguf package of ggml itself.

    make_block_golden.py > src/model/block_golden.inc

pip install gguf numpy (made with gguf 0.19.0). Each row: type, blocks as hex,
FNV-1a of the f32 values they stand for, the first eight of those values, and,
for the types that the package quantises, FNV-1a of the blocks that it makes
of 512 given values.
"""
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2],
          T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}
BYTES = {T.Q4_0: 18, T.Q4_1: 20, T.Q5_0: 22, T.Q5_1: 24, T.Q8_0: 34,
         T.Q4_K: 144, T.Q5_K: 176, T.Q6_K: 210}


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & (1 << 64) - 1
    return h


def source():
    """512 values that the test makes again: no library function, exact."""
    state, out = 12345, []
    for i in range(512):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        out.append(((state >> 8) % 20001 - 10000) * (1 + i // 64) / 65536)
    return np.array(out, np.float32)


def main():
    rng = np.random.default_rng(7)
    print("// SPDX-License-Identifier: MIT")
    print("// Made by tests/golden/make_block_golden.py.")
    for kind, size in BYTES.items():
        blocks = rng.integers(0, 256, (4, size), np.uint8)
        for at in HALVES[kind]:
            halves = rng.normal(0, 0.1, 4).astype(np.float16)
            blocks[:, at:at + 2] = halves[:, None].view(np.uint8)
        values = dequantize(blocks, kind).astype(np.float32).reshape(-1)
        try:
            made = fnv(quantize(source(), kind).tobytes())
        except NotImplementedError:
            made = 0
        first = ", ".join(f"{v.hex()}f" for v in values[:8].tolist())
        print(f"{{DType::k{kind.name}, 0x{fnv(values.tobytes()):016x}u,"
              f" 0x{made:016x}u,\n {{{first}}},")
        text = blocks.tobytes().hex()
        for i in range(0, len(text), 70):
            print(f' "{text[i:i + 70]}"')
        print("},")


if __name__ == "__main__":
    main()
