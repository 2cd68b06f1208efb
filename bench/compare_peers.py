#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sotto beside its peers: the same weights, the same file, in turns.

    compare_peers.py SOTTO MODEL_DIR FILE [--rounds N] [--threads N]
        [--whisper-cpp CLI GGML] [--reference TEXT_FILE]

MODEL_DIR is a CTranslate2 folder, which Sotto and faster-whisper read;
`sotto convert MODEL_DIR --to ggml DIR` makes GGML of the same weights for
whisper.cpp. Each round runs every contestant once, so that all see the same
machine; medians and their ratios are printed as a table. Greedy, timestamps on,
no fallback, language en, no text from window to window. Loading does not count:
each one's own load time is left out. With a reference the words that differ
from it (lower case, no punctuation) are counted, so that speed is not bought.
faster-whisper runs where `pip install faster-whisper` was done.
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import time

OPTIONS = dict(beam_size=1, temperature=0.0, language="en", condition_on_previous_text=False)


def words(text):
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower()).split()


def errors(want, got):
    """Edits that turn one list of words into the other."""
    row = list(range(len(got) + 1))
    for i, w in enumerate(want, 1):
        last, row[0] = row[0], i
        for j, g in enumerate(got, 1):
            last, row[j] = row[j], min(last + (w != g), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def sotto(program, model, file, profile, threads):
    run = subprocess.run(
        [program, "--model", model, "--profile", profile, "--threads", str(threads),
         "--language", "en", "--temperature-increment-on-fallback", "None",
         "--condition-on-previous-text", "False", "--timings", file],
        capture_output=True, text=True, check=True)  # fmt: skip
    return float(re.search(r"of sound in ([0-9.]+) s", run.stderr).group(1)), run.stdout


def whisper_cpp(program, model, file, threads):
    run = subprocess.run(
        [program, "-m", model, "-f", file, "-t", str(threads), "-l", "en", "-bs", "1",
         "-bo", "1", "-nf", "-mc", "0", "-ng"],
        capture_output=True, text=True, check=True)  # fmt: skip
    ms = {k: float(v) for k, v in re.findall(r"(load|total) time = +([0-9.]+) ms", run.stderr)}
    return (ms["total"] - ms["load"]) / 1e3, run.stdout


def faster_whisper(model, file):
    start = time.perf_counter()
    text = " ".join(s.text for s in model.transcribe(file, **OPTIONS)[0])
    return time.perf_counter() - start, text


def contestants(a):
    runs = {f"Sotto, {p}": lambda p=p: sotto(a.sotto, a.model, a.file, p, a.threads)
            for p in ("cpu-bf16", "cpu-f32")}  # fmt: skip
    try:
        import faster_whisper as package

        for kind in ("int8", "float32"):
            model = package.WhisperModel(
                a.model, device="cpu", compute_type=kind, cpu_threads=a.threads
            )
            name = f"faster-whisper {package.__version__}, {kind}"
            runs[name] = lambda m=model: faster_whisper(m, a.file)
    except ImportError:
        print("faster-whisper is not installed: left out")
    if a.whisper_cpp:
        runs["whisper.cpp, f16"] = lambda: whisper_cpp(*a.whisper_cpp, a.file, a.threads)
    return runs


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    ap.add_argument("sotto")
    ap.add_argument("model")
    ap.add_argument("file")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--whisper-cpp", nargs=2, metavar=("CLI", "GGML"))
    ap.add_argument("--reference", type=pathlib.Path)
    a = ap.parse_args()

    runs = contestants(a)
    reference = words(a.reference.read_text()) if a.reference else None
    seconds = {name: [] for name in runs}
    text = {}
    for _ in range(a.rounds):
        for name, run in runs.items():
            took, text[name] = run()
            seconds[name].append(took)
    first = statistics.median(next(iter(seconds.values())))
    print("| engine | seconds, median | fastest | over the first | word errors |")
    print("| --- | --- | --- | --- | --- |")
    for name, s in seconds.items():
        timeless = re.sub(r"\[[0-9:. \->]+\]", " ", text[name])
        wrong = f"{errors(reference, words(timeless))} of {len(reference)}" if reference else "-"
        print(f"| {name} | {statistics.median(s):.2f} | {min(s):.2f} | "
              f"{statistics.median(s) / first:.2f} | {wrong} |")  # fmt: skip


if __name__ == "__main__":
    main()
