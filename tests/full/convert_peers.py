#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do other engines read what `sotto convert` writes, and hear the same?

    convert_peers.py SOTTO MODEL CLIP.wav [--work DIR]

SOTTO is the program, MODEL any model that it loads, CLIP 16 kHz speech. Every
format is written, then read by the library that the format belongs to; each
check that has no library here is named as skipped. Exit 1 where one fails.

A virtual environment for it (make test-full makes one):
    pip install faster-whisper gguf safetensors pywhispercpp transcribe-cpp
Where 5 GB may be spent, also: pip install torch openai-whisper transformers
"""
import argparse
import collections
import importlib
import io
import json
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile
import wave
import zipfile

import numpy as np

FAILED = []


def report(name, ok, text=""):
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {text}", flush=True)
    if not ok:
        FAILED.append(name)


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def same_words(name, got, want, most=1):
    """Quantised weights and other engines' arithmetic may change a word."""
    a, b = words(got), words(want)
    differ = abs(len(a) - len(b)) + sum(x != y for x, y in zip(a, b))
    report(name, differ <= most, f"{differ} words differ: {got.strip()!r}")


def samples(clip):
    with wave.open(str(clip)) as f:
        assert f.getframerate() == 16000 and f.getnchannels() == 1
        raw = f.readframes(f.getnframes())
    return np.frombuffer(raw, np.int16).astype(np.float32) / 32768


def needs(module):
    try:
        return importlib.import_module(module)
    except ImportError:
        print(f"skip {module} is not installed", flush=True)
        return None


def hear_ct2(folder, clip):
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device="cpu", local_files_only=True)
    segments, _ = model.transcribe(samples(clip), beam_size=1, language="en",
                                   word_timestamps=True)
    segments = list(segments)
    assert any(s.words for s in segments), "no word times"
    return "".join(s.text for s in segments)


def hear_ggml(file, clip):
    from pywhispercpp.model import Model

    model = Model(str(file), n_threads=2, print_progress=False,
                  print_realtime=False, language="en")
    return " ".join(s.text for s in model.transcribe(samples(clip)))


def hear_gguf(file, clip):
    import transcribe_cpp

    with transcribe_cpp.Model(str(file)) as model, model.session() as session:
        return session.run(samples(clip), language="en").text


def plain_hf(folder):
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    assert config["d_model"] == tensors["model.encoder.conv1.weight"].shape[0]
    return tensors


class Tensor:
    """What torch._utils._rebuild_tensor_v2 would make, as numpy."""

    def __init__(self, storage, offset, size, stride, *_):
        flat = storage[offset:]
        strides = [s * flat.itemsize for s in stride]
        self.values = np.lib.stride_tricks.as_strided(flat, size, strides)


class Unpickler(pickle.Unpickler):
    """Allows the globals that torch.load(weights_only=True) allows."""

    TYPES = {"HalfStorage": np.float16, "FloatStorage": np.float32}

    def __init__(self, archive, root):
        super().__init__(io.BytesIO(archive.read(root + "data.pkl")))
        self.archive, self.root = archive, root

    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return Tensor
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in self.TYPES:
            return self.TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid):
        kind, dtype, key, _, count = pid
        assert kind == "storage"
        data = np.frombuffer(self.archive.read(f"{self.root}data/{key}"), dtype)
        assert len(data) == count
        return data


def plain_openai(file):
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        root = next(n for n in archive.namelist() if n.endswith("data.pkl"))
        root = root[: -len("data.pkl")]
        checkpoint = Unpickler(archive, root).load()
    dims = checkpoint["dims"]
    state = {k: t.values for k, t in checkpoint["model_state_dict"].items()}
    assert dims["n_vocab"] == state["decoder.token_embedding.weight"].shape[0]
    return state


def plain_gguf(file):
    from gguf import GGUFReader
    from gguf.quants import dequantize

    return {t.name: dequantize(t.data, t.tensor_type)
            for t in GGUFReader(file).tensors}


PAIRS = [  # the same tensor in Hugging Face, OpenAI and transcribe.cpp names
    ("model.encoder.conv1.weight", "encoder.conv1.weight", "enc.conv.0.weight"),
    ("model.encoder.layers.0.self_attn.k_proj.weight",
     "encoder.blocks.0.attn.key.weight", "enc.blocks.0.attn.k.weight"),
    ("model.decoder.layers.1.encoder_attn.v_proj.bias",
     "decoder.blocks.1.cross_attn.value.bias",
     "dec.blocks.1.cross_attn.v.bias"),
    ("model.decoder.layers.0.fc2.weight", "decoder.blocks.0.mlp.2.weight",
     "dec.blocks.0.ffn.fc2.weight"),
    ("model.decoder.embed_tokens.weight", "decoder.token_embedding.weight",
     "dec.token_embd.weight"),
]


