"""From how many elements on a kernel beats what torch has, forward alone and with backward: writes ``crossover.toml``.

    python benchmarks/crossover.py                 # measure and print
    python benchmarks/crossover.py --write         # and write the table

Fast layers read the table. Every native activation is measured by itself; all composed ones share an entry, measured on five of them (the
worst counts). The kernel and torch's take turns in one process, in CPU time of one thread, with freed memory kept; a size counts as won
where the median ratio over rounds is at least 1.05, forward alone and with backward, and the table holds the smallest size from which
all larger ones are won. A size that is lost above one that is won is measured again. Takes about half an hour.
"""

from __future__ import annotations

import argparse
import tomllib
from math import inf
from pathlib import Path

import torch

from actlab.functions.activation import names
from actlab.functions.spec import parse
from actlab.readings import route
from actlab.readings import torch as reading
from actlab.studies.bench import bench

SIZES = [2**power for power in (8, 10, 12, 14, 16, 18, 20, 22, 24)]
DTYPES = ["float32", "bfloat16", "float64", "float16"]
COMPOSED = ["telu", "squared_relu", "swish", "snake", "reglu"]
WON = 1.05
LARGEST_DOUBLE = 2**22  # elements of float64 that are measured; above it a tensor takes 128 MB
TABLE = Path(__file__).parent.parent / "src" / "actlab" / "readings" / "crossover.toml"
HEAD = """# From how many elements on a kernel beats what torch has, forward alone and with backward; no entry: never.
# "composed" is every function for which torch has no fused kernel, "native" every one that it has and that is not named.
# Written by `python benchmarks/crossover.py --write`, on {device}, torch {torch}.
"""


def natives() -> list[str]:
    """Return the activations for which torch has a fused kernel."""
    specs = [parse(name) for name in [*names("elementwise"), *names("gated")]]
    return [spec.activation.name for spec in specs if reading.native(spec) is not None]


def ratio(name: str, dtype: str, size: int, rounds: int) -> float:
    """Return how often as quick the kernel is: the worse of forward alone and of both passes."""
    measured = bench([name], dtype=dtype, size=size, contenders=["actlab"], rounds=rounds)
    return min(m.times for m in measured.measurements)


def ratios(name: str, dtype: str, rounds: int) -> dict[int, float]:
    """Return how often as quick the kernel is, by size."""
    found = {size: ratio(name, dtype, size, rounds) for size in SIZES if dtype != "float64" or size <= LARGEST_DOUBLE}
    won = [size for size, times in found.items() if times >= WON]
    for size, times in found.items():
        if won and size > min(won) and times < WON:  # a disturbance, or the truth: seen by looking again
            found[size] = ratio(name, dtype, size, 2 * rounds)
    return found


def crossing(found: dict[int, float]) -> float:
    """Return the smallest size from which all sizes are won."""
    fewest = inf
    for size in sorted(found, reverse=True):
        if found[size] < WON:
            break
        fewest = size
    return fewest


def main() -> None:
    """Measure all, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the table")
    parser.add_argument("--merge", action="store_true", help="write what was measured into the table that is there")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtypes", nargs="+", default=DTYPES)
    parser.add_argument("--names", nargs="+", help="only these; by default every native, and five composed ones")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    route.crossover = lambda *_, **__: 1  # the kernel always runs
    table: dict[str, dict[str, float]] = {}
    for name in wanted.names or [*natives(), *COMPOSED]:
        for dtype in wanted.dtypes:
            found = ratios(name, dtype, wanted.rounds)
            fewest = crossing(found)
            entry = table.setdefault("composed" if name in COMPOSED else name, {})
            entry[dtype] = max(entry.get(dtype, 0), fewest)
            at_sizes = (f"{size}: {times:.2f}" for size, times in found.items())
            print(f"{name:14} {dtype:9}", *at_sizes, "->", fewest, flush=True)
    if wanted.write or wanted.merge:
        write(table, tomllib.loads(TABLE.read_text()) if wanted.merge else {})


def write(table: dict[str, dict[str, float]], before: dict[str, dict[str, dict[str, float]]]) -> None:
    """Write what was measured on the CPU, and of what was there before the rest."""
    cpu = before.get("cpu", {})
    for name, entry in table.items():
        cpu[name] = {**cpu.get(name, {}), **entry}
    device = bench(["relu"], size=8, rounds=1).device
    lines = [HEAD.format(device=device, torch=torch.__version__)]
    for name, entry in cpu.items():
        won = {dtype: int(size) for dtype, size in entry.items() if size < inf}
        if won:
            lines += [f"[cpu.{name}]", *(f"{dtype} = {size}" for dtype, size in won.items()), ""]
    TABLE.write_text("\n".join(lines))
    print(f"Wrote {TABLE}")


if __name__ == "__main__":
    main()
