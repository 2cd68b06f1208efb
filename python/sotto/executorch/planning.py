# SPDX-License-Identifier: MIT
"""Memory planning that makes the cross-attention cache operators free of copies.

Stock planning gives every result of `alias` and `update_cross_attn_cache` a
buffer of its own, the size of a whole cache, and the kernels then have to copy
into it at every token.  Worse, results of different conds may share that buffer
until the write-back at the end of the method, so with more than one layer each
cache ends up with the last layer's values.

`ZeroCopyCachePlanning` rewrites the graph just before planning:

* a result of `alias` becomes its argument, and the call disappears;
* `update_cross_attn_cache.out` writes where the cache already is, if the cache
  is a mutable buffer, whose storage lives as long as the program;
* a result of `cond` that is the same operand in both branches becomes that
  operand, and the write-back of a buffer to itself disappears.

The planner sees the arguments' uses where the results' were, so lifetimes stay
right for temporaries as well.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from executorch.exir import memory
from executorch.exir.memory_planning import (
    _alias_inplace_result_specs,
    _is_inplace_node,
)
from executorch.exir.passes import MemoryPlanningPass
from torch import fx
from torch.export.exported_program import ExportedProgram, ExportGraphSignature

from . import ops  # noqa: F401  (defines the operators)

_ALIAS = (torch.ops.executorch.alias.default, torch.ops.executorch.alias.out)
_UPDATE = (
    torch.ops.executorch.update_cross_attn_cache.default,
    torch.ops.executorch.update_cross_attn_cache.out,
)
_COND = torch.ops.higher_order.cond


class UndeclaredMutation(ValueError):
    """A buffer is written that the program's signature calls constant."""


@dataclass
class Rewrites:
    """What one run of the planning pass changed; all methods together."""

    aliases: int = 0
    updates: int = 0
    cond_results: int = 0
    write_backs: int = 0


def _is_call(node: object, targets: tuple) -> bool:
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return False
    # The edge dialect wraps an overload in an object of its own.
    return node.target in targets or getattr(node.target, "_op", None) in targets


def _branches(gm: fx.GraphModule, node: fx.Node) -> list[fx.GraphModule]:
    return [getattr(gm, node.args[i].target) for i in (1, 2)]


def _placeholders(gm: fx.GraphModule) -> list[fx.Node]:
    return [n for n in gm.graph.nodes if n.op == "placeholder"]


def _update_arguments(node: fx.Node) -> tuple[fx.Node, fx.Node]:
    names = ("value", "cache")
    return tuple(
        node.args[i] if i < len(node.args) else node.kwargs[name]
        for i, name in enumerate(names)
    )


# What a cache may pass through on its way to an update without being copied.
_VIEWS = ("alias", "view", "view_copy", "_unsafe_view", "unsqueeze", "squeeze")


def _origin(node: fx.Node) -> fx.Node:
    """The value whose storage `node` shows."""
    while True:
        if _is_call(node, (operator.getitem,)) and _is_call(node.args[0], _ALIAS):
            node = node.args[0].args[node.args[1]]
        elif node.op == "call_function" and _name(node) in _VIEWS:
            node = node.args[0]
        else:
            return node


def _name(node: fx.Node) -> str:
    return getattr(node.target, "__name__", "").split(".")[-2:][0]


def _written(gm: fx.GraphModule, outer: dict[fx.Node, fx.Node]):
    """Yields the method's input behind the cache of each update, at any depth.

    `outer` says which input of the method a placeholder of `gm` stands for.
    """
    for node in gm.graph.nodes:
        if _is_call(node, _UPDATE):
            cache = outer.get(_origin(_update_arguments(node)[1]))
            if cache is not None:
                yield cache
        elif _is_call(node, (_COND,)):
            operands = [
                outer.get(_origin(n)) if isinstance(n, fx.Node) else None
                for n in node.args[3]
            ]
            for branch in _branches(gm, node):
                pairs = zip(_placeholders(branch), operands)
                yield from _written(branch, {p: o for p, o in pairs if o is not None})


def check_mutation(program: ExportedProgram, method: str = "forward") -> None:
    """Raises UndeclaredMutation if a cache update writes to a constant.

    `update_cross_attn_cache` declares no mutation, so a buffer that is only ever
    handed to it is a constant for the exporter: it goes into the file, is mapped
    read-only, and the first update ends the process with SIGSEGV.  The model has
    to say `self.cache.copy_(result)`.
    """
    signature = program.graph_signature
    declared = set(signature.buffers_to_mutate.values())
    constants = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    inputs = {p: p for p in _placeholders(program.graph_module)}
    for cache in _written(program.graph_module, inputs):
        name = constants.get(cache.name)
        if name is not None and name not in declared:
            raise UndeclaredMutation(
                f"{method}: buffer '{name}' is written by "
                "executorch::update_cross_attn_cache but not declared as mutated, "
                f"want self.{name}.copy_(result) in the model"
            )


def _is_mutable_buffer(node: fx.Node, signature: ExportGraphSignature | None) -> bool:
    if signature is None or node.op != "placeholder":
        return False
    name = signature.inputs_to_buffers.get(node.name)
    return name is not None and name in signature.buffers_to_mutate.values()


