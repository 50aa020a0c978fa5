"""Reader of a net from a model, which refuses what is no layer by name, place and reason, all at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from actlab.export.capture.obstacles import of_node
from actlab.export.net.activations import activation_of, formula_of
from actlab.export.net.fold import fold
from actlab.export.net.layers import ArgMax, Layer, Reshape
from actlab.export.net.net import Net
from actlab.export.net.operators import OPERATORS
from actlab.export.net.trace import Traced, is_in_place, operator_name, trace
from actlab.export.net.value import Reading, UnsupportedError, Value
from actlab.export.refusal import Refusal, refuse
from actlab.nn.sites.dry_run import Inputs, copy_inputs

__all__ = ["read_net"]

UNKNOWN = object()
SUPPORTED = (
    "is no layer of the net's description, which has dense layers, 1-D and 2-D convolutions, pools, activations, norms with fixed "
    "statistics, sums and products of tensors, slices, concatenations, padding, softmax and argmax"
)


def read_net(model: nn.Module, example_inputs: Inputs, *, target: str = "a net") -> Net:
    """Return the layers of a model as it computes in eval mode.

    Norms in eval mode are folded into the layer before them, dropout is gone, and constants are float32.

    Args:
        model: any module; it is as it was afterwards.
        example_inputs: a batch: a tensor, a tuple of positional arguments, or a dict of keyword arguments. The first
            dimension is the batch.
        target: what it is read for, named where it cannot be read.

    Raises:
        ExportError: something in the model is no layer; all such places are named.
        SiteError: the model raises on the inputs.

    Example:
        >>> import actlab, numpy as np
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), actlab.layer("mish"), nn.Dropout(), nn.Linear(8, 2))
        >>> net = read_net(model, torch.randn(3, 4))
        >>> [type(layer).__name__ for layer in net.layers], net.run(np.zeros((5, 4), np.float32))[0].shape
        (['Dense', 'Activation', 'Dense'], (5, 2))
    """
    name = type(model).__name__
    traced = trace(model, copy_inputs(example_inputs))
    if traced.program is None:
        refuse(name, target, traced.refusals)
    assert traced.program is not None  # noqa: S101 # as above
    reader = _Reader(traced, traced.program)
    reader.walk()
    refuse(name, target, [*traced.refusals, *reader.refusals])
    return fold(reader.net(name))


class _Reader:
    """Walk over a graph that turns nodes into layers."""

    def __init__(self, traced: Traced, program: ExportedProgram) -> None:
        self.formulas, self.program = traced.formulas, program
        self.values: dict[Node, Any] = {}
        self.layers: list[Layer] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.refusals: list[Refusal] = []
        self.batches: set[str] = set()  # symbols of its size, several where inputs never meet

    def walk(self) -> None:
        constants = self._constants()
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = constants[node.name] if node.name in constants else self._input(node)
            elif node.op == "output":
                self._output(node)
            elif node.op == "call_function":
                self.values[node] = self._call(node)
                if is_in_place(node) and isinstance(node.args[0], Node):
                    self.values[node.args[0]] = self.values[node]

    def net(self, name: str) -> Net:
        return Net(
            name=name,
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs),
            shapes=self.shapes,
            layers=tuple(self.layers),
        )

    def _constants(self) -> dict[str, Any]:
        program, found = self.program, {}
        for spec in program.graph_signature.input_specs:
            if spec.kind in {InputKind.PARAMETER, InputKind.BUFFER}:
                tensor = program.state_dict.get(spec.target, program.constants.get(spec.target))
                found[spec.arg.name] = tensor.detach().cpu().clone() if isinstance(tensor, Tensor) else tensor
            elif spec.kind == InputKind.CONSTANT_TENSOR:
                found[spec.arg.name] = program.constants[spec.target].detach().cpu().clone()
        return found

    def _input(self, node: Node) -> Any:
        value: Any = node.meta.get("val")
        if not isinstance(value, Tensor):
            return value  # a number, which is constant
        sizes: tuple[Any, ...] = tuple(value.shape)
        if not sizes or isinstance(sizes[0], int):
            return self._refused(
                node, "it has no batch: all inputs need the batch as their first dimension, of one size."
            )
        self.batches.add(str(sizes[0]))
        reason = self._obstacle(value)
        if value.dtype != torch.float32:
            reason = f"it is {value.dtype}; a net takes float32: model.float(), and inputs.float()."
        if reason:
            return self._refused(node, reason)
        name = node.name
        self.inputs.append(name)
        self.shapes[name] = tuple(map(int, sizes[1:]))
        return Value(name, self.shapes[name])

    def _obstacle(self, value: Tensor) -> str | None:
        """Return why a tensor has no place in a net."""
        if value.dtype not in {torch.float32, torch.int64, torch.int32}:
            return f"it is {value.dtype}; a net is float32: model.float(), and inputs.float()."
        if (
            not value.dim()
            or str(value.shape[0]) not in self.batches
            or not all(isinstance(n, int) for n in value.shape[1:])
        ):
            return f"its shape {tuple(map(str, value.shape))} does not begin with the batch, or mixes examples."
        return None

    def _output(self, node: Node) -> None:
        kinds = [spec.kind for spec in self.program.graph_signature.output_specs]
        leaves = [
            leaf for leaf, kind in zip(tree_leaves(node.args[0]), kinds, strict=True) if kind == OutputKind.USER_OUTPUT
        ]
        for leaf in leaves:  # not an input that the model changes in place
            value = self.values.get(leaf, UNKNOWN) if isinstance(leaf, Node) else leaf
            if isinstance(value, Value):
                self._return(value)
            elif value is not UNKNOWN and value is not None:
                self.refusals.append(
                    Refusal(name=f"output {leaf}", place="the model", reason="it is a constant, or has no batch.")
                )
        if not self.outputs and not self.refusals:
            self.refusals.append(Refusal(name="output", place="the model", reason="the model returns no tensor."))

    def _return(self, value: Value) -> None:
        """Return a tensor; an input, and one that is returned already, as a copy."""
        if value.name in (*self.inputs, *self.outputs):
            copy = f"{value.name}_copy_{len(self.outputs)}"
            self.layers.append(Reshape(name=value.name, inputs=(value.name,), output=copy))
            self.shapes[copy] = value.shape
            value = Value(copy, value.shape)
        self.outputs.append(value.name)

    def _refused(self, node: Node, reason: str) -> Any:
        is_operator = isinstance(node.target, torch._ops.OpOverload)
        refusal = (
            of_node(node, "", reason) if is_operator else Refusal(name=node.name, place="the model", reason=reason)
        )
        self.refusals.append(refusal)
        return UNKNOWN

    def _call(self, node: Node) -> Any:
        if "assert" in str(node.target) or isinstance(node.meta.get("val"), (int, float, torch.SymInt)):
            return node.meta.get("val")  # sizes, of which the shapes of tensors tell
        leaves, structure = tree_flatten((node.args, node.kwargs))
        values = [self.values.get(leaf) if isinstance(leaf, Node) else leaf for leaf in leaves]
        known = not any(value is UNKNOWN for value in values)
        if not any(isinstance(value, Value) for value in values) and known:
            return self._constant(node, tree_unflatten(values, structure))
        args, kwargs = tree_unflatten(values, structure)
        function = self._function(node)
        if function is None:
            return self._refused(node, f"it {SUPPORTED}.")
        if not known:
            return UNKNOWN
        if any(
            isinstance(layer, ArgMax) and Value(layer.output, self.shapes[layer.output]) in values
            for layer in self.layers
        ):
            return self._refused(node, "it computes with the index of an argmax; return the index as it is.")
        result = node.meta.get("val")
        tensors = [
            leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and leaf.shape != (0,)
        ]  # unused ones
        reason = next(filter(None, map(self._obstacle, tensors)), None)
        if reason:
            return self._refused(node, reason)
        shapes = tree_map(lambda leaf: tuple(map(int, leaf.shape[1:])) if isinstance(leaf, Tensor) else leaf, result)
        try:
            return function(Reading(self, node, shapes), *args, **kwargs)
        except UnsupportedError as error:
            return self._refused(node, str(error))

    def _function(self, node: Node) -> Any:
        if isinstance(node.target, torch._ops.OpOverload) and node.target.namespace == "onnx_symbolic":
            return formula_of(self.formulas)
        if not isinstance(node.target, torch._ops.OpOverload):
            return OPERATORS.get(getattr(node.target, "__name__", ""))
        name = operator_name(node)
        return OPERATORS.get(name) or OPERATORS.get(name.rstrip("_")) or activation_of(name)

    def _constant(self, node: Node, call: Any) -> Any:
        """Compute a node that depends on no input."""
        args, kwargs = call
        if isinstance(node.target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags:
            return self._refused(node, "it draws random numbers, in eval mode too.")
        try:
            with torch.no_grad():
                return node.target(*args, **kwargs)  # type: ignore[operator] # a function, as the node calls it
        except Exception as error:  # a size of the batch among the arguments, for one
            return self._refused(node, f"it makes a constant that depends on the batch ({type(error).__name__}).")
