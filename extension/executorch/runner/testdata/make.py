#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the small Whisper programs that the runner's tests run.

    make.py FLATC SCHEMA_FOLDER OUT_FOLDER

FLATC and SCHEMA_FOLDER come with the ExecuTorch wheel
(executorch/data/bin/flatc, executorch/schema); torch is not needed. The
programs have Whisper's methods and vocabularies but no weights: encoder gives
the loudest log-mel value of the window, text_decoder answers each token with
the one that a table of a few rows names, another table for loud windows than
for quiet ones. Like a real export it takes what it knows of the window at
position 0, keeps it in a cache, and reads the cache at every other position.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

F16, F32, I64, BOOL, BF16 = 5, 6, 4, 11, 15
BYTES = {F16: 2, F32: 4, I64: 8, BOOL: 1, BF16: 2}
FRAMES, POSITIONS, WIDTH = 3000, 1500, 4
LOUD = 65536  # added to a token in a loud window: no token is as large
SHARPNESS = -8.0  # logit of the token beside the one named


LANGUAGES = """
en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro
da hu ta no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is
hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo
ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue
"""


class Plan:
    """One method: values, operators and instructions, as JSON for flatc."""

    def __init__(self, name, buffers):
        self.name, self.buffers = name, buffers
        self.values, self.operators, self.instructions = [], [], []
        self.inputs, self.outputs, self.planned = [], [], 0

    def value(self, kind, **fields):
        self.values.append({"val_type": kind, "val": fields})
        return len(self.values) - 1

    def int(self, v):
        return self.value("Int", int_val=v)

    def ints(self, *items):
        return self.value("IntList", items=[self.int(v) for v in items])

    def tensor(self, scalar, *sizes, data=None):
        """Every tensor has memory of its own, so a cache keeps its values."""
        count = 1
        for size in sizes:
            count *= size
        fields = dict(scalar_type=scalar, storage_offset=0, sizes=sizes,
                      dim_order=list(range(len(sizes))), requires_grad=False,
                      data_buffer_idx=0, layout=0, shape_dynamism="STATIC")
        if data is not None:
            self.buffers.append(data)
            fields["data_buffer_idx"] = len(self.buffers) - 1
        else:
            fields["allocation_info"] = dict(
                memory_id=1, memory_offset_low=self.planned,
                memory_offset_high=0)
            self.planned += (count * BYTES[scalar] + 63) // 64 * 64
        return self.value("Tensor", **fields)

    def call(self, name, *args):
        base, _, overload = name.partition(".")
        entry = {"name": base, "overload": overload}
        if entry not in self.operators:
            self.operators.append(entry)
        self.instructions.append({"instr_args_type": "KernelCall", "instr_args":
                                  {"op_index": self.operators.index(entry),
                                   "args": args}})
        return args[-1]

    def jump_unless(self, value, to):
        self.instructions.append(
            {"instr_args_type": "JumpFalseCall",
             "instr_args": {"cond_value_index": value,
                            "destination_instruction": to}})

    def json(self):
        return {"name": self.name, "values": self.values,
                "inputs": self.inputs, "outputs": self.outputs,
                "chains": [{"inputs": [], "outputs": [],
                            "instructions": self.instructions}],
                "operators": self.operators, "delegates": [],
                "non_const_buffer_sizes": [0] + [self.planned] * (self.planned > 0)}


def constant(name, value):
    plan = Plan(name, None)
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool):
            plan.outputs.append(plan.value("Bool", bool_val=item))
        elif isinstance(item, str):
            plan.outputs.append(plan.value("String", string_val=item))
        else:
            plan.outputs.append(plan.int(item))
    return plan.json()


def encoder(buffers, mels, scalar):
    p = Plan("encoder", buffers)
    mel = p.tensor(scalar, 1, mels, FRAMES)
    one = p.tensor(scalar, 1, 1, 1)
    out = p.tensor(scalar, 1, POSITIONS, WIDTH)
    p.call("aten::amax.out", mel, p.ints(1, 2), p.value("Bool", bool_val=True),
           one, one)
    p.call("aten::expand_copy.out", one, p.ints(1, POSITIONS, WIDTH),
           p.value("Bool", bool_val=False), out, out)
    p.inputs, p.outputs = [mel], [out]
    return p.json()


