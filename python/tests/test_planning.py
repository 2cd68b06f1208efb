# SPDX-License-Identifier: MIT
"""The planning pass on small programs, run from their files on the runtime."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import torch
from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge
from executorch.exir.passes import MemoryPlanningPass

import runtime
from sotto.executorch import ops, planning, pte

VALUE, CACHE = (1, 2, 5, 8), (1, 2, 7, 8)


class Layers(torch.nn.Module):
    """Per layer two caches, of value * (layer + 1) and of its negative, written
    at position 0; gives back the sum of each layer's first cache minus half of
    its second."""

    def __init__(self, layers, declared=True, swapped=False):
        super().__init__()
        self.layers, self.declared, self.swapped = layers, declared, swapped
        for i in range(layers):
            self.register_buffer(f"first_{i}", torch.zeros(CACHE))
            self.register_buffer(f"second_{i}", torch.zeros(CACHE))

    def forward(self, value, position):
        def reuse(first, second, value):
            a, b = ops.alias(first, second)
            return (b, a) if self.swapped else (a, b)

        def compute(first, second, value):
            a = ops.update_cross_attn_cache(value, first)
            b = ops.update_cross_attn_cache(-value, second)
            return a, b

        sums = []
        for i in range(self.layers):
            buffers = getattr(self, f"first_{i}"), getattr(self, f"second_{i}")
            results = torch.cond(
                position > 0, reuse, compute, (*buffers, value * (i + 1))
            )
            if self.declared:
                for buffer, result in zip(buffers, results):
                    buffer.copy_(result)
            # Rows behind the value were never written and hold no numbers.
            # Through a view, whose place must follow its base's.
            rows = [r.view(CACHE[1:])[:, : VALUE[2]] for r in results]
            sums.append(rows[0].sum() - 0.5 * rows[1].sum())
        return torch.stack(sums)


class Temporaries(torch.nn.Module):
    """Trap 1: aliases of values that die at the call."""

    def forward(self, x, y):
        a, b = ops.alias(x * 2, y * 3)
        c = x + y
        return a + c, b - c


class Twice(torch.nn.Module):
    """Two updates of one cache in one graph: both results are wanted."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(CACHE))

    def forward(self, value):
        first = ops.update_cross_attn_cache(value, self.cache)
        before = first[:, :, : VALUE[2]] * 1.0
        second = ops.update_cross_attn_cache(value[:, :, :2] * 3, self.cache)
        self.cache.copy_(second)
        return before.sum(), second[:, :, : VALUE[2]].sum()


class Undeclared(torch.nn.Module):
    def __init__(self, through=lambda cache: cache):
        super().__init__()
        self.through = through
        self.register_buffer("inner_cache", torch.zeros(CACHE))

    def forward(self, value):
        return ops.update_cross_attn_cache(value, self.through(self.inner_cache))


def to_edge_program(module, *inputs):
    program = torch.export.export(module, inputs, strict=False)
    return to_edge(program, compile_config=EdgeCompileConfig(_check_ir_validity=False))


