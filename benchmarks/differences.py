"""Differences between ActLab and torch_activation, torch, echoAI and snntorch, and values that are not finite.

Run: python benchmarks/differences.py [--write]

Every class that torch_activation 1.0.0 registers is evaluated with its gradient on a float32 grid of [-100, 100]; those that
correspond to an entry of ActLab (by name, or by benchmarks/differences.toml) are compared in float64 on [-10, 10]. Where they
differ, the definition in tests/functions/references is evaluated as well. ``--write`` writes the tables to docs/reference/differences.md.
Exit code 1 if a difference has no reason in the .toml file, or a reason no difference. Installed with ``--no-deps``: torch_activation,
snntorch, echoAI.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import torch
from rivals import (
    WIDE,
    Scan,
    build_with_values,
    classes,
    count_registered,
    echo_classes,
    points,
    scan,
    value_and_gradient,
)
from torch import Tensor, nn

from actlab.codegen import pytorch
from actlab.functions.activation import get, names
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "differences.md"
sys.path.append(str(ROOT))
references = importlib.import_module("tests.functions.references").REFERENCES

NEAR = torch.linspace(-10, 10, 1281, dtype=torch.float64)[:, None]
ROWS = 3 * torch.randn(6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
APART = 1e-5  # relative to the larger of 1 and the value; the packages' constants are rounded to at least 7 digits
KINKS = 4
TABLES: Mapping[str, Any] = tomllib.loads((Path(__file__).parent / "differences.toml").read_text(encoding="utf-8"))


# --- differences ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Class of a package and the corresponding ActLab spec."""

    name: str
    spec_text: str
    differs: str = ""


def counterpart(name: str, table: Mapping[str, Any]) -> str | None:
    """Return the ActLab spec of a class: from the table, or by the name."""
    if name in table["same"]:
        return str(table["same"][name])
    spelled = {alias.replace("_", ""): own for own in names() for alias in (own, *get(own).aliases)}
    entry = spelled.get(name.lower().replace("_", ""))
    return None if entry is None or get(entry).kind == "gated" else entry


def compare(name: str, cls: type[nn.Module], table: Mapping[str, Any]) -> Comparison | None:
    """Compare in float64; return None if the class has no counterpart in ActLab."""
    spec_text = counterpart(name, table)
    if spec_text is None:
        return None
    x = NEAR if parse(spec_text).activation.kind in {"elementwise", "stochastic"} else ROWS
    try:
        value, slope = value_and_gradient(build_with_values(cls, table), x)
    except Exception as error:  # any exception becomes an entry of the table
        return Comparison(name=name, spec_text=spec_text, differs=f"raises {type(error).__name__}: {error}")
    my_value, my_slope = value_and_gradient(layer(spec_text, native=False, dtype=torch.float64).eval(), x)
    if value.shape != my_value.shape:
        return Comparison(
            name=name, spec_text=spec_text, differs=f"{_size(x)} becomes {_size(value)}, ActLab {_size(my_value)}"
        )
    return Comparison(
        name=name, spec_text=spec_text, differs=_worst(x, value, my_value, spec_text) or _slopes(x, slope, my_slope)
    )


def _size(values: Tensor) -> str:
    return " x ".join(map(str, values.shape))


def _worst(x: Tensor, values: Tensor, expected: Tensor, spec_text: str) -> str:
    apart = ((values - expected).abs() / expected.abs().clamp_min(1)).nan_to_num(nan=torch.inf)
    at = int(apart.argmax())
    if apart.max() <= APART:
        return ""
    numbers = f"{values.flatten()[at]:.6g}, ActLab {expected.flatten()[at]:.6g}"
    if x.shape != NEAR.shape:
        return numbers
    paper = _reference(spec_text, x.flatten()[at].item())
    return f"at {x.flatten()[at]:g}: {numbers}" + (
        f", the definition in the tests {paper:.6g}" if paper is not None else ""
    )


def _reference(spec_text: str, x: float) -> float | None:
    spec = parse(spec_text)
    if not spec.is_default or spec.activation.name not in references:
        return None
    with mpmath.workdps(50):
        return float(references[spec.activation.name](mpmath.mpf(x)))


def _slopes(x: Tensor, values: Tensor, expected: Tensor) -> str:
    apart = ~((values - expected).abs() <= APART * expected.abs().clamp_min(1))
    if apart.sum() <= KINKS:  # a convention at a kink
        return ""
    at = int(apart.flatten().to(torch.uint8).argmax())
    return f"gradient at {x.flatten()[at]:g}: {values.flatten()[at]:.6g}, ActLab {expected.flatten()[at]:.6g}"


