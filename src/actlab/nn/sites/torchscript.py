"""Scripted modules: the activations in TorchScript, which its graph tells of and no run does.

They are seen and never replaced: the graph is compiled. How often they run is not known, because nothing that watches Python sees them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import torch

from actlab.nn.sites.slot import Slot
from actlab.nn.sites.torch_activations import Running, by_name

__all__ = ["SCRIPTED", "activations_in"]

SCRIPTED: Final = "it is compiled by TorchScript; swap in the Python module, then script it again"


def activations_in(module: torch.jit.ScriptModule) -> Iterator[tuple[Slot, Running]]:
    """Yield the activations that a scripted or traced module's own ``forward`` calls; its parts tell of theirs.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # torch.jit is deprecated
        ...     traced = torch.jit.trace(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), torch.zeros(1, 2))
        >>> [running.name for _, running in activations_in(getattr(traced, "1"))]
        ['relu']
    """
    seen: Counter[str] = Counter()
    try:
        nodes = list(_nodes(module.graph))
    except RuntimeError:  # a module without a forward: nothing runs in it
        return
    for node in nodes:
        native = by_name(_function(node))
        if native is None:
            continue
        seen[native.name] += 1
        yield (
            Slot(
                kind="hidden",
                key=("scripted", id(module), native.name, seen[native.name]),
                owner=module,
                tail=f"forward:{native.name}@{seen[native.name]}",
                where=f"TorchScript of {module.original_name}",
                reason=SCRIPTED,
            ),
            Running(name=native.name, spec=None),
        )


def _nodes(block: Any) -> Iterator[Any]:
    """Yield the nodes of a graph, those inside branches and loops included."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _function(node: Any) -> str:
    """Return the name of the function that a node calls: of an operator, or of a scripted function; empty for any other node."""
    if node.kind().startswith("aten::"):
        return str(node.kind()).removeprefix("aten::")
    if node.kind() == "prim::CallFunction":
        called = next(iter(node.inputs())).node()
        return str(called.s("name")) if called.hasAttribute("name") else ""
    return ""
