#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What each profile costs in words and gives in time, as a Markdown table.

    tools/precision_table.py --data ../shared/data --model tiny.en --model base

Every English clip of the data folder is transcribed greedily, at temperature
0, once per profile. The first profile is what the others are compared with.
Times come from `sotto bench`, one run a profile, so compare them within one
table only.
"""
import argparse
import csv
import json
import pathlib
import subprocess
import tempfile

PROFILES = ["cpu-f32", "cpu-f16", "cpu-bf16"]
GREEDY = ["--language", "en", "--temperature_increment_on_fallback", "None"]


def english_clips(data):
    """(path, transcript) of all English speech with a transcript."""
    clips = []
    for path in sorted(data.glob("librispeech-mini/**/*.trans.txt")):
        for line in path.read_text().splitlines():
            name, text = line.split(" ", 1)
            clips.append((path.parent / f"{name}.flac", text))
    folder = data / "common-voice-en-mini"
    with open(folder / "transcripts.tsv", newline="") as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            clips.append((folder / "clips" / row["path"], row["sentence"]))
    folder = data / "multilingual-leopard"
    tests = json.loads((folder / "test_data.json").read_text())["tests"]
    for test in tests["language_tests"]:
        if test["language"] == "en":
            clips.append((folder / test["audio_file"], test["transcript"]))
    return [(path, text) for path, text in clips if path.exists()]


def run(sotto, *words):
    return subprocess.run([sotto, *map(str, words)], check=True, text=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout


def tokens_of(sotto, model, profile, clips, folder):
    """The tokens of each clip. Clips of one name would share a file."""
    names = [path.stem for path, _ in clips]
    assert len(set(names)) == len(names), "two clips of one name"
    run(sotto, "transcribe", "--model", model, "--profile", profile, *GREEDY,
        "-f", "json", "-o", folder, *[path for path, _ in clips])
    tokens = []
    for name in names:
        result = json.loads((folder / f"{name}.json").read_text())
        tokens.append([t for s in result["segments"] for t in s["tokens"]])
    return tokens


def errors_of(sotto, model, profile, clips, folder):
    manifest = folder / "clips.tsv"
    manifest.write_text("".join(f"{path}\t{text}\n" for path, text in clips))
    result = json.loads(run(sotto, "eval", "--model", model, "--profile",
                            profile, *GREEDY, "--manifest", manifest,
                            "--json"))
    return (result["insertions"] + result["deletions"] +
            result["substitutions"], result["words"])


def row(args, model, profile, clips, want):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tokens = tokens_of(args.sotto, model, profile, clips, folder)
        errors, words = errors_of(args.sotto, model, profile, clips, folder)
    want = want or tokens
    same = sum(a == b for a, b in zip(tokens, want))
    bench = json.loads(run(args.sotto, "bench", "--model", model, "--profile",
                           profile, "--threads", args.threads, "--json"))
    times = [bench[key]["min"] for key in
             ("encoder_ms", "prefill_ms", "decode_ms_per_token")]
    print(f"| {model} | {pathlib.Path(profile).stem} | "
          f"{same} of {len(clips)} | {errors} of {words} | "
          f"{times[0]:.0f} | {times[1]:.2f} | {times[2]:.2f} | "
          f"{bench['packed_mb']:.0f} |", flush=True)
    return want


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sotto", default="build/release/sotto")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--model", action="append")
    parser.add_argument("--profile", action="append",
                        help="shipped name or .toml; the first is the measure")
    parser.add_argument("--threads", default="0")
    args = parser.parse_args()
    clips = english_clips(args.data.resolve())
    print("| model | profile | clips with the same tokens | word errors | "
          "encoder ms | prefill ms | ms a token | packed MB |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- |")
    for model in args.model or ["tiny.en"]:
        want = None
        for profile in args.profile or PROFILES:
            want = row(args, model, profile, clips, want)


if __name__ == "__main__":
    main()
