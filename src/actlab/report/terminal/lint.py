"""Terminal view of a recomputed published table, with ties, contradictions and the runs needed."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.published.result import Comparison, LintRow, TableLint, WinsLint
from actlab.report.content.format import MISSING, p_value, plain
from actlab.report.terminal.text_table import ListTable, below, text_table

__all__ = ["lint_view"]


def lint_view(found: TableLint | WinsLint) -> RenderableType:
    """Return a recomputed table for the terminal, with its summary first."""
    return Group(*_parts(found))


def _parts(found: TableLint | WinsLint) -> Iterator[RenderableType]:
    yield Text(f"{found.name}: {found.sentence}", style="bold")
    yield Text("")
    yield _rows(found) if isinstance(found, TableLint) else _wins(found)
    if found.contradictions:
        yield below("Contradictions", style="bold")
        for one in found.contradictions:
            yield Padding(Text(f"! {one.row} (line {one.line}): {one.sentence}"), (0, 0, 0, 2))
    if isinstance(found, TableLint):
        yield below(found.needed.sentence, style="")
        yield Text(_legend(found), style="dim")
    for number, sentence in enumerate(_notes(found)):
        yield below(sentence) if number == 0 else Text(sentence, style="dim")


def _legend(found: TableLint) -> str:
    """Return what the headings mean."""
    words = [f"- best: minus {found.best}"]
    if found.ties:
        words.append('p: of "this row is the best one"')
        words.append("needs: runs of the row and of the best one that show their difference with 80 % power")
    if found.baseline != found.best:
        words.append(f"- base: minus {found.baseline}, the baseline")
    return f"{'; '.join(words)}."


def _notes(found: TableLint | WinsLint) -> tuple[str, ...]:
    return (*found.methods, *found.notes) if isinstance(found, TableLint) else found.notes


def _rows(found: TableLint) -> RenderableType:
    """Return the rows, the best mean first, without columns that are empty."""
    sign = -1 if found.direction == "max" else 1
    rows = sorted(found.rows, key=lambda row: sign * row.mean)
    bad = {one.row for one in found.contradictions}
    columns: list[tuple[str, list[str]]] = [
        ("row", [row.name for row in rows]),
        ("", ["!" if row.name in bad else "" for row in rows]),
        ("mean", [plain(row.mean, 6) for row in rows]),
        ("SD", [plain(row.sd) for row in rows]),
        ("runs", [str(row.runs or MISSING) for row in rows]),
        ("- best", [_difference(row.best) for row in rows]),
        ("p", [_p(row.best) for row in rows]),
        ("verdict", [_verdict(row, found) for row in rows]),
        ("needs", [_runs(row.best) for row in rows]),
        ("differs if SD below", [plain(row.best.largest_sd if row.best else None) for row in rows]),
    ]
    if found.baseline != found.best:
        columns += [
            ("- base", [_difference(row.baseline) for row in rows]),
            ("verdict", [_against(row.baseline, found) for row in rows]),
        ]
    shown = [(heading, cells) for heading, cells in columns if set(cells) - {MISSING, ""}]
    headings = [heading for heading, _ in shown]
    lines = list(zip(*(cells for _, cells in shown), strict=True))
    right = [heading for heading in headings if heading not in {"row", "verdict"}]
    return ListTable(headings=headings, rows=lines, right=right, end=("row",))


def _wins(found: WinsLint) -> RenderableType:
    headings = ["against", "wins", "ties", "losses", "p, two-sided", "p, one-sided", "p, Holm", "verdict"]
    lines = [
        [
            row.name, row.wins, row.ties, row.losses, p_value(row.p), p_value(row.one_sided), p_value(row.adjusted),
            "differs" if row.differs else "not shown",
        ]
        for row in found.rows
    ]  # fmt: skip
    return text_table(headings, lines, right=headings[1:-1])


def _difference(comparison: Comparison | None) -> str:
    return MISSING if comparison is None else plain(comparison.difference, 3)


def _p(comparison: Comparison | None) -> str:
    return p_value(None if comparison is None else comparison.adjusted)


def _runs(comparison: Comparison | None) -> str:
    return MISSING if comparison is None or comparison.runs_needed is None else str(comparison.runs_needed)


def _verdict(row: LintRow, found: TableLint) -> str:
    if row.best is None:
        return "best"
    if row.best.differs is None or not found.ties:
        return "not tested"
    return "worse" if row.best.differs else "tie"


def _against(comparison: Comparison | None, found: TableLint) -> str:
    if comparison is None:
        return "baseline"
    if comparison.differs is None:
        return "not tested"
    if not comparison.differs:
        return "tie"
    is_better = (comparison.difference > 0) == (found.direction == "max")
    return "better" if is_better else "worse"
