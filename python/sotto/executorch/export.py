# SPDX-License-Identifier: MIT
"""Exports a Whisper model to an ExecuTorch program.

    python -m sotto.executorch.export --model tiny.en --out tiny.en.pte
    python -m sotto.executorch.export --check tiny.en.pte

The program has the methods `encoder` and `text_decoder` and one constant method
for each number that a runner needs (see metadata.py).  Exit status: 0 done, 1
the model or the file is at fault, 2 usage.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

from .pte import ProgramError, check_program, read_program


class ExportError(RuntimeError):
    """The export cannot go on; one line says why."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sotto.executorch.export",
        description="Export a Whisper model to an ExecuTorch program.",
    )
    parser.add_argument("--model", metavar="MODEL", help="Hugging Face folder, or a name in the model cache")
    parser.add_argument("--out", metavar="FILE.pte", help="where the program goes")
    parser.add_argument("--dtype", choices=("f32", "f16"), default="f32", help="weights and arithmetic (default f32)")
    parser.add_argument("--weights", choices=("int8",), help="linear layers and embedding as int8 with one scale per row")
    parser.add_argument("--recipe", choices=("xnnpack", "portable"), default="xnnpack", help="who computes (default xnnpack)")
    parser.add_argument("--tied", choices=("shared", "twice"), default="shared", help="store the token embedding once for lookup and projection, or twice")
    parser.add_argument("--stock", action="store_true", help="without the two operators: cross keys and values at every token")
    parser.add_argument("--sotto", metavar="PROGRAM", default="sotto", help="the sotto program that converts other formats")
    parser.add_argument("--check", metavar="FILE.pte", help="only check a program for undeclared mutation")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    return parser


def find_model(model: str, sotto: str, scratch: Path) -> Path:
    """A Hugging Face folder for `model`: itself, or what `sotto convert` makes."""
    root = os.environ.get("SOTTO_MODELS") or "~/.cache/sotto/models"
    for folder in (Path(model), Path(root).expanduser() / model):
        for name in ("model.safetensors", "model.safetensors.index.json"):
            if (folder / name).exists():
                return folder
    program = shutil.which(sotto)
    if program is None:
        raise ExportError(
            f"{model}: no Hugging Face folder with model.safetensors, make one with: "
            f"sotto convert {model} --to hf FOLDER"
        )
    folder = scratch / "model"
    command = [program, "convert", model, "--to", "hf", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"{program} failed"]
        raise ExportError(lines[-1])
    return folder


@contextmanager
def _quiet():
    """Silences what torch and executorch say about themselves."""
    level = logging.getLogger().level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger().setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.getLogger().setLevel(level)


def _export_methods(folder: Path, args: argparse.Namespace):
    """({name: exported program}, config) of the two modules."""
    import torch

    from . import model, quantize

    config = model.read_config(folder)
    weights = model.Weights(folder)
    ids = torch.zeros(1, 1, dtype=torch.long)
    position = torch.zeros(1, dtype=torch.long)
    features = torch.zeros(1, config.mels, config.frames)
    modules = {
        "encoder": (model.Encoder(weights, config), (features,)),
        "text_decoder": (model.TextDecoder(weights, config, args.stock), None),
    }
    dtype = torch.float16 if args.dtype == "f16" else torch.float32
    states = torch.zeros(1, config.audio_positions, config.width, dtype=dtype)
    exported = {}
    for name, (module, inputs) in modules.items():
        module = module.eval().to(dtype)
        if args.weights == "int8":
            quantize.to_int8(module)
        with torch.no_grad():
            exported[name] = torch.export.export(
                module, inputs or (ids, states, position), strict=False
            )
    return exported, config


def _lower(exported: dict, constants: dict, recipe: str):
    """(ExecuTorch program manager, planning pass)."""
    from executorch.exir import (
        EdgeCompileConfig,
        ExecutorchBackendConfig,
        to_edge_transform_and_lower,
    )
    from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass

    from .planning import ZeroCopyCachePlanning, check_mutation

    partitioners = []
    if recipe == "xnnpack":
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
            XnnpackPartitioner,
        )

        partitioners = [XnnpackPartitioner()]
    edge = to_edge_transform_and_lower(
        exported,
        partitioner=partitioners,
        # The edge verifier knows core operators only, not the two of ours.
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
        constant_methods=constants,
    )
    for name in exported:
        check_mutation(edge.exported_program(name), name)
    planning = ZeroCopyCachePlanning()
    lowered = edge.to_executorch(
        ExecutorchBackendConfig(
            memory_planning_pass=planning,
            # Rows not yet written are read with weight 0 and must be numbers.
            passes=[InitializedMutableBufferPass(["key_cache", "value_cache"])],
            # index_put becomes index_put_: one row written, no cache copied.
            run_reinplace_pass=True,
        )
    )
    return lowered, planning


def export(args: argparse.Namespace) -> None:
    """Writes args.out; raises one of the errors that main() prints."""
    out = Path(args.out)
    if out.suffix != ".pte":
        raise ExportError(f"{out}: want a name that ends in .pte")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ExportError(f"{out}: cannot be written: no such folder")

    def say(text: str) -> None:
        if not args.quiet:
            print(text, file=sys.stderr)

    from .metadata import constant_methods
    from .model import read_config
    from .share import share_constants

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sotto-export-") as scratch, _quiet():
        folder = find_model(args.model, args.sotto, Path(scratch))
        constants = constant_methods(folder, read_config(folder), args.dtype)
        exported, _ = _export_methods(folder, args)
        say(f"traced after {time.monotonic() - started:.0f} s")
        lowered, planning = _lower(exported, constants, args.recipe)
        # Beside the target, so that the rename cannot cross file systems.
        unfinished = out.with_name(out.name + ".part")
        try:
            with open(unfinished, "wb") as file:
                lowered.write_to_file(file)
            saved = share_constants(unfinished) if args.tied == "shared" else 0
            check_program(read_program(unfinished))
            os.replace(unfinished, out)
        except OSError as error:
            raise ExportError(f"{out}: {error.strerror}") from None
        finally:
            unfinished.unlink(missing_ok=True)
    done = planning.rewrites
    say(
        f"{out}: {out.stat().st_size / 1e6:.1f} MB ({saved / 1e6:.1f} MB shared), "
        f"{done.updates} caches updated in place, {done.aliases} aliases removed, "
        f"{time.monotonic() - started:.0f} s"
    )


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    if bool(args.check) == bool(args.model) or bool(args.model) != bool(args.out):
        parser.error("want --model MODEL --out FILE.pte, or --check FILE.pte")
    if args.weights and args.dtype != "f32":
        parser.error("--weights int8 computes in f32, want --dtype f32")
    try:
        if args.check:
            check_program(read_program(args.check))
        else:
            export(args)
    except (ProgramError, ExportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: export needs the Python package {error.name}", file=sys.stderr)
        return 1
    except ValueError as error:
        # ModelError and UndeclaredMutation, known only where torch is there.
        from .model import ModelError
        from .planning import UndeclaredMutation

        if not isinstance(error, (ModelError, UndeclaredMutation)):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
