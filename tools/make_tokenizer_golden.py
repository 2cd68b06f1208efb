#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/tokenizer/{gpt2,multilingual}.json: what OpenAI's own
tokenizer (openai-whisper's tokenizer.py over tiktoken) says of random text.

    python3 -m venv V && V/bin/pip install tiktoken tokenizers
    V/bin/pip install --no-deps openai-whisper
    V/bin/python tools/make_tokenizer_golden.py OUT_DIR [COUNT] [TOKENIZER_JSON]

With TOKENIZER_JSON (a Hugging Face file of the multilingual vocabulary) the
`tokenizers` package must agree on every text.
"""
import importlib.util
import json
import pathlib
import random
import sys
import unicodedata

SPACES = [" ", "  ", "   ", "\n", "\t", "\r\n", "\u00a0", "\u0085", "\u180e",
          "\u2003", "\u3000", "\x1c", "\u2028", "\u200b"]
PIECES = ["Hello", "world", "don't", "I'LL", "we've", "it's", "'s", "'d", "x'",
          "naïve", "Ünïcödé", "日本語", "こんにちは", "你好吗", "안녕하세요",
          "Привет", "γειά", "שלום", "مرحبا", "नमस्ते", "สวัสดี", "ལྷ", "မြန်မာ",
          "123", "4567890", "３４", "½", "Ⅷ", "²", "٣٤", "...", "!?", "--", "♪♪",
          "<|en|>", "<|endoftext|>", "(", "[", "👍🏽", "👨‍👩‍👧", "e\u0301", "\u0301",
          "ﬁ", "🇬🇧", "\ufeff", "\x00", "\x7f", "𝒳", "𒀀", "aaaaaaaaaaaaaaaaaaaaaaa",
          "-----------------", "supercalifragilistic", "\ufffd"]
SCRIPTS = [(0x20, 0x7E), (0xA1, 0x24F), (0x370, 0x52F), (0x590, 0x6FF),
           (0x900, 0xDFF), (0xE00, 0x10FF), (0x1E00, 0x2BFF), (0x3000, 0x30FF),
           (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF),
           (0x10000, 0x1FFFF)]


def whisper_tokenizer():
    """tokenizer.py alone: the package itself would import torch."""
    folder = pathlib.Path(importlib.util.find_spec("tiktoken").origin)
    path = folder.parent.parent / "whisper" / "tokenizer.py"
    spec = importlib.util.spec_from_file_location("whisper_tokenizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def character(rng):
    """An assigned character of this Python's Unicode, no surrogate."""
    while True:
        c = chr(rng.randint(*rng.choice(SCRIPTS)))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co"):
            return c


def random_text(rng):
    out = []
    for _ in range(rng.randint(1, 8)):
        kind = rng.random()
        if kind < 0.45:
            out.append(rng.choice(PIECES))
        elif kind < 0.7:
            out.append("".join(character(rng)
                               for _ in range(rng.randint(1, 5))))
        out.append(rng.choice(SPACES) if rng.random() < 0.6 else "")
    return "".join(out)


def special(tokenizer):
    names = ("eot sot translate transcribe sot_lm sot_prev no_speech "
             "no_timestamps timestamp_begin").split()
    return {name: getattr(tokenizer, name) for name in names}


def random_tokens(rng, tokenizer):
    """Text of bytes that seldom fit, with timestamps and specials between."""
    out = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.55:
            out.append(rng.randrange(94, 256))  # single bytes
        elif kind < 0.8:
            out.append(rng.randrange(tokenizer.eot - 1))
        elif kind < 0.9:
            out.append(tokenizer.timestamp_begin + rng.randrange(1501))
        else:
            out += tokenizer.encode(rng.choice(PIECES), disallowed_special=())
    return out


def golden(module, multilingual, count, other):
    tokenizer = module.get_tokenizer(multilingual)
    rng = random.Random(51865 if multilingual else 51864)
    encode = []
    while len(encode) < count:
        text = random_text(rng)
        ids = tokenizer.encode(text, disallowed_special=())
        if other is not None:
            plain = other.encode(text, add_special_tokens=False).ids
            assert plain == ids or "<|" in text, (text, ids, plain)
        encode.append([text, ids])
    decode = []
    for _ in range(count):
        tokens = random_tokens(rng, tokenizer)
        text = [t for t in tokens if t < tokenizer.eot]
        decode.append([tokens, tokenizer.decode(text),
                       tokenizer.decode_with_timestamps(tokens)])
    words = []
    for text, ids in encode[:count // 2]:
        ids = ids + [tokenizer.eot] if rng.random() < 0.5 else ids
        split = [[list(a) for a in zip(*f(ids))]
                 for f in (tokenizer.split_tokens_on_unicode,
                           tokenizer.split_tokens_on_spaces)]
        words.append([ids, *split])
    return {"special": special(tokenizer),
            "languages": list(tokenizer.all_language_tokens),
            "non_speech": list(tokenizer.non_speech_tokens),
            "encode": encode, "decode": decode, "words": words}


def main():
    out = pathlib.Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 120
    other = None
    if len(sys.argv) > 3:
        from tokenizers import Tokenizer
        other = Tokenizer.from_file(sys.argv[3])
    module = whisper_tokenizer()
    for name, multilingual in (("gpt2", False), ("multilingual", True)):
        data = golden(module, multilingual, count,
                      other if multilingual else None)
        with open(out / f"{name}.json", "w", encoding="utf-8") as file:
            json.dump(data, file, separators=(",", ":"))
            file.write("\n")


if __name__ == "__main__":
    main()
