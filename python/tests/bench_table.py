# SPDX-License-Identifier: MIT
"""The table of docs/executorch.md: exports with and without the operators, and
Sotto's own engine, in one run.

    make bench-executorch

All variants take turns, round by round, so that each meets the same load of
the machine; medians are printed. Everything is float32, tiny.en, the JFK clip.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import real
import runtime
from sotto.executorch import pte

MODEL = "tiny.en"
STEPS = 24


def clip():
    return real.log_mel(real.read_wav(real.data("jfk", "jfk.wav")))


def plural(threads: int) -> str:
    return f"{threads} thread" + "s" * (threads > 1)


def serve(path: str, threads: int) -> None:
    """A line of JSON for each line of input: one round of one program.

    A process for each number of threads: the runtime's pool may not change once
    a program is loaded, whose delegates keep the old one.
    """

    def milliseconds(call):
        started = time.perf_counter()
        result = call()
        return (time.perf_counter() - started) * 1e3, result

    runtime.set_threads(threads)
    program, mel = runtime.Program(path), clip()
    program.decode([400, 400], program.encode(mel))  # XNNPACK packs here
    for _ in sys.stdin:
        encoder, states = milliseconds(lambda: program.encode(mel))
        runtime.reset_counts()
        steps = [
            milliseconds(lambda: program.step(400, states, position))[0]
            for position in range(STEPS)
        ]
        counts = runtime.counts()
        result = {
            "encoder": [encoder],
            "first": steps[:1],
            "next": steps[1:],
            "updates": counts.update_calls,
            "written": counts.value_bytes_written,
            "copied": counts.out_bytes_copied + counts.alias_bytes_copied,
        }
        print("round " + json.dumps(result), flush=True)


class Exported:
    """An exported form in a process of its own."""

    def __init__(self, name: str, form: str, threads: int) -> None:
        self.name = f"{name}, {plural(threads)}"
        self.encoder, self.first, self.next = [], [], []
        self.counts: dict = {}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, str(real.exported(MODEL, form)),
             str(threads)],
            cwd=pathlib.Path(__file__).parent, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def round(self) -> None:
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("round "):  # the runtime logs there too
                break
        else:
            raise RuntimeError(f"{self.name}: ended with {self._process.wait()}")
        self.counts = json.loads(line.removeprefix("round "))
        for name in ("encoder", "first", "next"):
            getattr(self, name).extend(self.counts[name])

    def close(self) -> None:
        self._process.communicate()

    @property
    def moved(self) -> str:
        if not self.counts.get("updates"):
            return ""
        written = self.counts["written"] / 1e6
        return f"{written:.1f} MB written, {self.counts['copied']} copied"


class Own:
    def __init__(self, threads: int) -> None:
        self.name = f"Sotto's own engine, {plural(threads)}"
        self.threads = threads
        self.encoder, self.first, self.next = [], [], []
        self.moved = ""

    def close(self) -> None:
        pass

    def round(self) -> None:
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
    for _ in range(rounds):
        for variant in variants:
            variant.round()
    for variant in variants:
        variant.close()
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
    if len(sys.argv) == 3:
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        main()
