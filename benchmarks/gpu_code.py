"""What the GPU kernels of every elementwise and gated function compile to, without a card: vector access, special functions, instructions.

Run: python benchmarks/gpu_code.py [--capability 90] [--dtype bfloat16] [name ...]    (all functions: about 20 minutes on one core)
     python benchmarks/gpu_code.py relu/jam step/rect        # specs with a gradient rule, likewise

Columns: ``ld.v4/st.v4`` 16-byte accesses of global memory per thread in the PTX, ``other`` those that are narrower (a parameter, a partial
sum); ``ex2``, ``rsq``, ``div``, ``sqrt`` per number; ``SASS`` machine instructions per number of the output, addresses included; ``busy``
how much of the time that memory takes at its measured speed the instruction issue (and, after the slash, the special function unit) would
be busy: above 1, arithmetic is the limit and not memory. An H200 issues 132 multiprocessors x 4 warps x 32 lanes x 1.98 GHz = 33.4e12
instructions a second, an eighth of that to the special function unit, and copies 4.3e12 bytes a second: 7.8 instructions per byte. (A100
80 GB: 108 x 4 x 32 x 1.41 GHz = 19.5e12 and 1.7e12: 11.5, of which half may be float32 arithmetic.)
"""

from __future__ import annotations

import argparse
import sys

import torch

from actlab.codegen.gpu.disassembly import Code, Pass, code, rule_code
from actlab.codegen.gpu.kernel import NoTritonError, kernel
from actlab.codegen.gpu.rule_kernel import GpuRuleKernel, gpu_rule_kernel
from actlab.functions.activation import get, names
from actlab.functions.grammar import parse

ISSUE, COPY, SPECIAL_SHARE = 33.4e12, 4.3e12, 8  # of an H200
SPECIAL = ("ex2", "rsqrt", "div", "sqrt")


def moved(name: str, which: Pass, dtype: torch.dtype) -> int:
    """Return the bytes that a pass has to move per number of the output."""
    inputs = len(get(name).inputs)
    return dtype.itemsize * (inputs + 1 if which == "forward" else 2 * inputs + 1)


def moved_by_rule(rule: GpuRuleKernel, which: Pass, dtype: torch.dtype) -> float:
    """Return the bytes that a pass of a rule has to move per element: the input or a bit is kept, or nothing."""
    kept = {"nothing": 0.0, "bits": 1 / 8, "input": dtype.itemsize * (which == "backward")}[rule.keep]
    return 2 * dtype.itemsize + kept


def row(name: str, which: Pass, bytes_moved: float, found: Code) -> str:
    """Return a line of the table."""
    count = found.counts
    narrow = count["ld.global"] + count["st.global"]
    special = " | ".join(f"{count[key] / found.numbers:g}" for key in SPECIAL)
    seconds = bytes_moved / COPY
    issue = found.per_number / ISSUE / seconds
    unit = found.instructions["MUFU"] / found.numbers * SPECIAL_SHARE / ISSUE / seconds
    access = f"{count['ld.global.v4']}/{count['st.global.v4']} | {narrow}"
    return (
        f"| {name} | {which} | {access} | {'yes' if found.computes_in_float64 else 'no'} | {special} | "
        f"{found.per_number:.1f} | {issue:.2f}/{unit:.2f} |"
    )


def main() -> None:
    """Print the table; exit code 1 if something is computed in float64 or memory moves in single numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="functions; all elementwise and gated ones if none are given")
    parser.add_argument("--capability", type=int, default=90, help="of the card, 80 (A100) or 90 (H100, H200)")
    parser.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    print(f"sm_{options.capability}, {options.dtype}\n")
    print(f"| function | pass | ld.v4/st.v4 | other | f64 | {' | '.join(SPECIAL)} | SASS | busy |\n|{'---|' * 11}")
    bad = 0
    for name in options.names or [*names("elementwise"), *names("gated")]:
        rule = gpu_rule_kernel(parse(name))
        for which in ("forward", "backward"):
            if rule is None:
                found = code(kernel(parse(name)), which, dtype, capability=options.capability)
                narrow, bytes_moved = len(kernel(parse(name)).learned), float(moved(name, which, dtype))
            else:
                found = rule_code(rule, which, dtype, capability=options.capability)
                narrow, bytes_moved = (
                    found.counts["ld.global"],
                    moved_by_rule(rule, which, dtype),
                )  # bits and keys are narrow
            print(row(name, which, bytes_moved, found), flush=True)
            in_ones = found.counts["ld.global"] > narrow or not found.counts["st.global.v4"]
            bad += found.computes_in_float64 or in_ones
    print(f"\n{bad} passes compute in float64 or move memory in single numbers.")
    sys.exit(bool(bad))


if __name__ == "__main__":
    try:
        main()
    except NoTritonError as error:
        sys.exit(f"{error}")