# --- torch at the infinities, and near its roundings ---------------------------------------------------------------------------------


def natives() -> list[str]:
    """Return the elementwise entries for which torch has a kernel."""
    return [name for name in names("elementwise") if pytorch.native(parse(name)) is not None]


def at_infinities() -> list[str]:
    """Return table rows: torch's kernel and the formula at both infinities, where one of them is NaN."""
    rows = []
    for name in natives():
        for x in (torch.inf, -torch.inf):
            cells = [_at(function, x) for function in (layer(name), layer(name, native=False))]
            if "nan" in cells[0] or "nan" in cells[1]:
                rows.append(f"| `{name}` | {x} | {cells[0]} | {cells[1]} |")
    return rows


def _at(function: Any, x: float) -> str:
    value, slope = value_and_gradient(function, torch.tensor([x]))
    return f"{value.item():g}, {slope.item():g}"


def accuracy() -> list[str]:
    """Return table rows: the largest relative error in float32 from -8 to 8 against the definition in the tests, where above 1e-5."""
    rows = []
    x = torch.linspace(-8, 8, 257)
    for name in natives():
        if name not in references:
            continue
        with mpmath.workdps(50):
            exact = [references[name](mpmath.mpf(point)) for point in x.tolist()]
            cells = [_relative(layer(name, native=flag).eval()(x), exact, x) for flag in (True, False)]
        if cells[0][0] > 1e-5 or cells[1][0] > 1e-5:
            rows.append(f"| `{name}` | {cells[0][0]:.1e} at {cells[0][1]:g} | {cells[1][0]:.1e} at {cells[1][1]:g} |")
    return rows


def _relative(found: Tensor, exact: list[Any], x: Tensor) -> tuple[float, float]:
    wrong = [
        (float(abs(mpmath.mpf(got) - want) / abs(want)), point)
        for got, want, point in zip(found.tolist(), exact, x.tolist(), strict=True)
        if want
    ]
    return max(wrong)


# --- the page ----------------------------------------------------------------------------------------------------------------------


def surrogate() -> list[str]:
    """Return snntorch's sigmoid surrogate at its default slope below zero, beside the exact value."""
    spike = importlib.import_module("snntorch.surrogate").sigmoid()
    rows = []
    for x in (-1.0, -2.0, -3.5, -3.6, -5.0):
        _, slope = value_and_gradient(spike, torch.tensor([x]))
        exact = 25 * mpmath.exp(25 * x) / (1 + mpmath.exp(25 * x)) ** 2
        rows.append(f"| {x:g} | {slope.item():g} | {float(exact):g} |")
    return rows


def not_finite_table(scans: list[Scan]) -> list[str]:
    """Return rows of classes grouped by where they are not finite."""
    groups: dict[str, list[str]] = {}
    for result in scans:
        if not result.is_finite:
            where = [
                f"{part} at {points(xs)}" for part, xs in (("value", result.value), ("gradient", result.gradient)) if xs
            ]
            groups.setdefault(result.error or "; ".join(where), []).append(result.name)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [f"| {where} | {len(members)} | {', '.join(members)} |" for where, members in ordered]


def compare_package(package: str, classes: Mapping[str, type[nn.Module]]) -> tuple[list[Comparison], list[str]]:
    """Return the comparisons of a package, and the missing or outdated reasons of the table."""
    table = TABLES[package]
    comparisons = [row for name, cls in classes.items() if (row := compare(name, cls, table))]
    unexplained = [
        f"{row.name}: {row.differs}" for row in comparisons if row.differs and row.name not in table["reasons"]
    ]
    different = {row.name for row in comparisons if row.differs}
    stale = [f"{name}: no difference" for name in table["reasons"] if name not in different]
    return comparisons, unexplained + stale


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def ours_not_finite() -> list[str]:
    """Return the elementwise entries whose formula or gradient is not finite on the same grid."""
    found = []
    for name in names("elementwise"):
        value, slope = value_and_gradient(layer(name, native=False).eval(), WIDE)
        exact = value.double().isfinite() & slope.isfinite()
        if not exact.all():
            found.append(f"`{name}` at {points(tuple(WIDE[~exact].tolist()))}")
    return found


def differing(package: str, rows: list[Comparison]) -> list[str]:
    """Return the table of differences, and the list of classes that agree."""
    reasons = TABLES[package]["reasons"]
    lines = ["| class | ActLab spec | difference | reason |", "|---|---|---|---|"]
    lines += [
        f"| {row.name} | `{row.spec_text}` | {row.differs} | {_cell(reasons.get(row.name, ''))} |"
        for row in rows
        if row.differs
    ]
    agree = [f"{row.name} `{row.spec_text}`" for row in rows if not row.differs]
    return [*lines, "", f"{len(agree)} agree to 5 digits, value and gradient: {', '.join(agree)}."]


