"""Check of a published table for differences, ties, contradictions and runs needed."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from actlab.published.columns import find_columns
from actlab.published.comparison import compare_rows
from actlab.published.consistency import search_table
from actlab.published.result import TableLint, WinsLint
from actlab.published.row_summary import summary
from actlab.published.settings import LintOptions, LintSettings
from actlab.published.table import index_of, means_table
from actlab.published.text_file import read_cells
from actlab.published.wins import lint_wins
from actlab.system.options import from_options

__all__ = ["lint"]

_ASSUMED = (
    "Runs are taken as unpaired and Gaussian, and compared by Welch's test. With probability {alpha:g} at most a truly best row is called "
    "worse (closed test of all rows against all others), and any statement about the baseline is false (Holm over the rows)."
)


def lint(
    path: str | Path, *, settings: LintSettings | None = None, **options: Unpack[LintOptions]
) -> TableLint | WinsLint:
    r"""Recompute a published table of means, spreads and run counts, or of wins and losses.

    It says which rows differ from the best one and from the baseline, which tie, which contradict themselves (a p-value, an effect size, an
    interval or a spread that does not follow from mean, standard deviation and run count; a mean or spread that is impossible), and how
    many runs the claimed winner needs against the runner-up. A printed figure stands for every number less than one unit of its last digit
    away, so that rounding is never taken for a contradiction.

    Args:
        path: of a text file with commas, semicolons, tabs or the bars of Markdown between the columns, whose first line names them. Columns
            are recognised by name: means, SD or SE, runs, p, d, an interval in one column or two. Cells may be 87.48 ± 0.39, 87.48 (0.39),
            87.48 [87.31, 87.65], with per cent signs and marks of Markdown or LaTeX. With columns of wins and losses it is a table of wins.
        settings: see :class:`actlab.published.settings.LintSettings`.
        options: single settings, such as ``runs=23`` or ``baseline="ReLU"``.

    Returns:
        A :class:`TableLint`, or a :class:`WinsLint` for a table of wins, with ``contradictions``, ``rows`` and ``sentence``.

    Raises:
        TableError: the file cannot be read; the message names the line.
        PlanError: a setting is out of range.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "table.csv"
        >>> _ = path.write_text("activation,accuracy,sd,runs\nReLU,86.66,0.58,23\nMish,87.48,0.40,23\nGELU,87.37,0.47,23\n")
        >>> lint(path).sentence
        '2 rows tie for the best: Mish and GELU. No contradiction was found in 3 rows.'
    """
    chosen = from_options(LintSettings, settings, dict(options))
    path = Path(path)
    raw = read_cells(path)
    columns = find_columns(raw, chosen.mean)
    if columns.mean is None:
        return lint_wins(path, raw, columns, chosen.alpha)
    read = means_table(path, raw, columns, chosen)
    winner = None if chosen.winner is None else index_of(read.rows, chosen.winner, "The winner")
    found = search_table(read, items=chosen.items, paired=chosen.paired)
    table = found.table
    summaries = [summary(row, table.level, found.meaning) for row in table.rows]
    compared = compare_rows(table, summaries, chosen.alpha, winner)
    assumed = [_ASSUMED.format(alpha=chosen.alpha)] if compared.ties else []
    return TableLint(
        name=table.name,
        metric=table.metric,
        direction=table.direction,
        alpha=chosen.alpha,
        rows=compared.rows,
        best=table.rows[compared.best].name,
        baseline=table.rows[table.baseline].name,
        ties=tuple(table.rows[i].name for i in compared.ties),
        needed=compared.needed,
        contradictions=found.contradictions,
        methods=found.methods,
        notes=(*assumed, *compared.notes, *found.notes, *table.notes),
    )
