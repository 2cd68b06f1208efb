# SPDX-License-Identifier: MIT
"""Published models: sizes, OpenAI's numbers, the speed.

The runner's text on the same files: extension/executorch/runner/model_test.py.
"""
import json
import statistics
import subprocess
import sys
import unittest

import torch
from safetensors import safe_open

import bench_table
import real
import runtime
from sotto.executorch import model

def numbers(name):
    path = real.data("oracle", "numeric", name + ".safetensors")
    with safe_open(str(path), "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


class Row21Sizes(unittest.TestCase):
    def test_base_fits(self):
        for form, megabytes in (("f32", 297), ("f16", 149), ("int8", 80)):
            size = real.exported("base", form).stat().st_size
            print(f"base {form}: {size / 1e6:.1f} MB, at most {megabytes}", file=sys.stderr)
            self.assertLessEqual(size, megabytes * 1e6, form)

    def test_opening_maps_the_file(self):
        # From a small process: a child starts with its parent's peak.
        spawn = (
            "import os, sys, subprocess as s\n"
            "p = s.Popen(sys.argv[1:], stdout=s.DEVNULL)\n"
            "_, status, usage = os.wait4(p.pid, 0)\n"
            "print(usage.ru_maxrss if status == 0 else -1)"
        )

        def peak(path):
            command = [sys.executable, "-S", "-c", spawn, real.RUNNER, "--model_path",
                       path, "--list_methods"]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertGreater(int(done.stdout), 0, done.stderr)
            return int(done.stdout) / 1024

        folder = runtime.ROOT / "extension/executorch/runner/testdata"
        small = min(folder.glob("*.pte"), key=lambda p: p.stat().st_size)
        more = peak(real.exported("base")) - peak(small)
        print(f"opening base f32: {more:.1f} MB resident", file=sys.stderr)
        self.assertLess(more, 20)


class Row22Numbers(unittest.TestCase):
    def check_jfk(self, name, form, encoder, logits):
        mel = numbers("jfk-mel80")["mel"][None]
        want = numbers("jfk-" + name)
        loaded = runtime.Program(real.exported(name, form))
        states = loaded.encode(mel)
        got = loaded.decode(want["logits_input"].tolist(), states)[-8:]
        far = (states[0].float() - want["encoder"]).abs().max().item()
        off = (got - want["logits"]).abs().max().item()
        print(f"{name} {form}: encoder {far:.2g}, logits {off:.2g} from OpenAI's", file=sys.stderr)
        self.assertLess(far, encoder)
        self.assertLess(off, logits)
        self.assertTrue(torch.equal(got.argmax(1), want["logits"].argmax(1)))

    def test_jfk_in_float32(self):
        for name in ("tiny.en", "base"):
            self.check_jfk(name, "f32", 2e-3, 1e-3)

    def test_jfk_without_the_operators(self):
        self.check_jfk("tiny.en", "stock", 2e-3, 1e-3)

    def test_jfk_in_lower_precision(self):
        # The logits of this clip span 54; the words must not change.
        self.check_jfk("tiny.en", "int8", 20.0, 3.0)
        self.check_jfk("base", "f16", 2.0, 0.5)
        self.check_jfk("base", "int8", 20.0, 3.0)

    def test_log_mel_of_this_test_is_openais(self):
        mel = real.log_mel(real.read_wav(real.data("jfk", "jfk.wav")))
        self.assertLess((mel[0] - numbers("jfk-mel80")["mel"]).abs().max().item(), 1e-4)

    def test_two_more_clips(self):
        """Against the modules in float64, and OpenAI's greedy tokens."""
        folder = real.hugging_face("base")
        config, weights = model.read_config(folder), model.Weights(folder)
        encoder = model.Encoder(weights, config).double().eval()
        decoder = model.TextDecoder(weights, config, stock=True).double().eval()
        suppressed = model.read_json(folder / "generation_config.json")["suppress_tokens"]
        loaded = runtime.Program(real.exported("base"))
        clips = [c for c in real.oracle_lines("base", "multilingual-leopard")
                 if c["file"].endswith(("test_es.wav", "test_pt.wav"))]
        self.assertEqual(len(clips), 2)
        tokens = json.loads((folder / "added_tokens.json").read_text())
        for clip in clips:
            result = clip["results"]["greedy_no_words"]
            chosen = [t for s in result["segments"] if s["seek"] == 0 for t in s["tokens"]]
            language = tokens[f"<|{result['language']}|>"]
            prompt = [config.start, language, tokens["<|transcribe|>"]]
            mel = real.log_mel(real.read_wav(real.data(clip["file"])))
            ids = prompt + chosen
            got = loaded.decode(ids[:-1], loaded.encode(mel))
            with torch.no_grad():
                states = encoder(mel.double())
                want = torch.stack([
                    decoder(torch.tensor([[t]]), states, torch.tensor([i]))[0, 0]
                    for i, t in enumerate(ids[:-1])
                ]).float()  # fmt: skip
            self.assertLess((got - want).abs().max().item(), 1e-3)
            got[:, suppressed] = float("-inf")
            for row, token in zip(got[len(prompt) - 1 :], chosen):
                # Whichever kind the rules wanted, the best of its kind won.
                kind = slice(0, config.eos) if token < config.eos else slice(token, None)
                self.assertLess((row[kind].max() - row[token]).item(), 1e-3)


class Speed(unittest.TestCase):
    def test_beside_the_stock_export(self):
        """In turns, so that both meet the same load. Times are told, bytes are held:
        a busy machine must not fail a test. `make bench-executorch` has the table."""
        real.data("jfk", "jfk.wav")
        forms = [bench_table.Exported(f, f, 1) for f in ("stock", "f32")]
        for _ in range(3):
            for form in forms:
                form.round()
        for form in forms:
            form.close()
        stock, ours = (statistics.median(f.next) for f in forms)
        print(f"stock {stock:.1f} ms a token, with operators {ours:.1f}: "
              f"{stock / ours:.2f} times (want 2)", file=sys.stderr)  # fmt: skip
        # 4 layers, keys and values, 1500 rows of 384 floats: once a window.
        self.assertEqual(forms[1].counts["written"], 4 * 2 * 1500 * 384 * 4)
        self.assertEqual(forms[1].counts["copied"], 0)


if __name__ == "__main__":
    unittest.main()
