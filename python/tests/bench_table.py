# SPDX-License-Identifier: MIT
"""The table of docs/executorch.md: exports with and without the operators, and
Sotto's own engine, in one run.

    make bench-executorch

All variants take turns, round by round, so that each meets the same load of
the machine; medians are printed. Everything is float32, tiny.en, the JFK clip.
"""
import json
import os
import statistics
import subprocess
import time

import real
import runtime
from sotto.executorch import pte

MODEL = "tiny.en"
STEPS = 24


def clip():
    return real.log_mel(real.read_wav(real.data("jfk", "jfk.wav")))


def milliseconds(call) -> tuple[float, object]:
    started = time.perf_counter()
    result = call()
    return (time.perf_counter() - started) * 1e3, result


class Exported:
    def __init__(self, name: str, form: str, threads: int) -> None:
        self.name, self.threads = f"{name}, {threads} thread" + "s" * (threads > 1), threads
        self.path = real.exported(MODEL, form)
        self.program = runtime.Program(self.path)
        self.encoder, self.first, self.next = [], [], []
        self.moved = ""

    def round(self, mel) -> None:
        runtime.set_threads(self.threads)
        spent, states = milliseconds(lambda: self.program.encode(mel))
        self.encoder.append(spent)
        runtime.reset_counts()
        for position in range(STEPS):
            spent, _ = milliseconds(lambda: self.program.step(400, states, position))
            (self.next if position else self.first).append(spent)
        counts = runtime.counts()
        if counts.update_calls:
            written, copied = counts.value_bytes_written, counts.out_bytes_copied
            self.moved = f"{written / 1e6:.1f} MB written, {copied + counts.alias_bytes_copied} copied"


class Own:
    def __init__(self, threads: int) -> None:
        self.name = f"Sotto's own engine, {threads} thread" + "s" * (threads > 1)
        self.threads = threads
        self.encoder, self.first, self.next = [], [], []
        self.moved = ""

    def round(self, mel) -> None:
        command = [real.SOTTO, "bench", "--model", MODEL, "--profile", "cpu-f32",
                   "--threads", str(self.threads), "--repeats", "1", "--json", "true"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        median = {k: v["median"] for k, v in found.items() if isinstance(v, dict) and "median" in v}
        self.encoder.append(median["encoder_ms"])
        # Its first token comes after cross K/V and the prompt.
        self.first.append(median["cross_kv_ms"] + median["prefill_ms"])
        self.next.append(median["decode_ms_per_token"])


def main() -> None:
    rounds = int(os.environ.get("ROUNDS", "5"))
    variants = [
        Exported("stock", "stock", 1),
        Exported("two operators", "f32", 1),
        Exported("stock", "stock", 2),
        Exported("two operators", "f32", 2),
        Own(1),
        Own(2),
    ]
    mel = clip()
    for variant in variants:
        if isinstance(variant, Exported):  # XNNPACK packs at the first call
            variant.program.decode([400, 400], variant.program.encode(mel))
    for _ in range(rounds):
        for variant in variants:
            variant.round(mel)
    print(f"| {MODEL}, float32 | encoder ms | first step ms | next steps ms | caches, per window |")
    print("| --- | --- | --- | --- | --- |")
    for v in variants:
        columns = [f"{statistics.median(x):.1f}" for x in (v.encoder, v.first, v.next)]
        print(f"| {v.name} | {' | '.join(columns)} | {v.moved or '-'} |")
    print(f"\n{rounds} rounds of {STEPS} steps; load average {os.getloadavg()[0]:.1f}")
    for form in ("stock", "f32"):
        methods = pte.read_program(real.exported(MODEL, form)).methods
        for name in ("encoder", "text_decoder"):
            method = methods[name]
            print(f"{form} {name}: {len(method.calls)} instructions, {len(method.delegates)} "
                  f"delegates, {sum(method.planned_bytes) / 1e6:.1f} MB planned")


if __name__ == "__main__":
    main()
