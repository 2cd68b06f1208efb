#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fuzz/run.sh BUILD NAME [SECONDS]: replays the seeds of one target, then runs
# mutations of them (5 seconds; 60 with SOTTO_TEST_FULL). An input that fails
# is left as crash-* in the current folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1/fuzz/fuzz_$2
default=5
if [ -n "${SOTTO_TEST_FULL:-}" ]; then default=60; fi
seconds=${3:-$default}
if [ ! -x "$program" ]; then
  echo "skipped: $program is not built (make test builds it)"
  exit 77
fi
# libFuzzer adds what it finds to the first folder; not to the repository's.
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
"$program" "-max_total_time=$seconds" -seed=1 "$found" "$here/corpus/$2"