class Planning(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def lower(self, module, *inputs, stock=False, name="program"):
        edge = to_edge_program(module, *inputs)
        passes = MemoryPlanningPass() if stock else planning.ZeroCopyCachePlanning()
        done = edge.to_executorch(ExecutorchBackendConfig(memory_planning_pass=passes))
        path = self.folder / f"{name}.pte"
        path.write_bytes(done.buffer)
        return path, passes

    def test_trap1_temporaries_as_arguments(self):
        x, y = torch.randn(4, 5), torch.randn(4, 5)
        for stock in (True, False):
            path, _ = self.lower(Temporaries(), x, y, stock=stock)
            a, b = runtime.Program(path).run("forward", x, y)
            torch.testing.assert_close(a, 3 * x + y)
            torch.testing.assert_close(b, 2 * y - x)

    def test_trap2_layers_and_calls_keep_their_own_caches(self):
        for layers in (1, 3, 4):
            value, zero = torch.randn(VALUE), torch.tensor([0])
            path, passes = self.lower(Layers(layers), value, zero)
            self.assertEqual(passes.rewrites.updates, 2 * layers)
            self.assertEqual(passes.rewrites.aliases, layers)
            self.assertEqual(passes.rewrites.write_backs, 2 * layers)
            program = runtime.Program(path)
            for value in (torch.randn(VALUE), torch.randn(VALUE)):
                want = 1.5 * value.sum() * torch.arange(1, layers + 1)
                for position in (0, 1, 2, 50):
                    # Later calls bring another value, which must not matter.
                    given = value if position == 0 else torch.randn(VALUE)
                    runtime.reset_counts()
                    (sums,) = program.run("forward", given, torch.tensor([position]))
                    torch.testing.assert_close(sums, want, rtol=1e-4, atol=1e-3)
                    counts = runtime.counts()
                    written = 2 * layers * value.nbytes if position == 0 else 0
                    self.assertEqual(counts.value_bytes_written, written)
                    self.assertEqual(counts.out_bytes_copied, 0)
                    self.assertEqual(counts.alias_calls, 0)

    def test_trap3_undeclared_mutation_is_refused_at_export(self):
        ways = (
            lambda cache: cache,
            lambda cache: cache.view(1, 2, 7, 8),
        )
        for through in ways:
            edge = to_edge_program(Undeclared(through), torch.randn(VALUE))
            with self.assertRaisesRegex(
                planning.UndeclaredMutation, r"forward: buffer 'inner_cache' .*copy_"
            ) as caught:
                planning.check_mutation(edge.exported_program())
            self.assertNotIn("\n", str(caught.exception))
        edge = to_edge_program(
            Layers(2, declared=False), torch.randn(VALUE), torch.tensor([0])
        )
        with self.assertRaisesRegex(planning.UndeclaredMutation, "buffer 'first_0'"):
            planning.check_mutation(edge.exported_program())

    def test_trap3_declared_mutation_passes(self):
        for module, inputs in (
            (Layers(2), (torch.randn(VALUE), torch.tensor([0]))),
            (Twice(), (torch.randn(VALUE),)),
            (Temporaries(), (torch.randn(2, 2), torch.randn(2, 2))),
        ):
            planning.check_mutation(to_edge_program(module, *inputs).exported_program())

    def test_trap3_the_file_is_refused_too(self):
        path, _ = self.lower(Undeclared(), torch.randn(VALUE))
        command = [sys.executable, "-m", "sotto.executorch.export", "--check", path]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^error: .*forward: .*constant data.*\n\Z")
        declared, _ = self.lower(Twice(), torch.randn(VALUE))
        pte.check_program(pte.read_program(declared))

    def test_row7_alias_leaves_the_program_and_memory_shrinks(self):
        value, zero = torch.randn(VALUE), torch.tensor([0])
        methods = []
        for stock in (True, False):
            path, _ = self.lower(Layers(3), value, zero, stock=stock)
            methods.append(pte.read_program(path).methods["forward"])
        names = [[call.name for call in m.calls] for m in methods]
        self.assertEqual(names[0].count(pte.ALIAS), 3)
        self.assertEqual(names[1].count(pte.ALIAS), 0)
        for found in names:
            self.assertEqual(found.count(pte.UPDATE), 6)
        self.assertEqual(names[0].count("aten::copy_"), 6)
        self.assertEqual(names[1].count("aten::copy_"), 0)
        cache = 4 * torch.Size(CACHE).numel()
        less = sum(methods[0].planned_bytes) - sum(methods[1].planned_bytes)
        self.assertGreaterEqual(less, 2 * cache)
        # Each update names one place as cache and as result.
        for call in methods[1].calls:
            if call.name == pte.UPDATE:
                self.assertEqual(call.arguments[1], call.arguments[2])

    def test_two_updates_of_one_cache_keep_both_results(self):
        value = torch.randn(VALUE)
        path, passes = self.lower(Twice(), value)
        self.assertEqual(passes.rewrites.updates, 0)
        before, after = runtime.Program(path).run("forward", value)
        torch.testing.assert_close(before, value.sum(), rtol=1e-4, atol=1e-4)
        want = value[:, :, 2:].sum() + 3 * value[:, :, :2].sum()
        torch.testing.assert_close(after, want, rtol=1e-4, atol=1e-4)

    def test_branches_that_swap_their_operands(self):
        value, zero = torch.randn(VALUE), torch.tensor([0])
        path, passes = self.lower(Layers(1, swapped=True), value, zero)
        self.assertEqual(passes.rewrites.cond_results, 0)


if __name__ == "__main__":
    unittest.main()
