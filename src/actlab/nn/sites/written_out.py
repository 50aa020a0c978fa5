"""Activations written out in one expression, such as ``h * torch.sigmoid(h)``, matched as a whole.

An expression counts if it is a formula of one value: arithmetic and elementwise functions of torch, with numbers that are known. It must
contain an activation, or the exponential or error function, and be more than a call of it with a scale or shift. What it computes is judged
as in :mod:`actlab.nn.recognition.values`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.nn.passes.value_flow import ELEMENTWISE, bare_name
from actlab.nn.recognition.torch_activations import Running
from actlab.nn.recognition.values import name_of
from actlab.nn.sites.call_slot import HeldMethod, slot_of_expression
from actlab.nn.sites.call_target import called_activation, known_names, named_value
from actlab.nn.sites.slot import Edit, Slot
from actlab.nn.source.definitions import Definitions, definitions
from actlab.nn.source.method_source import Method

__all__ = ["Span", "WrittenOut", "span_in", "span_of", "written_input", "written_out"]

Span = tuple[int, ...]
"""Where an expression starts and ends: two lines, counted from the method's first, and columns."""

_CLIPPED: Final = frozenset({"relu6", "hardtanh"})  # which a scale and a shift make another function
_OPERATIONS: Final = frozenset({"div", "divide", "mul", "multiply", "pow", "square", "true_divide"})
_FACTORS: Final = frozenset({"div", "mul", "multiply", "true_divide"})


@dataclass(frozen=True, kw_only=True, eq=False)
class WrittenOut:
    """A registered function that is written out in a method.

    Attributes:
        slot: where it stands.
        running: the function.
        calls: the calls inside it.
        span: where the expression stands.
        input_span: where its input stands inside.
        line: the method's first line.
    """

    slot: Slot
    running: Running
    calls: tuple[ast.Call, ...]
    span: Span
    input_span: Span
    line: int


def span_of(edit: Edit) -> Span:
    """Return where the expression of an edit stands."""
    return (*edit.start, *edit.end)


def span_in(method: Method, node: ast.expr) -> Span:
    """Return where an expression of a method stands."""
    end = (node.end_lineno or 0) - method.first_line, node.end_col_offset or 0
    return (node.lineno - method.first_line, node.col_offset, *end)


def written_input(method: Method, node: ast.AST, edit: Edit) -> ast.expr:
    """Return the input of a function that is written out: the expression inside it that the edit names."""
    parts = (part for part in ast.walk(node) if isinstance(part, ast.expr))
    return next(part for part in parts if span_in(method, part) == edit.value)


def written_out(owner: nn.Module, held: HeldMethod, method: Method) -> list[WrittenOut]:
    """Return the functions that are written out in a method of a module."""
    if not _has_products(method):
        return []
    finder = _Finder(owner, method)
    found: list[WrittenOut] = []
    seen: set[int] = set()
    for expression in definitions(method).expressions:
        for node, formula, name in finder.search(expression):
            if id(node) not in seen and id(node) in finder.own:
                seen.add(id(node))
                same = sum(other.running.name == name for other in found)
                slot = slot_of_expression(owner, held, method, (node, formula.input), f"{name}@{same + 1}")
                running = Running(name=name, spec=name, by_values=True)
                found.append(
                    WrittenOut(
                        slot=slot,
                        running=running,
                        calls=tuple(formula.calls),
                        span=span_in(method, node),
                        input_span=span_in(method, formula.input),
                        line=method.first_line,
                    )
                )
    return found


@lru_cache(maxsize=1024)
def _has_products(method: Method) -> bool:
    """Whether a method has a product or power, without which nothing is written out."""
    return any(
        (isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.Pow)))
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _OPERATIONS)
        for node in ast.walk(method.node)
    )


@dataclass(kw_only=True, eq=False)
class _Formula:
    """An expression as a formula of one value.

    Attributes:
        inputs: every place where the value stands.
        key: identifies the value; None for a number.
        calls: calls of functions.
        activations: names of the activations that are called.
        functions: names of all functions that are called, "pow" for a power, and "gate" for a product of two functions of the value.
    """

    inputs: list[ast.expr]
    key: object
    calls: list[ast.Call]
    activations: list[str]
    functions: set[str]

    @property
    def input(self) -> ast.expr:
        return self.inputs[0]

    @property
    def is_candidate(self) -> bool:
        """Whether it may be a function of its own, not only a scaled or shifted one."""
        several = len(self.inputs) > 1
        if several and not all(isinstance(each, (ast.Name, ast.Attribute)) for each in self.inputs):
            return False  # a call would run once where it ran several times
        known = bool(self.activations) or bool({"erf", "exp"} & self.functions)
        is_clipped = len(self.activations) == 1 and bool(_CLIPPED & {*self.activations})
        return self.key is not None and known and (is_clipped or bool({"gate", "pow", "square"} & self.functions))


