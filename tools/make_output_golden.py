#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/golden/output/cases.json: what OpenAI's own writers
(openai-whisper's utils.py) make of results.

    python3 -m venv V && V/bin/pip install --no-deps openai-whisper
    V/bin/python tools/make_output_golden.py DATA OUT.json

DATA is the folder of test data: its oracle gives real results. The rest are
made up to meet every rule: arrows, tabs, control characters, characters
outside the BMP, odd floats, pauses, hours, words of space.
"""
import glob
import importlib.util
import io
import json
import pathlib
import random
import sys

OPTIONS = [
    {},
    {"highlight_words": True},
    {"max_line_width": 20, "max_line_count": 2},
    {"max_line_width": 16, "max_line_count": 1, "highlight_words": True},
    {"max_words_per_line": 3},
    {"max_line_width": 12},
    {"max_line_width": 18, "max_line_count": 2, "max_words_per_line": 4},
]
KEYS = ("id seek start end text tokens temperature avg_logprob "
        "compression_ratio no_speech_prob words").split()


def writers():
    pattern = str(pathlib.Path(sys.prefix) / "lib/python3*/site-packages")
    path = glob.glob(pattern + "/whisper/utils.py")[0]
    spec = importlib.util.spec_from_file_location("whisper_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ordered(result):
    """A result with the keys in the order of transcribe()."""
    segments = []
    for i, segment in enumerate(result["segments"]):
        segment = {**segment, "id": i}
        segments.append({k: segment[k] for k in KEYS if k in segment})
    return {"text": result["text"], "segments": segments,
            "language": result["language"]}


def from_oracle(data):
    for file, rows, option, limit in (
            ("jfk", [0], "greedy", 9), ("jfk", [0], "greedy_no_words", 9),
            ("multilingual-leopard", range(10), "greedy", 2),
            ("multilingual-azure", [2], "greedy", 3)):
        path = data / "oracle" / "base" / (file + ".jsonl")
        lines = path.read_text(encoding="utf-8").splitlines()
        for row in rows:
            record = json.loads(lines[row])
            name = record["file"]
            if "leopard" in name and not any(
                    x in name for x in ("_ja", "_ko", "empty")):
                continue
            result = dict(record["results"][option])
            result["segments"] = result["segments"][:limit]
            yield ordered(result)


def segment(rng, i, text, start, end, words=None):
    out = {"id": i, "seek": i * 100, "start": start, "end": end, "text": text,
           "tokens": [rng.randrange(51865) for _ in range(rng.randrange(4))],
           "temperature": rng.choice([0.0, 0.2, 0.4, 0.6000000000000001]),
           "avg_logprob": -rng.random() * 10 ** rng.randrange(-9, 3),
           "compression_ratio": rng.random() * 3,
           "no_speech_prob": rng.random() * 10.0 ** rng.randrange(-20, 0)}
    if words is not None:
        out["words"] = words
    return out


ODD = [" a --> b ---> c", "\tx\ty ", "  ", "", " \"q\" \\ / \b\f\n\r\x01\x7f",
       " 日本語\u3000", " 👍🏽 \U0001F468\u200d\U0001F469", " \u2028\u00a0e\u0301",
       " <u>&amp;", "\x1c\x1dgroup\x1f", " last\n"]
PIECES = [" Hello", " world", ",", " it's", " a", " supercalifragilistic", " ",
          "", " \n", " two words", " end.", "日", "本", " 👍", " tail\n", " x\ny"]


def made_up():
    rng = random.Random(3)
    yield {"text": "", "segments": [], "language": "en"}
    times = [0.0, 0.0005, 0.0015, 0.0025, 59.9995, 3599.9996, 3661.5, 1e-05,
             123456.789, 30.02, 1.005]
    yield {"text": "".join(ODD), "language": "yue", "segments": [
        segment(rng, i, text, times[i], times[i] + 1 / 3)
        for i, text in enumerate(ODD)]}
    for _ in range(6):
        time, segments = rng.random() * 4000 * rng.randrange(2), []
        for i in range(rng.randrange(1, 5)):
            words, begin = [], time
            for _ in range(rng.choice([0, 1, 3, 7, 9])):
                time += rng.choice([0, 0, 0.1, 0.5, 3.5]) * rng.random()
                end = time + rng.random() * 0.5
                words.append({"word": rng.choice(PIECES),
                              "start": round(time, 2), "end": round(end, 2),
                              "probability": rng.random()})
                time = end
            text = "".join(w["word"] for w in words)
            segments.append(segment(rng, i, text, round(begin, 2),
                                    round(time, 2), words))
        yield {"text": "".join(s["text"] for s in segments),
               "segments": segments, "language": "en"}


def render(module, name, result, options):
    writer = module.get_writer(name, "")
    file = io.StringIO()
    writer.write_result(json.loads(json.dumps(result)), file=file,
                        options=options)
    return file.getvalue()


def main():
    module = writers()
    cases = []
    for result in [*from_oracle(pathlib.Path(sys.argv[1])),
                   *map(ordered, made_up())]:
        words = bool(result["segments"]) and "words" in result["segments"][0]
        case = {"words": words, "out": {}, "subtitles": []}
        for name in ("txt", "tsv", "json"):
            case["out"][name] = render(module, name, result, {})
        for options in OPTIONS if words else OPTIONS[:1]:
            case["subtitles"].append(
                {"options": options,
                 **{name: render(module, name, result, dict(options))
                    for name in ("srt", "vtt")}})
        cases.append(case)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(cases, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
