"""Run PyPI's torch_activation, torch itself and others beside ours: what is not finite, what differs, and who follows the paper.

Run: python benchmarks/differences.py [--write]

Every class that torch_activation 1.0.0 registers is evaluated with its gradient on a float32 grid of [-100, 100]; those that
correspond to an entry of ours (by name, or by benchmarks/differences.toml) are compared in float64 on [-10, 10]. Where they
differ the definition of tests/functions/references is computed as well. ``--write`` puts the tables into docs/reference/differences.md.
Exit 1 if a difference has no reason in the .toml, or a reason no difference. Installed with ``--no-deps``: torch_activation,
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
from rivals import WIDE, Scan, classes, echo_classes, evaluated, points, prepared, registered_alone, scan
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
APART = 1e-5  # relative to the larger of 1 and the value: their constants are rounded to 7 digits at worst
KINKS = 4
TABLES: Mapping[str, Any] = tomllib.loads((Path(__file__).parent / "differences.toml").read_text(encoding="utf-8"))


# --- what differs ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Their class beside our spec."""

    name: str
    ours: str
    differs: str = ""


def counterpart(name: str, table: Mapping[str, Any]) -> str | None:
    """Return our spec for their class: from the table, or by the name."""
    if name in table["same"]:
        return str(table["same"][name])
    spelled = {alias.replace("_", ""): own for own in names() for alias in (own, *get(own).aliases)}
    found = spelled.get(name.lower().replace("_", ""))
    return None if found is None or get(found).kind == "gated" else found


def compare(name: str, cls: type[nn.Module], table: Mapping[str, Any]) -> Comparison | None:
    """Compare in float64; None where it has no counterpart here."""
    ours = counterpart(name, table)
    if ours is None:
        return None
    x = NEAR if parse(ours).activation.kind in {"elementwise", "stochastic"} else ROWS
    try:
        value, slope = evaluated(prepared(cls, table), x)
    except Exception as error:  # whatever it raises is what the table says
        return Comparison(name=name, ours=ours, differs=f"raises {type(error).__name__}: {error}")
    my_value, my_slope = evaluated(layer(ours, native=False, dtype=torch.float64).eval(), x)
    if value.shape != my_value.shape:
        return Comparison(name=name, ours=ours, differs=f"{_size(x)} becomes {_size(value)}, ours {_size(my_value)}")
    return Comparison(name=name, ours=ours, differs=_worst(x, value, my_value, ours) or _slopes(x, slope, my_slope))


def _size(values: Tensor) -> str:
    return " x ".join(map(str, values.shape))


def _worst(x: Tensor, theirs: Tensor, mine: Tensor, ours: str) -> str:
    apart = ((theirs - mine).abs() / mine.abs().clamp_min(1)).nan_to_num(nan=torch.inf)
    at = int(apart.argmax())
    if apart.max() <= APART:
        return ""
    found = f"{theirs.flatten()[at]:.6g}, ours {mine.flatten()[at]:.6g}"
    if x.shape != NEAR.shape:
        return found
    paper = _reference(ours, x.flatten()[at].item())
    return f"at {x.flatten()[at]:g}: {found}" + (
        f", the definition in the tests {paper:.6g}" if paper is not None else ""
    )


def _reference(ours: str, x: float) -> float | None:
    spec = parse(ours)
    if not spec.is_default or spec.activation.name not in references:
        return None
    with mpmath.workdps(50):
        return float(references[spec.activation.name](mpmath.mpf(x)))


def _slopes(x: Tensor, theirs: Tensor, mine: Tensor) -> str:
    apart = ~((theirs - mine).abs() <= APART * mine.abs().clamp_min(1))
    if apart.sum() <= KINKS:  # a convention at a kink
        return ""
    at = int(apart.flatten().to(torch.uint8).argmax())
    return f"gradient at {x.flatten()[at]:g}: {theirs.flatten()[at]:.6g}, ours {mine.flatten()[at]:.6g}"


# --- torch at the infinities, and near its roundings ---------------------------------------------------------------------------------


def natives() -> list[str]:
    """Return those of our functions of one number that torch has a kernel for."""
    return [name for name in names("elementwise") if pytorch.native(parse(name)) is not None]


def at_infinities() -> list[str]:
    """Return table rows: torch's kernel and our formula at both infinities, where one of them is not a number."""
    rows = []
    for name in natives():
        for x in (torch.inf, -torch.inf):
            cells = [_at(function, x) for function in (layer(name), layer(name, native=False))]
            if "nan" in cells[0] or "nan" in cells[1]:
                rows.append(f"| `{name}` | {x} | {cells[0]} | {cells[1]} |")
    return rows


def _at(function: Any, x: float) -> str:
    value, slope = evaluated(function, torch.tensor([x]))
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
        _, slope = evaluated(spike, torch.tensor([x]))
        exact = 25 * mpmath.exp(25 * x) / (1 + mpmath.exp(25 * x)) ** 2
        rows.append(f"| {x:g} | {slope.item():g} | {float(exact):g} |")
    return rows


def not_finite_table(scans: list[Scan]) -> list[str]:
    """Return rows of classes grouped by where they are not finite."""
    groups: dict[str, list[str]] = {}
    for found in scans:
        if not found.is_finite:
            where = [
                f"{part} at {points(xs)}" for part, xs in (("value", found.value), ("gradient", found.gradient)) if xs
            ]
            groups.setdefault(found.error or "; ".join(where), []).append(found.name)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [f"| {where} | {len(found)} | {', '.join(found)} |" for where, found in ordered]


