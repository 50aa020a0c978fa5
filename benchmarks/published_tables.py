"""Error rates of the check of published tables, on drawn tables: true rows accused, planted faults found, best rows missed.

    OMP_NUM_THREADS=1 python benchmarks/published_tables.py accused --tables 100   # docs/evidence/published_tables.md (1 minute)
    OMP_NUM_THREADS=1 python benchmarks/published_tables.py best --tables 200      # second table there

accused  True tables of 8 rows: runs are drawn, mean, SD, p-value, Cohen's d and interval are computed from them by scipy and printed with
         few digits, rounded or cut off. Printed is the share of tables in which any row is accused.
planted  The same tables with one figure of one row changed. Printed is the share in which that row is accused, and in which another one is.
best     Tables of 8 rows of which one is truly best by a hair. Printed is the share in which that row, and any row, is missing among the
         ties; and the same of Welch's test against the row with the best mean, corrected by Holm over the 7 other rows.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

import actlab
from actlab.stats.published.best_set import p_values_of_best
from actlab.stats.published.holm import holm
from actlab.stats.published.sample_summary import Summary, welch_p_values

ROWS = 8
FAULTS = {
    "p-value, 0.001 for another one or 0.5": (4, lambda x: 0.5 if x < 0.1 else 0.001),
    "effect size, by half": (5, lambda x: 1.5 * x + 0.3),
    "interval, half as wide": (7, None),
    "mean, by one SD": (1, None),
    "SD, doubled": (2, lambda x: 2 * x),
}


def drawn(random: np.random.Generator, runs: int) -> list[np.ndarray]:
    """Return the runs of every row."""
    spread = random.uniform(0.2, 1.0)
    return [
        random.normal(87 + random.normal(0, 2 * spread), spread * random.uniform(0.5, 2), size=runs)
        for _ in range(ROWS)
    ]


def figures(samples: list[np.ndarray], *, of_mean: bool, equal_var: bool) -> list[list[float]]:
    """Return mean, SD, runs, p, d and the ends of the interval of every row."""
    table = []
    for x in samples:
        first = samples[0]
        pooled = math.sqrt((x.var(ddof=1) + first.var(ddof=1)) / 2)
        test = stats.ttest_ind(x, first, equal_var=equal_var)
        interval = stats.ttest_1samp(x, 0).confidence_interval() if of_mean else test.confidence_interval()
        table.append(
            [
                0.0,
                x.mean(),
                x.std(ddof=1),
                x.size,
                test.pvalue,
                abs(x.mean() - first.mean()) / pooled,
                interval.low,
                interval.high,
            ]
        )
    return table


def shown(table: list[list[float]], places: int, *, cut: bool) -> str:
    """Return the table as text."""

    def digits(value: float, places: int) -> str:
        return f"{math.trunc(value * 10**places) / 10**places if cut else value:.{places}f}"

    lines = ["name,accuracy,SD,runs,p,d,CI low,CI high"]
    for i, row in enumerate(table):
        compared = ["-", "-"] if i == 0 else [digits(row[4], 4), digits(row[5], 2)]
        cells = [
            digits(row[1], places),
            digits(row[2], places),
            str(int(row[3])),
            *compared,
            digits(row[6], places),
            digits(row[7], places),
        ]
        lines.append(",".join([f"f{i}", *cells]))
    return "\n".join(lines)


def accused_rows(text: str, folder: Path) -> set[str]:
    """Return the names of the rows that are accused."""
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return {one.row for one in actlab.lint(path).contradictions}


def planted(table: list[list[float]], fault: str, row: int) -> list[list[float]]:
    """Return the table with one figure of one row changed."""
    column, change = FAULTS[fault]
    table = [list(cells) for cells in table]
    cells = table[row]
    if fault.startswith("interval"):
        middle, half = (cells[6] + cells[7]) / 2, (cells[7] - cells[6]) / 4
        cells[6:8] = [middle - half, middle + half]
    elif fault.startswith("mean"):
        cells[1] += cells[2]
    else:
        cells[column] = change(cells[column])
    return table


def accusations(tables: int, folder: Path) -> None:
    """Print the shares of true and of spoilt tables that are accused."""
    random = np.random.default_rng(0)
    for places in (1, 2, 3):
        for cut in (False, True):
            found = 0
            for i in range(tables):
                table = figures(drawn(random, int(random.integers(2, 30))), of_mean=i % 2 == 0, equal_var=i % 4 < 2)
                found += bool(accused_rows(shown(table, places, cut=cut), folder))
            print(
                f"true tables, {places} decimals, {'cut off' if cut else 'rounded'}: {found} of {tables} accused",
                flush=True,
            )
    for fault in FAULTS:
        for runs in (3, 10):
            hits = others = 0
            for i in range(tables // 2):
                table = figures(drawn(random, runs), of_mean=True, equal_var=False)
                row = 1 + i % (ROWS - 1)
                names = accused_rows(shown(planted(table, fault, row), 2, cut=False), folder)
                hits += f"f{row}" in names
                others += bool(names - {f"f{row}"})
            print(
                f"planted ({fault}), {runs} runs, 2 decimals: {hits} of {tables // 2} found, {others} with another row",
                flush=True,
            )


def best_rows(tables: int) -> None:
    """Print how often the truly best row is missed."""
    for runs in (3, 5, 23):
        for spreads in ("equal", "unequal"):
            random = np.random.default_rng(1)
            deviations = np.ones(ROWS) if spreads == "equal" else np.geomspace(0.3, 3, ROWS)
            data = random.normal(0, deviations, size=(tables, runs, ROWS)) + np.array([1e-6] + [0.0] * (ROWS - 1))
            counts = np.zeros(4, dtype=int)
            for mean, sd in zip(data.mean(1), data.std(1, ddof=1), strict=True):
                p = welch_p_values([Summary(mean=m, sd=s, runs=runs) for m, s in zip(mean, sd, strict=True)])
                ours, naive = p_values_of_best(p, mean) <= 0.05, holm(p[mean.argmax()]) <= 0.05
                counts += [ours[0], ours.any(), naive[0], naive.any()]
            shares = [f"{100 * count / tables:.1f} %" for count in counts]
            print(f"{runs} runs, {spreads} SDs, best row and any row missing: {shares[0]}, {shares[1]}", flush=True)
            print(f"  against the row with the best mean, by Holm: {shares[2]}, {shares[3]}", flush=True)


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--tables", type=int, default=400, help="drawn tables for each line; ten times as many for the last part"
    )
    parser.add_argument("parts", nargs="*", default=["accused", "best"], help="accused (with planted), best")
    options = parser.parse_args()
    if "accused" in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            accusations(options.tables, Path(folder))
    if "best" in options.parts:
        best_rows(10 * options.tables)


if __name__ == "__main__":
    main()
