"""Activations whose result the model returns or that are parts of a formula, read from the source.

Used for models that are not run. Values are followed as in a run (:mod:`actlab.nn.passes.value_flow`), from the expressions that
``forward`` returns back through its assignments, its submodules and its own methods.
"""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from types import FunctionType
from typing import Final

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.passes.value_flow import CONSTANT, RESHAPES, SELECTIONS, Value, ValueRules, bare_name, limits_of
from actlab.nn.recognition.torch_activations import Running
from actlab.nn.sites.call_target import known_names, named_value
from actlab.nn.sites.pass_record import Run, Trace
from actlab.nn.sites.slot import Slot, original_class, slot_of_module
from actlab.nn.sites.written_out import span_in, span_of, written_input
from actlab.nn.source.definitions import ARGUMENT, UNKNOWN, Definitions, definitions
from actlab.nn.source.method_source import Method, read

__all__ = ["PART_OF_FORMULA", "returned_slots", "run_slots"]

PART_OF_FORMULA: Final = (
    "it is a part of a function that is written out, as the sigmoid of h * sigmoid(h) is; to swap the function as a whole, write it in one "
    "expression, in a function of its own, or as a module"
)
"""Why a part of a formula is no site that a swap replaces."""

_GIVEN: Final = Value(given=True, root=object())
_COMPUTED: Final = Value(computed=True, root=object())
_RESHAPES: Final = frozenset(map(bare_name, RESHAPES))
_DEPTH: Final = 24  # expressions, methods and modules inside one another


def returned_slots(
    model: nn.Module, known: Mapping[int, Running], calls: Iterable[tuple[Slot, Running]]
) -> tuple[set[Hashable], set[Hashable]]:
    """Return the keys of the slots whose result the model returns, and of those that are parts of a formula, as the source shows.

    Args:
        model: any module.
        known: its modules that are activations, by ``id``.
        calls: the calls of activations in its methods, and the functions that are held as attributes.

    Example:
        >>> from actlab.nn.sites.user_modules import activation_modules
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid())
        >>> [len(keys) for keys in returned_slots(model, activation_modules(model), ())]
        [1, 0]
    """
    slots: dict[int, list[tuple[Slot, Running]]] = defaultdict(list)
    for slot, running in calls:
        slots[id(slot.owner)].append((slot, running))
    reader = _Reader(known, slots)
    value = reader.module(model, [_GIVEN], _DEPTH)
    return {*reader.direct, *value.firm} - reader.rules.hidden, reader.rules.parts


def run_slots(traced: Trace) -> tuple[set[Hashable], set[Hashable]]:
    """Return the keys of the slots all of whose results the model returned in a run, and of those that were parts of a formula."""
    runs: dict[Hashable, list[Run]] = defaultdict(list)
    for run in traced.runs:
        runs[run.slot.key].append(run)
    outputs = {key for key, group in runs.items() if all(map(traced.is_output, group))}
    return outputs, {key for key, group in runs.items() if traced.flow.rules.parts & {*group}}


class _Reader:
    """Follows values through the source of modules.

    Attributes:
        rules: how values become others.
        direct: activations whose result is returned, reshaped at most.
    """

    def __init__(self, known: Mapping[int, Running], slots: Mapping[int, list[tuple[Slot, Running]]]) -> None:
        self.known, self.slots = known, slots
        self.rules = ValueRules()
        self.direct: set[Hashable] = set()

    def module(self, module: nn.Module, inputs: list[Value], depth: int, *, returned: bool = True) -> Value:
        """Return what a module makes of its inputs; with ``returned``, the model returns it."""
        if id(module) in self.known:
            return self.activation(slot_of_module(module).key, self.known[id(module)], inputs, returned=returned)
        if depth <= 0 or isinstance(module, torch.jit.ScriptModule):
            return self.rules.weighted(inputs)
        if type(module).forward is nn.Sequential.forward and isinstance(module, nn.Sequential):
            parts = list(module.children())
            for index, part in enumerate(parts):
                is_last = returned and all(map(_reshapes, parts[index + 1 :]))
                inputs = [self.module(part, inputs, depth - 1, returned=is_last)]
            return inputs[0] if inputs else CONSTANT
        is_torch = original_class(type(module)).__module__.split(".")[0] == "torch"
        method = None if is_torch else _method(module, "forward")
        if method is not None:
            return _MethodReader(self, module, ("forward", method), inputs, depth - 1).value(returned=returned)
        has_weights = next(module.parameters(), None) is not None or "Norm" in type(module).__name__
        return self.rules.weighted(inputs) if has_weights else self.rules.joined("module", inputs)

    def activation(self, key: Hashable, running: Running, inputs: Iterable[Value], *, returned: bool) -> Value:
        value = self.rules.activated(key, next(iter(inputs), CONSTANT), limits_of(running.name))
        self.direct |= {key} if returned else set()
        return value


def _reshapes(module: nn.Module) -> bool:
    return isinstance(module, (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout))


def _method(owner: nn.Module, name: str) -> Method | None:
    held = inspect.getattr_static(original_class(type(owner)), name, None)
    function = inspect.unwrap(held) if isinstance(held, FunctionType) else None
    try:
        return read(function) if isinstance(function, FunctionType) else None
    except SiteError:  # no source
        return None


