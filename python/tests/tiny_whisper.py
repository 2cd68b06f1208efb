# SPDX-License-Identifier: MIT
"""A small Whisper with random weights, as a Hugging Face folder."""
import json
import pathlib

import torch
from safetensors.torch import save_file

CONFIG = {
    "model_type": "whisper",
    "d_model": 128,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "num_mel_bins": 8,
    "max_source_positions": 60,
    "max_target_positions": 72,
    "vocab_size": 9001,  # enough that the matrix is shared even as int8
    "bos_token_id": 8900,
    "eos_token_id": 8900,
    "decoder_start_token_id": 8901,
}
SPECIAL = [
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|haw|>",
    "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>",
    "<|nospeech|>", "<|notimestamps|>", "<|0.00|>",
]  # fmt: skip


def tensors(config: dict, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    width, found = config["d_model"], {}

    def matrix(name, *shape):
        fan = shape[-1] if len(shape) == 2 else shape[1] * shape[2]
        found[name] = torch.randn(*shape) * (1.5 / fan) ** 0.5

    def vector(name, count, around=0.0):
        found[name] = around + 0.1 * torch.randn(count)

    def norm(name):
        vector(name + ".weight", width, 1.0)
        vector(name + ".bias", width)

    def attention(name):
        for part in ("q", "k", "v", "out"):
            matrix(f"{name}.{part}_proj.weight", width, width)
            if part != "k":
                vector(f"{name}.{part}_proj.bias", width)
        norm(name + "_layer_norm")

    matrix("model.encoder.conv1.weight", width, config["num_mel_bins"], 3)
    vector("model.encoder.conv1.bias", width)
    matrix("model.encoder.conv2.weight", width, width, 3)
    vector("model.encoder.conv2.bias", width)
    for part, rows in (("encoder", "max_source"), ("decoder", "max_target")):
        name = f"model.{part}.embed_positions.weight"
        found[name] = 0.3 * torch.randn(config[rows + "_positions"], width)
        for i in range(config[part + "_layers"]):
            layer = f"model.{part}.layers.{i}"
            attention(layer + ".self_attn")
            if part == "decoder":
                attention(layer + ".encoder_attn")
            matrix(layer + ".fc1.weight", 4 * width, width)
            vector(layer + ".fc1.bias", 4 * width)
            matrix(layer + ".fc2.weight", width, 4 * width)
            vector(layer + ".fc2.bias", width)
            norm(layer + ".final_layer_norm")
        norm(f"model.{part}.layer_norm")
    found["model.decoder.embed_tokens.weight"] = 0.3 * torch.randn(
        config["vocab_size"], width
    )
    return found


def write(folder: pathlib.Path, seed: int = 7) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    added = [
        {"id": 8900 + i, "content": text, "special": True}
        for i, text in enumerate(SPECIAL)
    ]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    generation = {
        "is_multilingual": True,
        "suppress_tokens": [1, 2, 8907],
        "begin_suppress_tokens": [220, 8900],
    }
    (folder / "generation_config.json").write_text(json.dumps(generation))
    save_file(tensors(CONFIG, seed), folder / "model.safetensors")
    return folder
