#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Enforces the ranks of the folders and where outside libraries may stand.

    check_layers.py [ROOT]

A folder of src/ includes only folders of a lower rank or itself; extension/
counts as one folder above them all. Headers of outside libraries appear only
in the folders listed here, and none in our headers but fmt. Prints one line
per breach and exits 1.
"""
import pathlib
import re
import sys

RANKS = [
    {"base"},
    {"tensor"},
    {"audio", "text", "hub", "ir"},
    {"model", "runtime", "decode", "output", "ops"},
    {"compile", "cpu", "npu", "cuda"},
    {"engine"},
    {"api", "extension"},
]
RANK = {name: i for i, names in enumerate(RANKS) for name in names}
# The NPU, CUDA and CPU backends meet the compiler only through runtime/.
BACKENDS = {"cpu", "npu", "cuda"}

# Library header -> folders of src/ that may include it (".cc" files only,
# unless the row says "h").
LIBRARIES = {
    r"nlohmann/": {"model", "text", "output", "base", "hub", "npu", "engine", "api",
                  "extension"},
    r"simdjson": {"model", "text", "hub"},
    r"toml\+\+/": {"compile"},
    r"CLI/": {"extension"},  # its runner is a program
    r"libav|libsw": {"audio"},
    r"kiss": {"audio"},
    r"hwy/": {"cpu", "model", "decode", "audio", "base"},
    r"minizip|zip\.h|unzip\.h": {"model"},
    r"pcre2": {"text"},
    r"utf8proc": {"text"},
    r"curl/": {"hub"},
    r"openssl/": {"hub", "base", "npu"},
    r"zlib\.h": {"text", "model", "npu"},
    r"Eigen/": {"npu"},
    r"executorch/(runtime|extension|devtools)/": {"extension"},
}
# hwy's own scheme wants SIMD bodies in -inl.h files. What extension/ declares
# is in ExecuTorch's types.
HEADER_LIBRARIES = {
    r"hwy/": "-inl.h",
    r"executorch/(runtime|extension|devtools)/": ".h",
}


def place_of(root, path):
    """The folder that has the rank, and the path under the root."""
    relative = path.relative_to(root)
    return relative.parts[1 if relative.parts[0] == "src" else 0], relative


def check_file(root, path):
    folder, relative = place_of(root, path)
    test = path.stem.endswith("_test")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
        if not match:
            continue
        name = match.group(1)
        where = f"{relative}:{number}"
        target = name.split("/")[0]
        if target in RANK and "/" in name and target != folder:
            allowed = RANK[target] < RANK[folder]
            if not allowed and not test:
                yield (f"{where}: {folder} (rank {RANK[folder]}) includes "
                       f"{name} (rank {RANK[target]})")
        if test:
            continue
        for pattern, folders in LIBRARIES.items():
            if not re.match(pattern, name):
                continue
            if folder not in folders:
                yield f"{where}: {name} may not be included in {folder}"
            if name.endswith("_fwd.hpp"):  # declarations only
                continue
            suffix = HEADER_LIBRARIES.get(pattern)
            if path.suffix == ".h" and not (suffix and
                                            path.name.endswith(suffix)):
                yield f"{where}: {name} in a header; keep it in .cc files"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    breaches = []
    paths = [*(root / "src").rglob("*"), *(root / "extension").rglob("*")]
    for path in sorted(paths):
        if path.suffix not in (".h", ".cc", ".def"):
            continue
        folder, _ = place_of(root, path)
        if folder not in RANK:
            breaches.append(f"src/{folder}: no rank; add it to check_layers.py")
            continue
        breaches.extend(check_file(root, path))
    print("\n".join(sorted(set(breaches))) or "layers: every include keeps its rank")
    sys.exit(bool(breaches))


if __name__ == "__main__":
    main()
