#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/normalizer/{english,basic,wer}.json: what the packages
whisper-normalizer 0.1.15 and jiwer 4 say.

    python3 -m venv V && V/bin/pip install whisper-normalizer==0.1.15 jiwer==4.0.0
    V/bin/python tools/make_normalizer_golden.py DATA OUT_DIR [SENTENCES]

DATA is the folder of test data: transcripts and what OpenAI's program heard
(oracle/*.jsonl). SENTENCES more are put together from number words.
"""
import json
import pathlib
import random
import sys

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

TRICKY = """
Twenty twenty was a year; nineteen eighty-four, too.
one oh one | double oh seven | triple zero one | double twelve
He paid $20 million and fifty cents. It cost three dollars and seven cents.
$0.07 or $0.5 or $0.75 or €12 and ¢5 or £3 ¢15 or $2 and ¢7
It's 3.5% or twenty five per cent or five percent per year, per se
the first, second, third, fourth, fifth, ninth, nineth, twelfth, twentieth
twenty first century, the nineteen sixties, in the 1960s, the 274th, 32 nd
one hundred and one dalmatians, a hundred and twenty-five thousand and three
two and a half million, and a half, three and a half, half and a half
minus five degrees, plus ten, negative one point five, positively positive
one point two three, point five, twelve point, point of no return, 1.2.3.4
one two three four five, one two three million, ten eleven twelve
two thousand three hundred million and five, seventy eight decillion
1,234,567.89 and 1, 2, 3 and 12,5 and 3.14 and .5 and 5.
zero, oh zero o, o'clock, oh no, zero hundred, zero point zero five thousand
hundreds of thousands of millions, hundredth, thousandths, five hundredths
nineteen nineteen, twenty ten, ten twenty, twenty twenty five, fifty sixty
dollars and cents, five cents, one cent, one dollar, ones and twos, sixes
Mr. and Mrs. Dr. St. John Jr. won't can't shan't y'all've they'd gone he's got
I'm gonna wanna kinda sorta 'cause dunno ma'am imma i'ma let's ain't
um, uh, hmm, mm, mhm, mmm, umbrella, uhhh hmmm
colour, favourite, aluminium, centre, cheque, grey, tyre, organised; travellers
naïve café Œuvre straße Łódź Þór ﬁne ½ ² ③ Ⅷ ١٢٣ ３４ İstanbul ΟΔΟΣ Σ ΑΣ'Σ
[noise] (laughs) <unk> text [a (b] c) d> e ((x)) (y
a1b2c3 covid19 4th 4 th 5s 5 s 1st 1s 1 s 10s b1
don't 'quoted' rock 'n' roll the dogs' bowl it 's
50% %50 $ 5 £ ten € 100$ ¢ 5¢ .5% 7 % a% .a $a
a.b.c u.s.a. e.g. 3. 4.a ... .
quadrillion quintillion sextillion septillion octillion nonillion decilliont
one thousand one, eleven hundred, twelve hundred and six, ninety nine point nine
1000 thousand, 2.5 million, 2.55 hundred, 1.234 hundred, 3.50 thousand, 5 hundredth
$1.50, $1.5 million, -5, +5, 5-6, 2020-2021, 10:30, 1/2, #1, @1, one1
""".strip().splitlines()

NUMBER_WORDS = """one two three five nine ten eleven nineteen twenty thirty
ninety hundred thousand million billion decillion zero oh o point and double
triple minus plus negative dollars dollar cents cent pounds euro percent per
first second third ninth tenth twentieth twenties hundreds thousandth sixes
ones 1 2 10 100 0 0.5 1.5 3.14 2000 $5 £3.20 €7 ¢9 a half and-a-half the years
s th st nd 12 7 4.0 000 007 x1 1x . % $ ,""".split()


def english_texts(data):
    seen = dict.fromkeys(TRICKY)
    for model in ("tiny.en", "base"):
        for name in ("jfk", "librispeech-mini", "common-voice-en-mini"):
            path = data / "oracle" / model / (name + ".jsonl")
            for line in path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                seen[record["reference"]] = None
                seen[record["results"]["greedy"]["text"]] = None
    return list(seen)


def other_texts(data):
    seen = {}
    for name in ("multilingual-leopard", "multilingual-azure"):
        path = data / "oracle" / "base" / (name + ".jsonl")
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            seen[record["reference"][:300]] = None
            seen[record["results"]["greedy"]["text"][:300]] = None
    return list(seen) + TRICKY


def sentences(count):
    rng = random.Random(9)
    for _ in range(count):
        words = [rng.choice(NUMBER_WORDS) for _ in range(rng.randint(1, 9))]
        yield " ".join(words)


def word_errors(count):
    rng = random.Random(10)
    for i in range(count):
        letters = "abcdefgh"[:rng.randint(1, 8)]
        ref = [rng.choice(letters) for _ in range(rng.randint(1, 14))]
        if i % 2:
            hyp = [rng.choice(letters) for _ in range(rng.randint(0, 14))]
        else:
            hyp = [w for w in ref if rng.random() < 0.8]
            for _ in range(rng.randint(0, 4)):
                hyp.insert(rng.randint(0, len(hyp)), rng.choice(letters))
        out = jiwer.process_words(" ".join(ref), " ".join(hyp))
        yield ["".join(ref), "".join(hyp), out.hits, out.insertions,
               out.deletions, out.substitutions]


def dump(path, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text.replace("],[", "],\n[") + "\n", encoding="utf-8")


def main():
    data, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 600
    english = EnglishTextNormalizer()
    texts = english_texts(data) + list(sentences(count))
    dump(out / "english.json", [[t, english(t)] for t in texts])
    kinds = [BasicTextNormalizer(), BasicTextNormalizer(remove_diacritics=True),
             BasicTextNormalizer(split_letters=True)]
    dump(out / "basic.json",
         [[t, *(kind(t) for kind in kinds)] for t in other_texts(data)])
    dump(out / "wer.json", list(word_errors(max(200, count // 2))))


if __name__ == "__main__":
    main()
