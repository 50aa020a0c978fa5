"""The query: which activations have the properties that are asked for, by what was measured of them and not by what is claimed.

>>> query(monotone=True, lower=0, smooth=1, slope=1, zero=True).names
['huberized_relu']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan

import numpy as np

from actlab.errors import QueryError, UnknownNameError
from actlab.functions.activation import KINDS, Activation, get, names
from actlab.functions.analysis.affine_equivalence import parse_elementwise
from actlab.functions.analysis.facts import FLAT, Facts
from actlab.functions.analysis.stored_facts import known_facts
from actlab.functions.formula.evaluate import Array, numeric
from actlab.functions.formula.quadrature import normal_quadrature
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["QueryResult", "query"]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A property that is asked for: its words, and whether an activation with these facts (None where it has none) has it."""

    words: str
    holds: Callable[[Activation, Facts | None], bool]


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """What a query found.

    Attributes:
        records: the activations that meet every condition: by name, or the most alike first if that was asked for.
        alone: condition in words to how many of all activations meet it.
        without: condition in words to how many activations meet all the others.
        distance: name to the root mean square difference to the function asked for, for inputs from N(0, 1).
    """

    records: tuple[Activation, ...]
    alone: Mapping[str, int]
    without: Mapping[str, int]
    distance: Mapping[str, float]

    @property
    def names(self) -> list[str]:
        """Names of the activations."""
        return [record.name for record in self.records]


def query(
    text: str | None = None,
    *,
    kind: str | None = None,
    family: str | None = None,
    monotone: bool | None = None,
    lower: float | None = None,
    upper: float | None = None,
    bounded: bool | None = None,
    smooth: float | None = None,
    zero: bool | None = None,
    slope: float | None = None,
    learned: bool | None = None,
    native: bool | None = None,
    like: str | Spec | None = None,
) -> QueryResult:
    """Find the activations that have every property asked for, at the defaults of their parameters.

    Facts are measured of elementwise functions; where one is asked for, the other kinds are left out.

    Args:
        text: words that have to stand in the name, an alias, the description or the paper.
        kind: "elementwise", "gated", "vector" or "stochastic".
        family: the file of the catalogue, such as "exponential".
        monotone: whether it never falls.
        lower: it never goes below this.
        upper: it never goes above this.
        bounded: whether its range is bounded on both sides.
        smooth: it has at least so many continuous derivatives (0: no jump, 1: no kink, ``inf``: smooth).
        zero: whether f(0) = 0.
        slope: its slope is at most this, up or down, and it does not jump.
        learned: whether it has parameters that are learned by default.
        native: whether torch has a fused kernel for it.
        like: an elementwise activation; those most like it come first, itself left out.

    Raises:
        UnknownNameError: no such kind, family, or activation to be like.
        QueryError: a bound is NaN, or the bounds cross.
        SpecError: ``like`` cannot be read or is not elementwise.

    Example:
        >>> query(monotone=True, bounded=True, zero=True, smooth=float("inf"), native=True).names
        ['arctan', 'erf', 'tanh']
        >>> query(like="gelu", native=True).names[:2]
        ['gelu_tanh', 'mish']
    """
    families = {get(name).family for name in names()}
    _check_name("kind of activation", kind, KINDS)
    _check_name("family of activations", family, families)
    _check_bounds(lower=lower, upper=upper, smooth=smooth, slope=slope)
    given = [
        text and Condition(words=f"with the words {text!r}", holds=lambda record, _: _says(record, text)),
        kind and Condition(words=f"of kind {kind}", holds=lambda record, _: record.kind == kind),
        family and Condition(words=f"of family {family}", holds=lambda record, _: record.family == family),
        _fact("never falls", "falls somewhere", monotone, lambda facts: facts.monotone),
        _bound("never below", lower, lambda facts, bound: facts.lower >= bound - FLAT),
        _bound("never above", upper, lambda facts, bound: facts.upper <= bound + FLAT),
        _fact("bounded", "unbounded", bounded, lambda facts: -inf < facts.lower and facts.upper < inf),
        _bound("continuous derivatives at least", smooth, lambda facts, order: facts.smoothness >= order),
        _fact("f(0) = 0", "f(0) not 0", zero, lambda facts: facts.zero),
        _bound("slope at most", slope, _is_gentle),
        _part("learned parameters", learned, lambda record: any(p.learned for p in record.parameters)),
        _part("a fused kernel in torch", native, lambda record: record.torch is not None),
        like and Condition(words="elementwise", holds=lambda record, _: record.kind == "elementwise"),
    ]
    return _answer([condition for condition in given if isinstance(condition, Condition)], like)


