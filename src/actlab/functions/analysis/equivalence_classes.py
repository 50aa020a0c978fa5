"""Search the catalogue for activations that are equal up to scaling, or special cases of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actlab.functions.activation import Activation, get, names
from actlab.functions.analysis.affine_equivalence import Relation, relation, special_case, verify
from actlab.functions.analysis.other_libraries import equivalents

__all__ = ["Equivalences", "find_equivalences", "verified"]


@dataclass(frozen=True, kw_only=True)
class Equivalences:
    """Equivalences between elementwise entries of the catalogue.

    Attributes:
        classes: classes of entries that are equal up to scaling at their defaults; each as its relations to the first entry.
        cases: entries that are another entry at certain values of its parameters, up to scaling where they are not equal. Scaled
            cases are searched between the first entries of different classes only.
    """

    classes: tuple[tuple[Relation, ...], ...]
    cases: tuple[Relation, ...]

    def of(self, name: str) -> list[Relation]:
        """Return the relations of an activation: those of its class first, then the special cases, equal ones first."""
        related = [relation for members in self.classes if name in _members(members) for relation in members]
        return [*related, *(case for case in self.cases if name in _names(case))]


def verified(equivalences: Equivalences) -> Equivalences:
    """Return the equivalences that pass the verification again."""
    classes = (tuple(filter(verify, members)) for members in equivalences.classes)
    return Equivalences(classes=tuple(filter(None, classes)), cases=tuple(filter(verify, equivalences.cases)))


def find_equivalences(
    among: Sequence[str] | None = None, progress: Callable[[str], None] = lambda _: None
) -> Equivalences:
    """Compare every elementwise entry with every other one (some minutes for 270 on one core).

    Args:
        among: names; by default all.
        progress: called with a text about the current comparison.

    Example:
        >>> found = find_equivalences(["tanh", "sigmoid", "relu", "leaky_relu"])
        >>> [[relation.function for relation in members] for members in found.classes]
        [['leaky_relu'], ['tanh']]
        >>> [(case.function, case.other) for case in found.cases]
        [('relu', 'leaky_relu(negative_slope=0)')]
    """
    records = sorted((get(name) for name in among or names("elementwise")), key=_rank)
    classes: dict[str, list[Relation]] = {}
    first: dict[str, str] = {}
    # Entries whose cases are searched; those of an entry equal to an earlier one would be the same.
    distinct: list[str] = []
    for record in records:
        progress(f"{record.name} against {len(classes)} classes")
        match = next(filter(None, (relation(record.name, other) for other in classes)), None)
        first[record.name] = name = get(match.other).name if match else record.name
        classes.setdefault(name, []).extend([match] if match else [])
        distinct += [] if match and match.equal else [record.name]
    cases = []
    for record in records:
        progress(f"all against {record.name} at any values")
        cases += _cases(record, distinct, first)
    return Equivalences(
        classes=tuple(tuple(members) for members in classes.values() if members),
        cases=tuple(sorted(cases, key=lambda case: (case.function, not case.equal, case.other))),
    )


def _cases(other: Activation, candidates: Sequence[str], first: dict[str, str]) -> list[Relation]:
    """Return the candidates that are special cases of ``other``; ``first`` maps an entry to the first one of its class."""
    cases = (
        special_case(name, other.name, scaled=name == first[name] != first[other.name])
        for name in candidates
        if name != other.name
    )
    return [case for case in cases if case]


def _rank(record: Activation) -> tuple[int, bool, int, int, str]:
    """Return a sort key that puts the best representative of a class first: in many libraries, few parameters, short formula."""
    simple = len(record.parameters), len(str(record.formula))
    return -len(equivalents(record.name)), record.torch is None, *simple, record.name


def _names(relation: Relation) -> set[str]:
    return {text.partition("(")[0] for text in (relation.function, relation.other)}


def _members(members: Sequence[Relation]) -> set[str]:
    return set().union(*map(_names, members))