class _Finder:
    """Finds the formulas in the expressions of one method."""

    def __init__(self, owner: nn.Module, method: Method) -> None:
        self.names: Mapping[str, Any] = known_names(owner, method)
        self.found: Definitions = definitions(method)
        self.own = {id(node) for node in ast.walk(method.node)}  # without what stands for ``x *= y``

    def search(self, node: ast.expr) -> Iterator[tuple[ast.expr, _Formula, str]]:
        """Yield the outermost expressions inside one that are registered functions."""
        formula = self.formula(node)
        if formula is not None and formula.is_candidate and not _is_plain_call(node, formula):
            name = self.name(node, formula)
            if name is not None and name not in formula.activations:
                yield node, formula, name
                yield from (each for part in formula.inputs[:1] for each in self.search_inside(part))
                return
        yield from self.search_inside(node)

    def search_inside(self, node: ast.expr) -> Iterator[tuple[ast.expr, _Formula, str]]:
        if isinstance(node, (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)):
            return
        for child in ast.iter_child_nodes(node):
            inner = child.value if isinstance(child, ast.keyword) else child
            if isinstance(inner, ast.expr):
                yield from self.search(inner)

    def name(self, node: ast.expr, formula: _Formula) -> str | None:
        """Return the registered function that a formula computes."""
        holes = {id(each) for each in formula.inputs}
        numbers: dict[str, Any] = {}
        text = ast.unparse(self.closed(node, holes, numbers))
        return _judged(text, tuple(sorted(numbers.items(), key=lambda item: item[0])))

    def closed(self, node: ast.AST, holes: set[int], numbers: dict[str, Any]) -> ast.AST:
        """Return a formula with ``_x`` for its value, and a name for everything else that is known."""
        if id(node) in holes:
            return ast.Name(id="_x", ctx=ast.Load())
        if isinstance(node, (ast.Name, ast.Attribute)) and (known := named_value(node, self.names)) is not None:
            name = next((name for name, value in numbers.items() if value is known), f"_{len(numbers)}")
            numbers[name] = known
            return ast.Name(id=name, ctx=ast.Load())
        fields = {name: self.copied(value, holes, numbers) for name, value in ast.iter_fields(node)}
        return type(node)(**fields)

    def copied(self, value: Any, holes: set[int], numbers: dict[str, Any]) -> Any:
        if isinstance(value, list):
            return [self.copied(each, holes, numbers) for each in value]
        return self.closed(value, holes, numbers) if isinstance(value, ast.AST) else value

    # ----------------------------------------------------------------------------------------- formulas

    def formula(self, node: ast.expr) -> _Formula | None:
        """Return an expression as a formula of one value; None where it has several, or a function that is not elementwise."""
        if isinstance(node, ast.Constant):
            return _number() if isinstance(node.value, (int, float)) else None
        if isinstance(node, ast.UnaryOp):
            return self.formula(node.operand)
        if isinstance(node, ast.BinOp) and not isinstance(node.op, (ast.MatMult, ast.Mod, ast.FloorDiv)):
            powers = {"pow"} if isinstance(node.op, ast.Pow) else set()
            return self.joined([node.left, node.right], powers, is_product=isinstance(node.op, (ast.Mult, ast.Div)))
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, (ast.Name, ast.Attribute)):
            value = named_value(node, self.names)
            if isinstance(value, (int, float)):
                return _number()
            return None if isinstance(value, Tensor) else self.value(node)
        return self.value(node)

    def value(self, node: ast.expr) -> _Formula:
        """Return an expression as the value of which another one is a formula."""
        names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
        key = ast.unparse(node), tuple(id(self.found.of(name)) for name in names)
        return _Formula(inputs=[node], key=key, calls=[], activations=[], functions=set())

    def call(self, node: ast.Call) -> _Formula | None:
        target = named_value(node.func, self.names)
        receiver = node.func.value if target is None and isinstance(node.func, ast.Attribute) else None
        name = str(getattr(target, "__name__", node.func.attr if isinstance(node.func, ast.Attribute) else ""))
        if getattr(target, "__module__", "") == "math":
            numbers = [self.formula(each) for each in node.args]
            is_number = all(each is not None and each.key is None for each in numbers)
            return _number() if is_number and not node.keywords else None
        activation = called_activation(node, self.names)
        is_torch = receiver is not None or getattr(torch, name, None) is target or hasattr(target, "__objclass__")
        is_known = activation is not None or (is_torch and bare_name(name) in ELEMENTWISE and name[-1:] != "_")
        if not is_known or (activation is not None and (activation[0].user_defined or activation[0].inplace)):
            return self.value(node)
        if any(keyword.arg in {"inplace", "out", "dtype", None} for keyword in node.keywords):
            return None
        arguments = [*([] if receiver is None else [receiver]), *node.args]
        arguments += [keyword.value for keyword in node.keywords if not _is_text(keyword.value)]
        inner = self.joined(arguments, is_product=bare_name(name) in _FACTORS)
        if inner is None or inner.key is None:
            return self.value(node)
        inner.calls.append(node)
        inner.activations += [activation[0].name] if activation else []
        inner.functions |= {bare_name(name)}
        return inner

    def joined(
        self, nodes: list[ast.expr], functions: set[str] | None = None, *, is_product: bool = False
    ) -> _Formula | None:
        parts = [self.formula(node) for node in nodes]
        whole = _number()
        whole.functions |= functions or set()
        if is_product and sum(part is not None and part.key is not None for part in parts) > 1:
            whole.functions.add("gate")
        for part in parts:
            if part is None or (None is not part.key != whole.key is not None):
                return None
            whole.key = whole.key if part.key is None else part.key
            whole.inputs += part.inputs
            whole.calls += part.calls
            whole.activations += part.activations
            whole.functions |= part.functions
        return whole


def _number() -> _Formula:
    return _Formula(inputs=[], key=None, calls=[], activations=[], functions=set())


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_plain_call(node: ast.expr, formula: _Formula) -> bool:
    """Whether an expression is a call of an activation with the value itself as input."""
    return (
        isinstance(node, ast.Call)
        and len(formula.calls) == 1
        and len(formula.inputs) == 1
        and not formula.functions - {*formula.activations}
    )


@lru_cache(maxsize=1024)
def _judged(text: str, known: tuple[tuple[str, Any], ...]) -> str | None:
    function = eval(f"lambda _x: {text}", dict(known))  # noqa: S307 # the user's own formula, of names that are known
    return name_of(function)
