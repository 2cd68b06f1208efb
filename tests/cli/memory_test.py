#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How much memory a transcription takes, and that length adds none.

    memory_test.py SOTTO SOURCE_DIR

Peak RSS above that of `sotto --version` is at most 1.15 x (packed weights +
plan), and 2 hours of sound take what 10 minutes take. Needs tiny.en (and base,
where it is there).
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import wave

from here import MODELS, SOTTO, SOURCE

MODELS_HERE = [m for m in ("tiny.en", "base") if (MODELS / m / "model.bin").exists()]


def peak_rss(*args):
    """Peak resident bytes of one run, and what it printed."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen([SOTTO, *map(str, args)], stdout=out,
                                 stderr=subprocess.DEVNULL,
                                 env={**os.environ, "HF_HUB_OFFLINE": "1"})
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        assert child.returncode == 0, f"{args} gave {child.returncode}"
        return usage.ru_maxrss * 1024, out.read()


def silence(path, seconds):
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(16000)
        for _ in range(seconds):
            f.writeframes(bytes(32000))


@unittest.skipUnless(MODELS_HERE, "no tiny.en, no base")
class Memory(unittest.TestCase):
    def test_weights_and_plan(self):
        nothing, _ = peak_rss("--version")
        for model in MODELS_HERE:
            for profile in ("cpu-f32", "cpu-bf16"):
                with self.subTest(model=model, profile=profile):
                    args = ("--model", MODELS / model, "--profile", profile)
                    _, text = peak_rss("compile", *args, "--print", "memory", "--json")
                    plan = json.loads(text)
                    want = plan["packed_bytes"] + plan["session_bytes"]
                    peak, _ = peak_rss("transcribe", *args, SOURCE / "data/jfk.flac")
                    ratio = (peak - nothing) / want
                    print(f"{model} {profile}: {(peak - nothing) / 1e6:.1f} MB, "
                          f"{ratio:.3f} x (packed {plan['packed_bytes'] / 1e6:.1f} "
                          f"+ plan {plan['session_bytes'] / 1e6:.1f} MB)")
                    self.assertLessEqual(ratio, 1.15)

    def test_length_adds_nothing(self):
        long_minutes = 120 if os.environ.get("SOTTO_TEST_FULL") else 40
        with tempfile.TemporaryDirectory() as folder:
            peaks = []
            for minutes in (10, long_minutes):
                path = pathlib.Path(folder) / f"{minutes}.wav"
                silence(path, minutes * 60)
                peak, _ = peak_rss("transcribe", "--model", MODELS / MODELS_HERE[0],
                                   "--temperature-increment-on-fallback", "None",
                                   path)
                print(f"{minutes} minutes: {peak / 1e6:.1f} MB")
                peaks.append(peak)
        self.assertLess(peaks[1] - peaks[0], 4e6)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