def _check_name(what: str, name: str | None, known: Iterable[str]) -> None:
    if name is not None and name not in known:
        raise UnknownNameError(what, name, known, f"There are {', '.join(sorted(known))}.")


def _check_bounds(**bounds: float | None) -> None:
    for name, bound in bounds.items():
        if bound is not None and isnan(bound):
            raise QueryError(f"{name} is NaN; give it a number.")
    lower, upper, smooth, slope = (bounds[name] for name in ("lower", "upper", "smooth", "slope"))
    if lower is not None and upper is not None and lower > upper:
        raise QueryError(
            f"lower is {lower:g} and upper is {upper:g}: nothing is never below the one and never above the other."
        )
    if slope is not None and slope < 0:
        raise QueryError(f"slope is {slope:g}; it bounds |f'|, so give it a number from 0 up.")
    if smooth is not None and smooth < 0:
        raise QueryError(
            f"smooth is {smooth:g}; give the number of continuous derivatives: 0 (no jump), 1 (no kink), 2, 3 or inf."
        )


def _says(record: Activation, text: str) -> bool:
    whole = " ".join([record.name, *record.aliases, record.family, record.doc, record.source]).lower()
    return all(word in whole for word in text.lower().split())


def _fact(yes: str, no: str, asked: bool | None, holds: Callable[[Facts], bool]) -> Condition | None:
    if asked is None:
        return None
    return Condition(words=yes if asked else no, holds=lambda _, facts: facts is not None and holds(facts) is asked)


def _bound(words: str, bound: float | None, holds: Callable[[Facts, float], bool]) -> Condition | None:
    if bound is None:
        return None
    return Condition(words=f"{words} {bound:g}", holds=lambda _, facts: facts is not None and holds(facts, bound))


def _is_gentle(facts: Facts, bound: float) -> bool:
    return facts.smoothness >= 0 and facts.slope_bound <= bound + FLAT  # a jump is steeper than any slope


def _part(words: str, asked: bool | None, has: Callable[[Activation], bool]) -> Condition | None:
    if asked is None:
        return None
    return Condition(words=words if asked else f"without {words}", holds=lambda record, _: has(record) is asked)


def _answer(conditions: Sequence[Condition], like: str | Spec | None) -> QueryResult:
    records = [get(name) for name in names()]
    facts = {record.name: known_facts(record) if record.kind == "elementwise" else None for record in records}
    met = {c.words: {r.name for r in records if c.holds(r, facts[r.name])} for c in conditions}
    everything = {record.name for record in records}
    found = everything.intersection(*met.values())
    distance = _distances(like, found) if like is not None else {}
    ordered = sorted(distance or found, key=lambda name: (distance.get(name, 0.0), name))
    return QueryResult(
        records=tuple(map(get, ordered)),
        distance=distance,
        alone={words: len(names) for words, names in met.items()},
        without={
            words: len(everything.intersection(*(others for other, others in met.items() if other != words)))
            for words in met
        },
    )


def _distances(like: str | Spec, among: Iterable[str]) -> dict[str, float]:
    """Return the root mean square difference of each to the function, for inputs from N(0, 1); itself left out."""
    one = parse_elementwise(like)
    nodes, weights = normal_quadrature(())

    def values(spec: Spec) -> Array:
        return numeric(spec.formula, spec.activation.inputs)(nodes)

    target = values(one)
    others = (parse(name) for name in among if name != one.activation.name)
    return {str(other): float(np.sqrt(weights @ (values(other) - target) ** 2)) for other in others}
