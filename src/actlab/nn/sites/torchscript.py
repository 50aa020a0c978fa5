"""Find activations in TorchScript modules, from their graphs.

They are listed and cannot be replaced, as the graph is compiled. How often they run is unknown: Python hooks do not see their calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import torch

from actlab.nn.recognition.torch_activations import Running, function_named
from actlab.nn.sites.slot import Slot

__all__ = ["SCRIPTED", "scripted_activations"]

SCRIPTED: Final = "it is compiled by TorchScript; swap in the Python module, then script it again"


def scripted_activations(module: torch.jit.ScriptModule) -> Iterator[tuple[Slot, Running]]:
    """Yield the activations in the ``forward`` of a scripted or traced module, without those of its submodules.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # torch.jit is deprecated
        ...     traced = torch.jit.trace(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), torch.zeros(1, 2))
        >>> [running.name for _, running in scripted_activations(getattr(traced, "1"))]
        ['relu']
    """
    counts: Counter[str] = Counter()
    try:
        nodes = list(_nodes(module.graph))
    except RuntimeError:  # a module without a forward: nothing runs in it
        return
    for node in nodes:
        function = function_named(_function_name(node))
        if function is None:
            continue
        name = function.name
        counts[name] += 1
        yield (
            Slot(
                kind="hidden",
                key=("scripted", id(module), name, counts[name]),
                owner=module,
                tail=f"forward:{name}@{counts[name]}",
                where=f"TorchScript of {module.original_name}",
                reason=SCRIPTED,
            ),
            Running(name=name, spec=None),
        )


def _nodes(block: Any) -> Iterator[Any]:
    """Yield the nodes of a graph, those inside branches and loops included."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _function_name(node: Any) -> str:
    """Return the name of the operator or scripted function that a node calls; empty for any other node."""
    if node.kind().startswith("aten::"):
        return str(node.kind()).removeprefix("aten::")
    if node.kind() == "prim::CallFunction":
        callee = next(iter(node.inputs())).node()
        return str(callee.s("name")) if callee.hasAttribute("name") else ""
    return ""
