"""From how many elements on a kernel beats what torch has, forward alone and with backward: writes the package's ``crossover.toml``.

    python benchmarks/crossover.py                 # measure and print
    python benchmarks/crossover.py --write         # and write the part of the table for processors like this one
    python benchmarks/crossover.py --threads 2 --dtypes float32 bfloat16 --write      # the part for several threads
    ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/crossover.py --write

The last command measures, on a processor with AVX-512, the part for those without. For one machine of yours there is ``actlab calibrate``.
Every native activation is measured by itself, and so are the composed ones in most use and the lightest ones; the other composed ones share
an entry, the size from which none of those in most use is slower. Takes ten minutes.
"""

from __future__ import annotations

import argparse
import tomllib
from math import inf
from pathlib import Path

import torch

from actlab.bench.crossover import calibrate
from actlab.bench.speed import bench
from actlab.codegen.dispatch.crossover import Sizes, merged, part, printed

DTYPES = ["float32", "bfloat16", "float64", "float16"]
TABLE = Path(__file__).parent.parent / "src" / "actlab" / "codegen" / "dispatch" / "crossover.toml"
HEAD = """# From how many elements on a kernel beats what torch has, forward alone and with backward; inf, or no entry: never.
# "composed" is every function for which torch has no fused kernel, but for those named under it.
# [cpu] is for one thread, [cpu_threads] for several, measured with two; what is not there is as with one. [cpu_avx512] and
# [cpu_avx512_threads] are for processors with AVX-512, the others for all the rest, measured with AVX2.
# Written by `python benchmarks/crossover.py --write`, on {device}, torch {torch}.
"""


def main() -> None:
    """Measure all, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="torch's")
    parser.add_argument("--dtypes", nargs="+", default=DTYPES)
    parser.add_argument("--names", nargs="+", help="only these; by default every native, and seventeen composed ones")
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    found = calibrate(wanted.names, dtypes=wanted.dtypes, rounds=wanted.rounds, keep=False)
    for one in found.crossings:
        at_sizes = (f"{size}: {times:.2f}" for size, times in one.times.items())
        print(f"{one.name:14} {one.dtype:9}", *at_sizes, "->", "never" if one.fewest == inf else one.fewest)
    if wanted.write:
        write(part("cpu", wanted.threads, here=False), found.sizes)


def write(where: str, sizes: Sizes) -> None:
    """Write a part of the table, over what was there."""
    before = tomllib.loads(TABLE.read_text())
    table = {**before, where: merged(before.get(where, {}), sizes)}
    head = HEAD.format(device=bench(["relu"], size=8, rounds=1).device, torch=torch.__version__)
    TABLE.write_text("\n".join([head, *(line for name in sorted(table) for line in printed(name, table[name]))]))
    print(f"Wrote {where} into {TABLE}")


if __name__ == "__main__":
    main()
