#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sotto-pte-runner on real exports, beside Sotto's own engine.

    model_test.py RUNNER SOTTO SOURCE_DIR PROGRAMS

PROGRAMS holds tiny.en-f32.pte (or tiny.en.pte), and maybe the same of base,
tiny.en-int8.pte and tiny.en-stock.pte, with the Hugging Face folders they came
from in PROGRAMS/hf: build/pte, where `make test-executorch` keeps them.
Needs the models of `make models`; LibriSpeech-mini is read from
SOTTO_TEST_DATA. What is missing is skipped by name.
"""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

RUNNER = pathlib.Path(sys.argv[1]).resolve()
SOTTO = pathlib.Path(sys.argv[2]).resolve()
SOURCE = pathlib.Path(sys.argv[3]).resolve()
PROGRAMS = pathlib.Path(sys.argv[4]).resolve()
DATA = pathlib.Path(os.environ.get("SOTTO_TEST_DATA", "/nonexistent"))
MODELS = pathlib.Path(os.environ.get(
    "SOTTO_MODELS", pathlib.Path.home() / ".cache/sotto/models"))
JFK = SOURCE / "data/jfk.flac"
WORDS = ("And so my fellow Americans ask not what your country can do for you "
         "ask what you can do for your country")
PHASES = ("load", "audio_decode", "mel", "encode", "cross_kv", "prompt",
          "decode", "sampling", "other")


def needs(path):
    return unittest.skipUnless(path.exists(), f"no {path}")


def program(model):
    exact = PROGRAMS / f"{model}.pte"
    return exact if exact.exists() else PROGRAMS / f"{model}-f32.pte"


def words(text):
    return " ".join(re.sub(r"[^\w\s']", "", text).split()).lower()


def run(model, audio, *args, tokenizer=None, code=0):
    name = re.match("(tiny.en|base)", model).group()
    command = [RUNNER, "--model_path", program(model),
               "--tokenizer_path", tokenizer or PROGRAMS / "hf" / name, *args]
    for path in audio:
        command += ["--audio_path", path]
    result = subprocess.run([str(word) for word in command],
                            capture_output=True, timeout=1800)
    if result.returncode != code:
        raise AssertionError(f"exit code {result.returncode}, want {code}: "
                             f"{result.stderr.decode(errors='replace')[-500:]}")
    return result


def lines(result):
    return result.stdout.decode().splitlines()


def own_text(model, files):
    """What Sotto's engine says of each file in f32: one line each."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [SOTTO, "transcribe", "--model", MODELS / model, "--profile",
             "cpu-f32", "--verbose", "False", "-f", "txt", "-o", folder,
             *files], check=True, capture_output=True, timeout=1800)
        return [" ".join((pathlib.Path(folder) / f"{file.stem}.txt")
                         .read_text().split()) for file in files]


def speech():
    """All clips of LibriSpeech-mini, and one of more than a window."""
    return sorted((DATA / "librispeech-mini").rglob("*.flac"))


