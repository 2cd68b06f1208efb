# SPDX-License-Identifier: MIT
"""Torch definitions of the operators, and who may define them first."""
import subprocess
import sys
import unittest

import torch

from sotto.executorch import ops

OURS = "import sotto.executorch.ops"
UPSTREAM = "import executorch.extension.llm.custom_ops.custom_ops"
# The wheel lacks the native half of this module; what matters here is that it
# opens the namespace as its owner.
VERIFICATION = """
import sys, types
stub = types.ModuleType("executorch.exir.verification.bindings")
def anything(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})
stub.__getattr__ = anything
sys.modules[stub.__name__] = stub
import executorch.exir.verification.interpreter
"""
LOWER = """
import torch
from executorch.exir import EdgeCompileConfig, to_edge
class Both(torch.nn.Module):
    def forward(self, value, cache):
        result = torch.ops.executorch.update_cross_attn_cache(value, cache)
        return torch.ops.executorch.alias(result, value)
program = torch.export.export(Both(), (torch.rand(1, 2, 3, 4), torch.rand(1, 2, 5, 4)))
edge = to_edge(program, compile_config=EdgeCompileConfig(_check_ir_validity=False))
plan = edge.to_executorch().executorch_program.execution_plan[0]
print(sorted(f"{o.name}.{o.overload}" for o in plan.operators))
"""
WANT = "['executorch::alias.out', 'executorch::update_cross_attn_cache.out']"


class ImportOrder(unittest.TestCase):
    def check(self, *parts):
        code = "\n".join((*parts, LOWER))
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip().splitlines()[-1], WANT)

    def test_ours_alone(self):
        self.check(OURS)

    def test_upstream_first(self):
        self.check(UPSTREAM, OURS)

    def test_ours_first(self):
        self.check(OURS, UPSTREAM)

    def test_verification_before_and_after(self):
        self.check(VERIFICATION, OURS)
        self.check(OURS, VERIFICATION)

    def test_without_upstream(self):
        missing = "import sys; sys.modules['executorch.extension.llm.custom_ops.custom_ops'] = None"
        self.check(missing, OURS)


class Meaning(unittest.TestCase):
    def test_row4_update_of_the_first_rows(self):
        torch.manual_seed(1)
        for b, h, most, rows, d in (
            (1, 2, 10, 5, 8), (4, 4, 8, 3, 16), (2, 1, 16, 10, 32),
            (1, 2, 6, 6, 4), (1, 2, 6, 0, 4),
        ):  # fmt: skip
            value, cache = torch.randn(b, h, rows, d), torch.randn(b, h, most, d)
            want = torch.cat([value, cache[:, :, rows:]], 2)
            out, again = torch.empty_like(cache), cache.clone()
            torch.ops.executorch.update_cross_attn_cache.out(value, again, out=out)
            self.assertTrue(torch.equal(out, want) and torch.equal(again, want))
            result = ops.update_cross_attn_cache(value, cache)
            self.assertTrue(torch.equal(result, want) and torch.equal(cache, want))

    def test_row4_refuses_what_does_not_fit(self):
        cache = torch.zeros(1, 2, 4, 3)
        for value in (
            torch.zeros(1, 2, 5, 3), torch.zeros(2, 4, 3), torch.zeros(2, 2, 4, 3),
            torch.zeros(1, 1, 4, 3), torch.zeros(1, 2, 4, 2),
            torch.zeros(1, 2, 4, 3, dtype=torch.float16),
        ):  # fmt: skip
            with self.assertRaises((ValueError, AssertionError, RuntimeError)):
                ops.update_cross_attn_cache(value, cache)
            with self.assertRaises(ValueError) as caught:
                ops.check_update(value, cache)
            for shape in (list(value.shape), list(cache.shape)):
                self.assertIn(str(shape), str(caught.exception))

    def test_alias_out_copies(self):
        x, y = torch.randn(3, 4), torch.randn(2)
        outs = torch.empty_like(x), torch.empty_like(y)
        torch.ops.executorch.alias.out(x, y, out_x=outs[0], out_y=outs[1])
        self.assertTrue(torch.equal(outs[0], x) and torch.equal(outs[1], y))

    def test_shapes_without_data(self):
        value = torch.empty(1, 2, 3, 4, device="meta")
        cache = torch.empty(1, 2, 5, 4, device="meta")
        self.assertEqual(ops.update_cross_attn_cache(value, cache).shape, cache.shape)
        self.assertEqual(ops.alias(value, cache)[1].shape, cache.shape)


if __name__ == "__main__":
    unittest.main()
