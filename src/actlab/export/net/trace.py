"""Trace of a model in eval mode, with activations as single nodes and in-place operators as others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node
from torch.utils._pytree import tree_leaves, tree_map

from actlab.errors import ExportError
from actlab.export.capture.capture import batch_size, with_batch
from actlab.export.capture.formulas import Formulas
from actlab.export.capture.layers import activation_layers, as_nodes
from actlab.export.capture.obstacles import changed_buffers, no_examples, of_an_exception
from actlab.export.capture.quiet import quietly
from actlab.export.refusal import Refusal
from actlab.functions.mean_formula import mean_formula
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.sites.dry_run import Arguments, no_side_effects

__all__ = ["Traced", "trace"]

# Operators whose result may share the memory of their input, so that a change in place is seen through both.
_VIEWS = """alias chunk contiguous detach dropout expand feature_dropout flatten movedim narrow permute reshape select slice split squeeze
to transpose unflatten unsqueeze view view_as"""
VIEWS = frozenset(_VIEWS.split())


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A traced model, or what is in the way.

    Attributes:
        program: graph of torch's operators as written; None where it could not be traced.
        formulas: of its activation layers.
        refusals: obstacles found.
    """

    program: ExportedProgram | None
    formulas: Formulas
    refusals: tuple[Refusal, ...]


def trace(model: nn.Module, arguments: Arguments) -> Traced:
    """Trace a model for batches of any size.

    Args:
        model: any module; it is as it was afterwards.
        arguments: positional and keyword arguments of a call.

    Raises:
        SiteError: the model raises on the arguments.
    """
    formulas = Formulas()
    refusals = changed_buffers(model, arguments)
    if batch_size(arguments) == 0:
        return Traced(program=None, formulas=formulas, refusals=(*refusals, no_examples(model)))
    if batch_size(arguments) == 1:
        arguments = with_batch(arguments, 2)  # a size of 1 would be taken as fixed
    with no_side_effects(model), quietly(), as_nodes(model, formulas), _as_operators(model, formulas):
        try:
            program = _exported(model, arguments)
        except Exception as error:  # torch.export raises anything
            refusals.append(of_an_exception(model, "", error))
            return Traced(program=None, formulas=formulas, refusals=tuple(refusals))
    return Traced(program=program, formulas=formulas, refusals=tuple(refusals))


@contextmanager
def _as_operators(model: nn.Module, formulas: Formulas) -> Iterator[None]:
    """Have layers that are tensor code run what they are in eval mode: a softmax, or the mean of a stochastic activation."""
    changed = []
    for layer in activation_layers(model):
        simple = _simple(layer, formulas)
        if simple is not None:
            layer.forward = simple  # type: ignore[method-assign] # put back below
            changed.append(layer)
    try:
        yield
    finally:
        for layer in changed:
            del layer.forward


def _simple(layer: ActivationLayer, formulas: Formulas) -> Callable[..., Tensor] | None:
    spec = layer.spec.forward
    if str(spec) in {"softmax", "log_softmax"}:
        return partial(F.softmax if str(spec) == "softmax" else F.log_softmax, dim=-1)
    if spec.activation.kind != "stochastic" or list(layer.parameters()):
        return None
    try:
        return formulas.of_expression(str(spec), mean_formula(spec), spec.activation.inputs, spec)
    except ExportError:  # it is traced, and refused where it stands
        return None


def _exported(model: nn.Module, arguments: Arguments) -> ExportedProgram:
    args, kwargs = arguments
    size = batch_size(arguments)

    def free(value: Any) -> Any:
        has_batch = isinstance(value, Tensor) and value.dim() and value.shape[0] == size
        return {0: torch.export.Dim.DYNAMIC} if has_batch else None

    shapes = tree_map(free, args) if not kwargs else {**tree_map(free, kwargs)}
    program: ExportedProgram = torch.export.export(model, args, kwargs or None, dynamic_shapes=shapes, strict=False)
    if any(_changes_a_view(node) for node in program.graph.nodes):
        program = program.run_decompositions({})
    return program


def _changes_a_view(node: Node) -> bool:
    """Whether an operator changes a tensor in place whose memory other nodes share."""
    if not is_in_place(node):
        return False
    changed = next(leaf for leaf in tree_leaves(node.args) if isinstance(leaf, Node))
    return _is_view(changed) or any(_is_view(user) for user in changed.users)


def _is_view(node: Node) -> bool:
    return node.op == "placeholder" or operator_name(node) in VIEWS or "getitem" in str(node.target)


def is_in_place(node: Node) -> bool:
    """Whether a node is an operator such as ``relu_``, which overwrites its first argument."""
    name = operator_name(node)
    return name.endswith("_") and not name.startswith("_")


def operator_name(node: Node) -> str:
    """Return the name of an operator of torch without its overload, such as "conv2d"; "" for any other node."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return ""
    name: str = node.target.name()  # type: ignore[no-untyped-call] # torch's own
    return name.partition("::")[2].partition(".")[0]
