"""Every elementwise and gated entry of the catalogue on its kernel, beside torch: a row each in a CSV file, and what the rows say.

    python benchmarks/every_entry.py run --size 16M --dtype float32 --threads 1 --rows docs/evidence/data/kernels.csv
    python benchmarks/every_entry.py run --size 16M --against compile --rows docs/evidence/data/kernels.csv
    python benchmarks/every_entry.py show --rows docs/evidence/data/kernels.csv

A row is what ``actlab bench`` measures of one function: contenders in turns in one process, freed memory kept, medians over rounds; CPU
time of one thread, or by the clock with several. Where torch has no fused kernel, its time is that of the formula in torch operations.
Rows are appended as they are found, in a random order, and one that is there is not measured again: stop it and go on as you like. An
entry whose ratio is within a fifth of 1 is measured again with three times the rounds, and that counts.
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
CLOSE = 0.2  # to 1, and a ratio is measured again
BOTH = "forward+backward"
Row = dict[str, str]


def main() -> None:
    """Measure, or show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "show"])
    parser.add_argument("--rows", type=Path, default=Path("kernels.csv"))
    parser.add_argument("--size", default="16M")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--against", choices=["torch", "formula", "compile"], default="torch", help="the rival")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--names", nargs="+", help="only these entries")
    wanted = parser.parse_args()
    if wanted.what == "run":
        run(wanted)
    else:
        show(read(wanted.rows))


def read(path: Path) -> list[Row]:
    """Return the rows of a file, the newest of an entry and case."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return list({tuple(row[key] for key in ["entry", *CASE]): row for row in rows}.values())


def run(wanted: argparse.Namespace) -> None:
    """Append a row for every entry that has none yet."""
    torch.set_num_threads(wanted.threads)
    case = [str(size_of(wanted.size)), wanted.dtype, str(wanted.threads), wanted.against]
    there = {row["entry"] for row in read(wanted.rows) if [row[key] for key in CASE] == case}
    entries = [name for name in wanted.names or names("elementwise") + names("gated") if name not in there]
    if wanted.against == "formula":  # of the others the formula is torch's time already
        entries = [name for name in entries if pytorch.native(parse(name)) is not None]
    random.Random(0).shuffle(entries)  # noqa: S311 no secret
    for name in entries:
        row = measured(name, wanted, wanted.rounds)
        if abs(float(row["times"]) - 1) < CLOSE or abs(float(row["times_forward"]) - 1) < CLOSE:
            row = measured(name, wanted, 3 * wanted.rounds)
        append(wanted.rows, row)
        print(*row.values(), flush=True)


def measured(name: str, wanted: argparse.Namespace, rounds: int) -> Row:
    """Return what the bench says of an entry."""
    rival = wanted.against
    found = bench([name], dtype=wanted.dtype, size=wanted.size, contenders=["actlab", rival], rounds=rounds)
    ours, theirs = (
        {m.passes: m for m in found.measurements if m.contender == contender} for contender in ("actlab", rival)
    )
    return {
        "entry": name,
        "size": str(found.size),
        "dtype": found.dtype,
        "threads": str(found.threads),
        "rival": rival,
        "seconds": f"{ours[BOTH].seconds:.4g}",
        "times": f"{theirs[BOTH].seconds / ours[BOTH].seconds:.3f}",
        "times_forward": f"{theirs['forward'].seconds / ours['forward'].seconds:.3f}",
        "floor": f"{ours[BOTH].roofline:.3f}",
        "native": str(int(pytorch.native(parse(name)) is not None)),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def append(path: Path, row: Row) -> None:
    """Write a row at the end of the file, whole."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def show(rows: list[Row]) -> None:
    """Print what the rows say of every case, and which entries are slower than their rival."""
    print(
        "| elements | dtype | threads | against | entries | x, mean | least | slower | forward: x, mean | slower | floor, median |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    cases = dict.fromkeys(tuple(row[key] for key in CASE) for row in rows)
    for case in sorted(cases, key=lambda case: (-int(case[0]), case[1:])):
        mine = [row for row in rows if tuple(row[key] for key in CASE) == case]
        print(f"| {' | '.join([*case, *summary(mine)])} |")
    for case in cases:
        mine = [row for row in rows if tuple(row[key] for key in CASE) == case]
        for key, passes in (("times", "forward and backward"), ("times_forward", "forward")):
            slow = sorted((float(row[key]), row["entry"]) for row in mine if float(row[key]) < 1)
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
