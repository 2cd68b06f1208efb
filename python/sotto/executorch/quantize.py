# SPDX-License-Identifier: MIT
"""Weights as int8, one scale per output row; sums and all else in float32.

Linear layers use XNNPACK's dynamic quantisation: each row of the input is
rounded to int8 when it arrives.  The operators below only spell that out for
the partitioner, which swallows them; none runs as such.  The embedding's rows
are scaled back where they are read.  Convolutions and norms stay float32, and
positions float16, which is what the published checkpoints hold.
"""

from __future__ import annotations

import torch

# Defines the quantized_decomposed operators for torch.
from executorch.exir.passes import _quant_patterns_and_replacements  # noqa: F401
from torch import nn
from torch.nn import functional as F

from .model import BranchLinear, Encoder, Linear, TextDecoder, TiedEmbedding

_QUANT = torch.ops.quantized_decomposed


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """weight f32[n,k] -> (int8[n,k] within +-127, scale f32[n]); symmetric."""
    scale = weight.abs().amax(1) / 127
    # A row of zeros: any scale gives it back, but not 0 (or a subnormal).
    scale = torch.where(scale < torch.finfo(torch.float32).tiny, 1.0, scale)
    return torch.round(weight / scale[:, None]).to(torch.int8), scale


def _linear(x, weight, scale, zero, bias=None):
    at, middle = _QUANT.choose_qparams_per_token_asymmetric.default(x, torch.int8)
    x = _QUANT.quantize_per_token.default(x, at, middle, -128, 127, torch.int8)
    x = _QUANT.dequantize_per_token.default(
        x, at, middle, -128, 127, torch.int8, torch.float32
    )
    weight = _QUANT.dequantize_per_channel.default(
        weight, scale, zero, 0, -127, 127, torch.int8
    )
    return F.linear(x, weight, bias)


class _Int8(nn.Module):
    """Holds a quantised matrix; its rows are the output's columns."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        values, scale = quantize_rows(weight.detach())
        self.register_buffer("weight", values)
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.zeros(len(scale), dtype=torch.int64))


class Int8Linear(_Int8):
    def __init__(self, linear: Linear) -> None:
        super().__init__(linear.weight)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _linear(x, self.weight, self.scale, self.zero, self.bias)


class Int8BranchLinear(nn.Module):
    """In a branch nothing is delegated: the weight is widened, then scaled."""

    def __init__(self, linear: BranchLinear) -> None:
        super().__init__()
        values, scale = quantize_rows(linear.weight.detach().t())
        self.register_buffer("weight", values.t().contiguous())
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # The scale goes to the small matrix, not to the 1500 rows.
        weight = self.weight.to(torch.float32) * self.scale
        y = torch.mm(x.view(x.shape[1:]), weight)
        return y if self.bias is None else y + self.bias


class Int8Embedding(_Int8):
    def __init__(self, tied: TiedEmbedding) -> None:
        super().__init__(tied.weight)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        rows = F.embedding(ids, self.weight).to(torch.float32)
        return rows * F.embedding(ids, self.scale[:, None])

    def project(self, x: torch.Tensor) -> torch.Tensor:
        return _linear(x, self.weight, self.scale, self.zero)


_INT8 = {
    Linear: Int8Linear,
    BranchLinear: Int8BranchLinear,
    TiedEmbedding: Int8Embedding,
}


def to_int8(module: nn.Module) -> None:
    """Replaces every matrix of `module`, in all depths, by its int8 form."""
    if isinstance(module, (Encoder, TextDecoder)):
        module.positions = nn.Parameter(module.positions.half(), False)
    for name, child in list(module.named_children()):
        form = _INT8.get(type(child))
        if form is None:
            to_int8(child)
        else:
            setattr(module, name, form(child))
