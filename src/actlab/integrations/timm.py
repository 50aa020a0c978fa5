"""Timm: our names and specs as ``act_layer`` of its layers and models.

``timm.layers.create_act`` looks a string up in two tables of layers and two of functions; of each pair, the one with memory-efficient
variants comes first. It reads them anew at every call, so they are exchanged for tables that answer specs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor

from actlab.errors import IntegrationError
from actlab.functions.spec import Spec
from actlab.integrations.entry import answer, entry, is_ours, learns, refusal
from actlab.integrations.table import Table
from actlab.nn.layers.activation_layer import ActivationLayer

__all__ = ["enter", "leave", "tables"]


def _home() -> Any:
    """Return the module that has the tables."""
    return import_module("timm.layers.create_act")


def _refuses_function(spec: Spec) -> str:
    """Return why a spec cannot be a function of timm's, which holds no parameters and does not know whether it trains."""
    if learns(spec):
        return "timm wants a plain function here, which cannot hold learned parameters; give them numbers"
    if spec.activation.kind == "stochastic":
        return "timm wants a plain function here, which does not know whether the model trains"
    return refusal(spec)


class LayerTable(dict[str, Any]):
    """The library's table of layers, which answers specs as well.

    Attributes:
        original: the table in whose place it stands.
    """

    refuses = staticmethod(refusal)

    def __init__(self, original: dict[str, Any]) -> None:
        super().__init__(original)
        self.original = original

    def __getitem__(self, key: str) -> Any:
        content = super().__getitem__(key)
        if is_ours(content) and _home().is_scriptable():
            raise IntegrationError(
                f"timm is set to TorchScript (set_scriptable), and {key!r} is ActLab's, whose layers cannot be scripted. "
                "torch.export and torch.compile take them."
            )
        return content

    def __missing__(self, key: str) -> Any:
        return entry(answer(key, self, self.refuses))

    def returned(self) -> dict[str, Any]:
        """Return the original table, with what others have put in meanwhile."""
        self.original.clear()
        self.original.update(self)
        return self.original


class FunctionTable(LayerTable):
    """The library's table of functions, which answers specs as well."""

    refuses = staticmethod(_refuses_function)

    def __getitem__(self, key: str) -> Any:
        content = super().__getitem__(key)
        return partial(_applied, content()) if is_ours(content) else content


def _applied(layer: ActivationLayer, x: Tensor, inplace: bool = False) -> Tensor:  # noqa: ARG001  torch's functions take it
    return layer(x)  # type: ignore[no-any-return]  # a module returns Any


_KINDS = {
    "_ACT_LAYER_DEFAULT": LayerTable,
    "_ACT_FN_DEFAULT": FunctionTable,
    "_ACT_LAYER_ME": LayerTable,
    "_ACT_FN_ME": FunctionTable,
}


def tables() -> Sequence[Table]:
    """Return the tables, the one that models look in first."""
    home = _home()
    return [
        Table(entries=getattr(home, attribute), make=entry, refuses=kind.refuses, shadows=attribute.endswith("_ME"))
        for attribute, kind in _KINDS.items()
    ]


def enter() -> None:
    """Exchange the tables for ones that answer specs; nothing where they do so already."""
    home = _home()
    for attribute, kind in _KINDS.items():
        table = getattr(home, attribute)
        if not isinstance(table, kind):
            setattr(home, attribute, kind(table))


def leave() -> None:
    """Take back what :func:`enter` has done."""
    home = _home()
    for attribute, kind in _KINDS.items():
        table = getattr(home, attribute)
        if isinstance(table, kind):
            setattr(home, attribute, table.returned())
