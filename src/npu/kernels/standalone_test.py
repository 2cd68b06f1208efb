#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""R14: the sources that cores compile stand alone.

    standalone_test.py FOLDER COMPILER OBJECT...

Each source of FOLDER/npu_device.list parses without a hosted library, includes
no libm, stream or ADF header, and the objects built from them call nothing but
the simulator's hooks and the compiler's own memory functions.
"""
import pathlib
import re
import subprocess
import sys

ALLOWED = re.compile(
    r"(memcpy|memset|memmove|memcmp|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_"
    r"|__tls_get_addr|__(asan|ubsan|tsan|sanitizer)_\w*|__gxx_personality_v0"
    r"|_ZN5sotto3npu\w*|_ZTHN5sotto3npu\w*|__start_\w*|__stop_\w*)(@.*)?$")
FORBIDDEN = re.compile(
    r'#\s*include\s*[<"](cmath|math\.h|tgmath\.h|iostream|ostream|istream'
    r"|cstdio|stdio\.h|string|vector|adf\.h|[^>\"]*adf[^>\"]*)[>\"]")


def main():
    folder = pathlib.Path(sys.argv[1])
    compiler, objects = sys.argv[2], sys.argv[3:]
    names = [line for line in
             (folder / "npu_device.list").read_text().splitlines()
             if line and not line.startswith("#")]
    bad = []
    headers = ["vec.h", "vec_host.h", "vec_host_ops.h", "vec_host_mmul.h",
               "elementary.h", "flash_state.h", "gelu_table.h", "stack.h", "device.h", "plain.h"]
    for name in names + headers:
        for line in (folder / name).read_text().splitlines():
            if FORBIDDEN.search(line):
                bad.append(f"{name}: {line}")
    for name in names:
        run = subprocess.run(
            [compiler, "-std=c++20", "-fsyntax-only", "-ffreestanding",
             "-fno-exceptions", "-fno-rtti", "-Wno-psabi",
             f"-I{folder.resolve().parent.parent}", str(folder / name)],
            capture_output=True, text=True)
        if run.returncode:
            bad.append(f"{name}: {run.stderr.splitlines()[0]}")
    seen = 0
    for path in objects:
        if pathlib.Path(path).name.split(".")[0] + ".cc" not in names:
            continue
        seen += 1
        symbols = subprocess.run(["nm", "-u", path], capture_output=True,
                                 text=True, check=True).stdout.split("\n")
        for symbol in (s.split()[-1] for s in symbols if s.strip()):
            if not ALLOWED.match(symbol):
                bad.append(f"{pathlib.Path(path).name}: calls {symbol}")
    if seen != len(names):
        bad.append(f"{seen} objects of {len(names)} sources")
    print("\n".join(bad) or f"standalone: {len(names)} sources")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
