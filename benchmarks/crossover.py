"""From how many elements on a kernel beats what torch has, forward alone and with backward: writes ``crossover.toml``.

    python benchmarks/crossover.py                 # measure and print
    python benchmarks/crossover.py --write         # and write the table
    python benchmarks/crossover.py --threads 2 --dtypes float32 bfloat16 --write      # the part for several threads
    ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/crossover.py --write

The last command measures, on a processor with AVX-512, the part for those without. Fast layers read the table. Every native activation is
measured by itself, and so are the composed ones in most use; the other composed ones share an entry, the size from which none of those
measured is slower. The kernel and torch's take turns in one process, in CPU time of one thread, or by the clock with several, with freed
memory kept; a size counts as won where the median ratio over rounds is at least 1.05, forward alone and with backward, and the table holds
the smallest size from which all larger ones are won. A size that is lost above one that is won is measured again. Takes about a quarter of
an hour. What is not written for several threads holds as for one.
"""

from __future__ import annotations

import argparse
import tomllib
from math import inf
from pathlib import Path
from typing import Any

import torch

from actlab.functions.activation import names
from actlab.functions.spec import parse
from actlab.readings import route
from actlab.readings import torch as reading
from actlab.studies.bench import bench

SIZES = [2**power for power in (8, 10, 12, 14, 16, 18, 20, 22, 24)]
DTYPES = ["float32", "bfloat16", "float64", "float16"]
COMPOSED = ["telu", "squared_relu", "swish", "snake", "reglu", "swiglu", "geglu"]
WON = 1.05
Table = dict[str, dict[str, float]]  # by name of an entry and dtype, elements
LARGEST_DOUBLE = 2**22  # elements of float64 that are measured; above it a tensor takes 128 MB
TABLE = Path(__file__).parent.parent / "src" / "actlab" / "readings" / "crossover.toml"
HEAD = """# From how many elements on a kernel beats what torch has, forward alone and with backward; inf, or no entry: never.
# "composed" is every function for which torch has no fused kernel, but for those named under it.
# [cpu] is for one thread, [cpu_threads] for several, measured with two; what is not there is as with one. [cpu_avx512] and
# [cpu_avx512_threads] are for processors with AVX-512, the others for all the rest, measured with AVX2.
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


def crossing(found: dict[int, float], bar: float = WON) -> float:
    """Return the smallest size from which all sizes are won."""
    fewest = inf
    for size in sorted(found, reverse=True):
        if found[size] < bar:
            break
        fewest = size
    return fewest


def main() -> None:
    """Measure all, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the table")
    parser.add_argument("--merge", action="store_true", help="write what was measured into the table that is there")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--threads", type=int, default=1, help="torch's; with more than one the table's other part is measured"
    )
    parser.add_argument("--dtypes", nargs="+", default=DTYPES)
    parser.add_argument("--names", nargs="+", help="only these; by default every native, and five composed ones")
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    route.crossover = lambda *_, **__: 1  # the kernel always runs
    table: Table = {}
    for name in wanted.names or [*natives(), *COMPOSED]:
        for dtype in wanted.dtypes:
            found = ratios(name, dtype, wanted.rounds)
            add(table, name, dtype, found)
            at_sizes = (f"{size}: {times:.2f}" for size, times in found.items())
            print(f"{name:14} {dtype:9}", *at_sizes, "->", crossing(found), flush=True)
    if wanted.write or wanted.merge:
        write(table, route._parts("cpu", wanted.threads)[0], keep=wanted.merge)


def add(table: Table, name: str, dtype: str, found: dict[int, float]) -> None:
    """Put an activation's size into the table; of a composed one also into what all composed ones share."""
    if name in COMPOSED:
        shared = table.setdefault("composed", {})
        shared[dtype] = max(shared.get(dtype, 0), crossing(found, 1.0))
    key = f"composed.{name}" if name in COMPOSED else name
    table.setdefault(key, {})[dtype] = crossing(found)


def write(table: Table, part: str, *, keep: bool) -> None:
    """Write what was measured into a part of the table, beside the other part, and beside what was there before if it is kept."""
    parts = tomllib.loads(TABLE.read_text())
    before = parts.pop(part, {}) if keep else {}
    parts[part] = merged(table, before) if keep else nested(table)
    device = bench(["relu"], size=8, rounds=1).device
    lines = [HEAD.format(device=device, torch=torch.__version__)]
    for name, entries in sorted(parts.items()):
        lines += printed(name, entries)
    TABLE.write_text("\n".join(lines))
    print(f"Wrote {TABLE}")


def nested(table: Table) -> dict[str, Any]:
    """Return the measured sizes as the file has them: composed functions with entries of their own lie within what all of them share."""
    entries: dict[str, Any] = {name: dict(sizes) for name, sizes in table.items() if "." not in name}
    for name, sizes in table.items():
        if "." in name:
            entries.setdefault("composed", {})[name.removeprefix("composed.")] = dict(sizes)
    return entries


def merged(table: Table, before: dict[str, Any]) -> dict[str, Any]:
    """Return what was there with what was measured over it; what all composed functions share only grows."""
    entries = nested(table)
    shared, old = entries.get("composed", {}), before.get("composed", {})
    for dtype, size in old.items():
        if isinstance(size, dict):
            shared[dtype] = {**size, **shared.get(dtype, {})}
        else:
            shared[dtype] = max(size, shared.get(dtype, 0))
    both = {name: {**before.get(name, {}), **entries.get(name, {})} for name in {*before, *entries} - {"composed"}}
    return {**both, "composed": shared}


def printed(name: str, entries: dict[str, Any]) -> list[str]:
    """Return the lines of an entry and of those within it."""
    sizes = {dtype: size for dtype, size in entries.items() if not isinstance(size, dict)}
    own = [f"{dtype} = {int(size) if size < inf else 'inf'}" for dtype, size in sizes.items()]
    within = [(key, value) for key, value in sorted(entries.items()) if isinstance(value, dict)]
    head = [f"[{name}]", *own, ""] if own or not within else []
    return head + [line for key, value in within for line in printed(f"{name}.{key}", value)]


if __name__ == "__main__":
    main()
