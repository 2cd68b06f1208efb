#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/golden/decode: what OpenAI's own Python answers for scripts.

    make_decode_goldens.py WHISPER_CHECKOUT [OUT]

WHISPER_CHECKOUT is a checkout of github.com/openai/whisper at v20250625. Its
decoding.py and transcribe.py run as they are; torch, the tokenizer and the
model are replaced by the few numpy lines below, so only numpy is needed. The
scripts (logits as a function of the tokens fed, windows as lists of tokens)
come from seeds, and the tests repeat them.
"""
import importlib
import json
import math
import pathlib
import random
import sys
import types

import numpy as np

MASK = (1 << 64) - 1


def split_mix(x):
    """One step of SplitMix64 from the state x."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def script_row(seed, tokens, n_vocab, span):
    """Logits after `tokens`: multiples of 1/256 in [-span, span)."""
    h = seed
    for t in tokens:
        h = split_mix(h ^ t)
    return np.array(
        [(split_mix((h + i) & MASK) >> 40) % (512 * span) / 256 - span for i in range(n_vocab)], np.float32)


# ---- the part of torch that the two files use ------------------------------


class Tensor(np.ndarray):
    device = "cpu"

    def ge(self, x): return (np.asarray(self) >= x).view(Tensor)
    def float(self): return self.astype(np.float32)
    def numel(self): return self.size
    def to(self, *_): return self
    def cpu(self): return self
    def repeat_interleave(self, n, dim): return np.repeat(self, n, axis=dim)
    def repeat(self, *n): return np.tile(self, n)
    def nonzero(self): return np.argwhere(np.asarray(self)).view(Tensor)
    def argmax(self, dim): return np.argmax(np.asarray(self), axis=dim).view(Tensor)

    def add_(self, x):
        self += x
        return self

    def logsumexp(self, dim):
        x = np.asarray(self)
        top = x.max(axis=dim)
        if np.isneginf(top): return top
        return top + np.log(np.exp(x - top).sum(axis=dim))

    def softmax(self, dim): return np.exp(log_softmax(self, dim)).view(Tensor)


def log_softmax(x, dim):
    x = np.asarray(x)
    x = x - x.max(axis=dim, keepdims=True)
    return (x - np.log(np.exp(x).sum(axis=dim, keepdims=True))).view(Tensor)


def tensor(x): return np.array(x, dtype=None if len(x) else np.float32).view(Tensor)


def fake_module(name, **members):
    module = types.ModuleType(name)
    for k, v in members.items():
        setattr(module, k, v)
    sys.modules[name] = module
    return module


def install_torch():
    functional = fake_module(
        "torch.nn.functional", log_softmax=log_softmax,
        pad=lambda x, by, value: np.pad(x, ((0, 0),) * (x.ndim - 1) + (by,), constant_values=value).view(Tensor))
    fake_module("torch.distributions", Categorical=None)
    fake_module(
        "torch", Tensor=Tensor, tensor=tensor, float16="f16", float32="f32", bool=bool,
        no_grad=lambda: lambda f: f, device=lambda name: name,
        cuda=types.SimpleNamespace(is_available=lambda: False),
        nn=fake_module("torch.nn", functional=functional),
        zeros=lambda n, device: np.zeros(n, np.float32).view(Tensor),
        arange=np.arange, where=lambda x: tuple(i.view(Tensor) for i in np.where(np.asarray(x))),
        cat=lambda xs, dim: np.concatenate([np.asarray(x) for x in xs], axis=dim).view(Tensor))


# ---- a tokenizer of 152 tokens, as test_util.h has it ----------------------


class FakeTokenizer:
    eot, sot, translate, transcribe, sot_lm, sot_prev, no_speech, no_timestamps = 40, 41, 45, 46, 47, 48, 49, 50
    timestamp_begin, n_vocab = 51, 152
    non_speech_tokens = (37, 38, 39)

    def __init__(self, multilingual, num_languages=None, language=None, task=None):
        self.sot_sequence = (41, 42 + ["en", "de", "fr"].index(language or "en"),
                             45 if task == "translate" else 46) if multilingual else (41,)
        self.sot_sequence_including_notimestamps = self.sot_sequence + (50,)

    def encode(self, text): return [0 if c == " " else ord(c) - 96 for c in text]

    def decode(self, tokens):
        return "".join(" " if t == 0 else chr(97 + t % 26) for t in tokens if t < self.eot)


class FakeModel:
    def __init__(self, multilingual, n_text_ctx):
        self.is_multilingual, self.num_languages, self.device = multilingual, 3, "cpu"
        self.dims = types.SimpleNamespace(n_text_ctx=n_text_ctx, n_audio_ctx=1500, n_audio_state=8, n_mels=80)
        self.decoder = types.SimpleNamespace(blocks=[])


