#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line as a user meets it: text, exit codes, one-line errors.

    cli_test.py SOTTO SOURCE_DIR

Tests that need the real tiny.en are skipped by name where it is not there.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import wave

from here import JFK, SOTTO, TINY

WORDS = ("And so my fellow Americans ask not what your country can do for you "
         "ask what you can do for your country")

needs_tiny = unittest.skipUnless((TINY / "model.bin").exists(), "no tiny.en")


def sotto(*args, stdin=None, env=None, cwd=None):
    return subprocess.run([SOTTO, *map(str, args)], capture_output=True,
                          input=stdin, timeout=300, cwd=cwd,
                          env={**os.environ, "HF_HUB_OFFLINE": "1", **(env or {})})


def write_wav(path, samples, rate=16000):
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(b"".join(int(s).to_bytes(2, "little", signed=True)
                               for s in samples))


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tmp = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def fails(self, result, code, *parts):
        """One line on stderr that names the thing, and the exit code."""
        error = result.stderr.decode()
        self.assertEqual(result.returncode, code, error)
        lines = error.strip().splitlines()
        self.assertEqual(len(lines), 1, error)
        for part in parts:
            self.assertIn(part, lines[0])
        return lines[0]

    def said(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout


class Usage(Case):
    def test_help_and_version(self):
        for args in (["--help"], ["transcribe", "--help"], ["eval", "--help"],
                     ["--version"]):
            result = sotto(*args)
            self.assertEqual(result.returncode, 0)
            self.assertEqual(result.stderr, b"")
            self.assertGreater(len(result.stdout), 10)
        self.assertIn(b"1 (greedy) for now", sotto("transcribe", "--help").stdout)

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_what_stdout_does_not_take_is_told(self):
        with open("/dev/full", "wb") as full:
            for args in (["--help"], ["npu", "kernels"]):
                result = subprocess.run([SOTTO, *args], stdout=full, timeout=60,
                                        stderr=subprocess.PIPE)
                self.fails(result, 1, "stdout")

    def test_nothing_given_is_usage(self):
        self.assertEqual(sotto().returncode, 2)
        self.fails(sotto("transcribe"), 2, "no files")

    def test_what_is_near_a_command_is_not_taken_for_a_file(self):
        self.fails(sotto("transcirbe", JFK), 2, "did you mean 'transcribe'")
        self.fails(sotto("modles"), 2, "did you mean 'models'")
        self.assertIn(b"--quantize", self.said(sotto("help", "convert")))
        self.fails(sotto("help", "convrt"), 2, "did you mean 'convert'")

    def test_names_of_other_tools(self):
        self.fails(sotto("-f", JFK), 2, "unknown output format")
        self.fails(sotto("--no_timestamps", "--threads", "x", "y"), 2, "threads")
        self.fails(sotto("x.wav", "--task", "x", "--without_timestamps"), 2, "task")
        for letter, meant in (("-m", "--model"), ("-l", "--language"),
                              ("-t", "--threads"), ("-osrt", "--output-format srt"),
                              ("--translate", "--task translate")):
            self.fails(sotto(letter, "x", JFK), 2, f"did you mean {meant}?")
        line = self.fails(sotto("-z", JFK), 2, "-z")
        self.assertNotIn("mean", line)
        self.fails(sotto("x.wav", "--initial_prompt"), 2,
                   "--initial-prompt wants a value")

    def test_unknown_option_is_mended(self):
        self.fails(sotto("--modle", "x", "y"), 2, "--modle", "--model")
        self.fails(sotto("x.wav", "--lnaguage", "en"), 2, "--language")

    def test_values_that_cannot_be(self):
        for args, part in (
                (["--beam-size", "5"], "beam-size"),
                (["--beam_size", "5"], "beam-size"),
                (["--best_of", "5"], "best-of"),
                (["--task", "sing"], "task"),
                (["--temperature", "hot"], "temperature"),
                (["--threads", "-2"], "threads"),
                (["--offset", "-1"], "offset"),
                (["--output_format", "doc"], "doc"),
                (["--device", "gpu"], "device"),
                (["--condition_on_previous_text=maybe"], "condition"),
                (["--word_timestamps", "True"], "word-timestamps"),
                (["--vad"], "voice activity")):
            with self.subTest(args=args):
                self.fails(sotto("x.wav", *args), 2, part)

    def test_a_folder_without_permission_is_told_before_any_work(self):
        shut = self.tmp / "shut"
        shut.mkdir(mode=0o555)
        self.tmp.chmod(0o755)
        nobody = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
        try:
            result = subprocess.run([SOTTO, "x.wav", "-o", shut], timeout=60,
                                    capture_output=True, **nobody)
        except PermissionError:
            self.skipTest("the program is out of nobody's reach")
        self.fails(result, 2, "shut", "cannot write into the folder")

    def test_unknown_model(self):
        env = {"SOTTO_MODELS": str(self.tmp), "HF_HUB_CACHE": str(self.tmp),
               "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
        self.fails(sotto("--model", "whisper-medium", JFK, env=env), 1,
                   "model medium: not on this machine", "not reachable")
        self.fails(sotto("--model", "tiny.enn", JFK), 2, "tiny.en")
        self.fails(sotto("--model", self.tmp / "none", JFK), 2, "none")

    def test_npu_reports(self):
        self.assertIn(b"attention_64x64_v3", self.said(sotto("npu", "kernels")))
        tiles = self.said(sotto("npu", "tiles")).decode()
        self.assertIn("27648 tiles", tiles)
        self.assertIn("projected", tiles)
        picture = self.tmp / "launch.svg"
        table = self.said(sotto("npu", "launch", "--svg", picture)).decode()
        self.assertIn("modelled", table)
        self.assertIn("one submission", table)
        self.assertTrue(picture.read_text().startswith("<svg"))
        self.fails(sotto("npu", "tile"), 2, "did you mean 'tiles'")
        self.fails(sotto("npu", "run", "nothing"), 2, "sotto npu kernels")
        self.fails(sotto("npu", "plan", "nothing"), 2, "sotto npu designs")
        self.fails(sotto("npu", "run", "gemm_i8", "--ints", "9,8,32,0"), 2,
                   "m is 9, want a multiple of 8")
        self.assertIn(b"as the kernel gives", self.said(sotto("npu", "run", "gemm_i8")))
        tools = self.said(sotto("npu", "tools")).decode().splitlines()
        found = json.loads(self.said(sotto("npu", "tools", "--json")))["findings"]
        self.assertTrue(tools[0].split()[1] == found[0]["id"] == "peano")

    def test_completion_and_man(self):
        for kind in ("bash", "zsh", "fish", "man"):
            result = sotto("completion", kind)
            self.assertEqual(result.returncode, 0)
            text = result.stdout.decode().replace("\\-", "-")
            for word in ("condition-on-previous-text", "convert", "eval", "ops"):
                self.assertIn(word, text)
        check = subprocess.run(["bash", "-n"],
                               input=sotto("completion", "bash").stdout)
        self.assertEqual(check.returncode, 0)


CROSS_ATTN = SOTTO.parent / "libsotto_cross_attn_ops.so"
PROGRAM = """sotto-ops 1
input value : f32[1,2,3,4]
state cache : f32[1,2,5,4] = zeros
view k : f32[1,2,5,4]
view a : f32[1,2,5,4]
view b : f32[1,2,5,4]
call executorch::update_cross_attn_cache.out(value, cache, k)
call executorch::alias.out(k, cache, a, b)
"""


class Operators(Case):
    """executorch.md, rows 13, 14, 17 and 18 as a user meets them."""

    def program(self, text=PROGRAM):
        path = self.tmp / "step.ops"
        path.write_text(text)
        return path

    def names(self, *args):
        result = sotto("ops", "--list", "--json", *args)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [op["name"] for op in json.loads(result.stdout)]

    def test_row_13_all_missing_operators_at_once(self):
        line = self.fails(sotto("ops", "--program", self.program()), 1, "step.ops",
                          "executorch::alias.out, "
                          "executorch::update_cross_attn_cache.out")
        self.assertIn("missing operators", line)
        result = sotto("ops", "--program", self.program(), "--json")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(json.loads(result.stdout)["missing"],
                         ["executorch::alias.out",
                          "executorch::update_cross_attn_cache.out"])

    def test_row_17_what_is_wrong_is_one_line(self):
        text = self.tmp / "text.so"
        text.write_text("no library")
        self.fails(sotto("ops", "--load", self.tmp / "none.so"), 2, "none.so")
        self.fails(sotto("ops", "--load", text), 2, "text.so")
        self.fails(sotto("ops", "--program", self.tmp / "none.ops"), 2, "none.ops")
        self.fails(sotto("ops", "--program", self.program("hello")), 2,
                   "step.ops:1:")

    def test_row_18_no_library_no_operators(self):
        self.assertEqual(self.names(), [])

    @unittest.skipUnless(CROSS_ATTN.exists(), "built without operator libraries")
    def test_rows_14_17_18_with_the_library(self):
        twice = ("--load", CROSS_ATTN, "--load", CROSS_ATTN)
        names = self.names(*twice)
        self.assertEqual(names, sorted(set(names)))
        for name in ("executorch::alias.out",
                     "executorch::update_cross_attn_cache.out"):
            self.assertIn(name, names)
        for row in json.loads(sotto("ops", "--json", *twice).stdout):
            self.assertEqual(row["key"], "any")
            self.assertEqual(row["library"], str(CROSS_ATTN))
        self.assertEqual(len(sotto("ops", *twice).stdout.splitlines()), len(names))
        ready = sotto("ops", "--load", CROSS_ATTN, "--program", self.program())
        self.assertEqual(ready.returncode, 0, ready.stderr)
        ran = sotto("ops", "--load", CROSS_ATTN, "--program", self.program(),
                    "--runs", "10", "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        report = json.loads(ran.stdout)
        self.assertEqual(report["runs"], 10)
        rows = {op["op"]: op for op in report["ops"]}
        update = rows["executorch::update_cross_attn_cache.out"]
        self.assertEqual(update["calls"], 10)
        self.assertEqual(update["bytes_written"], 10 * 24 * 4)
        self.assertEqual(update["bytes_copied"], 0)
        self.assertEqual(rows["executorch::alias.out"]["bytes_copied"], 0)

    @unittest.skipUnless(CROSS_ATTN.exists(), "built without operator libraries")
    def test_row_17_two_libraries_of_one_operator(self):
        copy = self.tmp / "copy.so"
        copy.write_bytes(CROSS_ATTN.read_bytes())
        self.fails(sotto("ops", "--load", CROSS_ATTN, "--load", copy), 2,
                   str(CROSS_ATTN), str(copy), "executorch::alias")


class ModelFiles(Case):
    """Files that are no model: named, with the cause, never a crash."""

    def test_not_a_model(self):
        for name, content in (("empty.bin", b""), ("text.bin", b"hello world\n" * 9),
                              ("x.safetensors", b"\xff" * 64),
                              ("m.pt", b"PK\x03\x04" + b"\0" * 50),
                              ("m.gguf", b"GGUF" + b"\xff" * 60),
                              ("ggml.bin", b"lmgg" + b"\xff" * 60)):
            path = self.tmp / name
            path.write_bytes(content)
            with self.subTest(name=name):
                result = sotto("--model", path, JFK)
                self.assertIn(result.returncode, (1, 2))
                self.fails(result, result.returncode, name)


@needs_tiny
class Transcribing(Case):
    def text(self, *args, **kw):
        result = sotto("--model", TINY, *args, **kw)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        lines = result.stdout.decode().strip().splitlines()
        return " ".join(line.split("]", 1)[1].strip() for line in lines)

    def plain(self, text):
        return text.replace(",", "").replace(".", "")

    def test_jfk(self):
        self.assertEqual(self.plain(self.text(JFK)), WORDS)
        self.assertEqual(self.plain(self.text("-", stdin=JFK.read_bytes())), WORDS)

    def test_empty_words(self):
        result = sotto("--model", TINY, "", JFK)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(result.stderr.decode().splitlines()), 1)
        self.assertIn(b"country", result.stdout)
        plain = sotto("--model", TINY, "--suppress_tokens", "", JFK).stdout
        self.assertIn(b"country", plain)
        self.assertEqual(sotto("--model", TINY, "--suppress_tokens=", JFK).stdout,
                         plain)

    def test_same_text_with_any_threads(self):
        one = sotto("transcribe", "--model", TINY, "--threads", 1, JFK).stdout
        two = sotto("transcribe", "--model", TINY, "--threads", 2, JFK).stdout
        self.assertEqual(one, two)

    def test_files_and_folders(self):
        (self.tmp / "in/deep").mkdir(parents=True)
        (self.tmp / "in/a.flac").write_bytes(JFK.read_bytes())
        (self.tmp / "in/deep/b.flac").write_bytes(JFK.read_bytes())
        (self.tmp / "in/notes.txt").write_text("no sound")
        out = self.tmp / "out"
        self.text(self.tmp / "in", "--output_dir", out)
        self.assertEqual(sorted(p.name for p in out.iterdir()),
                         sorted(f"{s}.{e}" for s in "ab"
                                for e in ("txt", "srt", "vtt", "tsv", "json")))
        result = json.loads((out / "a.json").read_text())
        self.assertEqual(self.plain(result["text"].strip()), WORDS)
        self.assertEqual(result["language"], "en")

    def test_offset_keeps_the_files_times(self):
        result = sotto("--model", TINY, "--offset", "5", "--duration", "5.5", JFK)
        self.assertTrue(result.stdout.startswith(b"[00:05"), result.stdout)
        self.assertIn(b"country", result.stdout)

    def test_what_cannot_be_written_is_told_before_any_work(self):
        (self.tmp / "file").write_text("no folder")
        result = sotto("--model", TINY, "-o", self.tmp / "file/out", JFK)
        self.assertEqual(result.stdout, b"")
        self.fails(result, 2, "file/out", "folder")
        self.fails(sotto("--model", TINY, "--suppress_tokens", "9999999", JFK),
                   2, "9999999")

    def test_two_files_of_one_name_keep_their_texts(self):
        for name, seconds in (("a", 2), ("b", 5)):
            (self.tmp / name).mkdir()
            with wave.open(str(self.tmp / name / "x.wav"), "wb") as f:
                f.setparams((1, 2, 16000, 0, "NONE", ""))
                f.writeframes(b"\0\0" * 16000 * seconds)
        (self.tmp / "b/x-2.flac").write_bytes(JFK.read_bytes())
        (self.tmp / "b/x.flac").write_bytes(JFK.read_bytes())
        out = self.tmp / "out"
        files = [self.tmp / f for f in ("a/x.wav", "b/x.flac", "b/x-2.flac", "b/x.flac")]
        result = sotto("--model", TINY, "-f", "txt", "-o", out, *files)
        self.assertEqual(result.returncode, 0, result.stderr)
        error = result.stderr.decode()
        self.assertEqual(error.count("warning"), 2, error)
        self.assertIn("b/x.flac: its text goes to x-2, an earlier", error)
        self.assertEqual(sorted(p.name for p in out.iterdir()),
                         ["x-2-2.txt", "x-2.txt", "x.txt"])
        for name in ("x-2.txt", "x-2-2.txt"):
            self.assertIn("country", (out / name).read_text())
        self.assertNotIn("country", (out / "x.txt").read_text())

    def test_the_choice_of_kernels_can_be_seen(self):
        result = sotto("--model", TINY, "--duration", "1", JFK,
                       env={"SOTTO_LOG": "dispatch"})
        error = result.stderr.decode()
        self.assertEqual(result.returncode, 0, error)
        for word in ("dispatch: encoder", "dispatch: decode", "linear",
                     "cached_attention"):
            self.assertIn(word, error)

    def test_good_files_are_done_beside_bad_ones(self):
        (self.tmp / "text.wav").write_text("this is no sound\n" * 20)
        (self.tmp / "empty.wav").write_bytes(b"")
        cut = self.tmp / "cut.flac"
        cut.write_bytes(JFK.read_bytes()[:700000])
        out = self.tmp / "out"
        result = sotto("--model", TINY, "-o", out, "-f", "txt",
                       self.tmp / "none.wav", self.tmp / "text.wav",
                       self.tmp / "empty.wav", cut, JFK)
        self.assertEqual(result.returncode, 1)
        error = result.stderr.decode()
        self.assertEqual(len(error.strip().splitlines()), 4, error)
        for name in ("none.wav", "text.wav", "empty.wav", "cut.flac"):
            self.assertIn(name, error)
        # What decodes of the cut file is written, and the good one is whole.
        self.assertIn("Americans", (out / "cut.txt").read_text())
        self.assertIn("country", (out / "jfk.txt").read_text())
        self.assertFalse((out / "text.txt").exists())

    def test_no_samples(self):
        path = self.tmp / "none.wav"
        write_wav(path, [])
        result = sotto("--model", TINY, path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, b"")
        self.assertIn(b"no samples", result.stderr)
        late = sotto("--model", TINY, "--offset", "100", JFK)
        self.assertIn(b"no samples after --offset", late.stderr)
        there = sotto("--model", TINY, "https://example.org/talk.mp3")
        self.fails(there, 1, "https://example.org/talk.mp3: an address")

    def test_silence_gives_no_text(self):
        path = self.tmp / "silence.wav"
        write_wav(path, [0] * 32000)
        result = sotto("--model", TINY, path)
        self.assertEqual((result.returncode, result.stdout), (0, b""))

    def test_calibration_leaves_bad_files_out(self):
        (self.tmp / "text.wav").write_text("this is no sound\n" * 20)
        scales = self.tmp / "out/scales"
        result = sotto("npu", "calibrate", "--model", TINY, "--out", scales,
                       self.tmp / "text.wav", JFK)
        error = result.stderr.decode().splitlines()
        self.assertEqual(result.returncode, 1, error)
        self.assertEqual(len(error), 2, error)
        self.assertIn("text.wav", error[0])
        self.assertIn("little speech", error[1])
        self.assertTrue(result.stdout.decode().endswith("scales: 1 window\n"))
        self.assertIn("windows 1\n", scales.read_text())
        (self.tmp / "file").write_text("no folder")
        self.fails(sotto("npu", "calibrate", "--model", TINY, "--out",
                         self.tmp / "file/scales", JFK), 2, "cannot make the folder")

    def test_eval(self):
        manifest = self.tmp / "m.tsv"
        (self.tmp / "a.flac").write_bytes(JFK.read_bytes())
        manifest.write_text(f"a.flac\t{WORDS}\n\nnone.flac\tlost words\n")
        result = sotto("eval", "--model", TINY, "--manifest", manifest, "--json")
        self.assertEqual(result.returncode, 1)
        report = json.loads(result.stdout)
        self.assertEqual(report["words"], 24)
        self.assertEqual(report["deletions"], 2)
        self.assertEqual(report["insertions"] + report["substitutions"], 0)
        self.assertAlmostEqual(report["wer"], 2 / 24)
        self.assertEqual([f["path"] for f in report["files"]], ["a.flac", "none.flac"])

    def test_bench_says_what_was_measured(self):
        result = sotto("bench", "--model", TINY, "--repeats", "1", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        for key in ("encoder_ms", "cross_kv_ms", "prefill_ms",
                    "decode_ms_per_token", "load_ms", "compile_ms"):
            self.assertEqual(set(report[key]), {"median", "min", "n"})
            self.assertGreater(report[key]["min"], 0)
        for key in ("rss_mb", "rtf", "gemm_tflops", "gemm_peak_tflops", "read_gb_s"):
            self.assertGreater(report[key], 0, key)
        self.assertTrue(report["kernels"])

    def test_compile_shows_what_becomes_of_a_model(self):
        for what, word in (("graph", "cached_attention"), ("program", "arena+"),
                           ("plan", "arena"), ("kernels", "linear"),
                           ("profile", "precision")):
            result = sotto("compile", "--model", TINY, "--stage", "decode",
                           "--print", what)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(word, result.stdout.decode(), what)
        self.fails(sotto("compile", "--model", TINY, "--print", "soup"), 2, "soup")
        self.fails(sotto("compile", "--model", TINY, "--stage", "soup"), 2, "soup")

    def test_conversion_keeps_the_text(self):
        want = sotto("--model", TINY, "--profile", "cpu-f32", JFK).stdout
        for format in ("hf", "openai", "ct2", "ggml", "gguf"):
            with self.subTest(format=format):
                made = sotto("convert", TINY, "--to", format, self.tmp / format)
                self.assertEqual(made.returncode, 0, made.stderr)
                path = made.stdout.decode().strip()
                got = sotto("--model", path, "--profile", "cpu-f32", JFK)
                self.assertEqual(got.stdout, want, got.stderr)

    def test_a_profile_beside_the_weights(self):
        made = sotto("convert", TINY, "--to", "hf", self.tmp / "m")
        self.assertEqual(made.returncode, 0)
        profile = self.tmp / "m/sotto.toml"
        profile.write_text('name = "mine"\nprecision = "f32"\n')
        self.fails(sotto("--model", self.tmp / "m", JFK), 2, "sotto.toml:1")
        profile.write_text('precision = "f32"\n\nprescision = "f32"\n')
        self.fails(sotto("--model", self.tmp / "m", JFK), 2, "sotto.toml:3",
                   "precision")
        profile.write_text('precision = "f32"\n')
        want = sotto("--model", TINY, "--profile", "cpu-f32", JFK).stdout
        self.assertEqual(sotto("--model", self.tmp / "m", JFK).stdout, want)

    def test_the_next_file_is_begun_early(self):
        profile = self.tmp / "p.toml"
        results = []
        for overlap in ("off", "on"):
            profile.write_text(f'overlap = "{overlap}"\nbackend = "npu-sim"\n'
                               '[encoder]\nprecision = "bf16"\n')
            result = sotto("--model", TINY, "--profile", profile, "--device", "npu-sim",
                           "--timings", JFK, JFK, self.tmp / "none.wav")
            self.assertEqual(result.returncode, 1)
            results.append(result)
        self.assertEqual(results[0].stdout, results[1].stdout)
        off, on = (r.stderr.decode() for r in results)
        self.assertNotIn("ahead", off)
        self.assertIn("1 windows encoded ahead: 1 used, 0 dropped, ", on)
        # Read early or not, it is told once.
        self.assertEqual(on.count("none.wav"), 1)

    def test_every_cpu_level_gives_the_text(self):
        for level in ("avx512", "avx2"):
            with self.subTest(level=level):
                result = sotto("--model", TINY, JFK, env={"SOTTO_CPU": level})
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertIn(b"fellow Americans", result.stdout)
        self.fails(sotto("--model", TINY, JFK, env={"SOTTO_CPU": "mmx"}), 2, "SOTTO_CPU")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
