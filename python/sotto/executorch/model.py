# SPDX-License-Identifier: MIT
"""Whisper as two torch modules that ExecuTorch can lower: encoder and decoder step.

Written for export, from the weights of a Hugging Face folder (config.json and
model.safetensors).  Every shape is static.  The decoder takes one token a call
and keeps two kinds of cache as buffers, keys as [1, heads, rows, head size] and
values as [1, heads, head size, rows]:

* self-attention, 448 rows, one row written per call;
* cross-attention, 1500 rows, written at position 0 by `update_cross_attn_cache`
  and handed through by `alias` at all others.

Position 0 is the only sign of a new recording, so a second one on the same
loaded program needs no reset.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from . import ops


class ModelError(ValueError):
    """The folder does not hold a Whisper model; one line says what is wrong."""


@dataclass(frozen=True)
class WhisperConfig:
    """The numbers of config.json that the modules need."""

    mels: int
    audio_positions: int  # after the convolution: half the frames
    text_positions: int
    width: int
    encoder_layers: int
    decoder_layers: int
    encoder_heads: int
    decoder_heads: int
    vocabulary: int
    bos: int
    eos: int
    start: int

    @property
    def frames(self) -> int:
        return 2 * self.audio_positions

    @property
    def head_size(self) -> int:
        return self.width // self.decoder_heads


_CONFIG_KEYS = {
    "mels": "num_mel_bins",
    "audio_positions": "max_source_positions",
    "text_positions": "max_target_positions",
    "width": "d_model",
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "encoder_heads": "encoder_attention_heads",
    "decoder_heads": "decoder_attention_heads",
    "vocabulary": "vocab_size",
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "start": "decoder_start_token_id",
}


def read_json(path: Path) -> dict:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise ModelError(f"{path}: holds a {type(data).__name__}, want an object")
    return data


def read_config(folder: Path) -> WhisperConfig:
    """Reads config.json. Raises ModelError naming the file and the key."""
    path = folder / "config.json"
    data = read_json(path)
    if data.get("model_type", "whisper") != "whisper":
        raise ModelError(f"{path}: model_type is {data['model_type']!r}, want 'whisper'")
    values = {}
    for field, key in _CONFIG_KEYS.items():
        value = data.get(key)
        least = 0 if field in ("bos", "eos", "start") else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ModelError(f"{path}: {key} is {value!r}, want a whole number")
        values[field] = value
    config = WhisperConfig(**values)
    for heads in (config.encoder_heads, config.decoder_heads):
        if config.width % heads:
            raise ModelError(f"{path}: d_model {config.width} does not divide by {heads} heads")
    return config


class Weights:
    """Tensors of model.safetensors (or its shards) by name, as float32."""

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self._where: dict[str, tuple[Path, object]] = {}
        index = folder / "model.safetensors.index.json"
        if index.exists():
            shards = read_json(index).get("weight_map")
            if not isinstance(shards, dict) or not shards:
                raise ModelError(f"{index}: no weight_map")
            paths = [folder / name for name in sorted(set(shards.values()))]
        else:
            paths = [folder / "model.safetensors"]
        for path in paths:
            try:
                opened = safe_open(str(path), framework="pt")
                for name in opened.keys():
                    # Checkpoints of the bare model leave the prefix out.
                    self._where[name.removeprefix("model.")] = (path, opened, name)
            except FileNotFoundError:
                raise ModelError(f"{path}: no such file") from None
            except (SafetensorError, OSError, struct.error) as error:
                raise ModelError(f"{path}: {error}") from None
        self.path = paths[0]

    def get(self, name: str, *shape: int) -> torch.Tensor:
        """The tensor as float32; raises ModelError if absent or misshapen."""
        if name not in self._where:
            raise ModelError(f"{self.path}: no tensor model.{name}")
        path, opened, key = self._where[name]
        tensor = opened.get_tensor(key)
        if not tensor.is_floating_point():
            raise ModelError(f"{path}: tensor {key} is {tensor.dtype}, want floats")
        if tuple(tensor.shape) != shape:
            raise ModelError(
                f"{path}: tensor {key} is {list(tensor.shape)}, want {list(shape)}"
            )
        return tensor.float()


class Linear(nn.Module):
    """y = x W^T + b."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


class LayerNorm(nn.Module):
    """In float32 whatever comes: the runtime's kernel is wrong for float16
    (1.5.1: off by as much as the values themselves)."""

    def __init__(self, weights: Weights, name: str, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(weights.get(name + ".weight", width), False)
        self.bias = nn.Parameter(weights.get(name + ".bias", width), False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), (self.width,), weight, bias, 1e-5).to(x.dtype)


def _linear(weights: Weights, name: str, rows: int, columns: int, bias=True, scale=1.0):
    weight = weights.get(name + ".weight", rows, columns) * scale
    return Linear(weight, weights.get(name + ".bias", rows) * scale if bias else None)


