#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/test_arm64.sh [gtest arguments]: builds base, tensor, ir and cpu with
# their kernel tests for ARM64 and runs them under qemu. Wants the Debian
# packages g++-aarch64-linux-gnu qemu-user-static googletest; Highway and fmt
# are used as headers, so no ARM64 library is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/arm64
mkdir -p $out/include
for library in hwy fmt gtest gmock; do
  ln -sfn /usr/include/$library $out/include/$library
done
compiler=aarch64-linux-gnu-g++
export compile="$compiler -O2 -std=c++20 -DFMT_HEADER_ONLY
  -DSOTTO_SOURCE_DIR=\"$PWD\" -isystem $out/include -Isrc -fno-math-errno
  -ffp-contract=off"

# Objects are kept; a source newer than its object is compiled again.
sources=$(ls src/base/{cpu,error,file,log,thread_pool}.cc src/tensor/*.cc \
  src/ir/*.cc src/cpu/*.cc src/cpu/ref/*.cc src/cpu/simd/*.cc |
  grep -v -E '(ir|tensor)/.*_test.cc')
for source in $sources; do
  object=$out/${source//\//_}.o
  if [ ! "$object" -nt "$source" ]; then echo "$source $object"; fi
done | xargs -r -P "$(nproc)" -L 1 sh -c '$compile -c $0 -o $1'
for part in googletest/src/gtest-all googlemock/src/gmock-all \
  googlemock/src/gmock_main; do
  object=$out/$(basename $part).o
  if [ ! -f "$object" ]; then
    $compiler -O1 -std=c++20 -I/usr/src/googletest/googletest \
      -I/usr/src/googletest/googlemock \
      -I/usr/src/googletest/googletest/include \
      -I/usr/src/googletest/googlemock/include \
      -c "/usr/src/googletest/$part.cc" -o "$object"
  fi
done
$compiler -static $out/*.o -o $out/cpu_test
qemu-aarch64-static $out/cpu_test "$@"
