"""Search the catalogue by measured properties, such as monotonicity, range, smoothness and slope.

>>> query(monotone=True, lower=0, smooth=1, slope=1, zero=True).names
['huberized_relu']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import TypedDict, Unpack

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
from actlab.system.display import Displayed
from actlab.system.options import from_options

__all__ = ["Criteria", "CriteriaOptions", "QueryResult", "query"]


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """Properties that an activation must have at the defaults of its parameters; None requires nothing.

    Attributes:
        kind: "elementwise", "gated", "vector" or "stochastic".
        family: family of the catalogue, such as "exponential".
        monotone: whether it is nondecreasing.
        lower: lower bound of its range.
        upper: upper bound of its range.
        bounded: whether its range is bounded on both sides.
        smooth: smallest number of continuous derivatives (0: no jump, 1: no kink, ``inf``: smooth).
        zero: whether f(0) = 0.
        slope: upper bound of its absolute slope; excludes functions with jumps.
        learned: whether it has parameters that are learned by default.
        native: whether torch has a fused kernel for it.
        like: an elementwise activation; sorts the result by distance to it, without that activation itself.

    Raises:
        UnknownNameError: there is no such kind or family.
        QueryError: a bound is NaN or out of range, or the bounds cross.
    """

    kind: str | None = None
    family: str | None = None
    monotone: bool | None = None
    lower: float | None = None
    upper: float | None = None
    bounded: bool | None = None
    smooth: float | None = None
    zero: bool | None = None
    slope: float | None = None
    learned: bool | None = None
    native: bool | None = None
    like: str | Spec | None = None

    def __post_init__(self) -> None:
        _check_name("kind of activation", self.kind, KINDS)
        if self.family is not None:
            _check_name("family of activations", self.family, {get(name).family for name in names()})
        _check_bounds(lower=self.lower, upper=self.upper, smooth=self.smooth, slope=self.slope)


class CriteriaOptions(TypedDict, total=False):
    """Keyword options of :func:`query`, with the same names and types as the fields of :class:`Criteria`."""

    kind: str | None
    family: str | None
    monotone: bool | None
    lower: float | None
    upper: float | None
    bounded: bool | None
    smooth: float | None
    zero: bool | None
    slope: float | None
    learned: bool | None
    native: bool | None
    like: str | Spec | None


@dataclass(frozen=True, kw_only=True)
class QueryResult(Displayed):
    """Result of a query.

    Attributes:
        records: the activations that meet every condition, by name, or by distance if ``like`` was given.
        alone: description of each condition to the number of activations that meet it.
        without: description of each condition to the number of activations that meet all others.
        distance: name to the root mean square difference to ``like``, for N(0, 1) inputs; empty without ``like``.
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
    text: str | None = None, *, criteria: Criteria | None = None, **options: Unpack[CriteriaOptions]
) -> QueryResult:
    """Find the activations that have every required property, at the defaults of their parameters.

    Args:
        text: words that must all occur in the name, aliases, family, description or source.
        criteria: required properties.
        options: fields of :class:`Criteria`, which replace those of ``criteria``.

    Raises:
        UnknownNameError: there is no such kind, family, or activation to compare with.
        QueryError: a bound is NaN or out of range, or the bounds cross.
        SpecError: ``like`` is not a valid spec of an elementwise activation.
        TypeError: there is no such option.

    Example:
        >>> query(monotone=True, bounded=True, zero=True, smooth=float("inf"), native=True).names
        ['arctan', 'erf', 'tanh']
        >>> query(like="gelu", native=True).names[:2]
        ['gelu_tanh', 'mish']
    """
    chosen = from_options(Criteria, criteria, options)
    conditions = [*_name_conditions(text, chosen), *_fact_conditions(chosen), *_implementation_conditions(chosen)]
    return _result([condition for condition in conditions if condition is not None], chosen.like)


@dataclass(frozen=True, kw_only=True)
class _Condition:
    """A required property: its description, and whether an activation has it; facts are None where none are measured."""

    words: str
    holds: Callable[[Activation, Facts | None], bool]


def _name_conditions(text: str | None, criteria: Criteria) -> list[_Condition | None]:
    kind, family = criteria.kind, criteria.family
    return [
        _Condition(words=f"with the words {text!r}", holds=lambda record, _: _mentions(record, text)) if text else None,
        _Condition(words=f"of kind {kind}", holds=lambda record, _: record.kind == kind) if kind else None,
        _Condition(words=f"of family {family}", holds=lambda record, _: record.family == family) if family else None,
    ]