def load_whisper(checkout):
    install_torch()
    package = fake_module("whisper")
    package.__path__ = [str(checkout / "whisper")]
    fake_module("whisper.audio", CHUNK_LENGTH=30, FRAMES_PER_SECOND=100, HOP_LENGTH=160, N_FRAMES=3000, N_SAMPLES=480000,
                SAMPLE_RATE=16000, log_mel_spectrogram=lambda audio, n_mels, padding: FakeMel(audio), pad_or_trim=lambda x, n: x)
    fake_module("whisper.tokenizer", Tokenizer=FakeTokenizer, get_tokenizer=FakeTokenizer, LANGUAGES={"en": "english"},
                TO_LANGUAGE_CODE={})
    fake_module("whisper.timing", add_word_timestamps=None)

    class Bar:
        def __init__(self, **_): pass
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def update(self, n): pass

    fake_module("tqdm", tqdm=Bar)
    return importlib.import_module("whisper.decoding"), importlib.import_module("whisper.transcribe")


# ---- 1. rules: history and row in, allowed tokens out ----------------------


def random_history(rng):
    """Any mixture, but mostly what the rules themselves would leave."""
    tokens, now = [], 51
    for _ in range(rng.randrange(1, 9)):
        now = min(now + rng.randrange(4), 151)
        tokens += rng.choice([[now], [now, now], [rng.randrange(40)], [rng.randrange(40), now], [rng.randrange(51)]])
    if rng.random() < 0.1:
        rng.shuffle(tokens)
    return tokens[: rng.choice([0, 1, 2, 3, 5, 8, 12, 13])]


def make_rules(decoding, rng):
    for n in range(300):
        span = rng.choice([1, 3, 10])
        options = {
            "suppress_blank": rng.random() < 0.5,
            "suppress_tokens": rng.choice(["", "-1", "3,5", "5,-1,3", "60"]),
            "without_timestamps": rng.random() < 0.1,
            "max_initial_timestamp": rng.choice([1.0, 1.0, 0.0, 0.5, 0.03, 0.05, 1.4]),
        }
        task = decoding.DecodingTask(FakeModel(True, 448), decoding.DecodingOptions(language="en", **options))
        history = random_history(rng)
        row = script_row(n, history, 152, span)
        logits = row[None, :].copy().view(Tensor)
        tokens = tensor([list(task.initial_tokens) + history])
        for rule in task.logit_filters:
            rule.apply(logits, tokens)
        allowed = sum(1 << i for i in range(152) if not np.isneginf(logits[0, i]))
        yield {"seed": n, "span": span, **options, "history": history, "allowed": f"{allowed:038x}"}


# ---- 2. greedy: scripts in, tokens and scores out --------------------------


class ScriptInference:
    def __init__(self, seed, span, end_after):
        self.seed, self.span, self.end_after = seed, span, end_after

    def logits(self, tokens, _):
        fed = tokens[0].tolist()
        rows = []
        for i in range(len(fed)):
            row = script_row(self.seed, fed[: i + 1], 152, self.span)
            if i + 1 >= self.end_after:
                row[40] = 30
            rows.append(row)
        return np.array(rows, np.float32)[None].view(Tensor)

    def cleanup_caching(self): pass