def compare_values(hf, openai, gguf):
    for a, b, c in PAIRS:
        want = hf[a].astype(np.float32)
        report(f"openai {b}", np.array_equal(openai[b].astype(np.float32), want))
        report(f"gguf {c}",
               np.array_equal(gguf[c].reshape(want.shape).astype(np.float32), want))


def compare_tokenizers(folder, want):
    """The tokenizer files written from a bare vocabulary against OpenAI's."""
    from tokenizers import Tokenizer

    got = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = Tokenizer.from_file(str(want / "tokenizer.json"))
    text = " Hello, world! It's 1999; naïve café — 日本語 🎵 don't\n\n  stop."
    same = got.encode(text, add_special_tokens=False).ids == ours.encode(
        text, add_special_tokens=False).ids
    report("tokenizer.json made from ggml", same)
    names = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>",
             "<|transcribe|>", "<|startofprev|>", "<|notimestamps|>"]
    report("special ids made from ggml", all(
        got.token_to_id(n) == ours.token_to_id(n) for n in names))


def hear_openai(file, clip):
    import whisper

    return whisper.load_model(str(file), device="cpu").transcribe(
        samples(clip), language="en", fp16=False)["text"]


def hear_hf(folder, clip):
    import transformers

    pipe = transformers.pipeline("automatic-speech-recognition", str(folder))
    return pipe(samples(clip))["text"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sotto")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("clip", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--text", help="what the clip says; default: what "
                        "faster-whisper hears with float weights")
    a = parser.parse_args()
    work = a.work or pathlib.Path(tempfile.mkdtemp(prefix="sotto-convert-"))
    work.mkdir(parents=True, exist_ok=True)

    def convert(source, to, name, *options):
        out = work / name
        subprocess.run([a.sotto, "convert", str(source), "--to", to, str(out),
                        *options], check=True)
        return out

    def only(folder, pattern):
        (found,) = folder.glob(pattern)
        return found

    hf = convert(a.model, "hf", "hf")
    pt = only(convert(hf, "openai", "openai"), "*.pt")
    ggml = only(convert(pt, "ggml", "ggml"), "*.bin")
    gguf = only(convert(ggml, "gguf", "gguf"), "*.gguf")
    ct2 = convert(gguf, "ct2", "ct2")

    text = a.text
    if needs("faster_whisper"):
        heard = hear_ct2(ct2, a.clip)
        text = text or heard
        same_words("faster-whisper, after five formats", heard, text, most=0)
        int8 = convert(a.model, "ct2", "ct2-int8", "--quantize", "int8")
        same_words("faster-whisper int8", hear_ct2(int8, a.clip), text)
        if (a.model / "tokenizer.json").exists():
            compare_tokenizers(ct2, a.model)
    if needs("safetensors") and needs("gguf"):
        compare_values(plain_hf(hf), plain_openai(pt), plain_gguf(gguf))
    if text and needs("pywhispercpp"):
        same_words("whisper.cpp f16", hear_ggml(ggml, a.clip), text)
        for quant in ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0"):
            out = convert(a.model, "ggml", f"ggml-{quant}", "--quantize", quant)
            same_words(f"whisper.cpp {quant}",
                       hear_ggml(only(out, "*.bin"), a.clip), text, most=4)
    if text and needs("transcribe_cpp"):
        same_words("transcribe.cpp f16", hear_gguf(gguf, a.clip), text)
        for quant in ("q8_0", "q6_K", "q5_K", "q4_K"):
            out = convert(a.model, "gguf", f"gguf-{quant}", "--quantize", quant)
            same_words(f"transcribe.cpp {quant}",
                       hear_gguf(only(out, "*.gguf"), a.clip), text, most=4)
    if text and needs("torch"):
        if needs("whisper"):
            same_words("openai-whisper", hear_openai(pt, a.clip), text)
        if needs("transformers"):
            same_words("transformers", hear_hf(hf, a.clip), text)
    print(f"{len(FAILED)} failed" if FAILED else "all passed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
