"""Check of a table of wins, ties and losses by exact sign tests."""

from __future__ import annotations

from pathlib import Path

from scipy.special import bdtrc

from actlab.errors import TableError
from actlab.published.cells import clean, p_cell
from actlab.published.columns import Columns
from actlab.published.result import Contradiction, WinsLint, WinsRow
from actlab.published.table import row_name, whole_number
from actlab.published.text_file import RawTable
from actlab.stats.published.holm import holm

__all__ = ["lint_wins", "sign_test"]


def sign_test(wins: int, losses: int) -> tuple[float, float]:
    """Return the p-values of the exact sign test, two-sided and for "wins more often"; ties are left out.

    Example:
        >>> sign_test(9, 0)
        (0.00390625, 0.001953125)
    """
    total = wins + losses
    if total == 0:
        return 1.0, 1.0
    larger = float(bdtrc(max(wins, losses) - 1, total, 0.5)) if max(wins, losses) > 0 else 1.0
    one_sided = float(bdtrc(wins - 1, total, 0.5)) if wins else 1.0
    return min(1.0, 2 * larger), one_sided


def lint_wins(path: Path, raw: RawTable, columns: Columns, alpha: float) -> WinsLint:
    """Test each row of a table of wins and losses, and check its p-value if there is one.

    Raises:
        TableError: a count cannot be read.
    """
    counts = [_counts(line, cells, columns) for line, cells in raw.rows]
    tests = [sign_test(wins, losses) for wins, _, losses in counts]
    adjusted = holm([two_sided for two_sided, _ in tests])
    rows = tuple(
        WinsRow(
            name=row_name(cells, columns, line),
            line=line,
            wins=wins,
            ties=ties,
            losses=losses,
            p=two_sided,
            one_sided=one_sided,
            adjusted=float(corrected),
            differs=bool(corrected <= alpha),
        )
        for (line, cells), (wins, ties, losses), (two_sided, one_sided), corrected in zip(
            raw.rows, counts, tests, adjusted, strict=True
        )
    )
    notes = [
        "Each case counts once and by its sign alone: sizes of differences and their spread are not in the table.",
        *_different_totals(rows),
    ]
    smallest = sum(counts[0])
    if 2 * 0.5**smallest * len(rows) > alpha:
        notes.append(
            f"With {smallest} cases no result, not even a win in all of them, is significant at {alpha:g} in this table."
        )
    return WinsLint(
        name=path.name,
        alpha=alpha,
        rows=rows,
        contradictions=tuple(_contradictions(rows, raw, columns)),
        notes=tuple(notes),
    )


def _counts(line: int, cells: tuple[str, ...], columns: Columns) -> tuple[int, int, int]:
    wins, ties, losses = (
        whole_number(cells[columns.others[kind]], columns.title(kind), line, 0) if kind in columns.others else 0
        for kind in ("wins", "ties", "losses")
    )
    if wins + ties + losses == 0:
        raise TableError(f"Line {line}: no cases are counted; wins, ties and losses are all 0.")
    return wins, ties, losses


def _different_totals(rows: tuple[WinsRow, ...]) -> list[str]:
    totals = {row.name: row.wins + row.ties + row.losses for row in rows}
    if len(set(totals.values())) < 2:
        return []
    return [f"Rows count different numbers of cases: {', '.join(f'{name} {total}' for name, total in totals.items())}."]


def _contradictions(rows: tuple[WinsRow, ...], raw: RawTable, columns: Columns) -> list[Contradiction]:
    if "p" not in columns.others:
        return []
    found = []
    for row, (line, cells) in zip(rows, raw.rows, strict=True):
        text = cells[columns.others["p"]]
        if text.strip() in {"", "-"}:
            continue
        claimed = p_cell(text, columns.title("p"), line)
        if not any(claimed.low - 1e-12 <= value <= claimed.high + 1e-12 for value in (row.p, row.one_sided)):
            sentence = (
                f"The p-value {clean(text)} does not follow from {row.wins} wins and {row.losses} losses: "
                f"the sign test gives {row.p:.4f} (two-sided) and {row.one_sided:.4f} (one-sided)."
            )
            found.append(Contradiction(row=row.name, line=line, figure="p-value", sentence=sentence))
    return found