@needs(program("tiny.en"))
class TinyEn(unittest.TestCase):
    def test_row_27_the_jfk_text(self):
        result = run("tiny.en", [JFK])
        self.assertEqual(words(result.stdout.decode()), WORDS.lower())
        self.assertEqual(result.stderr, b"")

    def test_row_25_tokenizers_of_other_forms(self):
        want = lines(run("tiny.en", [JFK]))
        for tokenizer in (MODELS / "tiny.en", SOURCE / "data/tokenizers",
                          PROGRAMS / "hf/tiny.en/vocab.json"):
            if tokenizer.exists():
                self.assertEqual(lines(run("tiny.en", [JFK],
                                           tokenizer=tokenizer)), want)

    @needs(DATA / "librispeech-mini")
    def test_row_11_recordings_on_one_loaded_method(self):
        other = speech()[0]
        alone = [lines(run("tiny.en", [file]))[0] for file in (JFK, other)]
        self.assertNotEqual(alone[0], alone[1])
        self.assertEqual(lines(run("tiny.en", [JFK, other, JFK, other])),
                         alone * 2)

    @needs(DATA / "librispeech-mini")
    @needs(MODELS / "tiny.en")
    def test_own_text_on_librispeech(self):
        files = speech()
        self.assertGreater(len(files), 30)
        ours = own_text("tiny.en", files)
        theirs = lines(run("tiny.en", files))
        self.assertEqual(len(theirs), len(files))
        wrong = [(f.name, a, b) for f, a, b in zip(files, ours, theirs)
                 if a.split() != b.split()]
        self.assertEqual(wrong, [])

    def test_row_28_threads_give_the_same_text(self):
        texts = {}
        for threads in ("1", "2", "4", "-1"):
            result = run("tiny.en", [JFK], "--cpu_threads", threads, "--stats",
                         "json")
            texts[threads] = result.stdout
            if threads != "-1":
                self.assertEqual(json.loads(result.stderr)["threads"],
                                 int(threads))
        self.assertEqual(len(set(texts.values())), 1, texts)

    def test_row_32_stats(self):
        stats = json.loads(run("tiny.en", [JFK], "--stats", "json").stderr)
        total = sum(stats[phase + "_ms"] or 0 for phase in PHASES)
        self.assertAlmostEqual(total, stats["total_ms"],
                               delta=0.02 * stats["total_ms"])
        self.assertGreater(stats["cross_kv_ms"], 0)
        self.assertGreater(stats["tokens"], 20)
        self.assertEqual(stats["derived"], [])

    def test_row_31_damaged_weights_and_delegates(self):
        whole = program("tiny.en").read_bytes()
        draw = random.Random(1)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "damaged.pte"
            for i in range(12):
                data = bytearray(whole)
                if i % 4 == 0:
                    del data[draw.randrange(len(data)):]
                else:
                    # The program stands first; delegates and weights follow.
                    span = 200_000 if i % 2 else len(data)
                    for _ in range(draw.choice([1, 20, 400])):
                        at = draw.randrange(span)
                        data[at] ^= 1 << draw.randrange(8)
                path.write_bytes(data)
                result = subprocess.run(
                    [RUNNER, "--model_path", path, "--tokenizer_path",
                     PROGRAMS / "hf/tiny.en", "--audio_path", JFK,
                     "--max_new_tokens", "4"], capture_output=True, timeout=600)
                with self.subTest(i=i):
                    self.assertIn(result.returncode, (0, 1), result.stderr)
                    if result.returncode:
                        self.assertEqual(len(result.stderr.splitlines()), 1,
                                         result.stderr)


class OtherForms(unittest.TestCase):
    def test_row_22_logits(self):
        test = RUNNER.parent / "extension/executorch/runner/pte_logits_test"
        if not test.exists():
            self.skipTest(f"no {test}")
        result = subprocess.run([test, PROGRAMS], capture_output=True,
                                timeout=1800)
        self.assertEqual(result.returncode, 0, result.stdout.decode())

    @needs(program("tiny.en-int8"))
    def test_int8_weights(self):
        self.assertEqual(words(run("tiny.en-int8", [JFK]).stdout.decode()),
                         WORDS.lower())

    @needs(program("tiny.en-stock"))
    def test_stock_export_has_no_separate_cross_kv(self):
        result = run("tiny.en-stock", [JFK], "--stats", "json")
        self.assertEqual(words(result.stdout.decode()), WORDS.lower())

    @needs(program("base"))
    def test_row_20_multilingual_needs_no_flag(self):
        self.assertEqual(words(run("base", [JFK]).stdout.decode()),
                         WORDS.lower())

    @needs(program("base"))
    @needs(MODELS / "base")
    @needs(DATA / "multilingual-leopard")
    def test_row_20_other_languages(self):
        files = [DATA / "multilingual-leopard" / f"test_{code}.wav"
                 for code in ("de", "fr")]
        own = own_text("base", files)
        self.assertEqual([line.split() for line in lines(run("base", files))],
                         [line.split() for line in own])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[5:]])
