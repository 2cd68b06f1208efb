#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/regen_golden.sh [BUILD]: runs the golden tests and takes over what they
# wrote into tests/golden. Look at the diff before committing it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
ninja -C "$build" compile_golden_test
(cd "$build" && tests/compile_golden_test >/dev/null) || true
mkdir -p "$root/tests/golden/compile"
cp "$build"/golden/compile/*.txt "$root/tests/golden/compile/"
git -C "$root" diff --stat -- tests/golden
