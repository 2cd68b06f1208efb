#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sotto-pte-runner as a user meets it: text, exit codes, one-line errors.

    runner_test.py RUNNER SOURCE_DIR BAD_OPS...

Runs the small programs of testdata (make.py says what they compute): a loud
window reads "And so my fellow" or "Guten Tag", a quiet one "silence" or the
Chinese word for "you". Names carry the rows of requirement 0's table.
SOTTO_TEST_FULL=1 damages ten times as many files.
"""
import json
import math
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

RUNNER = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(sys.argv[2]).resolve()
BAD_OPS = sys.argv[3:6]  # see bad_ops.cc
DATA = SOURCE / "extension/executorch/runner/testdata"
TOKENIZERS = SOURCE / "data/tokenizers"
JFK = SOURCE / "data/jfk.flac"
LOUD, QUIET = "And so my fellow\n", "silence\n"
PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE


def run(*args, stdin=None, runner=RUNNER):
    return subprocess.run([runner, *map(str, args)], capture_output=True,
                          input=stdin, timeout=120)


def tone(seconds, rate=16000, level=0.5):
    return [level * math.sin(2 * math.pi * 440 * i / rate)
            for i in range(int(seconds * rate))]


def encode(sample, tag, bits):
    if tag == FLOAT:
        return struct.pack("<f" if bits == 32 else "<d", sample)
    if tag in (ALAW, MULAW):  # any byte is a sample
        return bytes([int(sample * 127) & 0xFF])
    if bits == 8:
        return bytes([int(sample * 127) + 128])
    return int(sample * (2 ** (bits - 1) - 1)).to_bytes(bits // 8, "little",
                                                        signed=True)


def wav(samples, rate=16000, tag=PCM, bits=16, channels=1, size=None, junk=b"",
        inner=PCM):
    """A RIFF file. `size`: what the header claims of the data instead."""
    kind = inner if tag == EXTENSIBLE else tag
    frame = channels * bits // 8
    data = b"".join(encode(s, kind, bits) * channels for s in samples)
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)
    if tag == EXTENSIBLE:
        fmt += struct.pack("<HHIH", 22, bits, 0, inner) + bytes.fromhex(
            "000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt
    if junk:
        chunks += b"LIST" + struct.pack("<I", len(junk)) + junk
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size)
    return (b"RIFF" + struct.pack("<I", (4 + len(chunks) + len(data))
                                  & 0xFFFFFFFF) + b"WAVE" + chunks + data)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tmp = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def file(self, name, content):
        path = self.tmp / name
        path.write_bytes(content)
        return path

    def fails(self, result, code, *parts):
        """One line on stderr that names the thing, and the exit code."""
        error = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, code, error)
        lines = error.strip().splitlines()
        self.assertEqual(len(lines), 1, error)
        for part in parts:
            self.assertIn(str(part), lines[0])

    def says(self, result, text, errors=False):
        error = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, 0, error)
        self.assertEqual(result.stdout.decode(), text)
        if not errors:
            self.assertEqual(error, "")

    def transcribe(self, audio, *args, model="english"):
        return run("--model_path", DATA / f"{model}.pte", "--audio_path", audio,
                   *args)


class Row27FourPaths(Case):
    def test_the_plans_spelling(self):
        processor = self.file("whisper_preprocessor.pte", b"whatever")
        self.says(run("--model_path", DATA / "english.pte", "--processor_path",
                      processor, "--audio_path", JFK, "--tokenizer_path",
                      TOKENIZERS), LOUD)
        self.says(run(f"--model-path={DATA / 'english.pte'}", "--audio-path",
                      JFK, "--tokenizer-path", TOKENIZERS), LOUD)

    def test_processor_is_looked_for_only_when_given(self):
        self.fails(self.transcribe(JFK, "--processor_path", "/no/such.pte"), 1,
                   "processor_path", "/no/such.pte")

    def test_tokenizer_forms(self):
        for path in (TOKENIZERS, TOKENIZERS / "gpt2.tiktoken"):
            self.says(self.transcribe(JFK, "--tokenizer_path", path), LOUD)

    def test_recordings_on_one_loaded_method(self):
        quiet = self.file("quiet.wav", wav([0] * 32000))
        for model, loud, still in (
                ("english", LOUD, QUIET), ("operators", LOUD, QUIET),
                ("stale", LOUD, QUIET), ("half", LOUD, QUIET),
                ("multilingual", "Guten Tag\n", "你\n"),
                ("bfloat", "Guten Tag\n", "你\n")):
            result = self.transcribe(JFK, "--audio_path", quiet, "--audio_path",
                                     JFK, model=model)
            self.says(result, loud + still + loud)

    def test_stdin(self):
        self.says(run("--model_path", DATA / "english.pte", "--audio_path", "-",
                      stdin=JFK.read_bytes()), LOUD)

    def test_one_bad_file_of_two_costs_only_itself(self):
        result = self.transcribe("/no/such.wav", "--audio_path", JFK)
        self.assertEqual(result.stdout.decode(), LOUD)
        self.fails(result, 1, "/no/such.wav")


class Row20NothingBuiltIn(Case):
    def test_vocabularies_and_bands_by_the_file(self):
        for model, text in (("english", LOUD), ("multilingual", "Guten Tag\n"),
                            ("large_v3", "Guten Tag\n"), ("foreign", LOUD)):
            self.says(self.transcribe(JFK, model=model), text)

    def test_language_and_task(self):
        for model in ("multilingual", "large_v3"):
            self.says(self.transcribe(JFK, "--task", "translate", model=model),
                      "Good day\n")
            self.says(self.transcribe(JFK, "--language", "fr", model=model),
                      "Guten Tag\n")
        self.fails(self.transcribe(JFK, "--task", "translate"), 1, "English")
        self.fails(self.transcribe(JFK, "--language", "klingon",
                                   model="multilingual"), 1, "klingon")

    def test_list_methods(self):
        result = run("--model_path", DATA / "large_v3.pte", "--list-methods")
        self.says(result, result.stdout.decode())
        for line in ("encoder(input_features f32[1,128,3000]) -> f32[1,1500,4]",
                     "get_vocab_size = 51866", "get_n_mels = 128"):
            self.assertIn(line, result.stdout.decode().splitlines())
        # No operator is needed for a list.
        self.assertEqual(run("--model_path", DATA / "operators.pte",
                             "--list_methods").returncode, 0)

    def test_max_new_tokens(self):
        self.says(self.transcribe(JFK, "--max_new_tokens", "3"), "And so\n")

    def test_temperature_runs_are_reproducible(self):
        first = self.transcribe(JFK, "--temperature", "0.4")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual(self.transcribe(JFK, "--temperature", "0.4").stdout,
                         first.stdout)


class Row28Threads(Case):
    def test_same_text_and_reported(self):
        for threads in ("1", "2", "4", "-1"):
            result = self.transcribe(JFK, "--cpu_threads", threads, "--stats",
                                     "json")
            self.says(result, LOUD, errors=True)
            stats = json.loads(result.stderr)
            if threads != "-1":
                self.assertEqual(stats["threads"], int(threads))
            self.assertGreaterEqual(stats["threads"], 1)

    def test_others_are_usage_errors(self):
        for threads in ("0", "-2", "many", "2.5", ""):
            self.fails(self.transcribe(JFK, "--cpu_threads", threads), 2,
                       "--cpu_threads")


class Row14Operators(Case):
    def test_alone_it_names_them_and_ops_mends(self):
        alone = self.tmp / "alone" / RUNNER.name
        alone.parent.mkdir()
        shutil.copy(RUNNER, alone)
        args = ["--model_path", DATA / "operators.pte", "--audio_path", JFK]
        self.fails(run(*args, runner=alone), 1, "operators.pte",
                   "executorch::update_cross_attn_cache.out", "--ops")
        library = RUNNER.parent / "libsotto_executorch.so"
        self.says(run(*args, "--ops", library, runner=alone), LOUD)
        # Beside the program it is found, and named again it is harmless.
        self.says(run(*args, "--ops", library), LOUD)

    def test_libraries_that_abort_fault_and_refuse(self):
        alone = self.tmp / RUNNER.name
        shutil.copy(RUNNER, alone)
        clash, fault, refuse = BAD_OPS
        self.fails(self.transcribe(JFK, "--ops", clash), 1, clash, "gave up",
                   "aten::add.out")
        for library, cause in ((fault, "not its own"),
                               (refuse, "text_decoder")):
            self.fails(run("--model_path", DATA / "operators.pte",
                           "--audio_path", JFK, "--ops", library, runner=alone),
                       1, "operators.pte", cause)

    def test_no_library(self):
        self.fails(self.transcribe(JFK, "--ops", "/no/lib.so"), 1, "/no/lib.so")
        text = self.file("lib.so", b"no library")
        self.fails(self.transcribe(JFK, "--ops", text), 1, text)


class Row31BadInput(Case):
    def audio_fails(self, path, *parts):
        result = self.transcribe(path)
        self.assertIn(result.returncode, (1, 2))
        self.fails(result, result.returncode, *parts)

    def test_usage(self):
        for args in ([], ["--model_path", DATA / "english.pte"],
                     ["--audio_path", JFK], ["--model_path"],
                     ["--model_path", "x", "--audio_path", "y", "--frobnicate"],
                     ["--model_path", "x", "--audio_path", "y", "--stats", "x"]):
            self.fails(run(*args), 2)

    def test_no_sound_in_it(self):
        self.audio_fails("/no/such.wav", "/no/such.wav", "No such file")
        self.audio_fails(self.tmp, self.tmp)
        for name, content in (("empty.wav", b""), ("text.wav", b"hello " * 999),
                              ("raw.bin", random.Random(1).randbytes(9999)),
                              ("head.wav", wav(tone(1))[:30])):
            path = self.file(name, content)
            self.audio_fails(path, path)

    def test_every_sample_format(self):
        for name, content in {
                "u8": wav(tone(1), bits=8), "s16": wav(tone(1)),
                "s24": wav(tone(1), bits=24), "s32": wav(tone(1), bits=32),
                "f32": wav(tone(1), tag=FLOAT, bits=32),
                "f64": wav(tone(1), tag=FLOAT, bits=64),
                "alaw": wav(tone(1), tag=ALAW, bits=8),
                "mulaw": wav(tone(1), tag=MULAW, bits=8),
                "extensible": wav(tone(1), tag=EXTENSIBLE, bits=24),
                "extensible float": wav(tone(1), tag=EXTENSIBLE, bits=32,
                                        inner=FLOAT),
                "stereo": wav(tone(1), channels=2),
                "six": wav(tone(1), channels=6),
                "8k": wav(tone(1, 8000), rate=8000),
                "44k": wav(tone(1, 44100), rate=44100),
                "48k": wav(tone(1, 48000), rate=48000),
                "data inside": wav(tone(1), junk=b"INFOdata\xff\xff\xff\x7f" * 9),
        }.items():
            with self.subTest(name):
                self.says(self.transcribe(self.file("a.wav", content)), LOUD)

    def test_sizes_that_lie(self):
        # A stream's header knows no length; a cut file is told and fails.
        self.says(self.transcribe(self.file(
            "stream.wav", wav(tone(1), size=0xFFFFFFFF))), LOUD, errors=True)
        cut = self.transcribe(self.file("cut.wav", wav(tone(2))[:-16000]))
        self.assertIn(cut.returncode, (0, 1))
        self.assertEqual(cut.stdout.decode(), LOUD)

    def test_no_and_one_sample(self):
        for samples in ([], [0.5]):
            result = self.transcribe(self.file("short.wav", wav(samples)))
            self.assertIn(result.returncode, (0, 1, 2), result.stderr)
            self.assertLessEqual(len(result.stderr.splitlines()), 1)

    def test_longer_than_a_window(self):
        # The tables move on by the timestamp they name last: 2 s.
        path = self.file("long.wav", wav(tone(65, 16000)))
        result = self.transcribe(path, "--stats", "json")
        self.says(result, "And so my fellow " * 2 + LOUD, errors=True)
        self.assertEqual(json.loads(result.stderr)["windows"], 3)

    def test_models_that_are_none(self):
        jfk = self.file("jfk.pte", JFK.read_bytes())
        for model, part in (("/no/such.pte", "no such file"),
                            (self.tmp, "not a file"),
                            (self.file("empty.pte", b""), "0 bytes"),
                            (self.file("text.pte", b"text " * 99), "ET12"),
                            (jfk, "ET12")):
            self.fails(run("--model_path", model, "--audio_path", JFK), 1,
                       model, part)
        other = (SOURCE / "extension/executorch/testdata/update.pte")
        if other.exists():
            self.fails(run("--model_path", other, "--audio_path", JFK), 1,
                       "update.pte", "no method encoder")

    def test_tokenizers_that_are_none(self):
        self.fails(self.transcribe(JFK, "--tokenizer_path", "/no/folder"), 1,
                   "/no/folder")
        self.fails(self.transcribe(JFK, "--tokenizer_path", self.tmp), 1,
                   self.tmp, "tokenizer.json")
        self.file("tokenizer.json", b"{")
        self.fails(self.transcribe(JFK, "--tokenizer_path", self.tmp), 1,
                   "tokenizer.json")
        # Of another model: the file's constants say so.
        one = self.tmp / "one"
        one.mkdir()
        shutil.copy(TOKENIZERS / "multilingual.tiktoken", one)
        self.fails(self.transcribe(JFK, "--tokenizer_path", one), 1,
                   "multilingual.tiktoken")

    def damage(self, model, count, seed):
        whole = (DATA / f"{model}.pte").read_bytes()
        short = self.file("short.wav", wav(tone(0.3)))
        draw = random.Random(seed)
        for i in range(count):
            data = bytearray(whole)
            if draw.random() < 0.15:
                del data[draw.randrange(len(data)):]
            else:
                for _ in range(draw.choice([1, 1, 2, 4])):
                    at = draw.randrange(len(data))
                    data[at] = draw.choice([data[at] ^ 1 << draw.randrange(8),
                                            0, 255, draw.randrange(256)])
            path = self.file("damaged.pte", data)
            result = run("--model_path", path, "--audio_path", short)
            with self.subTest(model=model, seed=seed, i=i):
                # A changed constant may be a right program still.
                if result.returncode != 0:
                    self.fails(result, 1, "damaged.pte")

    def test_damaged_programs(self):
        times = 10 if os.environ.get("SOTTO_TEST_FULL") else 1
        for seed in range(times):
            self.damage("operators", 60, seed)
            self.damage("multilingual", 40, seed)


class Row32Stats(Case):
    PHASES = ("load", "audio_decode", "mel", "encode", "prompt", "decode",
              "sampling", "other")

    def test_every_field_and_the_sum(self):
        quiet = self.file("long.wav", wav([0] * 16000 * 50))
        start = time.monotonic()
        result = self.transcribe(JFK, "--audio_path", quiet, "--stats", "json",
                                 model="multilingual")
        wall_ms = (time.monotonic() - start) * 1000
        self.assertEqual(result.returncode, 0, result.stderr)
        stats = json.loads(result.stderr)
        for phase in self.PHASES:
            self.assertGreaterEqual(stats[phase + "_ms"], 0, phase)
        total = sum(stats[p + "_ms"] for p in self.PHASES) + (
            stats["cross_kv_ms"] or 0)
        self.assertAlmostEqual(total, stats["total_ms"],
                               delta=0.02 * stats["total_ms"])
        # The whole is the process's, but for its start and end.
        self.assertLessEqual(stats["total_ms"], wall_ms)
        self.assertGreater(stats["total_ms"], wall_ms * 0.98 - 250)
        self.assertEqual(stats["files"], 2)
        self.assertAlmostEqual(stats["audio_s"], 61, delta=0.01)
        # A clip of less than a window is encoded for its language and again
        # for its text, the first window of a longer one once. Prompts are sot,
        # then sot, language, task, with what was said before in later windows.
        self.assertEqual(stats["windows"], 2 + 2)
        self.assertEqual(stats["tokens"],
                         stats["prompt_tokens"] + stats["decoded_tokens"])
        self.assertGreaterEqual(stats["prompt_tokens"], 2 * (1 + 3))
        self.assertGreater(stats["tokens_per_s"], 0)
        self.assertAlmostEqual(stats["rtf"], stats["total_ms"] / 61e3,
                               delta=0.001)
        self.assertGreater(stats["peak_rss_bytes"], 1 << 20)

    def test_what_the_file_lacks_is_told(self):
        stats = json.loads(self.transcribe(JFK, "--stats", "json",
                                           model="foreign").stderr)
        self.assertTrue(any(re.match("get_n_text_ctx: ", line)
                            for line in stats["derived"]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
