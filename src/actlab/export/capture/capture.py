"""Capture of a model as a graph of torch's operators, with everything in it that cannot be exported.

The obstacles are found in four ways, so that one does not hide the others: buffers are compared before and after a pass, modules are
exported one by one where the whole model cannot be, and the graph is searched for random operators and for those that ONNX has no form for.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves, tree_map

from actlab.export.capture.exporter_operators import exporter_operators
from actlab.export.capture.formulas import Formulas
from actlab.export.capture.layers import as_nodes
from actlab.export.capture.obstacles import changed_buffers, in_the_graph, no_examples, of_an_exception
from actlab.export.capture.quiet import quietly
from actlab.export.capture.torch_functions import decompositions
from actlab.export.refusal import Refusal
from actlab.nn.sites.dry_run import Arguments, no_side_effects, run

__all__ = ["Captured", "batch_size", "capture", "with_batch"]


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A traced model, or what is in the way.

    Attributes:
        program: the graph, in which formulas are nodes; None where it could not be traced.
        formulas: the formulas.
        refusals: all obstacles found.
    """

    program: ExportedProgram | None
    formulas: Formulas
    refusals: tuple[Refusal, ...]


def capture(model: nn.Module, arguments: Arguments, *, dynamic_batch: bool) -> Captured:
    """Trace a model in eval mode.

    Args:
        model: any module; it is as it was afterwards.
        arguments: positional and keyword arguments of a call.
        dynamic_batch: whether the first dimension is left free.

    Raises:
        SiteError: the model raises on the arguments.
    """
    formulas = Formulas()
    refusals = changed_buffers(model, arguments)
    size = batch_size(arguments) if dynamic_batch else None
    if batch_size(arguments) == 0:
        return Captured(program=None, formulas=formulas, refusals=(*refusals, no_examples(model)))
    if size == 1:
        arguments = with_batch(arguments, 2)  # a size of 1 would be taken as fixed
    with no_side_effects(model), quietly(), as_nodes(model, formulas):
        try:
            program = _traced(model, arguments, formulas, size)
        except Exception as error:  # torch.export raises anything
            refusals += _of_parts(model, arguments, formulas) or [of_an_exception(model, "", error)]
            return Captured(program=None, formulas=formulas, refusals=tuple(refusals))
    return Captured(program=program, formulas=formulas, refusals=(*refusals, *in_the_graph(program, model)))


def _traced(model: nn.Module, arguments: Arguments, formulas: Formulas, size: int | None) -> ExportedProgram:
    args, kwargs = arguments
    shapes = None
    if size is not None:
        # by the names of the arguments, as torch binds them; several of *args are a tuple
        named = dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments)
        shapes = tree_map(_free_batch(size if size > 1 else 2), named)
    program: ExportedProgram = torch.export.export(model, args, kwargs or None, dynamic_shapes=shapes, strict=False)
    simpler = {**exporter_operators().simpler, **decompositions(formulas)}
    decomposed: ExportedProgram = program.run_decompositions(simpler)
    return decomposed


def _free_batch(size: int) -> Any:
    def shape(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() and value.shape[0] == size:
            return {0: torch.export.Dim.DYNAMIC}
        return None

    return shape


def _of_parts(model: nn.Module, arguments: Arguments, formulas: Formulas) -> list[Refusal]:
    """Return the obstacles of the innermost modules that cannot be exported by themselves, and those in all the others."""
    calls = _recorded_calls(model, arguments)

    def obstacles(module: nn.Module, path: str) -> list[Refusal]:
        if module not in calls:
            return []
        try:
            return in_the_graph(_traced(module, calls[module], formulas, None), model, path)
        except Exception as error:  # as above
            found = [
                refusal
                for name, child in module.named_children()
                for refusal in obstacles(child, f"{path}.{name}" if path else name)
            ]
            own = of_an_exception(module, path, error)
            return found if any(refusal.reason == own.reason for refusal in found) else [*found, own][: len(found) or 1]

    return obstacles(model, "")


def _recorded_calls(model: nn.Module, arguments: Arguments) -> dict[nn.Module, Arguments]:
    """Return the arguments of each module's first call."""
    calls: dict[nn.Module, Arguments] = {}

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.setdefault(module, (args, kwargs))

    handles = [module.register_forward_pre_hook(record, with_kwargs=True) for module in model.modules()]
    try:
        run(model, arguments)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def batch_size(arguments: Arguments) -> int | None:
    """Return the size of the first dimension of the first input that has one; None where none has.

    Example:
        >>> batch_size(((torch.zeros(3, 4),), {}))
        3
    """
    return next((value.shape[0] for value in _tensors(arguments) if value.dim()), None)


def with_batch(arguments: Arguments, size: int) -> Arguments:
    """Return arguments with another number of examples: the same ones, repeated as often as needed.

    Example:
        >>> with_batch(((torch.tensor([1, 2]),), {}), 3)
        ((tensor([1, 2, 1]),), {})
    """
    old = batch_size(arguments)

    def repeated(value: Any) -> Any:
        if isinstance(value, Tensor) and old and value.dim() and value.shape[0] == old:
            return value[torch.arange(size) % old].contiguous()
        return value

    changed: Arguments = tree_map(repeated, arguments)
    return changed


def _tensors(arguments: Arguments) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor))
