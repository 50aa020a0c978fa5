"""Errors of all entries of the catalogue as C99 functions, of the elementary functions they call, and of tables of int8 codes.

    nice python benchmarks/c99_functions.py [--out docs/evidence/c99.md]

All functions are compiled as one C file by gcc, with the flags below, and run on the same numbers as torch's code of the same formula in
float32 and the formula in float64. Columns: the largest error relative to the value (where that is at least 1e-30), and relative to 1 plus
the value's magnitude; the same of torch. A table is held against the formula in torch's float64, for all 256 codes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests/
from tests.codegen.c99 import test_elementary
from tests.codegen.c99.compiled import FLAGS, PRINTED, STOCHASTIC, compiled, library, loop, printed, run
from tests.codegen.c99.test_function import OSCILLATING
from tests.codegen.int8.test_table import with_numbers

from actlab.codegen import pytorch
from actlab.codegen.c99 import c_function, elementary_source
from actlab.codegen.int8 import int8_table
from actlab.errors import ExportError
from actlab.functions.activation import names
from actlab.functions.formula.evaluate import numeric
from actlab.functions.grammar import parse

FAR = np.geomspace(1e-30, 1e4, 103)
POINTS = np.concatenate([np.linspace(-12, 12, 4001), np.linspace(-110, 110, 2201), FAR, -FAR, [0.0]]).astype(np.float32)
CODES = np.arange(-128, 128)
SCALES = ((0.0617, -7, 0.0301, 5), (0.02, 0, 0.011, -128), (0.31, 40, 0.17, 0))


@dataclass(frozen=True, kw_only=True)
class Row:
    """Errors of an entry: relative to the value, and to 1 plus its magnitude; in C and in torch's float32."""

    name: str
    kind: str
    needs: str
    relative: float
    absolute: float
    torch_relative: float
    torch_absolute: float


