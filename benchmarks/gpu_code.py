"""Vector access, special functions and instructions in compiled GPU kernels, without a GPU.

Run: python benchmarks/gpu_code.py [--capability 90] [--dtype bfloat16] [name ...]    (all functions: about 20 minutes on one core)
     python benchmarks/gpu_code.py relu/jam step/rect        # also specs with a gradient rule

Columns: ``ld.v4/st.v4`` 16-byte accesses of global memory per thread in the PTX, ``other`` those that are narrower (a parameter, a partial
sum); ``ex2``, ``rsq``, ``div``, ``sqrt`` per number; ``SASS`` machine instructions per number of the output, addresses included; ``busy``
the time of instruction issue (and, after the slash, of the special function unit) relative to that of memory traffic at its measured speed:
above 1, the kernel is bound by arithmetic and not by memory. An H200 issues 132 multiprocessors x 4 warps x 32 lanes x 1.98 GHz = 33.4e12
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

ISSUE, COPY, SPECIAL_SHARE = 33.4e12, 4.3e12, 8  # H200
SPECIAL = ("ex2", "rsqrt", "div", "sqrt")


def traffic(name: str, which: Pass, dtype: torch.dtype) -> int:
    """Return the minimum memory traffic of a pass in bytes per number of the output."""
    inputs = len(get(name).inputs)
    return dtype.itemsize * (inputs + 1 if which == "forward" else 2 * inputs + 1)


def rule_traffic(rule: GpuRuleKernel, which: Pass, dtype: torch.dtype) -> float:
    """Return the minimum memory traffic of a pass of a rule in bytes per element; the input, a bit or nothing is saved."""
    saved = {"nothing": 0.0, "bits": 1 / 8, "input": dtype.itemsize * (which == "backward")}[rule.keep]
    return 2 * dtype.itemsize + saved


def row(name: str, which: Pass, bytes_moved: float, compiled: Code) -> str:
    """Return a row of the table."""
    count = compiled.counts
    narrow = count["ld.global"] + count["st.global"]
    special = " | ".join(f"{count[key] / compiled.numbers:g}" for key in SPECIAL)
    seconds = bytes_moved / COPY
    issue = compiled.per_number / ISSUE / seconds
    unit = compiled.instructions["MUFU"] / compiled.numbers * SPECIAL_SHARE / ISSUE / seconds
    access = f"{count['ld.global.v4']}/{count['st.global.v4']} | {narrow}"
    return (
        f"| {name} | {which} | {access} | {'yes' if compiled.computes_in_float64 else 'no'} | {special} | "
        f"{compiled.per_number:.1f} | {issue:.2f}/{unit:.2f} |"
    )


def main() -> None:
    """Print the table; exit code 1 if a pass computes in float64 or accesses memory number by number."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="functions; all elementwise and gated ones if none are given")
    parser.add_argument("--capability", type=int, default=90, help="compute capability: 80 (A100) or 90 (H100, H200)")
    parser.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    print(f"sm_{options.capability}, {options.dtype}\n")
    print(f"| function | pass | ld.v4/st.v4 | other | f64 | {' | '.join(SPECIAL)} | SASS | busy |\n|{'---|' * 11}")
    failed = 0
    for name in options.names or [*names("elementwise"), *names("gated")]:
        rule = gpu_rule_kernel(parse(name))
        for which in ("forward", "backward"):
            if rule is None:
                compiled = code(kernel(parse(name)), which, dtype, capability=options.capability)
                narrow, bytes_moved = len(kernel(parse(name)).learned), float(traffic(name, which, dtype))
            else:
                compiled = rule_code(rule, which, dtype, capability=options.capability)
                narrow = compiled.counts["ld.global"]  # bits and keys
                bytes_moved = rule_traffic(rule, which, dtype)
            print(row(name, which, bytes_moved, compiled), flush=True)
            is_scalar = compiled.counts["ld.global"] > narrow or not compiled.counts["st.global.v4"]
            failed += compiled.computes_in_float64 or is_scalar
    print(f"\n{failed} passes compute in float64 or access memory number by number.")
    sys.exit(bool(failed))


if __name__ == "__main__":
    try:
        main()
    except NoTritonError as error:
        sys.exit(f"{error}")
