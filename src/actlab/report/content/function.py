"""Sentences: what was measured of a function, in words: its cost, its traps, its relatives, and what an empty answer lacked."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite

from actlab.bench.float32_accuracy import InaccurateRegion
from actlab.bench.operation_cost import Cost
from actlab.functions.analysis.affine_equivalence import Relation
from actlab.functions.analysis.equivalence_classes import Equivalences
from actlab.functions.analysis.query import QueryResult
from actlab.report.content.format import MINUS

__all__ = ["cost_sentences", "equation", "nothing_found", "related", "same_page", "trap_sentences"]

GOOD = 1e-4  # a relative error that is none to speak of in float32, whose own is 6e-8


def cost_sentences(cost: Cost) -> list[str]:
    """Return what a function costs, first its class."""
    forward, backward = cost.kernels
    kernels = f"{_count(forward, 'kernel')} forward and {_count(backward, 'kernel')} backward in eager torch"
    traffic = (
        f"a training step moves at least {cost.bytes:g} bytes per element in float32: "
        f"{cost.traffic[0]:g} elements forward, {cost.traffic[1]:g} backward"
    )
    slope = f"its slope: {', '.join(_counted(cost.backward))}" if cost.backward else ""
    return [part for part in (cost.words, slope, kernels, traffic) if part]


def _counted(calls: Sequence[str]) -> list[str]:
    return [f"{calls.count(call)} {call}" if calls.count(call) > 1 else call for call in dict.fromkeys(calls)]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def trap_sentences(traps: Sequence[InaccurateRegion]) -> list[str]:
    """Return a sentence for each trap: where the naive program is wrong, and what ActLab's does there."""
    return [_trap(trap) for trap in traps]


def _trap(trap: InaccurateRegion) -> str:
    where, what = _region(trap.low, trap.high), f"the {trap.part}"
    if trap.finite:
        wrong = f"{where} {what} loses its digits (relative error {_size(trap.error)}; it is at most {_size(trap.truth)} there)"
    else:
        wrong = f"{where} {what} is not finite (it is at most {_size(trap.truth)} there)"
    if trap.here < GOOD:
        return f"{wrong}; here it is right to {_size(max(trap.here, 1e-7))}"
    if not isfinite(trap.here):
        return f"{wrong}; here, too"
    return f"{wrong}; here the relative error is {_size(trap.here)}"


def _region(low: float, high: float) -> str:
    if low == -inf and high == inf:
        return "nearly everywhere"
    if low == high:
        return f"at {_size(low)}"
    if low == -inf:
        return f"below {_size(high)}"
    return f"above {_size(low)}" if high == inf else f"from {_size(low)} to {_size(high)}"


def _size(value: float) -> str:
    if value == 0 or not isfinite(value):
        return "0" if value == 0 else "infinite"
    return f"{value:.3g}".replace("-", MINUS) if 1e-4 <= abs(value) < 1e5 else f"{value:.1g}".replace("-", MINUS)


def equation(one: Relation, *, variable: str = "x") -> str:
    """Return a relation as an equation.

    Example:
        >>> equation(Relation(function="sigmoid", other="tanh", a=0.5, b=0.5, d=0.5))
        'sigmoid(x) = 0.5 tanh(0.5 x) + 0.5'
        >>> equation(Relation(function="relu", other="leaky_relu(negative_slope=0)"))
        'relu(x) = leaky_relu(negative_slope=0)(x)'
    """
    factor = {1.0: "", -1.0: MINUS}.get(one.a, f"{_number(one.a)} ")
    inside = {1.0: "", -1.0: MINUS}.get(one.b, f"{_number(one.b)} ")
    text = f"{one.function}({variable}) = {factor}{one.other}({inside}{variable})"
    if one.c:
        size = "" if abs(one.c) == 1 else f"{_number(abs(one.c))} "
        text += f" {'+' if one.c > 0 else MINUS} {size}{variable}"
    return f"{text} {'+' if one.d > 0 else MINUS} {_number(abs(one.d))}" if one.d else text


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", MINUS)


def related(relatives: Equivalences, name: str) -> list[dict[str, str]]:
    """Return the relatives of an activation, each with its equation: its own equations first, then those of its class."""
    found = []
    for one in relatives.of(name):
        function, other = (text.partition("(")[0] for text in (one.function, one.other))
        rank = (name not in {function, other}, not one.equal)
        found.append((rank, {"name": other if function == name else function, "equation": equation(one)}))
    return [relative for _, relative in sorted(found, key=lambda pair: pair[0])]


def nothing_found(answer: QueryResult) -> str:
    """Return why a query found nothing: the condition without which most would be left, or how many meet each."""
    conditions = "; ".join(answer.alone) or "nothing"
    worst = max(answer.without, key=lambda words: answer.without[words])
    if answer.without[worst]:
        return f'No activation has all of this: {conditions}. Without "{worst}" there would be {answer.without[worst]}.'
    met = "; ".join(f"{words}: {number}" for words, number in answer.alone.items())
    return f"No activation has all of this, nor all but one of it. Each on its own is met by so many: {met}."


PAGE = """# The same function

Found by a search over all elementwise entries, not listed by hand: every pair was held against each other numerically
(`functions/analysis/affine_equivalence.py`), and each equation below holds to 1e-12 of its largest term at 602 inputs from -40 to 40.
Learned parameters count with their initial value. `scripts/measure` searches again and writes this page; `actlab show NAME` tells the
relatives of one.

## One function under scaling

Entries that are f(x) = a g(b x) + c x + d of the first one, at their defaults: weights, biases and a linear path around the activation make
up for the constants, so in a network they differ by initialisation and by what is learned, not by what can be represented.
"""
CASES = """
## One function at certain values of another's parameters

Up to four parameters were set free, from a grid of starts; what is missing here was not found, which proves nothing. Where two entries
belong to the same class above, only equality as they stand is listed; between classes their first entries are compared.

"""


def same_page(found: Equivalences) -> str:
    """Return the page of the documentation that lists all relatives."""
    lines = [PAGE]
    for members in found.classes:
        lines += [f"- **{members[0].other}**", *(f"  - `{equation(one)}`" for one in members)]
    lines += [CASES, "| entry | equations |", "|---|---|"]
    for name in sorted({one.function for one in found.cases}):
        equations = "<br>".join(f"`{equation(one)}`" for one in found.cases if one.function == name)
        lines.append(f"| {name} | {equations} |")
    return "\n".join(lines) + "\n"
