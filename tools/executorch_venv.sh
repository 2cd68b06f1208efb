#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Puts the published ExecuTorch, without its dependencies (20 MB), into
# build/executorch-venv, for extension/executorch and its tests. Without a
# network it says so and leaves: the extension is then left out.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/executorch-venv
version=$(sed -n 's/^set(SOTTO_EXECUTORCH_TESTED \([0-9.]*\).*/\1/p' \
  cmake/executorch.cmake)

if [ -x $venv/bin/python ] && $venv/bin/python -c "
import importlib.metadata as m, sys
sys.exit(m.version('executorch').split('+')[0] != '$version')" 2>/dev/null; then
  exit 0
fi
echo "executorch: installing executorch==$version without dependencies in $venv (20 MB)" >&2
rm -rf $venv
if ! { python3 -m venv $venv && $venv/bin/python -m pip install -q \
    --disable-pip-version-check --no-deps "executorch==$version"; }; then
  rm -rf $venv
  echo "executorch: not installed; extension/executorch and its tests are left out" >&2
fi
