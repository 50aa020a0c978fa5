"""Functions that an engine may run in the place of a trained one, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from actlab.errors import ActlabError
from actlab.export.conform.candidate import Candidate, learned_names, of_formula, of_spec, textbook
from actlab.functions.activation import Learned, names
from actlab.functions.analysis.other_libraries import equivalents, other_libraries
from actlab.functions.formula import maximum, minimum, where
from actlab.functions.grammar import parse
from actlab.functions.parameter import DOMAINS
from actlab.functions.spec import Spec

__all__ = ["everything", "head_candidates", "near"]

GRID = np.linspace(-12.0, 12.0, 97) + 0.0137
LIBRARIES = 2
"""Number of libraries that must have a function for it to be tried early."""
SOFTMAXES = ("log_softmax", "softmin", "softmax1", "hardmax", "sigmoid", "identity")


def near(spec: Spec, kind: str, *, dim: int | None, gate: str, learned: dict[str, float]) -> list[Candidate]:
    """Return the near relatives of a trained function.

    These are: parts left out, other values of its parameters, functions that several libraries have, the other half as the gate, and the
    textbook form.

    Args:
        spec: the trained function; learned numbers stand in ``learned``.
        kind: of the activation.
        dim: dimension along which a vector function works.
        gate: half of a packed input that is the gate.
        learned: mean of each learned number.
    """
    if kind == "gated":
        return _gated(spec, gate)
    if kind == "vector":
        return list(_vector(spec, dim))
    return _distinct(spec, list(_elementwise(spec, learned)))


def everything(kind: str, *, dim: int | None, gate: str) -> Iterator[Candidate]:
    """Yield the functions of the catalogue of one kind, at their defaults."""
    for name in names("elementwise" if kind == "stochastic" else kind):
        made = _attempt(name, "", dim, gate)
        if made is not None:
            yield made


def _attempt(text: str, what: str, dim: int | None = None, gate: str = "second") -> Candidate | None:
    try:
        return of_spec(text, what, dim=dim, gate=gate)
    except ActlabError:  # a value out of its domain, or one that must be learned
        return None


# ---------------------------------------------------------------------------------------- elementwise


def _elementwise(spec: Spec, learned: dict[str, float]) -> Iterator[Candidate | None]:
    has_formula = spec.activation.expression is not None
    if has_formula:
        yield from _parts_left_out(spec, learned)
        yield from _other_values(spec, learned)
        yield None if learned else textbook(spec)
    yield from _common()
    if has_formula:
        yield from _other_values(spec, learned, wide=True)


@cache
def _common() -> tuple[Candidate, ...]:
    """Return the functions that several libraries have, at their defaults."""
    common = [name for name in names("elementwise") if len(equivalents(name)) >= LIBRARIES]
    return tuple(made for made in (_attempt(name, "") for name in common) if made is not None)


def _numbers(spec: Spec, learned: dict[str, float]) -> dict[str, float]:
    """Return a number for each parameter; means in the place of learned ones."""
    return {
        name: learned.get(name, value.initial or 0.0) if isinstance(value, Learned) else float(value)
        for name, value in spec.assigned
    }


def _parts_left_out(spec: Spec, learned: dict[str, float]) -> Iterator[Candidate]:
    """Yield the formula without one of its limits, or with one branch only."""
    record = spec.activation
    numbers = {sympy.Symbol(name, real=True): sympy.Float(value, 17) for name, value in _numbers(spec, learned).items()}
    formula = record.formula.xreplace(numbers)
    for node in sympy.preorder_traversal(formula):
        if not isinstance(node, (maximum, minimum, where)):
            continue
        branches = node.args[1:] if isinstance(node, where) else node.args
        for kept, left in (branches, branches[::-1]):
            if kept.free_symbols:
                what = _left_out(node, kept, left)
                yield of_formula(f"{spec} with {what}", what, formula.xreplace({node: kept}), record.inputs)


def _left_out(node: Any, kept: Any, left: Any) -> str:
    if isinstance(node, where):
        return f"the branch {_short(left)} left out"
    side = "lower" if isinstance(node, maximum) else "upper"
    return f"its {side} limit {_short(left)} left out" if left.is_number else f"only {_short(kept)} of a {side} limit"


def _short(expression: Any) -> str:
    return str(expression.evalf(4) if expression.is_number else expression.subs({}).evalf(4)).replace(" ", "")


def _other_values(spec: Spec, learned: dict[str, float], *, wide: bool = False) -> Iterator[Candidate | None]:
    """Yield the function with another value of one parameter: its default, those of other libraries, 0, 1, and multiples."""
    now = _numbers(spec, learned)
    for parameter in spec.activation.parameters:
        if parameter.domain == "cutoff" or parameter.name not in now:
            continue
        value, is_allowed = now[parameter.name], DOMAINS[parameter.domain][1]
        near = [parameter.default, *_in_libraries(spec.activation.name, parameter.name), 0.0, 1.0]
        far = [-value, 2 * value, value / 2, 10 * value, value / 10, 0.5, 0.1, 0.01, 0.2, 0.25, 0.3, 1.702]
        for other in dict.fromkeys(far if wide else near):
            if other != value and is_allowed(other):
                values = now | {parameter.name: other}
                text = ", ".join(f"{name}={number!r}" for name, number in values.items())
                what = f"{parameter.name} is {other:g} in the place of {value:g}"
                yield _attempt(f"{spec.activation.name}({text})", what)
    if learned:
        text = ", ".join(f"{name}={number!r}" for name, number in now.items())
        yield _attempt(f"{spec.activation.name}({text})", "the mean of each learned number for all channels")


def _in_libraries(name: str, parameter: str) -> list[float]:
    specs = (parse(text) for other in other_libraries() for text in other.same.values() if text.startswith(name))
    return [float(s.numbers[parameter]) for s in specs if s.activation.name == name and parameter in s.numbers]


def _distinct(spec: Spec, candidates: Sequence[Candidate | None]) -> list[Candidate]:
    """Return candidates without those that compute the same as an earlier one or as the trained function.

    A part that was left out is called as the function that is left, where another candidate computes it.
    """
    curves: list[tuple[np.ndarray[Any, Any], Candidate]] = []
    trained = of_spec(spec) if not learned_names(spec) else None
    if trained is not None and trained.curve is not None:
        curves.append((trained.curve(GRID), trained))
    found: list[Candidate] = []
    for candidate in candidates:
        if candidate is None:
            continue
        if candidate.curve is None:
            found.append(candidate)
            continue
        values = candidate.curve(GRID)
        equal = next((i for i, (other, _) in enumerate(curves) if _equal(values, other)), None)
        if equal is None:
            curves.append((values, candidate))
            found.append(candidate)
        elif " left out" in curves[equal][1].spec and " left out" not in candidate.spec and curves[equal][1] in found:
            old = curves[equal][1]
            named = Candidate(spec=candidate.spec, what=old.what, function=old.function, curve=old.curve)
            found[found.index(old)] = named
            curves[equal] = (curves[equal][0], named)
    return found


def _equal(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-12, atol=1e-13, equal_nan=True))


# -------------------------------------------------------------------------------------- gated, vector


def _gated(spec: Spec, gate: str) -> list[Candidate]:
    other = "first" if gate == "second" else "second"
    swapped = _attempt(str(spec), "the other half is the gate", gate=other)
    named = [] if swapped is None else [_renamed(swapped, f"{spec} with the halves swapped")]
    all_of_them = [made for made in (_attempt(name, "", gate=gate) for name in names("gated")) if made is not None]
    crossed = [
        _renamed(made, f"{name} with the halves swapped")
        for name in names("gated")
        if name != spec.activation.name
        for made in [_attempt(name, "another gate, and the other half is the gate", gate=other)]
        if made is not None
    ]
    return [*named, *(made for made in all_of_them if made.spec != str(spec)), *crossed]


def _renamed(candidate: Candidate, spec: str) -> Candidate:
    return Candidate(spec=spec, what=candidate.what, function=candidate.function)


def _vector(spec: Spec, dim: int | None) -> Iterator[Candidate]:
    along = -1 if dim is None else dim
    if spec.activation.name in {"softmax", "log_softmax", "softmin", "sigmoid_weights"}:
        yield Candidate(
            spec=f"{spec} in the reverse order", what="outputs in the reverse order", function=_reversed(spec, along)
        )
        for name in SOFTMAXES:
            made = _attempt(name, "left out" if name == "identity" else "", along)
            if made is not None and name != spec.activation.name:
                yield made
        for other in (0, 1, -1):
            if other != along:
                made = _attempt(spec.activation.name, f"along dimension {other}", other)
                if made is not None:
                    yield made
    yield from (made for made in everything("vector", dim=along, gate="second") if made.spec != str(spec))


def _reversed(spec: Spec, dim: int) -> Any:
    forward = of_spec(spec, dim=dim)
    assert forward is not None and forward.function is not None  # noqa: S101, PT018 # softmax has no learned numbers
    return lambda x: forward.function(x).flip(dim)


def head_candidates(columns: int) -> list[Candidate]:
    """Return what an engine may do behind a model's output, or leave out in front of it.

    Args:
        columns: size of the output's last dimension.
    """
    found = [
        Candidate(spec=name, what=f"{name} behind the model's output", function=function)
        for name, function in {
            "softmax": lambda y: torch.softmax(y, -1),
            "log_softmax": lambda y: torch.log_softmax(y, -1),
            "sigmoid": torch.sigmoid,
            "tanh": torch.tanh,
            "relu": torch.relu,
            "exponential": torch.exp,
        }.items()
    ]
    if columns > 1:
        found.append(
            Candidate(spec="columns in the reverse order", what="columns in the reverse order", function=_flip)
        )
    return found


def _flip(y: Tensor) -> Tensor:
    return y.flip(-1)
