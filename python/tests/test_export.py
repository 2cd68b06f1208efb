# SPDX-License-Identifier: MIT
"""A small random Whisper from its folder to the runtime, every form of it."""
import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import torch

import runtime
import tiny_whisper
from sotto.executorch import export, model, pte, share
from tiny_whisper import CONFIG

FOLDER = None
PROGRAMS = {}


def setUpModule():
    global FOLDER
    FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="sotto-test-"))
    tiny_whisper.write(FOLDER / "tiny")


def tearDownModule():
    shutil.rmtree(FOLDER)


def run(*arguments):
    """(exit status, stderr) of the command line, within this process."""
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        try:
            status = export.main([str(a) for a in arguments])
        except SystemExit as leave:
            status = leave.code
    return status, error.getvalue()


def program(*options) -> pathlib.Path:
    """The exported model; each form is made once."""
    if options not in PROGRAMS:
        out = FOLDER / ("-".join(("p", *options)) + ".pte")
        status, error = run("--model", FOLDER / "tiny", "--out", out, "--quiet", *options)
        assert status == 0, error
        PROGRAMS[options] = out
    return PROGRAMS[options]


def features(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(1, CONFIG["num_mel_bins"], 2 * CONFIG["max_source_positions"])


def tokens(seed: int, count: int) -> list[int]:
    torch.manual_seed(seed)
    return torch.randint(0, CONFIG["vocab_size"], (count,)).tolist()


class Reference:
    """The modules in eager torch, float64, cross keys and values anew each step."""

    def __init__(self):
        config = model.read_config(FOLDER / "tiny")
        weights = model.Weights(FOLDER / "tiny")
        self.encoder = model.Encoder(weights, config).double().eval()
        self.decoder = model.TextDecoder(weights, config, stock=True).double().eval()

    @torch.no_grad()
    def logits(self, mel, ids):
        states = self.encoder(mel.double())
        rows = [
            self.decoder(torch.tensor([[t]]), states, torch.tensor([i]))[0, 0]
            for i, t in enumerate(ids)
        ]
        return torch.stack(rows)


class Exported(unittest.TestCase):
    def compare(self, path, tolerance, count=8):
        loaded = runtime.Program(path)
        mel, ids = features(1), tokens(2, count)
        got = loaded.decode(ids, loaded.encode(mel))
        want = Reference().logits(mel, ids).float()
        error = (got - want).abs().max().item()
        self.assertLess(error, tolerance * want.std().item())
        return loaded

    def test_row10_reuse_equals_recomputing_at_every_step(self):
        runtime.reset_counts()
        self.compare(program(), 2e-4, count=64)
        counts = runtime.counts()
        layers, heads = CONFIG["decoder_layers"], CONFIG["decoder_attention_heads"]
        one = 4 * CONFIG["d_model"] * CONFIG["max_source_positions"]
        self.assertEqual(counts.update_calls, 2 * layers)
        self.assertEqual(counts.value_bytes_written, 2 * layers * one)
        self.assertEqual(counts.out_bytes_copied, 0)
        self.assertEqual(counts.alias_bytes_copied, 0)
        self.assertEqual(heads * 64, CONFIG["d_model"])

    def test_row11_a_second_recording_is_as_in_a_fresh_program(self):
        loaded = runtime.Program(program())
        ids = tokens(3, 12)
        loaded.decode(ids, loaded.encode(features(4)))
        loaded.step(ids[0], loaded.encode(features(5)), 0)  # given up at once
        again = loaded.decode(ids, loaded.encode(features(6)))
        fresh = runtime.Program(program())
        want = fresh.decode(ids, fresh.encode(features(6)))
        self.assertTrue(torch.equal(again, want))

    def test_other_forms_are_near(self):
        self.compare(program("--stock"), 2e-4)
        self.compare(program("--recipe", "portable"), 2e-4)
        self.compare(program("--tied", "twice"), 2e-4)
        self.compare(program("--dtype", "f16"), 0.05)
        # Random weights are the worst case for one scale per row.
        self.compare(program("--weights", "int8"), 0.25)

    def test_the_stock_form_has_no_operators(self):
        calls = pte.read_program(program("--stock")).methods["text_decoder"].calls
        names = {call.name for call in calls}
        self.assertFalse(names & {pte.UPDATE, pte.ALIAS})

    def test_row7_no_alias_and_no_write_back_is_left(self):
        calls = pte.read_program(program()).methods["text_decoder"].calls
        names = [call.name for call in calls]
        self.assertEqual(names.count(pte.UPDATE), 2 * CONFIG["decoder_layers"])
        for gone in (pte.ALIAS, "aten::copy_", "aten::expand_copy.out"):
            self.assertNotIn(gone, names)

    def test_row20_constants_come_from_the_folder(self):
        methods = pte.read_program(program()).methods
        want = {
            "get_dtype": [6], "get_bos_id": [8900], "get_eos_id": [8900],
            "decoder_start_token_id": [8901], "get_vocab_size": [9001],
            "get_n_mels": [8], "get_n_audio_ctx": [60], "get_n_text_ctx": [72],
            "get_max_seq_len": [72], "get_n_layers": [3], "get_head_dim": [64],
            "get_n_kv_heads": [2], "get_sample_rate": [16000],
            "get_is_multilingual": [1], "get_n_languages": [3],
            "get_languages": ["en,zh,haw"], "get_sot_id": [8901],
            "get_translate_id": [8905], "get_transcribe_id": [8906],
            "get_sot_lm_id": [8907], "get_sot_prev_id": [8908],
            "get_no_speech_id": [8909], "get_no_timestamps_id": [8910],
            "get_timestamp_begin_id": [8911], "get_suppress_tokens": [1, 2, 8907],
            "get_begin_suppress_tokens": [220, 8900], "get_max_batch_size": [1],
            "use_kv_cache": [True],
        }  # fmt: skip
        found = {n: m.constants for n, m in methods.items() if m.constants is not None}
        self.assertEqual(found, want)
        loaded = runtime.Program(program())
        for name, values in want.items():
            self.assertEqual(loaded.run(name), values)

    def test_row21_the_tied_matrix_stands_once(self):
        for options, width in (((), 4), (("--dtype", "f16"), 2), (("--weights", "int8"), 1)):
            path = program(*options)
            matrix = CONFIG["vocab_size"] * CONFIG["d_model"] * width
            found = pte.read_program(path)
            home = found.segments[found.constant_segment]
            inside = [
                s for s in found.segments
                if s is not home and home.offset <= s.offset < home.offset + home.size
            ]  # fmt: skip
            self.assertEqual([s.size for s in inside], [matrix])
            place = found.segments_at + inside[0].offset
            data = path.read_bytes()
            row = data[place + matrix // 2 :][: CONFIG["d_model"] * width]
            self.assertEqual(data.count(row), 1)
        twice = program("--tied", "twice").stat().st_size
        saved = twice - program().stat().st_size
        full = CONFIG["vocab_size"] * CONFIG["d_model"] * 4
        self.assertLess(abs(saved - full), 256)  # to a segment's alignment
        self.assertEqual(share.share_constants(program()), 0)  # nothing left


class Refusals(unittest.TestCase):
    """Each is one line with what is wrong, and the right status."""

    def refuse(self, status, pattern, *arguments):
        got, error = run(*arguments)
        self.assertEqual(got, status, error)
        self.assertRegex(error.strip().splitlines()[-1], pattern)
        self.assertNotIn("Traceback", error)
        if status == 1:
            self.assertEqual(error.count("\n"), 1, error)

    def spoilt(self, name):
        folder = FOLDER / self._testMethodName
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(FOLDER / "tiny", folder)
        return folder, folder / name

    def test_usage(self):
        self.refuse(2, "want --model", "--model", "x")
        self.refuse(2, "want --model", "--out", "x.pte")
        self.refuse(2, "want --model", "--check", "x", "--model", "y", "--out", "z.pte")
        self.refuse(2, "want --dtype f32", "--model", "x", "--out", "y.pte", "--weights", "int8", "--dtype", "f16")
        self.refuse(2, "invalid choice", "--model", "x", "--out", "y.pte", "--dtype", "int3")

    def test_places(self):
        tiny = FOLDER / "tiny"
        self.refuse(1, "x.bin: want a name that ends in .pte", "--model", tiny, "--out", "x.bin")
        self.refuse(1, "no such folder", "--model", tiny, "--out", FOLDER / "no" / "x.pte")
        self.refuse(1, "nothing: no Hugging Face folder .*sotto convert nothing",
                    "--model", "nothing", "--out", FOLDER / "x.pte", "--sotto", "/no/sotto")
        failing = FOLDER / "failing"
        failing.write_text("#!/bin/sh\necho 'error: nothing: no model' >&2\nexit 1\n")
        failing.chmod(0o755)
        self.refuse(1, "nothing: no model", "--model", "nothing", "--out",
                    FOLDER / "x.pte", "--sotto", failing)

    def test_folders(self):
        out = FOLDER / "x.pte"
        for name, text, pattern in (
            ("config.json", "{", r"config.json: "),
            ("config.json", "[]", r"config.json: holds a list, want an object"),
            ("config.json", '{"model_type": "bert"}', r"config.json: model_type is 'bert'"),
            ("config.json", '{"d_model": "many"}', r"config.json: num_mel_bins is None"),
            ("model.safetensors", "no tensors", r"model.safetensors: "),
            ("tokenizer.json", "{}", r"no tokenizer.json with added_tokens"),
            ("tokenizer.json", '{"added_tokens": [{"id": 1, "content": "<|en|>"}]}', r"no token <\|"),
        ):  # fmt: skip
            folder, path = self.spoilt(name)
            path.write_text(text)
            self.refuse(1, pattern, "--model", folder, "--out", out)
        self.assertFalse(out.exists())

    def test_tensors(self):
        from safetensors.torch import load_file, save_file

        folder, path = self.spoilt("model.safetensors")
        good = load_file(FOLDER / "tiny" / "model.safetensors")
        name = "model.decoder.layers.1.fc1.weight"
        for value, pattern in (
            (None, f"model.safetensors: no tensor {name}"),
            (torch.zeros(3, 4), rf"tensor {name} is \[3, 4\], want \[512, 128\]"),
            (torch.zeros(512, 128, dtype=torch.int32), f"tensor {name} is torch.int32"),
        ):
            tensors = {k: v for k, v in good.items() if k != name}
            if value is not None:
                tensors[name] = value
            save_file(tensors, path)
            self.refuse(1, pattern, "--model", folder, "--out", FOLDER / "x.pte", "--quiet")

    def test_check_of_files(self):
        self.refuse(1, "no.pte: No such file", "--check", FOLDER / "no.pte")
        path = FOLDER / "text.pte"
        path.write_text("not a program at all")
        self.refuse(1, "text.pte: not an ExecuTorch program", "--check", path)
        self.assertEqual(run("--check", program())[0], 0)

    def test_as_a_command(self):
        command = [sys.executable, "-m", "sotto.executorch", "--check", program()]
        done = subprocess.run(command, env={**os.environ}, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
