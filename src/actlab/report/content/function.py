"""Sentences on cost, float32 accuracy and empty query results; documentation of equal functions."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite

from actlab.bench.float32_accuracy import InaccurateRegion
from actlab.bench.operation_cost import Cost
from actlab.functions.analysis.affine_equivalence import Relation
from actlab.functions.analysis.equivalence_classes import Equivalences
from actlab.functions.analysis.query import QueryResult
from actlab.report.content.format import MINUS, plain, plural

__all__ = ["cost_sentences", "equation", "nothing_found", "related", "same_page", "trap_sentences"]

# relative errors below this are negligible in float32, whose rounding error is 6e-8
GOOD = 1e-4


def cost_sentences(cost: Cost) -> list[str]:
    """Return the cost class of a function, then its derivative's operations, kernels and memory traffic."""
    forward, backward = cost.kernels
    kernels = f"{plural(forward, 'kernel')} forward and {plural(backward, 'kernel')} backward in eager torch"
    traffic = (
        f"a training step moves at least {cost.bytes:g} bytes per element in float32: "
        f"{cost.traffic[0]:g} elements forward, {cost.traffic[1]:g} backward"
    )
    derivative = f"derivative: {', '.join(_counted(cost.backward))}" if cost.backward else ""
    return [part for part in (cost.words, derivative, kernels, traffic) if part]


def _counted(calls: Sequence[str]) -> list[str]:
    return [f"{calls.count(call)} {call}" if calls.count(call) > 1 else call for call in dict.fromkeys(calls)]


def trap_sentences(regions: Sequence[InaccurateRegion]) -> list[str]:
    """Return a sentence per region in which the textbook formula is inaccurate in float32, with the error of ActLab's code there."""
    return [_region_sentence(region) for region in regions]


def _region_sentence(region: InaccurateRegion) -> str:
    where, part, magnitude = _range(region.low, region.high), f"the {region.part}", _magnitude(region.truth)
    if region.finite:
        fault = f"{where} {part} has a relative error of {_magnitude(region.error)} (magnitude at most {magnitude})"
    else:
        fault = f"{where} {part} is not finite (true magnitude at most {magnitude})"
    if region.here < GOOD:
        return f"{fault}; ActLab's is accurate to {_magnitude(max(region.here, 1e-7))}"
    if not isfinite(region.here):
        return f"{fault}; nor is ActLab's"
    return f"{fault}; ActLab's has {_magnitude(region.here)}"


def _range(low: float, high: float) -> str:
    if low == -inf and high == inf:
        return "nearly everywhere"
    if low == high:
        return f"at {_magnitude(low)}"
    if low == -inf:
        return f"below {_magnitude(high)}"
    return f"above {_magnitude(low)}" if high == inf else f"from {_magnitude(low)} to {_magnitude(high)}"


def _magnitude(value: float) -> str:
    """Return three digits for numbers of ordinary size, one digit with an exponent for others."""
    if value == 0 or not isfinite(value):
        return "0" if value == 0 else "infinity"
    return plain(value, 3 if 1e-4 <= abs(value) < 1e5 else 1)


def equation(relation: Relation, *, variable: str = "x") -> str:
    """Return a relation as an equation.

    Example:
        >>> equation(Relation(function="sigmoid", other="tanh", a=0.5, b=0.5, d=0.5))
        'sigmoid(x) = 0.5 tanh(0.5 x) + 0.5'
        >>> equation(Relation(function="relu", other="leaky_relu(negative_slope=0)"))
        'relu(x) = leaky_relu(negative_slope=0)(x)'
    """
    a, b, c, d = relation.a, relation.b, relation.c, relation.d
    outer = {1.0: "", -1.0: MINUS}.get(a, f"{plain(a, 6)} ")
    inner = {1.0: "", -1.0: MINUS}.get(b, f"{plain(b, 6)} ")
    text = f"{relation.function}({variable}) = {outer}{relation.other}({inner}{variable})"
    if c:
        factor = "" if abs(c) == 1 else f"{plain(abs(c), 6)} "
        text += f" {'+' if c > 0 else MINUS} {factor}{variable}"
    return f"{text} {'+' if d > 0 else MINUS} {plain(abs(d), 6)}" if d else text


def related(equivalences: Equivalences, name: str) -> list[dict[str, str]]:
    """Return the functions equivalent to an activation with their equations, those that contain its name first."""
    ranked = []
    for relation in equivalences.of(name):
        function, other = (text.partition("(")[0] for text in (relation.function, relation.other))
        rank = (name not in {function, other}, not relation.equal)
        ranked.append((rank, {"name": other if function == name else function, "equation": equation(relation)}))
    return [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])]


def nothing_found(answer: QueryResult) -> str:
    """Explain an empty query result, by the condition that excludes most activations or by the matches of every condition."""
    conditions = "; ".join(answer.alone)
    if len(answer.alone) == 1:
        return f"No activation matches: {conditions}."
    strictest = max(answer.without, key=lambda condition: answer.without[condition])
    if answer.without[strictest]:
        return (
            f"No activation meets all conditions: {conditions}. "
            f'Without "{strictest}", {answer.without[strictest]} would match.'
        )
    matches = "; ".join(f"{condition}: {number}" for condition, number in answer.alone.items())
    return f"No activation meets all conditions, or all but one. Activations that meet each one: {matches}."


PAGE = """# Equivalent functions

Found by a numerical comparison of all pairs of elementwise entries (`functions/analysis/affine_equivalence.py`).
Each equation below holds to 1e-12 of its largest term at 602 inputs from -40 to 40.
Learned parameters are at their initial value. `scripts/measure` repeats the search and writes this page; `actlab show NAME` lists
the equations of one entry.

## Equal up to scaling

Entries that are f(x) = a g(b x) + c x + d of the first one, at their defaults: weights, biases and a linear path around the activation
absorb the constants, so that in a network they differ in initialization and in what is learned, not in what can be represented.
"""
CASES = """
## Special cases by parameter values

Up to four parameters were optimized from a grid of initial values; a relation that is missing here was not found, which does not exclude
it. If two entries belong to the same class above, only equality without scaling is listed; between classes the first entries are compared.

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
