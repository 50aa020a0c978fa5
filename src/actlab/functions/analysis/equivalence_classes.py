"""Equivalences: which entries of the catalogue are one function under scaling, or at certain values of their parameters; found by search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actlab.functions.activation import Activation, get, names
from actlab.functions.analysis.affine_equivalence import Relation, relation, special_case, verify
from actlab.functions.analysis.other_libraries import equivalents

__all__ = ["Equivalences", "find_equivalences", "verified"]


@dataclass(frozen=True, kw_only=True)
class Equivalences:
    """What a search over elementwise entries found.

    Attributes:
        classes: of entries that are the same function under scaling at their defaults: each is a relation to the class's first entry.
        cases: entries that are another entry at certain values of its parameters; scaled where they are not as they stand. Scaled ones
            are looked for between classes only, and from the first entry of a class; none of what equals the first entry.
    """

    classes: tuple[tuple[Relation, ...], ...]
    cases: tuple[Relation, ...]

    def of(self, name: str) -> list[Relation]:
        """Return the relations in which an activation takes part: those to its class first, then the cases, equal ones first."""
        related = [one for members in self.classes if name in _members(members) for one in members]
        return [*related, *(case for case in self.cases if name in _names(case))]


def verified(found: Equivalences) -> Equivalences:
    """Return those of the relatives that hold by the verification of today."""
    classes = (tuple(filter(verify, members)) for members in found.classes)
    return Equivalences(classes=tuple(filter(None, classes)), cases=tuple(filter(verify, found.cases)))


def find_equivalences(
    among: Sequence[str] | None = None, progress: Callable[[str], None] = lambda _: None
) -> Equivalences:
    """Hold every elementwise entry against every other one (some minutes for 270 on one core).

    Args:
        among: names; by default all.
        progress: told what is being held against the others.

    Example:
        >>> found = find_equivalences(["tanh", "sigmoid", "relu", "leaky_relu"])
        >>> [[one.function for one in members] for members in found.classes]
        [['tanh'], ['leaky_relu']]
        >>> [(one.function, one.other) for one in found.cases]
        [('relu', 'leaky_relu(negative_slope=0)')]
    """
    records = sorted((get(name) for name in among or names("elementwise")), key=_rank)
    classes: dict[str, list[Relation]] = {}
    first: dict[str, str] = {}
    told: list[str] = []  # by which cases are told: what is relu at its defaults is whatever relu is
    for record in records:
        progress(f"{record.name} against {len(classes)} classes")
        found = next(filter(None, (relation(record.name, other) for other in classes)), None)
        first[record.name] = name = get(found.other).name if found else record.name
        classes.setdefault(name, []).extend([found] if found else [])
        told += [] if found and found.equal else [record.name]
    cases = []
    for record in records:
        progress(f"all against {record.name} at any values")
        cases += _cases(record, told, first)
    return Equivalences(
        classes=tuple(tuple(members) for members in classes.values() if members),
        cases=tuple(sorted(cases, key=lambda case: (case.function, not case.equal, case.other))),
    )


def _cases(other: Activation, told: Sequence[str], first: dict[str, str]) -> list[Relation]:
    """Return which of ``told`` are special cases of one; ``first`` has the first entry of each one's class."""
    found = (
        special_case(name, other.name, scaled=name == first[name] != first[other.name])
        for name in told
        if name != other.name
    )
    return [case for case in found if case]


def _rank(record: Activation) -> tuple[int, bool, int, int, str]:
    """Order entries so that the one by which others are best told comes first: known in many libraries, simple, short."""
    simple = len(record.parameters), len(str(record.formula))
    return -len(equivalents(record.name)), record.torch is None, *simple, record.name


def _names(one: Relation) -> set[str]:
    return {text.partition("(")[0] for text in (one.function, one.other)}


def _members(members: Sequence[Relation]) -> set[str]:
    return set().union(*map(_names, members))