class ZeroCopyCachePlanning(MemoryPlanningPass):
    """MemoryPlanningPass for programs with the two operators; see the module.

    Give it to `ExecutorchBackendConfig(memory_planning_pass=...)`.  Takes the
    arguments of MemoryPlanningPass; `rewrites` tells afterwards what was done.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.rewrites = Rewrites()

    def run(
        self,
        graph_module: fx.GraphModule,
        graph_signature: ExportGraphSignature | None = None,
    ):
        permanent = {
            n
            for n in graph_module.graph.nodes
            if _is_mutable_buffer(n, graph_signature)
        }
        self._rewrite(graph_module, permanent)
        self._drop_write_backs(graph_module, graph_signature)
        for node in graph_module.graph.nodes:
            if _is_inplace_node(node) and "spec" in node.meta:
                # The planner does the first line too, but too late for views.
                _alias_inplace_result_specs(node)
                _follow_spec(node)
        return super().run(graph_module, graph_signature)

    def _rewrite(self, gm: fx.GraphModule, permanent: set[fx.Node]) -> None:
        for node in list(gm.graph.nodes):
            if _is_call(node, _ALIAS):
                self._remove_alias(node)
            elif _is_call(node, (_COND,)):
                operands = node.args[3]
                for branch in _branches(gm, node):
                    inner = {
                        p
                        for p, outer in zip(_placeholders(branch), operands)
                        if outer in permanent
                    }
                    self._rewrite(branch, inner)
                self._pass_operands_through(gm, node)
        for node in permanent:
            self._update_in_place(node)
        gm.recompile()

    def _remove_alias(self, node: fx.Node) -> None:
        outs = [n for n in node.kwargs.values() if isinstance(n, fx.Node)]
        for user in list(node.users):
            if _is_call(user, (operator.getitem,)):
                _replace(user, node.args[user.args[1]])
        node.graph.erase_node(node)
        for out in outs:
            if not out.users:
                out.graph.erase_node(out)
        self.rewrites.aliases += 1

    def _update_in_place(self, cache: fx.Node) -> None:
        updates = [
            n
            for n in cache.users
            if _is_call(n, _UPDATE) and _update_arguments(n)[1] is cache
        ]
        # Two updates of one cache in one graph: the first one's result would
        # show the second one's rows. The kernels copy then, which is right.
        if len(updates) != 1:
            return
        update = updates[0]
        out = update.kwargs["out"]
        update.kwargs = {**update.kwargs, "out": cache}
        update.meta["spec"] = cache.meta["spec"]
        if not out.users:
            out.graph.erase_node(out)
        _follow_spec(update)
        self.rewrites.updates += 1

    def _pass_operands_through(self, gm: fx.GraphModule, node: fx.Node) -> None:
        """Lets results that are one operand in both branches be that operand."""
        operands = node.args[3]
        sources = [_result_operands(branch) for branch in _branches(gm, node)]
        specs = list(node.meta["spec"])
        for index, (first, second) in enumerate(zip(*sources)):
            if first is None or first != second:
                continue
            operand = operands[first]
            specs[index] = operand.meta["spec"]
            for user in list(node.users):
                if _is_call(user, (operator.getitem,)) and user.args[1] == index:
                    _replace(user, operand)
            self.rewrites.cond_results += 1
        node.meta["spec"] = tuple(specs)

    def _drop_write_backs(
        self, gm: fx.GraphModule, signature: ExportGraphSignature | None
    ) -> None:
        for node in list(gm.graph.nodes):
            if not _is_call(node, (torch.ops.aten.copy_.default,)):
                continue
            target, source = node.args[:2]
            if target is not source:
                continue
            if signature is not None:
                for spec in signature.output_specs:
                    if spec.arg.name == node.name:
                        spec.arg.name = target.name
            _replace(node, target)
            self.rewrites.write_backs += 1
        gm.recompile()


def _result_operands(branch: fx.GraphModule) -> list[int | None]:
    """Which operand each result of a branch is; None where it is none."""
    inputs = _placeholders(branch)
    results = branch.graph.output_node().args[0]
    found = []
    for result in results:
        # An update in place gives back its cache.
        while _is_call(result, _UPDATE) and result.kwargs.get("out") in inputs:
            result = result.kwargs["out"]
        found.append(inputs.index(result) if result in inputs else None)
    return found


def _replace(old: fx.Node, new: fx.Node) -> None:
    """Lets `new` stand wherever `old` stood, and erases `old`."""
    old.replace_all_uses_with(new)
    _follow_spec(new)
    old.graph.erase_node(old)


def _follow_spec(node: fx.Node) -> None:
    """Brings what copied or refers to the node's spec in step with it."""
    spec = node.meta["spec"]
    for user in node.users:
        if user.op == "call_function" and user.target is memory.view:
            # A view takes its place in memory from the spec it was made of.
            user.meta["spec"]._base = getattr(spec, "_base", spec)
        elif user.op == "output":
            results, specs = user.args[0], list(user.meta["spec"])
            for i, result in enumerate(results):
                if result is node:
                    specs[i] = spec
            user.meta["spec"] = type(user.meta["spec"])(specs)
