#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the programs that pte_test.cc runs, next to this file.

    PYTHONPATH=python python3 extension/executorch/testdata/make.py

Needs torch and ExecuTorch of the tested release (make test-executorch has
both); the programs are committed so that the tests need neither. Each is under
10 kB and holds no weights: what comes out follows from what goes in.
"""
import pathlib

import torch
from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge
from executorch.exir.passes import MemoryPlanningPass

from sotto.executorch import ops
from sotto.executorch.planning import ZeroCopyCachePlanning

HERE = pathlib.Path(__file__).parent
# [B, H, S, D] and the longer S of the cache.
VALUE, CACHE = (1, 2, 4, 3), (1, 2, 6, 3)


class Update(torch.nn.Module):
    """The cache is an argument, in the caller's memory, so that it sees all of
    it."""

    def forward(self, value, cache):
        return ops.update_cross_attn_cache(value, cache)


class Alias(torch.nn.Module):
    def forward(self, x, y):
        return ops.alias(x, y)


class Temporaries(torch.nn.Module):
    """Aliases of values that die at the call; c may take their place."""

    def forward(self, x, y):
        a, b = ops.alias(x * 2, y * 3)
        c = x + y
        return a + c, b - c


class Layers(torch.nn.Module):
    """Per layer a cache of value times (layer + 1), written at position 0 and
    handed through at all others; gives back the sum of each."""

    def __init__(self, layers, declared=True):
        super().__init__()
        self.declared = declared
        for i in range(layers):
            self.register_buffer(f"cache_{i}", torch.zeros(CACHE))
        self.layers = layers

    def forward(self, value, position):
        def reuse(cache, value):
            return ops.alias(cache, cache)[0]

        def recompute(cache, value):
            return ops.update_cross_attn_cache(value, cache)

        sums = []
        for i in range(self.layers):
            cache = getattr(self, f"cache_{i}")
            result = torch.cond(
                (position > 0).all(), reuse, recompute, (cache, value * (i + 1))
            )
            if self.declared:
                cache.copy_(result)
            sums.append(result.sum())
        return torch.stack(sums)


class Undeclared(torch.nn.Module):
    """Writes to a buffer that the exporter takes for a constant."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(CACHE))

    def forward(self, value):
        return ops.update_cross_attn_cache(value, self.cache)


def write(name, module, arguments, planning):
    program = torch.export.export(module, arguments, strict=True)
    edge = to_edge(program, compile_config=EdgeCompileConfig(_check_ir_validity=False))
    done = edge.to_executorch(ExecutorchBackendConfig(memory_planning_pass=planning))
    path = HERE / f"{name}.pte"
    path.write_bytes(done.buffer)
    size = path.stat().st_size
    print(f"{path.name}: {size} bytes")
    assert size < 10_000, path


def main():
    value, cache = torch.rand(VALUE), torch.rand(CACHE)
    position = torch.zeros(1, dtype=torch.int64)
    x, y = torch.rand(4, 5), torch.rand(4, 5)
    stock = MemoryPlanningPass()
    write("update", Update(), (value, cache),
          MemoryPlanningPass(alloc_graph_input=False))
    write("alias", Alias(), (x, y), stock)
    write("temporaries", Temporaries(), (x, y), stock)
    write("undeclared", Undeclared(), (value,), stock)
    for layers in (1, 3):
        write(f"layers{layers}", Layers(layers), (value, position),
              ZeroCopyCachePlanning())
    write("layers1_stock", Layers(1), (value, position), stock)
    # Stock planning, but with the buffers in memory of their own.
    write("layers3_apart", Layers(3), (value, position),
          MemoryPlanningPass(share_mutable_buffers=True))


if __name__ == "__main__":
    main()
