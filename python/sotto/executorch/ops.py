# SPDX-License-Identifier: MIT
"""Torch definitions of the two cross-attention cache operators.

`executorch::alias(x, y) -> (x, y)` hands two tensors through, and
`executorch::update_cross_attn_cache(value, cache) -> cache` writes value[B,H,S,D]
into the first S rows of cache[B,H,S_max,D].  ExecuTorch itself defines both
functional overloads in `extension.llm.custom_ops.custom_ops` (torch refuses a
second definition), but no out variant, without which no program that uses them
can be lowered.  This module adds what is missing, and the functional overloads
too where ExecuTorch's module is not there.

Import order does not matter: ExecuTorch's module, where it exists, is imported
from here before anything is defined, so that a later import of it finds its own
definitions.
"""

from __future__ import annotations

import importlib
import logging

import torch
from torch.library import Library

_UPSTREAM = "executorch.extension.llm.custom_ops.custom_ops"

_ALIAS = "alias(Tensor x, Tensor y) -> (Tensor, Tensor)"
_ALIAS_OUT = (
    "alias.out(Tensor x, Tensor y, *, Tensor(a!) out_x, Tensor(b!) out_y)"
    " -> (Tensor(a!), Tensor(b!))"
)
_UPDATE = "update_cross_attn_cache(Tensor value, Tensor cache) -> Tensor"
_UPDATE_OUT = (
    "update_cross_attn_cache.out(Tensor value, Tensor cache, *, Tensor(a!) out)"
    " -> Tensor(a!)"
)


def check_update(value: torch.Tensor, cache: torch.Tensor) -> None:
    """Raises ValueError unless value[B,H,S,D] fits into cache[B,H,S_max,D]."""

    def refuse(what: str) -> None:
        raise ValueError(
            f"executorch::update_cross_attn_cache: value is {_text(value)}, cache "
            f"is {_text(cache)}, want {what}"
        )

    if value.dim() != 4 or cache.dim() != 4:
        refuse("both of rank 4")
    if value.dtype != cache.dtype:
        refuse("one dtype")
    if any(value.size(i) != cache.size(i) for i in (0, 1, 3)):
        refuse("equal sizes but for the third")
    if value.size(2) > cache.size(2):
        refuse(f"at most {cache.size(2)} rows")


def _text(tensor: torch.Tensor) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    return f"{name}{list(tensor.shape)}"


def _alias(x, y):
    # Fresh views: a functional operator may not return its inputs themselves.
    return x.view_as(x), y.view_as(y)


def _alias_meta(x, y):
    return torch.empty_like(x), torch.empty_like(y)


def _alias_out(x, y, *, out_x, out_y):
    return out_x.copy_(x), out_y.copy_(y)


def _update(value, cache):
    check_update(value, cache)
    cache[:, :, : value.size(2), :].copy_(value)
    # A copy, as in ExecuTorch's definition: a branch of torch.cond may not
    # return what it was given.
    return cache.clone()


def _update_meta(value, cache):
    check_update(value, cache)
    return torch.empty_like(cache)


def _update_out(value, cache, *, out):
    check_update(value, cache)
    cache[:, :, : value.size(2), :].copy_(value)
    return out if out.data_ptr() == cache.data_ptr() else out.copy_(cache)


def _import_upstream() -> bool:
    """Imports ExecuTorch's own definitions; False where they are absent."""
    # Its import registers runtime kernels too and may log that some exist.
    try:
        importlib.import_module(_UPSTREAM)
    except ModuleNotFoundError:
        return False
    except (ImportError, OSError, AssertionError, RuntimeError) as error:
        # The module came far enough to define nothing we need, or all of it:
        # what is registered decides.
        logging.getLogger(__name__).info("%s: %s", _UPSTREAM, error)
    return True


def _has(name: str) -> bool:
    schemas = torch._C._jit_get_schemas_for_operator("executorch::" + name)
    return any(not schema.overload_name for schema in schemas)


def _has_out(name: str) -> bool:
    schemas = torch._C._jit_get_schemas_for_operator("executorch::" + name)
    return any(schema.overload_name == "out" for schema in schemas)


def _define(library: Library, schema: str, kernel, meta) -> None:
    library.define(schema)
    name = schema.split("(")[0]
    library.impl(name, kernel, "CompositeExplicitAutograd")
    torch.library.register_fake("executorch::" + name, meta, lib=library)


def register() -> Library:
    """Defines what is missing; the definitions live as long as the result."""
    _import_upstream()
    library = Library("executorch", "FRAGMENT")
    if not _has("alias"):
        _define(library, _ALIAS, _alias, _alias_meta)
    if not _has("update_cross_attn_cache"):
        _define(library, _UPDATE, _update, _update_meta)
    if not _has_out("alias"):
        _define(library, _ALIAS_OUT, _alias_out, lambda x, y, *, out_x, out_y: (out_x, out_y))
    if not _has_out("update_cross_attn_cache"):
        _define(library, _UPDATE_OUT, _update_out, lambda value, cache, *, out: out)
    return library


_LIBRARY = register()

alias = torch.ops.executorch.alias.default
update_cross_attn_cache = torch.ops.executorch.update_cross_attn_cache.default