def decoder(buffers, vocab, script, scalar, operators, stale):
    p = Plan("text_decoder", buffers)
    no, yes = (p.value("Bool", bool_val=v) for v in (False, True))
    zero, one = p.int(0), p.int(1)
    token = p.tensor(I64, 1, 1)
    states = p.tensor(scalar, 1, POSITIONS, WIDTH)
    position = p.tensor(I64, 1)

    # The window's value into the cache: at position 0, or, as another exporter
    # has it, at the first call of all.
    cache = p.tensor(scalar, 1, 1, 1, 1)
    later = p.tensor(BOOL, 1)
    if stale:
        calls = p.tensor(I64, 1)
        p.call("aten::gt.Scalar_out", calls, zero, later, later)
        p.call("aten::add.Scalar_out", calls, one, one, calls, calls)
    else:
        p.call("aten::gt.Scalar_out", position, zero, later, later)
    first = len(p.instructions) + 2
    p.jump_unless(later, first)
    p.jump_unless(no, first + 3)
    flat = p.tensor(scalar, 1, 1, 1)
    value = p.tensor(scalar, 1, 1, 1, 1)
    p.call("aten::amax.out", states, p.ints(1, 2), yes, flat, flat)
    p.call("aten::view_copy.out", flat, p.ints(1, 1, 1, 1), value, value)
    if operators:
        p.call("executorch::update_cross_attn_cache.out", value, cache, cache,
               cache)
    else:
        p.call("aten::copy.out", cache, value, no, cache, cache)

    # key = token + LOUD where the cache is above 0.
    loud = p.tensor(BOOL, 1, 1, 1, 1)
    shift = p.tensor(I64, 1, 1, 1, 1)
    shift2 = p.tensor(I64, 1, 1)
    key = p.tensor(I64, 1, 1)
    p.call("aten::gt.Scalar_out", cache, zero, loud, loud)
    p.call("aten::mul.Scalar_out", loud, p.int(LOUD), shift, shift)
    p.call("aten::view_copy.out", shift, p.ints(1, 1), shift2, shift2)
    p.call("aten::add.out", token, shift2, one, key, key)

    # target = sum(next where the table's key is ours); no such key: 0.
    rows = list(script.items())
    n = len(rows)
    keys = p.tensor(I64, 1, n, data=b"".join(
        k.to_bytes(8, "little") for k, _ in rows))
    nexts = p.tensor(F32, 1, n, data=b"".join(
        struct.pack("<f", v) for _, v in rows))
    same = p.tensor(BOOL, 1, n)
    hits = p.tensor(F32, 1, n)
    target = p.tensor(F32, 1, 1)
    p.call("aten::eq.Tensor_out", keys, key, same, same)
    p.call("aten::mul.out", same, nexts, hits, hits)
    p.call("aten::sum.IntList_out", hits, p.ints(1), yes,
           p.value("Null"), target, target)

    # logit v = SHARPNESS * (v - target)^2
    ramp = p.tensor(F32, vocab)
    apart = p.tensor(F32, 1, vocab)
    square = p.tensor(F32, 1, vocab)
    scaled = p.tensor(F32, 1, vocab)
    logits = p.tensor(F32, 1, 1, vocab)
    p.call("aten::arange.start_out", zero, p.int(vocab), one, ramp, ramp)
    p.call("aten::sub.out", ramp, target, one, apart, apart)
    p.call("aten::mul.out", apart, apart, square, square)
    p.call("aten::mul.Scalar_out", square,
           p.value("Double", double_val=SHARPNESS), scaled, scaled)
    p.call("aten::view_copy.out", scaled, p.ints(1, 1, vocab), logits, logits)
    if scalar != F32:
        half = p.tensor(scalar, 1, 1, vocab)
        logits = p.call("aten::_to_copy.out", logits, no, p.value("Null"), half,
                        half)
    p.inputs, p.outputs = [token, states, position], [logits]
    return p.json()


