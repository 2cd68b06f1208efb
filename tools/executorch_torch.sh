#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Prints the Python of an environment with torch and ExecuTorch, for export and
# its tests: SOTTO_EXECUTORCH_PYTHON if given, else build/executorch-venv-torch,
# which is made if it is not there. Says first what that downloads.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^set(SOTTO_EXECUTORCH_TESTED \([0-9.]*\).*/\1/p' \
  cmake/executorch.cmake)
wants="import importlib.metadata as m, sys
import numpy, safetensors, torch
sys.exit(m.version('executorch').split('+')[0] != '$version')"

if [ -n "${SOTTO_EXECUTORCH_PYTHON:-}" ]; then
  if ! "$SOTTO_EXECUTORCH_PYTHON" -c "$wants" 2>/dev/null; then
    echo "SOTTO_EXECUTORCH_PYTHON: $SOTTO_EXECUTORCH_PYTHON lacks torch, safetensors or executorch $version" >&2
    exit 1
  fi
  echo "$SOTTO_EXECUTORCH_PYTHON"
  exit 0
fi
venv=build/executorch-venv-torch
if ! { [ -x $venv/bin/python ] && $venv/bin/python -c "$wants" 2>/dev/null; }; then
  echo "executorch: downloading torch 2.15.0 and executorch $version with all they need into $venv: about 5 GB on disk" >&2
  rm -rf $venv
  python3 -m venv $venv
  # Its own scratch folder: /tmp is often smaller than the wheels.
  mkdir -p build/executorch-venv-tmp
  trap 'rm -rf build/executorch-venv-tmp' EXIT
  TMPDIR=$PWD/build/executorch-venv-tmp $venv/bin/python -m pip install -q \
    --disable-pip-version-check --no-cache-dir "torch==2.15.0" \
    "executorch==$version" safetensors numpy >&2
fi
echo "$PWD/$venv/bin/python"
