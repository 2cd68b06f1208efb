# SPDX-License-Identifier: MIT
"""The published ExecuTorch runtime with Sotto's operator library loaded."""
import ctypes
import os
import pathlib

import torch
from executorch.extension.pybindings import portable_lib

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Counts(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "alias_calls", "update_calls", "alias_bytes_copied",
            "value_bytes_written", "out_bytes_copied", "repointed", "refused",
        )
    ]  # fmt: skip


def build_folder() -> pathlib.Path:
    return pathlib.Path(os.environ.get("SOTTO_BUILD") or ROOT / "build" / "release")


def load_operators() -> ctypes.CDLL:
    path = build_folder() / "libsotto_executorch.so"
    if not path.exists():
        raise RuntimeError(f"{path}: not built, want make test-executorch")
    return ctypes.CDLL(str(path))


LIBRARY = load_operators()


def counts() -> Counts:
    result = Counts()
    LIBRARY.sotto_executorch_counters(ctypes.byref(result))
    return result


def reset_counts() -> None:
    LIBRARY.sotto_executorch_reset_counters()


def set_threads(count: int) -> None:
    """Only before a program is loaded: its delegates keep the pool of then."""
    from executorch.extension.pybindings import _C

    _C._unsafe_reset_threadpool(count)


class Program:
    """A program loaded from its file, mapped as a C++ program would."""

    def __init__(self, path) -> None:
        self._module = portable_lib._load_for_executorch(str(path))

    def run(self, method: str, *inputs):
        # The results lie in planned memory, which the next call takes over.
        results = self._module.run_method(method, inputs)
        return [r.clone() if isinstance(r, torch.Tensor) else r for r in results]

    def encode(self, features):
        return self.run("encoder", features)[0]

    def step(self, token, states, position):
        ids, at = torch.tensor([[int(token)]]), torch.tensor([position])
        return self.run("text_decoder", ids, states, at)[0][0, 0]

    def decode(self, tokens, states):
        """Logits after each of the tokens, [n, V]."""
        rows = [self.step(t, states, i) for i, t in enumerate(tokens)]
        return torch.stack(rows)