class Attention(nn.Module):
    """The norm before an attention and its four products."""

    def __init__(self, weights: Weights, name: str, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_size = heads, width // heads
        self.norm = LayerNorm(weights, name + "_layer_norm", width)
        # The head size of every Whisper is 64: the scale is 1/8, exact in any type.
        scale = self.head_size**-0.5
        self.q = _linear(weights, name + ".q_proj", width, width, scale=scale)
        self.k = _linear(weights, name + ".k_proj", width, width, bias=False)
        self.v = _linear(weights, name + ".v_proj", width, width)
        self.out = _linear(weights, name + ".out_proj", width, width)


class FeedForward(nn.Module):
    def __init__(self, weights: Weights, name: str, width: int) -> None:
        super().__init__()
        self.norm = LayerNorm(weights, name + ".final_layer_norm", width)
        self.up = _linear(weights, name + ".fc1", 4 * width, width)
        self.down = _linear(weights, name + ".fc2", width, 4 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class EncoderAttention(Attention):
    """All rows against each other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, width = x.shape[1:]

        def split(y):
            return y.view(rows, self.heads, self.head_size).transpose(0, 1)

        y = self.norm(x)
        q, k, v = split(self.q(y)), split(self.k(y)), split(self.v(y))
        # bmm and not matmul, whose expansion to equal batches is a copy here.
        scores = torch.bmm(q, k.transpose(1, 2))
        mixed = torch.bmm(torch.softmax(scores, -1), v)
        return x + self.out(mixed.transpose(0, 1).reshape(1, rows, width))


class Encoder(nn.Module):
    """input_features f32[1, mels, 3000] -> [1, 1500, width]."""

    def __init__(self, weights: Weights, config: WhisperConfig) -> None:
        super().__init__()
        width = config.width
        self.conv1 = nn.Conv1d(config.mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        with torch.no_grad():
            for conv, name, inputs in (
                (self.conv1, "encoder.conv1", config.mels),
                (self.conv2, "encoder.conv2", width),
            ):
                conv.weight.copy_(weights.get(name + ".weight", width, inputs, 3))
                conv.bias.copy_(weights.get(name + ".bias", width))
        positions = weights.get(
            "encoder.embed_positions.weight", config.audio_positions, width
        )
        self.positions = nn.Parameter(positions, False)
        self.layers = nn.ModuleList()
        for i in range(config.encoder_layers):
            name = f"encoder.layers.{i}"
            self.layers.append(
                EncoderAttention(weights, name + ".self_attn", width, config.encoder_heads)
            )
            self.layers.append(FeedForward(weights, name, width))
        self.norm = LayerNorm(weights, "encoder.layer_norm", width)

    def forward(self, input_features: torch.Tensor) -> torch.Tensor:
        x = input_features.to(self.conv1.weight.dtype)
        x = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        x = x.transpose(1, 2) + self.positions.to(x.dtype)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def attend(q, keys, values, mask=None) -> torch.Tensor:
    """q[1,H,1,D] over keys [1,H,T,D], values [1,H,D,T], mask[1,1,T] -> [1,1,H*D].

    Both caches are left factors as they stand: XNNPACK packs the right one at
    every call, and what is transposed is transposed at every call too.
    """
    heads, rows, size = keys.shape[1:]
    q = q.view(heads, size, 1)
    scores = torch.bmm(keys.view(heads, rows, size), q).view(heads, 1, rows)
    if mask is not None:
        scores = scores + mask
    shares = torch.softmax(scores, -1).view(heads, rows, 1)
    mixed = torch.bmm(values.view(heads, size, rows), shares)
    return mixed.view(1, 1, heads * size)


class SelfAttention(Attention):
    """One new row against all rows so far, in a cache of `text_positions` rows."""

    def __init__(self, weights: Weights, name: str, config: WhisperConfig) -> None:
        super().__init__(weights, name, config.width, config.decoder_heads)
        rows = config.text_positions
        # Zeros in the file too (see export.py): rows not yet written meet a
        # weight of 0, and 0 times a NaN of fresh memory would be NaN.
        shape = (1, self.heads, rows, self.head_size)
        self.register_buffer("key_cache", torch.zeros(shape))
        shape = (1, self.heads, self.head_size, rows)
        self.register_buffer("value_cache", torch.zeros(shape))

    def forward(self, x, position, mask):
        y = self.norm(x)
        row = (1, self.heads, 1, self.head_size)
        column = (1, self.heads, self.head_size, 1)
        # Spelt out: `cache[:, :, position] = ...` drops the leading 1, which the
        # runtime's index_put_ does not take.
        put = torch.ops.aten.index_put_
        put(self.key_cache, [None, None, position], self.k(y).view(row))
        put(self.value_cache, [None, None, None, position], self.v(y).view(column))
        q = self.q(y).view(row)
        return x + self.out(attend(q, self.key_cache, self.value_cache, mask))


class CrossAttention(Attention):
    """One row against the encoder's rows, whose keys and values are given."""

    def keys_values(self, states: torch.Tensor):
        """Yields keys [1,H,T,D], then values [1,H,D,T]."""
        shape = (1, states.shape[1], self.heads, self.head_size)
        yield self.k(states).view(shape).permute(0, 2, 1, 3)
        yield self.v(states).view(shape).permute(0, 2, 3, 1)

    def forward(self, x, keys, values):
        q = self.q(self.norm(x)).view(1, self.heads, 1, self.head_size)
        return x + self.out(attend(q, keys, values))


class BranchLinear(nn.Module):
    """A Linear for a branch of torch.cond.

    XNNPACK's partitioner does not look into branches, and an undelegated linear
    has no kernel in the portable set.  A product with the weight kept
    transposed has one, in every set; in float16 it took more than a
    minute (tiny.en, 8 of them), so it is in float32.
    """

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.t().contiguous(), False)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.mm(x.view(x.shape[1:]).float(), self.weight.float())
        return (y if self.bias is None else y + self.bias.float()).to(x.dtype)


class TiedEmbedding(nn.Module):
    """One matrix [V, d] that looks tokens up and scores them."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, False)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(ids, self.weight)

    def project(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)


class TextDecoder(nn.Module):
    """(ids i64[1,1], states [1,1500,d], position i64[1]) -> logits f32[1,1,V].

    `stock` leaves the two operators out: keys and values of the cross-attention
    are computed anew at every token, as an export without them has to.
    """

    def __init__(self, weights: Weights, config: WhisperConfig, stock: bool) -> None:
        super().__init__()
        self.stock = stock
        width, layers = config.width, config.decoder_layers
        self.embedding = TiedEmbedding(
            weights.get("decoder.embed_tokens.weight", config.vocabulary, width)
        )
        positions = weights.get(
            "decoder.embed_positions.weight", config.text_positions, width
        )
        self.positions = nn.Parameter(positions, False)
        self.register_buffer("rows", torch.arange(config.text_positions))
        self.self_attention = nn.ModuleList()
        self.cross_attention = nn.ModuleList()
        self.feed_forward = nn.ModuleList()
        for i in range(layers):
            name = f"decoder.layers.{i}"
            self.self_attention.append(SelfAttention(weights, name + ".self_attn", config))
            self.cross_attention.append(
                CrossAttention(
                    weights, name + ".encoder_attn", width, config.decoder_heads
                )
            )
            self.feed_forward.append(FeedForward(weights, name, width))
        self.norm = LayerNorm(weights, "decoder.layer_norm", width)
        if not stock:
            self._add_cross_caches(config)

    def _add_cross_caches(self, config: WhisperConfig) -> None:
        heads, rows, size = config.decoder_heads, config.audio_positions, config.head_size
        for i, layer in enumerate(self.cross_attention):
            layer.k, layer.v = BranchLinear(layer.k), BranchLinear(layer.v)
            self.register_buffer(f"cross_key_{i}", torch.zeros(1, heads, rows, size))
            self.register_buffer(f"cross_value_{i}", torch.zeros(1, heads, size, rows))

    def _cross_caches(self) -> list[torch.Tensor]:
        names = [
            f"cross_{kind}_{i}"
            for i in range(len(self.cross_attention))
            for kind in ("key", "value")
        ]
        return [getattr(self, name) for name in names]

    def _cross_keys_values(self, states, position) -> list[torch.Tensor]:
        """[k0, v0, k1, v1, ...] of this recording."""
        if self.stock:
            return [t for layer in self.cross_attention for t in layer.keys_values(states)]

        def reuse(states, *caches):
            handed = []
            for i in range(0, len(caches), 2):
                handed += ops.alias(caches[i], caches[i + 1])
            return tuple(handed)

        def compute(states, *caches):
            written = []
            for i, layer in enumerate(self.cross_attention):
                # At once, so that one value's memory serves all layers.
                for value, cache in zip(layer.keys_values(states), caches[2 * i :]):
                    written.append(ops.update_cross_attn_cache(value, cache))
            return tuple(written)

        caches = self._cross_caches()
        if not torch.compiler.is_exporting():
            # Eager torch refuses an operator that returns its inputs.
            if int(position) == 0:
                compute(states, *caches)
            return caches
        # One cond for all layers: one jump a token, and the layers' own
        # operators stay together for the delegate.
        results = torch.cond(position > 0, reuse, compute, (states, *caches))
        for cache, result in zip(caches, results):
            # Tells the exporter that the buffer changes; the planning pass
            # takes the copy out again.
            cache.copy_(result)
        return list(results)

    def forward(self, decoder_input_ids, encoder_hidden_states, cache_position):
        states = encoder_hidden_states.to(self.self_attention[0].key_cache.dtype)
        cross = self._cross_keys_values(states, cache_position)
        x = self.embedding.embed(decoder_input_ids)
        x = x + F.embedding(cache_position, self.positions).to(x.dtype)
        seen = self.rows <= cache_position
        mask = torch.where(seen, 0.0, float("-inf")).to(x.dtype).view(1, 1, -1)
        for i, layer in enumerate(self.self_attention):
            x = layer(x, cache_position, mask)
            x = self.cross_attention[i](x, cross[2 * i], cross[2 * i + 1])
            x = self.feed_forward[i](x)
        return self.embedding.project(self.norm(x)).float()
