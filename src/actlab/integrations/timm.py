"""Extension of timm's activation lookup by ActLab's names and specs as ``act_layer``, with undo.

``timm.layers.create_act`` looks a string up in two tables of layers and two of functions; of each pair, the one with memory-efficient
variants comes first. It reads the module's attributes at every call, so that the tables can be replaced by subclasses of dict that parse
specs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor

from actlab.errors import IntegrationError
from actlab.functions.spec import Spec
from actlab.integrations.entry import answer, entry, has_learned_parameters, is_ours, refusal
from actlab.integrations.table import Table
from actlab.nn.layers.activation_layer import ActivationLayer

__all__ = ["enter", "leave", "tables"]


def _create_act() -> Any:
    """Return the timm module that contains the tables."""
    return import_module("timm.layers.create_act")


def _refuses_function(spec: Spec) -> str:
    """Return why a spec cannot be a plain function, which has no parameters and no training mode."""
    if has_learned_parameters(spec):
        return "timm needs a plain function here, which cannot have learned parameters; give them numbers"
    if spec.activation.kind == "stochastic":
        return "timm needs a plain function here, which has no training mode"
    return refusal(spec)


class LayerTable(dict[str, Any]):
    """Table of layers that also parses specs.

    Attributes:
        original: the replaced table.
    """

    refuses = staticmethod(refusal)

    def __init__(self, original: dict[str, Any]) -> None:
        super().__init__(original)
        self.original = original

    def __getitem__(self, key: str) -> Any:
        content = super().__getitem__(key)
        if is_ours(content) and _create_act().is_scriptable():
            raise IntegrationError(
                f"timm is set to TorchScript (set_scriptable), and {key!r} is an ActLab layer, which cannot be scripted. "
                "Use torch.export or torch.compile."
            )
        return content

    def __missing__(self, key: str) -> Any:
        return entry(answer(key, self, self.refuses))

    def restored(self) -> dict[str, Any]:
        """Return the original table with the current entries."""
        self.original.clear()
        self.original.update(self)
        return self.original


class FunctionTable(LayerTable):
    """Table of functions that also parses specs."""

    refuses = staticmethod(_refuses_function)

    def __getitem__(self, key: str) -> Any:
        content = super().__getitem__(key)
        return partial(_apply, content()) if is_ours(content) else content


def _apply(layer: ActivationLayer, x: Tensor, inplace: bool = False) -> Tensor:  # noqa: ARG001  torch's functions have it
    return layer(x)  # type: ignore[no-any-return]  # a module returns Any


_KINDS = {
    "_ACT_LAYER_DEFAULT": LayerTable,
    "_ACT_FN_DEFAULT": FunctionTable,
    "_ACT_LAYER_ME": LayerTable,
    "_ACT_FN_ME": FunctionTable,
}


def tables() -> Sequence[Table]:
    """Return the lookup tables; the first one is the main one."""
    module = _create_act()
    return [
        Table(entries=getattr(module, attribute), make=entry, refuses=kind.refuses, shadows=attribute.endswith("_ME"))
        for attribute, kind in _KINDS.items()
    ]


def enter() -> None:
    """Replace the tables by ones that parse specs, unless that is done already."""
    module = _create_act()
    for attribute, kind in _KINDS.items():
        table = getattr(module, attribute)
        if not isinstance(table, kind):
            setattr(module, attribute, kind(table))


def leave() -> None:
    """Undo :func:`enter`."""
    module = _create_act()
    for attribute, kind in _KINDS.items():
        table = getattr(module, attribute)
        if isinstance(table, kind):
            setattr(module, attribute, table.restored())