class Vocabulary:
    """OpenAI's layout of the special tokens after the text."""

    def __init__(self, eot, languages, multilingual):
        self.eot, self.sot, self.languages = eot, eot + 1, languages
        self.translate = self.sot + languages + 1
        self.transcribe = self.translate + 1
        self.begin = self.translate + 7 - 1
        self.size = self.begin + 1501
        self.multilingual = multilingual

    def script(self, texts):
        """A row of TEXTS as {key: next token}."""
        rows = {}
        for loud, (said, said_english, language) in texts.items():
            def add(a, b):
                rows[a + (LOUD if loud else 0)] = b
            def chain(start, tokens, end):
                for a, b in zip([start] + tokens, tokens + [end]):
                    add(a, b)
                add(end, self.eot)
            two_s = self.begin + 100
            if self.multilingual:
                add(self.sot, self.sot + 1 + language)
                add(self.transcribe, self.begin)
                add(self.translate, self.begin + 1)
                chain(self.begin + 1, said_english, two_s + 1)
            else:
                add(self.sot, self.begin)
            chain(self.begin, said, two_s)
            add(0, self.eot)
        return rows

    def codes(self):
        return ",".join(LANGUAGES.split()[:self.languages])

    def language_ids(self):
        return [self.sot + 1 + i for i in range(self.languages)]

    def constants(self):
        names = {"get_sot_id": self.sot, "get_eos_id": self.eot,
                 "decoder_start_token_id": self.sot,
                 "get_translate_id": self.translate,
                 "get_transcribe_id": self.transcribe,
                 "get_no_timestamps_id": self.begin - 1,
                 "get_timestamp_begin_id": self.begin,
                 "get_is_multilingual": self.multilingual,
                 "get_vocab_size": self.size}
        return names


# loud: (tokens of what is said, the same in English, language index), in
# OpenAI's vocabularies.
TEXTS = {
    "gpt2": {
        False: ([9550], [], 0),  # " silence"
        True: ([843, 523, 616, 5891], [], 0)},  # " And so my fellow"
    "multilingual": {
        False: ([10930], [5677], 1),  # " \u4f60", " quiet", zh
        True: ([42833, 11204], [2205, 786], 2)},  # " Guten Tag", " Good day"
}


def program(vocabulary, mels, scalar=F32, operators=False, ours=True,
            stale=False, more={}):
    buffers = [b""]  # index 0 says: no constant
    texts = TEXTS["multilingual" if vocabulary.multilingual else "gpt2"]
    plans = [encoder(buffers, mels, scalar),
             decoder(buffers, vocabulary.size, vocabulary.script(texts), scalar,
                     operators, stale)]
    # What optimum-executorch writes, and what ours adds.
    constants = {"get_max_seq_len": 448 if ours else 1024,
                 "get_vocab_size": vocabulary.size, "use_kv_cache": True}
    if ours:
        constants |= vocabulary.constants()
        constants |= {"get_n_text_ctx": 448, "get_n_mels": mels,
                      "get_n_audio_ctx": POSITIONS, "get_sample_rate": 16000,
                      "get_languages": vocabulary.codes(),
                      "get_begin_suppress_tokens": [220, vocabulary.eot]}
    plans += [constant(k, v) for k, v in (constants | more).items()]
    offsets, segment = [], b""
    for buffer in buffers:
        offsets.append(len(segment))
        segment += buffer + bytes(-len(buffer) % 16)
    return {"version": 0, "execution_plan": plans,
            "backend_delegate_data": [],
            "segments": [{"offset": 0, "size": len(segment)}],
            "constant_segment": {"segment_index": 0, "offsets": offsets}
            }, segment


def file_of(flatbuffer, segment):
    """A header of 32 bytes goes in behind root offset and magic."""
    root = int.from_bytes(flatbuffer[:4], "little")
    size = len(flatbuffer) + 32
    base = (size + 15) // 16 * 16
    header = b"eh00" + struct.pack("<IQQQ", 32, size, base, len(segment))
    program = ((root + 32).to_bytes(4, "little") + flatbuffer[4:8] + header +
               flatbuffer[8:])
    return program + bytes(base - size) + segment


def main():
    flatc, schema, out = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    english = Vocabulary(50256, 99, False)
    many = Vocabulary(50257, 99, True)
    v3 = Vocabulary(50257, 100, True)
    programs = {
        "english": program(english, 80),
        "multilingual": program(many, 80),
        "large_v3": program(v3, 128),
        "half": program(english, 80, F16),
        # The other form of the language table.
        "bfloat": program(many, 80, BF16, ours=False,
                          more={"get_languages": many.language_ids()}),
        "operators": program(english, 80, operators=True),
        "foreign": program(english, 80, ours=False),
        "stale": program(english, 80, operators=True, ours=False, stale=True),
    }
    for name, (content, segment) in programs.items():
        with tempfile.TemporaryDirectory() as folder:
            text = pathlib.Path(folder) / f"{name}.json"
            text.write_text(json.dumps(content))
            subprocess.run([flatc, "--binary", "-o", folder,
                            f"{schema}/program.fbs", text], check=True)
            data = file_of((pathlib.Path(folder) / f"{name}.pte").read_bytes(),
                           segment)
        (out / f"{name}.pte").write_bytes(data)
        print(f"{name}.pte: {len(data)} bytes")


if __name__ == "__main__":
    main()
