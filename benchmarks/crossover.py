"""Measure the sizes from which kernels are faster than torch, for ``crossover.toml``.

    python benchmarks/crossover.py                 # measure and print
    python benchmarks/crossover.py --write         # and write the section for processors like this one
    python benchmarks/crossover.py --threads 2 --dtypes float32 bfloat16 --write      # the section for several threads
    ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/crossover.py --write

The last command measures the section for processors without AVX-512 on one that has it. ``actlab calibrate`` measures a single machine.
Activations with a fused kernel in torch are measured one by one, and so are the most used and cheapest composed ones; the others share an
entry, the size from which none of the most used ones is slower. Takes ten minutes.
"""

from __future__ import annotations

import argparse
import tomllib
from math import inf
from pathlib import Path

import torch

from actlab.bench.crossover import calibrate
from actlab.bench.speed import bench
from actlab.codegen.dispatch.crossover import Sizes, merge, section, to_toml

DTYPES = ["float32", "bfloat16", "float64", "float16"]
TABLE = Path(__file__).parent.parent / "src" / "actlab" / "codegen" / "dispatch" / "crossover.toml"
HEAD = """# Numbers of elements from which a kernel is faster than torch, forward alone and with backward; inf, or no entry: never.
# "composed" holds the sizes for all functions without a fused kernel in torch, except those listed below it.
# [cpu] is for one thread, [cpu_threads] for several, measured with two; entries missing there are as for one. [cpu_avx512] and
# [cpu_avx512_threads] are for processors with AVX-512, the others for all other processors, measured with AVX2.
# Written by `python benchmarks/crossover.py --write`, on {device}, torch {torch}.
"""


def main() -> None:
    """Measure, print, and write the table with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="number of torch's threads")
    parser.add_argument("--dtypes", nargs="+", default=DTYPES)
    parser.add_argument(
        "--names",
        nargs="+",
        help="activations; by default all with a fused kernel in torch, and seventeen composed ones",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = calibrate(options.names, dtypes=options.dtypes, rounds=options.rounds, keep=False)
    for crossing in result.crossings:
        speedups = (f"{size}: {times:.2f}" for size, times in crossing.times.items())
        fewest = "never" if crossing.fewest == inf else crossing.fewest
        print(f"{crossing.name:14} {crossing.dtype:9}", *speedups, "->", fewest)
    if options.write:
        write(section("cpu", options.threads, here=False), result.sizes)


def write(name: str, sizes: Sizes) -> None:
    """Update a section of the table."""
    before = tomllib.loads(TABLE.read_text())
    table = {**before, name: merge(before.get(name, {}), sizes)}
    head = HEAD.format(device=bench(["relu"], size=8, rounds=1).device, torch=torch.__version__)
    TABLE.write_text("\n".join([head, *(line for key in sorted(table) for line in to_toml(key, table[key]))]))
    print(f"Wrote section {name} of {TABLE}")


if __name__ == "__main__":
    main()