def judged(package: str, classes: Mapping[str, type[nn.Module]]) -> tuple[list[Comparison], list[str]]:
    """Return the comparisons of a package, and what is wrong with the table's reasons."""
    table = TABLES[package]
    found = [row for name, cls in classes.items() if (row := compare(name, cls, table))]
    unexplained = [f"{row.name}: {row.differs}" for row in found if row.differs and row.name not in table["reasons"]]
    different = {row.name for row in found if row.differs}
    stale = [f"{name}: no difference" for name in table["reasons"] if name not in different]
    return found, unexplained + stale


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def ours_not_finite() -> list[str]:
    """Return which of our functions of one number are not finite on the same grid, formula and gradient."""
    found = []
    for name in names("elementwise"):
        value, slope = evaluated(layer(name, native=False).eval(), WIDE)
        exact = value.double().isfinite() & slope.isfinite()
        if not exact.all():
            found.append(f"`{name}` at {points(tuple(WIDE[~exact].tolist()))}")
    return found


def differing(package: str, rows: list[Comparison]) -> list[str]:
    """Return the table of what differs, and the list of what agrees."""
    reasons = TABLES[package]["reasons"]
    lines = ["| theirs | ours | what differs | why |", "|---|---|---|---|"]
    lines += [
        f"| {row.name} | `{row.ours}` | {row.differs} | {_cell(reasons.get(row.name, ''))} |"
        for row in rows
        if row.differs
    ]
    agree = [f"{row.name} `{row.ours}`" for row in rows if not row.differs]
    return [*lines, "", f"{len(agree)} agree to 5 digits, value and gradient: {', '.join(agree)}."]


def page(
    counts: tuple[int, int], scans: list[Scan], rival: list[Comparison], echo: list[Comparison], rest: list[str]
) -> str:
    """Return the page; the counts are classes registered without plotly, and classes whose parameters are fixed by default."""
    alone, fixed = counts
    bad = [found for found in scans if not found.is_finite]
    own = ours_not_finite()
    lines = [
        HEAD,
        "## torch_activation 1.0.0: what is not finite",
        "",
        f"`pip install torch_activation` registers {alone} classes; {len(scans)} where plotly is there, which it imports and does not",
        f"require. {fixed} of them take `learnable`, which is off by default. Evaluated at {len(WIDE)} points of [-100, 100] in float32,",
        f"{len(bad)} have a value or a gradient that is not finite:",
        "",
        "| where | classes | which |",
        "|---|---|---|",
        *not_finite_table(scans),
        "",
        f"Of our {len(names('elementwise'))} functions of one number, by formula: {'; '.join(own)}; the value is there above float32's",
        "largest number, or below it by less than a factor of 6 (`hyper_sinh`, up to 90.5).",
        "",
        "## torch_activation 1.0.0: what differs",
        "",
        *differing("torch_activation", rival),
        "",
        f"{len(rest)} have no counterpart here (blends of others, variants of one entry by another constant, layers): {', '.join(rest)}.",
        "",
        "## torch 2.13.0",
        "",
        "Value and gradient at the infinities, where torch's kernel or our formula is not a number. `actlab.layer(name)` takes torch's",
        "kernel and `layer(name, native=False)` the formula: see",
        "[decision 2](decisions/0002-the-layer-uses-the-native-and-the-formula-judges-it.md).",
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
        "The gradient of `surrogate.sigmoid()` (slope 25) is computed as k e^-ku / (e^-ku + 1)^2: 0 where the square overflows, not a",
        "number where the numerator does as well:",
        "",
        "| u | theirs | exact |",
        "|---|---|---|",
        *surrogate(),
    ]
    return "\n".join(lines) + "\n"


HEAD = """# Where we differ from other packages, and why

Written by `python benchmarks/differences.py --write`, which runs all that is named here. The reasons stand in
`benchmarks/differences.toml`; a difference without one fails the command. What the paper says is judged by the definitions in
`tests/functions/references/`, which are written in mpmath and share no code with either side. The peers, Keras' wrong sparsemax
among them, are in [coverage](coverage.md).
"""


def main() -> int:
    """Print what was found, and write the page if asked to."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    theirs = classes()
    scans = [scan(name, cls) for name, cls in theirs.items()]
    rival, wrong = judged("torch_activation", theirs)
    echo, wrong_echo = judged("echoAI", echo_classes())
    compared = {row.name for row in rival}
    rest = [name for name in theirs if name not in compared]
    options = [inspect.signature(cls).parameters.get("learnable") for cls in theirs.values()]
    fixed = sum(option is not None and option.default is False for option in options)
    print(f"torch_activation: {len(theirs)} classes, {sum(bool(found.error) for found in scans)} raise, ", end="")
    print(f"{sum(not found.is_finite for found in scans)} not finite, {len(rival)} compared, ", end="")
    print(
        f"{sum(bool(row.differs) for row in rival)} differ; echoAI: {sum(bool(row.differs) for row in echo)} of {len(echo)} differ"
    )
    for line in wrong + wrong_echo:
        print(f"    {line}")
    if "--write" in sys.argv:
        PAGE.write_text(page((registered_alone(), fixed), scans, rival, echo, rest), encoding="utf-8")
    return int(bool(wrong + wrong_echo))


if __name__ == "__main__":
    sys.exit(main())