def errors(got: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """Return the largest error relative to the value, and to 1 plus its magnitude, where the value fits float32."""
    size = np.abs(exact)
    fits = size < 1e30
    miss = np.abs(got.astype(np.float64) - exact, where=fits, out=np.zeros_like(exact))
    return float((miss[size >= 1e-30] / size[size >= 1e-30]).max(initial=0.0)), float((miss / (1 + size)).max())


def measure(code: object, name: str) -> Row:
    """Return the errors of one entry."""
    function, spec = printed(name), parse(name)
    inputs = [POINTS, np.roll(POINTS, 17)][: len(function.inputs)]
    parameters = [np.full_like(POINTS, spec.numbers[each]) for each in function.parameters]
    got = run(code, function.name, *inputs, *parameters)
    tensors = [torch.tensor(each) for each in inputs]
    if name in STOCHASTIC:
        act = spec.activation.tensor_code
        exact = act(tensors[0].double(), training=False, **spec.numbers).numpy()
        other = act(tensors[0], training=False, **spec.numbers)
    else:
        exact = numeric(spec.formula, spec.activation.inputs)(*(each.astype(np.float64) for each in inputs))
        other = pytorch.function(spec.activation, tuple(spec.numbers.items()))(*tensors)
    needs = ", ".join(sorted(each.removeprefix("f32_") for each in function.needs))
    ours, theirs = errors(got, exact), errors(other.numpy(), exact)
    return Row(
        name=name,
        kind=spec.activation.kind,
        needs=needs,
        relative=ours[0],
        absolute=ours[1],
        torch_relative=theirs[0],
        torch_absolute=theirs[1],
    )


def elementary(folder: Path) -> list[str]:
    """Return a line for each elementary function: largest error in units in the last place over all of float32."""
    exact_of, points = test_elementary.EXACT, test_elementary.every_exponent(2048)[:-2].astype(np.float32)
    loops = [loop(f"f32_{name}", ["x"]) for name in exact_of]
    code = compiled(elementary_source({f"f32_{name}" for name in exact_of}) + "\n".join(loops), folder, "-O2")
    lines = [f"| function | largest error, units in the last place, {points.size:,} numbers |", "|---|---|"]
    for name, reference in exact_of.items():
        with np.errstate(all="ignore"):
            exact = reference(points.astype(np.float64))
        lines.append(f"| {name} | {test_elementary.units(run(code, f'f32_{name}', points), exact).max():.2f} |")
    return lines


def refusals() -> dict[str, list[str]]:
    """Return the names of the entries that are not printed, by reason."""
    found: dict[str, list[str]] = {}
    for name in names():
        try:
            c_function(name, "f")
        except ExportError as error:
            reason = str(error).removeprefix(f"{name} ").partition(", and only")[0].removesuffix(".")
            found.setdefault(reason, []).append(name)
    return found


def table_misses() -> tuple[int, int, int]:
    """Return the number of codes compared, of those that differ from torch's float64, and the largest difference in steps."""
    compared = different = largest = 0
    for name in names("elementwise"):
        spec = with_numbers(name)
        f = pytorch.function(spec.activation, tuple(spec.numbers.items()))
        for scale, zero, step, offset in SCALES:
            table = int8_table(spec, input_scale=scale, input_zero=zero, output_scale=step, output_zero=offset)
            value = f(torch.tensor((CODES - zero) * scale)).numpy() / step
            expected = np.clip(np.nan_to_num(np.rint(value), posinf=1e9, neginf=-1e9) + offset, -128, 127)
            miss = np.abs(expected - table)
            compared, different = compared + miss.size, different + int((miss > 0).sum())
            largest = max(largest, int(miss.max()))
    return compared, different, largest


def summary(rows: list[Row]) -> str:
    """Return the sentences about the functions."""
    kinds = ", ".join(
        f"{sum(row.kind == kind for row in rows)} {kind}" for kind in ("elementwise", "gated", "stochastic")
    )
    held = [row for row in rows if row.name not in OSCILLATING]
    worst = max(held, key=lambda row: row.absolute)
    good, good_in_torch = (
        sum(each < 1e-6 for each in column)
        for column in zip(*((r.relative, r.torch_relative) for r in rows), strict=True)
    )
    return (
        f"2026-11-30, gcc with `{' '.join(FLAGS[:2])}`: {len(rows)} of {len(names())} entries of the catalogue are printed as "
        f"C functions in float32 ({kinds}), compile as one file without a warning under `{' '.join(FLAGS[2:])}`, and call no library. "
        f"Relative to 1 + value the largest error is {worst.absolute:.1e} ({worst.name}), in torch's float32 "
        f"{max(row.torch_absolute for row in held):.1e}; {' and '.join(sorted(OSCILLATING))}, sines of numbers up to 1e9 that are "
        "themselves rounded, are apart. "
        f"Relative to the value it is below 1e-6 for {good} entries (torch: {good_in_torch}); it is larger near zeros of a function, "
        "where terms cancel, and where an exponent is itself rounded, as in the tail of gelu_tanh."
    )


def page(rows: list[Row], functions: list[str], misses: tuple[int, int, int]) -> str:
    """Return the page of evidence."""
    tables = (
        f"Tables: of {misses[0]:,} codes (all 256, of every elementwise entry, at {len(SCALES)} pairs of scales) {misses[1]} differ "
        "from the formula in torch's float64. Against the papers' formulas in mpmath, which also agree in every code: "
        "`python -m pytest tests/codegen/int8 -m slow`."
    )
    lines = [
        "# Activations in C99 and as int8 tables",
        "",
        "```bash\nnice python benchmarks/c99_functions.py --out docs/evidence/c99.md\n```",
        "",
        summary(rows),
        "",
        tables,
        "",
        "## Not printed",
        "",
        *(f"- {reason}: {', '.join(each)}" for reason, each in refusals().items()),
        "",
        "## Elementary functions",
        "",
        "Every exponent of float32, both signs, subnormal numbers too; below the smallest normal number a unit is that of it.",
        "",
        *functions,
        "",
        "## Entries",
        "",
        f"{POINTS.size:,} numbers: -110 to 110, and powers of ten from 1e-30 to 1e4 of both signs.",
        "",
        "| entry | kind | calls | relative error | of 1 + value | torch: relative | of 1 + value |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.kind} | {row.needs or '-'} | {row.relative:.1e} | {row.absolute:.1e} | {row.torch_relative:.1e} | "
        f"{row.torch_absolute:.1e} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), np.errstate(all="ignore"):
        code = library([printed(name) for name in PRINTED], Path(folder), "-O1")
        rows = [measure(code, name) for name in PRINTED]
        functions = elementary(Path(folder))
        text = page(rows, functions, table_misses())
    print(text[:3000])
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
