"""Decision which printed figures of a column contradict their rows.

A row is held against the methods by which the other rows of its column were computed. Where no method reproduces most rows of a column
with three or more figures, the method of the column is unknown, and a row is accused only of what no method can give.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from actlab.published.result import Contradiction

__all__ = ["Check", "Judgement", "judge"]

FEWEST = 3  # figures of a column from which on its own rows say that its method is another one


@dataclass(frozen=True, kw_only=True)
class Check:
    """A printed figure, recomputed.

    Attributes:
        row: name of its row.
        line: of the file.
        figure: kind of the figure, such as "p-value".
        fits: names of the methods that reproduce it.
        possible: whether another method, such as a test of paired runs, can give it.
        sentence: what is printed, and what follows from the row.
    """

    row: str
    line: int
    figure: str
    fits: frozenset[str]
    possible: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Outcome for one column.

    Attributes:
        misses: number of figures that no method of the column reproduces.
        total: number of figures.
        contradictions: those that contradict their rows.
        sentence: by which method how many figures follow.
    """

    misses: int
    total: int
    contradictions: tuple[Contradiction, ...]
    sentence: str


def judge(checks: Sequence[Check], families: Iterable[Sequence[str]], *, lenient: bool) -> Judgement:
    """Judge the figures of a column.

    Args:
        checks: at least one.
        families: methods that the figures of one column may have been computed by together; the first of equal ones is taken.
        lenient: whether a figure is accused only if no other method can give it.
    """
    family = max(families, key=lambda methods: sum(not check.fits.isdisjoint(methods) for check in checks))
    misses = [check for check in checks if check.fits.isdisjoint(family)]
    unknown = lenient or (len(checks) >= FEWEST and 2 * len(misses) > len(checks))
    accused = [check for check in misses if not (unknown and check.possible)]
    method = max(family, key=lambda name: sum(name in check.fits for check in checks))
    count = sum(method in check.fits for check in checks)
    sentence = f"{checks[0].figure}: {count} of {len(checks)} follow by the method {method!r}"
    sentence += f", {len(checks) - len(misses)} by it or a related one." if len(checks) - len(misses) > count else "."
    if unknown and len(misses) > len(accused):
        sentence += f" {len(misses) - len(accused)} may come from another method, such as paired runs or a bootstrap, and are not judged."
    return Judgement(
        misses=len(misses),
        total=len(checks),
        contradictions=tuple(
            Contradiction(row=check.row, line=check.line, figure=check.figure, sentence=check.sentence)
            for check in accused
        ),
        sentence=sentence,
    )
