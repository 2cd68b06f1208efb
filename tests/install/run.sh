#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs into a scratch prefix and uses it from outside: CMake and
# pkg-config, a C99 program, exported symbols, the man page.
#   run.sh BUILD_DIR SOURCE_DIR
set -euo pipefail
build=$1 source=$2
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" >/dev/null

# `make install` builds all that it copies; what wants ExecuTorch's wheel is
# copied only where it has been built.
inputs=$(for target in sotto_installed sotto_pages; do
  ninja -C "$build" -t query "$target"
  ninja -C "$build" -t inputs "$target"
done)
for file in $(cd "$prefix" && find bin lib* -type f ! -name '*.cmake' ! -name '*.pc' \
    ! -name '*executorch*' ! -name '*pte*') share/man/man1/sotto.1; do
  name=$(basename "$file")
  grep -qE "(^|[/ ])$name\$" <<< "$inputs" || {
    echo "install copies $file, which sotto_installed does not build" >&2
    exit 1
  }
done

cmake -S "$source/tests/install" -B "$prefix/outside" \
  -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$prefix/outside" >/dev/null
"$prefix/bin/sotto" --version
test -s "$prefix/share/man/man1/sotto.1"

printf '%s\n' 'sotto-ops 1' 'input x : f32[2]' 'output y : f32[2]' \
  'call outside::twice.out(x, y)' > "$prefix/twice.ops"
"$prefix/outside/uses_ops" "$prefix/twice.ops" \
  "$(find "$prefix/outside" -name 'liboutside_ops.so')"

# The runner finds the operators in ../lib.
if [ -x "$prefix/bin/sotto-pte-runner" ]; then
  "$prefix/bin/sotto-pte-runner" --audio_path "$source/data/jfk.flac" --model_path \
    "$source/extension/executorch/runner/testdata/operators.pte" |
    grep -qx 'And so my fellow'
fi

export PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name sotto.pc)")
# The file was configured for /usr/local; --define-prefix finds it here.
cc -std=c99 "$source/tests/install/main.c" -o "$prefix/pc" \
  $(pkg-config --define-prefix --cflags --libs sotto)

library=$(find "$prefix" -name 'libsotto.so')
leaked=$(nm -D --defined-only "$library" | awk '{print $3}' |
  grep -v '^sotto_' | grep -vE '^_(init|fini)$' || true)
if [ -n "$leaked" ]; then
  echo "libsotto.so exports more than sotto_*: $leaked" >&2
  exit 1
fi

if "$prefix/outside/uses_sotto" no-such-model.bin x 2>"$prefix/error"; then
  echo "a missing model gave exit code 0" >&2
  exit 1
fi
[ "$(wc -l < "$prefix/error")" = 1 ]
model=${SOTTO_MODELS:-$HOME/.cache/sotto/models}/tiny.en
if [ -f "$model/model.bin" ]; then
  "$prefix/outside/uses_sotto" "$model" "$source/data/jfk.flac" | tee "$prefix/text"
  grep -q "ask not what your country can do for you" "$prefix/text"
  LD_LIBRARY_PATH=$(dirname "$library") "$prefix/pc" "$model" "$source/data/jfk.flac" |
    cmp - "$prefix/text"
fi
echo "install: works from outside"