def _fact_conditions(criteria: Criteria) -> list[_Condition | None]:
    return [
        _fact("never falls", "falls somewhere", criteria.monotone, lambda facts: facts.monotone),
        _bound("never below", criteria.lower, lambda facts, bound: facts.lower >= bound - FLAT),
        _bound("never above", criteria.upper, lambda facts, bound: facts.upper <= bound + FLAT),
        _fact("bounded", "unbounded", criteria.bounded, lambda facts: -inf < facts.lower and facts.upper < inf),
        _bound("continuous derivatives at least", criteria.smooth, lambda facts, order: facts.smoothness >= order),
        _fact("f(0) = 0", "f(0) not 0", criteria.zero, lambda facts: facts.zero),
        _bound("slope at most", criteria.slope, _has_slope_at_most),
    ]


def _implementation_conditions(criteria: Criteria) -> list[_Condition | None]:
    return [
        _part("learned parameters", criteria.learned, lambda record: any(p.learned for p in record.parameters)),
        _part("a fused kernel in torch", criteria.native, lambda record: record.torch is not None),
        _Condition(words="elementwise", holds=lambda record, _: record.kind == "elementwise")
        if criteria.like
        else None,
    ]


def _check_name(what: str, name: str | None, known: Iterable[str]) -> None:
    if name is not None and name not in known:
        raise UnknownNameError(what, name, known, f"There are {', '.join(sorted(known))}.")


def _check_bounds(*, lower: float | None, upper: float | None, smooth: float | None, slope: float | None) -> None:
    for name, bound in {"lower": lower, "upper": upper, "smooth": smooth, "slope": slope}.items():
        if bound is not None and isnan(bound):
            raise QueryError(f"{name} is NaN; give it a number.")
    if lower is not None and upper is not None and lower > upper:
        raise QueryError(f"lower is {lower:g} and upper is {upper:g}; lower must not be above upper.")
    if slope is not None and slope < 0:
        raise QueryError(f"slope is {slope:g}; it bounds |f'|, so give it a number from 0 up.")
    if smooth is not None and smooth < 0:
        raise QueryError(
            f"smooth is {smooth:g}; give the number of continuous derivatives: 0 (no jump), 1 (no kink), 2, 3 or inf."
        )


def _mentions(record: Activation, text: str) -> bool:
    searched = " ".join([record.name, *record.aliases, record.family, record.doc, record.source]).lower()
    return all(word in searched for word in text.lower().split())


def _fact(yes: str, no: str, required: bool | None, has: Callable[[Facts], bool]) -> _Condition | None:
    if required is None:
        return None
    return _Condition(
        words=yes if required else no, holds=lambda _, facts: facts is not None and has(facts) is required
    )


def _bound(words: str, bound: float | None, holds: Callable[[Facts, float], bool]) -> _Condition | None:
    if bound is None:
        return None
    return _Condition(words=f"{words} {bound:g}", holds=lambda _, facts: facts is not None and holds(facts, bound))


def _has_slope_at_most(facts: Facts, bound: float) -> bool:
    return facts.smoothness >= 0 and facts.slope_bound <= bound + FLAT  # a jump has no bounded slope


def _part(words: str, required: bool | None, has: Callable[[Activation], bool]) -> _Condition | None:
    if required is None:
        return None
    return _Condition(words=words if required else f"without {words}", holds=lambda record, _: has(record) is required)


def _result(conditions: Sequence[_Condition], like: str | Spec | None) -> QueryResult:
    records = [get(name) for name in names()]
    facts = {record.name: known_facts(record) if record.kind == "elementwise" else None for record in records}
    met = {c.words: {r.name for r in records if c.holds(r, facts[r.name])} for c in conditions}
    everything = {record.name for record in records}
    matching = everything.intersection(*met.values())
    distance = _distances(like, matching) if like is not None else {}
    ordered = sorted(distance or matching, key=lambda name: (distance.get(name, 0.0), name))
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
    """Return the root mean square difference of each activation to ``like`` for N(0, 1) inputs, without ``like`` itself."""
    reference = parse_elementwise(like)
    nodes, weights = normal_quadrature(())

    def values(spec: Spec) -> Array:
        return numeric(spec.formula, spec.activation.inputs)(nodes)

    target = values(reference)
    others = (parse(name) for name in among if name != reference.activation.name)
    return {str(other): float(np.sqrt(weights @ (values(other) - target) ** 2)) for other in others}
