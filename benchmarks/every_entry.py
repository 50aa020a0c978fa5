"""Speed of every activation's kernel against torch, in a resumable CSV file with a summary.

    python benchmarks/every_entry.py run --size 16M --dtype float32 --threads 1 --rows docs/evidence/data/kernels.csv
    python benchmarks/every_entry.py run --size 16M --against compile --rows docs/evidence/data/kernels.csv
    python benchmarks/every_entry.py show --rows docs/evidence/data/kernels.csv

A row is the result of ``actlab bench`` for one function: contenders interleaved in one process, freed memory kept, medians over rounds; CPU
time with one thread, wall-clock time with several. Without a fused kernel in torch, its time is that of the formula in torch operations.
Rows are appended in random order, and existing rows are not measured again, so a run can be interrupted and resumed. If a ratio is within a
fifth of 1, it is replaced by a measurement with three times the rounds.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import random
import statistics
from collections.abc import Iterable
from pathlib import Path

import torch

from actlab.bench.speed import bench, size_of
from actlab.codegen import pytorch
from actlab.functions.activation import names
from actlab.functions.grammar import parse

COLUMNS = [
    "entry", "size", "dtype", "threads", "rival", "seconds", "times", "times_forward", "floor", "native", "load",
]  # fmt: skip
CASE = ["size", "dtype", "threads", "rival"]
CLOSE = 0.2  # distance of a ratio to 1 below which it is measured again
BOTH = "forward+backward"
Row = dict[str, str]


def main() -> None:
    """Measure, or show the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "show"])
    parser.add_argument("--rows", type=Path, default=Path("kernels.csv"))
    parser.add_argument("--size", default="16M")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--against", choices=["torch", "formula", "compile"], default="torch", help="contender to compare with"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--names", nargs="+", help="only these entries")
    options = parser.parse_args()
    if options.what == "run":
        run(options)
    else:
        show(read(options.rows))


def read(path: Path) -> list[Row]:
    """Return the latest row of every entry and case in a file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return list({tuple(row[key] for key in ["entry", *CASE]): row for row in rows}.values())


def run(options: argparse.Namespace) -> None:
    """Append a row for every entry without one."""
    torch.set_num_threads(options.threads)
    case = [str(size_of(options.size)), options.dtype, str(options.threads), options.against]
    measured = {row["entry"] for row in read(options.rows) if [row[key] for key in CASE] == case}
    entries = [name for name in options.names or names("elementwise") + names("gated") if name not in measured]
    if options.against == "formula":  # for the others, torch's time is that of the formula
        entries = [name for name in entries if pytorch.native(parse(name)) is not None]
    random.Random(0).shuffle(entries)  # noqa: S311 not used for security
    for name in entries:
        row = measure(name, options, options.rounds)
        if abs(float(row["times"]) - 1) < CLOSE or abs(float(row["times_forward"]) - 1) < CLOSE:
            row = measure(name, options, 3 * options.rounds)
        append(options.rows, row)
        print(*row.values(), flush=True)


def measure(name: str, options: argparse.Namespace, rounds: int) -> Row:
    """Return the row of an entry."""
    rival = options.against
    result = bench([name], dtype=options.dtype, size=options.size, contenders=["actlab", rival], rounds=rounds)
    ours, other = (
        {m.passes: m for m in result.measurements if m.contender == contender} for contender in ("actlab", rival)
    )
    return {
        "entry": name,
        "size": str(result.size),
        "dtype": result.dtype,
        "threads": str(result.threads),
        "rival": rival,
        "seconds": f"{ours[BOTH].seconds:.4g}",
        "times": f"{other[BOTH].seconds / ours[BOTH].seconds:.3f}",
        "times_forward": f"{other['forward'].seconds / ours['forward'].seconds:.3f}",
        "floor": f"{ours[BOTH].roofline:.3f}",
        "native": str(int(pytorch.native(parse(name)) is not None)),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def append(path: Path, row: Row) -> None:
    """Append a row to the file, with a header if it is new."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def show(rows: list[Row]) -> None:
    """Print a summary of every case, and the entries that are slower than the contender."""
    print(
        "| elements | dtype | threads | against | entries | speedup, mean | least | slower "
        "| forward: speedup, mean | slower | roofline, median |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    cases = dict.fromkeys(tuple(row[key] for key in CASE) for row in rows)
    for case in sorted(cases, key=lambda case: (-int(case[0]), case[1:])):
        selected = [row for row in rows if tuple(row[key] for key in CASE) == case]
        print(f"| {' | '.join([*case, *summary(selected)])} |")
    for case in cases:
        selected = [row for row in rows if tuple(row[key] for key in CASE) == case]
        for key, passes in (("times", "forward and backward"), ("times_forward", "forward")):
            slow = sorted((float(row[key]), row["entry"]) for row in selected if float(row[key]) < 1)
            if slow:
                print(f"\n{', '.join(case)}, {passes}, below 1: {', '.join(f'{name} {x:.2f}' for x, name in slow)}")


def summary(rows: list[Row]) -> list[str]:
    """Return the cells of a case."""
    both, forward = (column(rows, key) for key in ("times", "times_forward"))
    return [
        str(len(rows)),
        f"{mean(both):.2f}",
        f"{min(both):.2f}",
        str(sum(x < 1 for x in both)),
        f"{mean(forward):.2f}",
        str(sum(x < 1 for x in forward)),
        f"{statistics.median(column(rows, 'floor')):.0%}",
    ]


def column(rows: Iterable[Row], key: str) -> list[float]:
    """Return the numbers of a column."""
    return [float(row[key]) for row in rows]


def mean(ratios: list[float]) -> float:
    """Return the geometric mean."""
    return math.exp(statistics.fmean(map(math.log, ratios)))


if __name__ == "__main__":
    main()
