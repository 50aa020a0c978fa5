"""Results of the check of a published table."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from actlab.system.display import Displayed
from actlab.system.name_list import listed
from actlab.system.plural import plural

__all__ = ["Comparison", "Contradiction", "LintRow", "RunsNeeded", "TableLint", "WinsLint", "WinsRow"]


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """A printed figure that does not follow from the other figures of its row.

    Attributes:
        row: name of the row.
        line: of the file.
        figure: "p-value", "effect size", "interval", "spread", "mean" or "counts".
        sentence: what is printed, and what follows from the row.
    """

    row: str
    line: int
    figure: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of a row with another one by Welch's test.

    Attributes:
        difference: of the means, row minus the other.
        p: two-sided p-value; None where nothing can be tested.
        adjusted: corrected p-value: of "this row is the best one", by a closed test, or of no difference from the baseline, by Holm.
        differs: whether the corrected p-value is at most alpha; None where nothing can be tested.
        runs_needed: runs of each of the two rows that find the printed difference with 80 % power in a test of this pair alone.
        largest_sd: where nothing can be tested for lack of a spread, the standard deviation of single runs from which on the difference
            is not significant, even for this pair alone.
    """

    difference: float
    p: float | None = None
    adjusted: float | None = None
    differs: bool | None = None
    runs_needed: int | None = None
    largest_sd: float | None = None


@dataclass(frozen=True, kw_only=True)
class LintRow:
    """Row of a table, recomputed.

    Attributes:
        name: of the row.
        line: of the file.
        mean: as printed.
        sd: standard deviation of single runs, as printed or from what is printed; None where unknown.
        runs: number of runs; None where unknown.
        best: comparison with the row with the best mean; None for that row.
        baseline: comparison with the baseline; None for that row.
    """

    name: str
    line: int
    mean: float
    sd: float | None
    runs: int | None
    best: Comparison | None
    baseline: Comparison | None


@dataclass(frozen=True, kw_only=True)
class RunsNeeded:
    """Runs that the claimed winner needs against the best other row.

    Attributes:
        winner: name of the claimed winner.
        runner_up: name of the best other row.
        difference: of the means, winner minus runner-up.
        runs: of each row, for 80 % power; None where no number of runs is enough, or no standard deviation is known.
        sentence: all of it.
    """

    winner: str
    runner_up: str
    difference: float
    runs: int | None
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class TableLint(Displayed):
    """Result of :func:`actlab.lint` for a table of means.

    Attributes:
        name: of the file.
        metric: name of the column with the means.
        direction: "max" or "min".
        alpha: probability that any truly best row is called worse, and that any statement about the baseline is false, at most.
        rows: in the order of the file.
        best: name of the row with the best mean.
        baseline: name of the row that p-values and differences refer to.
        ties: rows that may be the best one, that with the best mean first; empty where nothing can be tested.
        needed: runs that the claimed winner needs against the runner-up.
        contradictions: figures that do not follow from the rest of their row, in the order of the file.
        methods: for each kind of recomputed figure, by which method how many rows follow.
        notes: what was assumed, left out or cannot be concluded.
    """

    name: str
    metric: str
    direction: str
    alpha: float
    rows: tuple[LintRow, ...]
    best: str
    baseline: str
    ties: tuple[str, ...]
    needed: RunsNeeded
    contradictions: tuple[Contradiction, ...]
    methods: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether no row contradicts itself."""
        return not self.contradictions

    @property
    def sentence(self) -> str:
        """Summary in two sentences."""
        if not self.ties:
            winner = f"No difference can be tested; {self.best} has the best mean."
        elif len(self.ties) == 1:
            winner = f"{self.best} is better than every row that can be tested."
        else:
            winner = f"{plural(len(self.ties), 'row')} tie for the best: {listed(self.ties)}."
        return f"{winner} {_summary(self.contradictions, len(self.rows))}"

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain data for JSON."""
        plain = _plain(asdict(self))
        return {"kind": "means", "clean": self.clean, "sentence": self.sentence, **plain}


@dataclass(frozen=True, kw_only=True)
class WinsRow:
    """Row of a table of wins and losses, with its sign test.

    Attributes:
        name: of the opponent.
        line: of the file.
        wins: number of cases won.
        ties: number of equal cases, which the sign test leaves out.
        losses: number of cases lost.
        p: two-sided p-value of the exact sign test.
        one_sided: p-value of "wins more often".
        adjusted: two-sided p-value corrected by Holm over the rows.
        differs: whether the corrected p-value is at most alpha.
    """

    name: str
    line: int
    wins: int
    ties: int
    losses: int
    p: float
    one_sided: float
    adjusted: float
    differs: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class WinsLint(Displayed):
    """Result of :func:`actlab.lint` for a table of wins, ties and losses.

    Attributes:
        name: of the file.
        alpha: error rate of all statements "differs" together.
        rows: in the order of the file.
        contradictions: p-values that do not follow from the counts, and counts that do not add up to the same number of cases.
        notes: what was assumed, left out or cannot be concluded.
    """

    name: str
    alpha: float
    rows: tuple[WinsRow, ...]
    contradictions: tuple[Contradiction, ...]
    notes: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether no row contradicts itself."""
        return not self.contradictions

    @property
    def sentence(self) -> str:
        """Summary in two sentences."""
        shown = [row.name for row in self.rows if row.differs]
        decided = f"A difference is shown for {listed(shown)}." if shown else "No difference is shown."
        return f"{decided} {_summary(self.contradictions, len(self.rows))}"

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain data for JSON."""
        return {"kind": "wins", "clean": self.clean, "sentence": self.sentence, **_plain(asdict(self))}


def _summary(contradictions: tuple[Contradiction, ...], rows: int) -> str:
    names = tuple(dict.fromkeys(found.row for found in contradictions))
    if not names:
        return f"No contradiction was found in {plural(rows, 'row')}."
    return f"{plural(len(names), 'row')} of {rows} {'contradicts itself' if len(names) == 1 else 'contradict themselves'}: {listed(names)}."


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
