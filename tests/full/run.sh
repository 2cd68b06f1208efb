#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The part of `make test-full` that needs other engines: faster-whisper and the
# gguf package in a virtual environment.
#   run.sh SOTTO
set -euo pipefail
cd "$(dirname "$0")/../.."
clip=${SOTTO_TEST_DATA:-}/jfk/jfk.wav
if [ ! -f "$clip" ]; then
  echo "convert_peers: skipped, SOTTO_TEST_DATA is not set"
  exit 0
fi
[ -x .venv/bin/pip ] || python3 -m venv .venv
.venv/bin/pip install -q --disable-pip-version-check faster-whisper gguf safetensors
models=${SOTTO_MODELS:-$HOME/.cache/sotto/models}
.venv/bin/python tests/full/convert_peers.py "$1" "$models/base" "$clip"