def make_greedy(decoding, rng):
    for n in range(60):
        n_text_ctx = rng.choice([32, 48, 64])
        span = rng.choice([1, 4])
        options = {
            "task": rng.choice(["transcribe", "translate"]),
            "language": rng.choice(["en", "de", "fr"]),
            "sample_len": rng.choice([None, None, 3, n_text_ctx // 2 - 4, n_text_ctx // 2 + 3]),
            "prompt": [rng.randrange(40) for _ in range(rng.choice([0, 0, 1, 7, 14, 15, 16, 17, 31, 40]))],
            "prefix": [rng.randrange(40) for _ in range(rng.choice([0, 0, 0, 1, 4, 7]))],
            "suppress_tokens": rng.choice(["", "-1", "-1", "3,5"]),
            "suppress_blank": rng.random() < 0.8,
            "without_timestamps": rng.random() < 0.2,
        }
        multilingual = rng.random() < 0.8
        given = {k: v for k, v in options.items() if v is not None}
        task = decoding.DecodingTask(FakeModel(multilingual, n_text_ctx), decoding.DecodingOptions(fp16=False, **given))
        end_after = len(task.initial_tokens) + rng.choice([1, 4, 9, 15, 99])
        task.inference = ScriptInference(1000 + n, span, end_after)
        task._get_audio_features = lambda mel: mel
        result = task.run(np.zeros((1, 80, 3000), np.float32).view(Tensor))[0]
        yield {"seed": 1000 + n, "span": span, "end_after": end_after, "n_text_ctx": n_text_ctx, "multilingual": multilingual,
               **options, "sample_len": options["sample_len"] or 0, "initial": list(task.initial_tokens),
               "sot_index": task.sot_index, "tokens": result.tokens, "avg_logprob": float(result.avg_logprob),
               "no_speech_prob": float(result.no_speech_prob)}


# ---- 3. long form: windows in, segments, seeks and prompts out -------------


class FakeMel:
    def __init__(self, frames, seek=0):
        self.shape, self.seek = (80, frames + 3000), seek

    def __getitem__(self, key):
        part = key[1]
        return FakeMel(part.stop - part.start - 3000, part.start)

    def to(self, _): return self


def random_window(rng):
    """Tokens of one window: segments as the rules leave them, and odd ones."""
    kind = rng.random()
    text = lambda: [rng.choice([0, 0, 0]) for _ in range(rng.randrange(3))] if rng.random() < 0.15 else [
        rng.randrange(1, 40) for _ in range(rng.randrange(1, 6))]
    if kind < 0.03: return []
    if kind < 0.08: return text()  # no timestamp at all
    if kind < 0.12: return [51] + text()
    now, tokens = 51 + rng.randrange(3), []
    for _ in range(rng.randrange(1, 5)):
        end = now + rng.randrange(1 if tokens else 2, 300)
        if rng.random() < 0.1: end = now  # a segment that lasts no time
        tokens += [now] + text() + [end]
        now = end if rng.random() < 0.7 else end + rng.randrange(100)
    now = max(now, 52)
    tokens = [min(t, 1551) for t in tokens]
    ending = rng.random()
    if ending < 0.3: tokens += [min(now, 1551)]  # closed by a pair
    elif ending < 0.5: tokens += [min(now, 1551)] + text()  # an unfinished segment
    return tokens


def random_attempt(rng, temperature, bad):
    return {"tokens": random_window(rng), "temperature": temperature,
            "avg_logprob": rng.choice([-1.0, -1.2, -2.0]) if bad else rng.choice([-0.2, -0.9, -1.0]),
            "no_speech_prob": rng.choice([0.01, 0.01, 0.6, 0.7, 0.95]),
            "compression_ratio": rng.choice([1.1, 2.4, 3.0]) if bad else rng.choice([0.9, 1.5, 2.4])}


def make_clips(rng, seconds):
    kind = rng.random()
    if kind < 0.6: return "0"
    if kind < 0.65: return ""
    points = sorted(round(rng.uniform(0, seconds), 3) for _ in range(rng.randrange(1, 6)))
    return ",".join(map(str, points))


def make_long_form(decoding, transcribe, rng):
    for n in range(70):
        frames = rng.choice([0, 1, 700, 2999, 3000, 3001, rng.randrange(3000, 20000)])
        n_text_ctx = rng.choice([448, 40])
        options = {
            "condition_on_previous_text": rng.random() < 0.7,
            "initial_prompt": rng.choice([None, None, "abc", "a longer prompt of many letters"]),
            "carry_initial_prompt": rng.random() < 0.3,
            "clip_timestamps": make_clips(rng, frames / 100),
            "compression_ratio_threshold": rng.choice([2.4, 2.4, None]),
            "logprob_threshold": rng.choice([-1.0, -1.0, None]),
            "no_speech_threshold": rng.choice([0.6, 0.6, None]),
        }
        temperatures = rng.choice([(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.0,), (0.4, 0.5, 0.6)])
        windows = []
        model = FakeModel(True, n_text_ctx)

        def decode(mel, given):
            if given.temperature == temperatures[0]:
                bad = rng.random() < 0.3
                windows.append({"seek": mel.seek, "frames": mel.shape[1], "prompt": given.prompt,
                                "attempts": []})
            else:
                bad = rng.random() < 0.6
            attempt = random_attempt(rng, given.temperature, bad)
            windows[-1]["attempts"].append(attempt)
            return decoding.DecodingResult(audio_features=None, language="en", **attempt)

        model.decode = decode
        result = transcribe.transcribe(model, frames, temperature=temperatures, language="en", fp16=False, **options)
        prompt = FakeTokenizer(True).encode(" " + options["initial_prompt"]) if options["initial_prompt"] else []
        keys = ("id", "seek", "start", "end", "text", "tokens", "temperature")
        yield {"frames": frames, "n_text_ctx": n_text_ctx, "temperatures": temperatures, **options,
               "initial_prompt": prompt, "windows": windows, "text": result["text"],
               "segments": [[s[k] for k in keys] for s in result["segments"]]}


def main():
    checkout = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "tests/golden/decode")
    out.mkdir(parents=True, exist_ok=True)
    decoding, transcribe = load_whisper(checkout)
    np.seterr(all="ignore")
    for name, lines in (("rules", make_rules(decoding, random.Random(1))),
                        ("greedy", make_greedy(decoding, random.Random(2))),
                        ("long_form", make_long_form(decoding, transcribe, random.Random(3)))):
        with open(out / f"{name}.jsonl", "w", encoding="utf-8") as f:
            for line in lines:
                f.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
