#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sotto beside faster-whisper: the same weights, the same file, in turns.

    compare_peers.py SOTTO MODEL_DIR FILE [--rounds N] [--threads N]

MODEL_DIR is a CTranslate2 folder, which both read. Each round runs every
contestant once, so that all see the same machine; the medians and their
ratios are printed. Greedy, timestamps on, no fallback, language en, models
loaded before the clock starts (Sotto's own load time is subtracted).
Needs `pip install faster-whisper`.
"""
import argparse
import json
import re
import statistics
import subprocess
import time

from faster_whisper import WhisperModel

OPTIONS = dict(beam_size=1, temperature=0.0, language="en",
               condition_on_previous_text=False)


def sotto(program, model, file, profile, threads):
    """Seconds of work on the file, by its own timing line."""
    run = subprocess.run(
        [program, "--model", model, "--profile", profile, "--threads", str(threads),
         "--language", "en", "--temperature-increment-on-fallback", "None",
         "--condition-on-previous-text", "False", "--timings", file],
        capture_output=True, text=True, check=True)
    return float(re.search(r"of sound in ([0-9.]+) s", run.stderr).group(1))


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("sotto")
    ap.add_argument("model")
    ap.add_argument("file")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()

    peers = {f"faster-whisper {t}": WhisperModel(a.model, device="cpu", compute_type=t,
                                                 cpu_threads=a.threads)
             for t in ("int8", "float32")}

    def peer(model):
        start = time.perf_counter()
        list(model.transcribe(a.file, **OPTIONS)[0])
        return time.perf_counter() - start

    contestants = {f"sotto {p}": lambda p=p: sotto(a.sotto, a.model, a.file, p, a.threads)
                   for p in ("cpu-bf16", "cpu-f32")}
    contestants |= {name: lambda m=m: peer(m) for name, m in peers.items()}
    seconds = {name: [] for name in contestants}
    for _ in range(a.rounds):
        for name, run in contestants.items():
            seconds[name].append(run())
    best = statistics.median(seconds["sotto cpu-bf16"])
    report = {name: {"median_s": round(statistics.median(s), 3), "min_s": round(min(s), 3),
                     "over_sotto_bf16": round(statistics.median(s) / best, 2), "n": len(s)}
              for name, s in seconds.items()}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