class _MethodReader:
    """Follows values through one method of a module."""

    def __init__(
        self, reader: _Reader, owner: nn.Module, held: tuple[str, Method], inputs: list[Value], depth: int
    ) -> None:
        self.reader, self.owner, (self.name, method), self.depth = reader, owner, held, depth
        self.method = method
        self.argument = reader.rules.joined("cat", inputs) if inputs else _GIVEN
        self.found: Definitions = definitions(method)
        self.names = known_names(owner, method)
        own = reader.slots.get(id(owner), [])
        self.attributes = {slot.attribute: (slot.key, running) for slot, running in own if slot.kind == "attribute"}
        slots = [(slot, running, slot.edit) for slot, running in own if slot.edit and slot.edit.method == self.name]
        self.calls = {edit.end: (slot.key, running) for slot, running, edit in slots if not edit.start}
        self.written = {span_of(edit): (slot.key, running, edit) for slot, running, edit in slots if edit.start}
        self.done: dict[tuple[int, bool], Value] = {}

    def value(self, *, returned: bool) -> Value:
        """Return what the method returns. All its expressions are read, so that it is known what takes a result."""
        for expression in self.found.expressions:
            self.of(expression, self.depth)
        return self.joined("cat", [self.of(each, self.depth, returned=returned) for each in self.found.returned])

    def joined(self, name: str, values: list[Value], numbers: Iterable[float] = ()) -> Value:
        return self.reader.rules.result(name, values, list(numbers)) if values else CONSTANT

    def of(self, node: ast.expr, depth: int, *, returned: bool = False) -> Value:
        """Return what is known of the value of an expression."""
        key = id(node), returned
        if key not in self.done:
            self.done[key] = _COMPUTED  # where a loop leads back to it
            self.done[key] = self.fresh(node, depth, returned) if depth > 0 else _COMPUTED
        return self.done[key]

    def fresh(self, node: ast.expr, depth: int, returned: bool) -> Value:
        if node is ARGUMENT:
            return self.argument
        if node is UNKNOWN:
            return _COMPUTED
        if self.written and (found := self.written.get(span_in(self.method, node))):
            value = self.of(written_input(self.method, node, found[2]), depth - 1)
            return self.reader.activation(*found[:2], [value], returned=returned)
        if isinstance(node, ast.Name):
            meaning = self.found.of(node)
            return CONSTANT if meaning is None else self.of(meaning, depth - 1, returned=returned)
        if isinstance(node, ast.Subscript):
            return self.reader.rules.joined("getitem", [self.of(node.value, depth - 1, returned=returned)])
        if isinstance(node, ast.Attribute):
            return self.attribute(node, depth)
        if isinstance(node, ast.BinOp):
            operands = [node.left, node.right]
            values = [self.of(each, depth - 1) for each in operands]
            if CONSTANT in values and not any(v.carried for v in values):
                return self.joined("mul", values)
            name = {ast.Add: "add", ast.Sub: "sub", ast.Pow: "pow", ast.MatMult: "matmul"}.get(type(node.op), "mul")
            return self.joined(name, _tensors(values), map(self.number, operands))
        if isinstance(node, ast.Call):
            return self.call(node, depth, returned)
        if isinstance(node, (ast.Compare, ast.Constant, ast.BoolOp, ast.Lambda)):
            return CONSTANT
        parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        keeps = returned and not isinstance(node, ast.UnaryOp)
        return self.joined("cat", [self.of(part, depth - 1, returned=keeps) for part in parts])

    def attribute(self, node: ast.Attribute, depth: int) -> Value:
        value = named_value(node, self.names)
        if isinstance(value, Tensor):
            return Value(weight=True)
        return CONSTANT if node.attr in {"shape", "dtype", "device", "ndim"} else self.of(node.value, depth - 1)

    def number(self, node: ast.expr) -> float:
        value = named_value(node.operand if isinstance(node, ast.UnaryOp) else node, self.names)
        return float(value) if isinstance(value, (int, float)) else 0.0

    # -------------------------------------------------------------------------------------------- calls

    def call(self, node: ast.Call, depth: int, returned: bool) -> Value:
        """Return what is known of the result of a call."""
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        own = self.method.attribute(node)
        end = ((node.end_lineno or 0) - self.method.first_line, node.end_col_offset or 0)
        receiver = node.func.value if isinstance(node.func, ast.Attribute) and own is None else None
        inputs = [] if receiver is None else [self.of(receiver, depth - 1)]
        target = named_value(node.func, self.names)
        name = bare_name(getattr(target, "__name__", node.func.attr if isinstance(node.func, ast.Attribute) else ""))
        is_reshape = name in _RESHAPES and receiver is not None
        if is_reshape:
            return self.of(receiver, depth - 1, returned=returned) if receiver is not None else CONSTANT
        is_record = isinstance(target, type) or target is None
        values = [*inputs, *(self.of(each, depth - 1, returned=returned and is_record) for each in arguments)]
        found = self.calls.get(end) or self.attributes.get(own)
        if found is not None:
            return self.reader.activation(*found, _tensors(values), returned=returned)
        if isinstance(target, nn.Module):
            return self.reader.module(target, _tensors(values), depth - 1, returned=returned)
        if isinstance(target, FunctionType) and own is not None:
            return self.own_method(own, _tensors(values), depth, returned)
        if not values:
            return CONSTANT
        selects = isinstance(target, type) or name in SELECTIONS
        return self.joined("cat" if selects else name, _tensors(values), map(self.number, arguments))

    def own_method(self, name: str, values: list[Value], depth: int, returned: bool) -> Value:
        method = _method(self.owner, name)
        if method is None or depth <= 0 or method is self.method:
            return self.joined("cat", values)
        return _MethodReader(self.reader, self.owner, (name, method), values, depth - 1).value(returned=returned)


def _tensors(values: list[Value]) -> list[Value]:
    """Return the values without constants, unless there is nothing else."""
    return [value for value in values if value is not CONSTANT] or values[:1]