def page(
    counts: tuple[int, int], scans: list[Scan], rival: list[Comparison], echo: list[Comparison], rest: list[str]
) -> str:
    """Return the page; ``counts`` are the classes registered without plotly, and those whose parameters are fixed by default."""
    alone, fixed = counts
    bad = [result for result in scans if not result.is_finite]
    own = ours_not_finite()
    lines = [
        HEAD,
        "## torch_activation 1.0.0: values and gradients that are not finite",
        "",
        f"`pip install torch_activation` registers {alone} classes; {len(scans)} if plotly is installed, which it imports but does not",
        f"require. {fixed} of them take `learnable`, which is off by default. Evaluated at {len(WIDE)} points of [-100, 100] in float32,",
        f"{len(bad)} have a value or a gradient that is not finite:",
        "",
        "| where | number of classes | classes |",
        "|---|---|---|",
        *not_finite_table(scans),
        "",
        f"Of ActLab's {len(names('elementwise'))} functions of one number, by formula: {'; '.join(own)}; the exact value there",
        "exceeds float32's largest number, or is below it by less than a factor of 6 (`hyper_sinh`, up to 90.5).",
        "",
        "## torch_activation 1.0.0: differences",
        "",
        *differing("torch_activation", rival),
        "",
        f"{len(rest)} have no counterpart in ActLab (blends of others, variants of one entry by another constant, layers):",
        f"{', '.join(rest)}.",
        "",
        "## torch 2.13.0",
        "",
        "Value and gradient at the infinities, where torch's kernel or ActLab's formula is NaN. `actlab.layer(name)` uses torch's",
        "kernel and `layer(name, native=False)` the formula: see",
        "[decision 2](../decisions/0002-torchs-functions-run-and-formulas-check-them.md).",
        "",
        "| function | at | torch: value, gradient | formula: value, gradient |",
        "|---|---|---|---|",
        *at_infinities(),
        "",
        "Largest relative error in float32 on [-8, 8], where above 1e-5:",
        "",
        "| function | torch | formula |",
        "|---|---|---|",
        *accuracy(),
        "",
        "## echoAI 0.1.3 (digantamisra98/Echo)",
        "",
        *differing("echoAI", echo),
        "",
        "## snntorch 1.0.0",
        "",
        "The gradient of `surrogate.sigmoid()` (slope 25) is computed as k e^-ku / (e^-ku + 1)^2: 0 where the square overflows, NaN",
        "where the numerator does as well:",
        "",
        "| u | snntorch | exact |",
        "|---|---|---|",
        *surrogate(),
    ]
    return "\n".join(lines) + "\n"


HEAD = """# Differences from other packages

Written by `python benchmarks/differences.py --write`, which runs everything named here. The reasons are in
`benchmarks/differences.toml`; a difference without a reason fails the command. The reference for the papers are the definitions in
`tests/functions/references/`, which are written in mpmath and share no code with either side. Other libraries, including Keras'
wrong sparsemax, are in [names in other libraries](other_libraries.md).
"""


def main() -> int:
    """Print the findings, and write the page with ``--write``."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    package_classes = classes()
    scans = [scan(name, cls) for name, cls in package_classes.items()]
    rival, wrong = compare_package("torch_activation", package_classes)
    echo, wrong_echo = compare_package("echoAI", echo_classes())
    compared = {row.name for row in rival}
    rest = [name for name in package_classes if name not in compared]
    options = [inspect.signature(cls).parameters.get("learnable") for cls in package_classes.values()]
    fixed = sum(option is not None and option.default is False for option in options)
    print(
        f"torch_activation: {len(package_classes)} classes, {sum(bool(result.error) for result in scans)} raise, ",
        end="",
    )
    print(f"{sum(not result.is_finite for result in scans)} not finite, {len(rival)} compared, ", end="")
    print(
        f"{sum(bool(row.differs) for row in rival)} differ; echoAI: {sum(bool(row.differs) for row in echo)} of {len(echo)} differ"
    )
    for line in wrong + wrong_echo:
        print(f"    {line}")
    if "--write" in sys.argv:
        PAGE.write_text(page((count_registered(), fixed), scans, rival, echo, rest), encoding="utf-8")
    return int(bool(wrong + wrong_echo))


if __name__ == "__main__":
    sys.exit(main())
