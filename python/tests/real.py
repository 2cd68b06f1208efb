# SPDX-License-Identifier: MIT
"""Published models, exported once and kept in build/pte; recordings; the oracle."""
import json
import os
import pathlib
import subprocess
import sys
import unittest
import wave

import numpy
import torch

import runtime

FORMS = {
    "f32": (),
    "stock": ("--stock",),
    "f16": ("--dtype", "f16"),
    "int8": ("--weights", "int8"),
}
SOTTO = runtime.build_folder() / "sotto"
RUNNER = runtime.build_folder() / "sotto-pte-runner"


def data(*parts) -> pathlib.Path:
    root = os.environ.get("SOTTO_TEST_DATA")
    if not root:
        raise unittest.SkipTest("SOTTO_TEST_DATA is unset")
    path = pathlib.Path(root).joinpath(*parts)
    if not path.exists():
        raise unittest.SkipTest(f"{path} is missing")
    return path


def hugging_face(name: str) -> pathlib.Path:
    """The model as a Hugging Face folder, made by `sotto convert`."""
    folder = runtime.ROOT / "build" / "pte" / "hf" / name
    if not (folder / "model.safetensors").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = [SOTTO, "convert", name, "--to", "hf", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise unittest.SkipTest(done.stderr.strip())
    return folder


def exported(name: str, form: str = "f32") -> pathlib.Path:
    folder = hugging_face(name)
    path = runtime.ROOT / "build" / "pte" / f"{name}-{form}.pte"
    sources = (runtime.ROOT / "python" / "sotto" / "executorch").glob("*.py")
    newest = max(p.stat().st_mtime for p in sources)
    if not path.exists() or path.stat().st_mtime < newest:
        # In a process of its own: lowering keeps a gigabyte.
        command = [sys.executable, "-m", "sotto.executorch.export", "--model", folder]
        subprocess.run([*command, "--out", path, *FORMS[form]], check=True)
    return path


def read_wav(path: pathlib.Path) -> torch.Tensor:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1), path
        samples = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")
    return torch.from_numpy(samples / 32768).float()


def _mel_filters(bands: int) -> torch.Tensor:
    """Slaney's triangles on FFT bins of 40 Hz, [bands, 201]."""
    hertz = numpy.arange(201) * 40.0
    # Linear to 1000 Hz, 15 mels, then 27 mels for each factor of 6.4.
    step = numpy.log(6.4) / 27
    top = 15 + numpy.log(8000 / 1000) / step
    at = numpy.linspace(0, top, bands + 2)
    corners = numpy.where(at < 15, at * 200 / 3, 1000 * numpy.exp(step * (at - 15)))
    rows = []
    for low, middle, high in zip(corners, corners[1:], corners[2:]):
        rise, fall = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
        rows.append(numpy.maximum(0, numpy.minimum(rise, fall)) * 2 / (high - low))
    return torch.from_numpy(numpy.array(rows)).float()


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """[1, 80, 3000] as OpenAI's transcribe feeds it: 0 behind the sound."""
    frames = len(samples) // 160
    padded = torch.nn.functional.pad(samples, (0, 480000))
    window = torch.hann_window(400)
    spectrum = torch.stft(padded, 400, 160, window=window, return_complex=True)
    power = spectrum[:, :-1].abs() ** 2
    levels = torch.clamp(_mel_filters(80) @ power, min=1e-10).log10()
    levels = (torch.maximum(levels, levels.max() - 8) + 4) / 4
    mel = torch.zeros(1, 80, 3000)
    mel[0, :, :frames] = levels[:, :frames]
    return mel


def oracle_lines(model: str, name: str) -> list[dict]:
    lines = data("oracle", model, name + ".jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
