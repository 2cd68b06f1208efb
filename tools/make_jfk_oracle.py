#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cuts the log-mel oracle of the JFK clip down to what the repository holds.

    make_jfk_oracle.py jfk-mel80.safetensors tests/data/jfk/mel80.safetensors

Of the 80 x 3000 that openai-whisper computed (1100 frames of sound): the first
and last 40 frames of sound whole, and the mean of every frame and every band,
all float32 as computed (the means in double, then rounded).
"""
import array
import json
import struct
import sys

BANDS, FRAMES, SOUND, KEEP = 80, 3000, 1100, 40


def main():
    with open(sys.argv[1], "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        head = json.loads(f.read(size))
        data = f.read()
    begin, end = head["mel"]["data_offsets"]
    mel = array.array("f", data[begin:end])
    rows = [mel[b * FRAMES:b * FRAMES + SOUND] for b in range(BANDS)]
    tensors = {
        "first": ([BANDS, KEEP], [x for r in rows for x in r[:KEEP]]),
        "last": ([BANDS, KEEP], [x for r in rows for x in r[-KEEP:]]),
        "frame_mean": ([SOUND], [sum(r[i] for r in rows) / BANDS
                                 for i in range(SOUND)]),
        "band_mean": ([BANDS], [sum(r) / SOUND for r in rows]),
    }
    out, offset, body = {"__metadata__": head["__metadata__"]}, 0, b""
    for name, (shape, values) in tensors.items():
        body += array.array("f", values).tobytes()
        out[name] = {"dtype": "F32", "shape": shape,
                     "data_offsets": [offset, len(body)]}
        offset = len(body)
    text = json.dumps(out).encode()
    text += b" " * (-len(text) % 8)
    with open(sys.argv[2], "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


if __name__ == "__main__":
    main()
