#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Row 16: the operators are in their library only. The core has neither their
# names nor their functions, and the library asks nothing of the core.
#   operators_link.sh BUILD_DIR
set -euo pipefail
build=$1
library=$build/libsotto_cross_attn_ops.so
for name in executorch::alias executorch::update_cross_attn_cache; do
  grep -qaF "$name" "$library" || { echo "$library lacks $name" >&2; exit 1; }
  for core in "$build"/libsotto.so "$build"/sotto; do
    test -f "$core" || { echo "$core is not built" >&2; exit 1; }
    if grep -qaF "$name" "$core"; then
      echo "$core knows of $name" >&2
      exit 1
    fi
  done
done
exports=$(nm -D --defined-only "$library" | awk '{print $3}' | grep sotto)
if [ "$exports" != sotto_ops_entry ]; then
  echo "$library exports $exports, want sotto_ops_entry alone" >&2
  exit 1
fi
if nm -D --undefined-only -C "$library" | grep -i sotto; then
  echo "$library needs the above of the core" >&2
  exit 1
fi
echo "row 16: the operators are in their library only"
