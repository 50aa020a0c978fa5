"""Completeness of other_libraries.toml, and differences in value and gradient from the activations it maps.

Run: python benchmarks/peers.py [--write]

All activations of every library that can be imported are listed; a name that other_libraries.toml neither maps nor explains is a
finding. Each mapped one is compared in float32 and float64 with ``actlab.layer(spec)``. ``--write`` writes the tables to
docs/reference/other_libraries.md. Exit code 1 on a finding: a missing name, or a difference above rounding without a reason.

The environment of the committed tables: torch 2.13.0, then transformers, keras, jax, einops; and with ``--no-deps``, because they
would install torchvision or more: timm, pillow, x-transformers, einx, loguru, torch-einops-utils. timm imports torchvision for image
transforms; an empty module replaces it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from libraries import ASK, Library, missing, with_torch

from actlab.functions.analysis.other_libraries import OtherLibrary, other_libraries
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import Half
from actlab.nn.layers.layer import layer

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "other_libraries.md"
GRID = np.arange(-24 * 64, 24 * 64 + 1) / 64.0  # contains the kinks of all functions: 0, 0.5, 1, 3, 6
DTYPES = ("float32", "float64")
ROUNDINGS = 64  # differences up to this many units in the last place, of the larger of 1 and the value, are rounding
KINKS = 4  # gradients that differ at no more points than this differ by convention
FIRST_HALF_IS_GATE = {"layers.SwiGLUPacked", "layers.SwiGLU", "models.vitamin.GeGluMlp"}  # and transformers' experts
DRAWN = {"nn.functional.gumbel_softmax", "Attend(gumbel_softmax=True)"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Largest differences of one activation by dtype, of the value and of the gradient away from kinks."""

    name: str
    spec: str
    value: tuple[float, ...] = ()
    gradient: tuple[float, ...] = ()
    note: str = ""
    finding: bool = False


def inputs(spec: Spec, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return input and cotangent: the grid for functions of one number, random rows for others."""
    record = spec.activation
    draw = np.random.default_rng(0)
    if record.kind == "gated":
        return (6 * draw.standard_normal((50, 8))).astype(dtype), draw.standard_normal((50, 4)).astype(dtype)
    if record.mixes_tokens:
        return draw.standard_normal((2, 6, 8)).astype(dtype), draw.standard_normal((2, 6, 8)).astype(dtype)
    if record.kind == "vector" or record.name == "gumbel_softmax":
        return (3 * draw.standard_normal((3, 5, 4, 6))).astype(dtype), draw.standard_normal((3, 5, 4, 6)).astype(dtype)
    return GRID[:, None].astype(dtype), np.ones((len(GRID), 1), dtype)


def gate_of(name: str) -> Half:
    """Return which part of the library's packed input is the gate."""
    if name.endswith("GptOssExperts"):
        return "interleaved"
    own = name in FIRST_HALF_IS_GATE or name.endswith(("Experts", "SoftcappedSwiGLU"))
    return "first" if own else "second"


def compare(library: Library, peer: OtherLibrary, name: str) -> Row:
    """Return the differences between an activation of a library and its ActLab spec."""
    spec_text, note = peer.same[name], "; ".join(filter(None, (peer.differs.get(name), peer.notes.get(name))))
    if name in DRAWN:
        return Row(name=name, spec=spec_text, note=note)
    spec = parse(spec_text)
    gate = gate_of(name)
    values, gradients, kinks, findings = [], [], "", []
    for dtype in DTYPES:
        x, cotangent = inputs(spec, dtype)
        mine = layer(spec, native=False, gate=gate, dtype=getattr(torch, dtype)).eval()
        (value, slope), (my_value, my_slope) = (
            library.evaluate(library.build(name, dtype), x, cotangent),
            with_torch(mine, x, cotangent),
        )
        apart = excess(slope, my_slope, dtype)
        rare = 0 < apart.sum() <= KINKS and x.shape == GRID[:, None].shape
        kinks = kinks or (_conventions(x[apart], slope[apart], my_slope[apart]) if rare else "")
        values.append(largest(value, my_value))
        gradients.append(largest(np.where(rare & apart, my_slope, slope), my_slope))
        findings.append(bool(excess(value, my_value, dtype).any() or (apart.any() and not rare)))
    return Row(
        name=name,
        spec=spec_text,
        value=tuple(values),
        gradient=tuple(gradients),
        note="; ".join(filter(None, (note, kinks))),
        finding=any(findings) != (name in peer.differs),
    )


def excess(values: np.ndarray, expected: np.ndarray, dtype: str) -> np.ndarray:
    """Return where two results differ by more than rounding."""
    if values.shape != expected.shape:
        raise ValueError(f"the library's result has shape {values.shape}, ActLab's {expected.shape}")
    scale = np.maximum(1.0, np.abs(expected.astype("float64")))
    with np.errstate(invalid="ignore"):
        close = np.abs(values.astype("float64") - expected) <= ROUNDINGS * np.finfo(dtype).eps * scale
    return ~(close | (np.isnan(values) & np.isnan(expected)) | (values == expected))


def largest(values: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference."""
    return float(np.abs(values.astype("float64") - expected).max())


def _conventions(x: np.ndarray, values: np.ndarray, expected: np.ndarray) -> str:
    points = "; ".join(f"{a:g}: {b:.3g}, ActLab {c:.3g}" for a, b, c in zip(x, values, expected, strict=True))
    return f"gradient at the kink {points}"


HEAD = """# Names in other libraries

Written by `python benchmarks/peers.py --write`. It lists all activations of every library and fails on a name that
`src/actlab/functions/analysis/other_libraries.toml` neither maps nor explains. Each mapped activation is compared with ActLab's formula,
`actlab.layer(spec, native=False)`: functions of one number at 3,073 points of [-24, 24], which include their kinks; functions
of several numbers on random rows. Libraries with a day in place of a version were not installed: their definitions were read in the source
named. Differences are the largest absolute ones, in float32 and float64; a difference above 64 units in
the last place has a reason. `actlab show gelu_tanh` shows the reverse mapping.
"""


def page(found: dict[str, tuple[Library, list[Row]]]) -> str:
    """Return the page: counts, then a table per library."""
    lines = [
        HEAD,
        "| library | version | names | mapped | not mapped, with a reason |",
        "|---|---|---|---|---|",
    ]
    for peer in other_libraries():
        counts = f"{len(peer.same) + len(peer.without)} | {len(peer.same)} | {len(peer.without)}"
        lines.append(f"| {peer.library} | {peer.version} | {counts} |")
    for peer in other_libraries():
        lines += ["", f"## {peer.library} {peer.version}", ""]
        if peer.source is not None:
            lines += _table_of_names(peer)
            continue
        lines += (
            _table(found[peer.library][1]) if peer.library in found else ["Not installed when this page was written."]
        )
        lines += [f"| `{name}` | none | | | {reason} |" for name, reason in peer.without.items()]
    return "\n".join(lines) + "\n"


def _table_of_names(peer: OtherLibrary) -> list[str]:
    """Return the table of a library whose source was read: names and remarks."""
    remarks = {name: "; ".join(filter(None, (peer.differs.get(name), peer.notes.get(name)))) for name in peer.same}
    rows = [(name, f"`{spec}`", remarks[name]) for name, spec in peer.same.items()]
    rows += [(name, "none", reason) for name, reason in peer.without.items()]
    table = [f"| `{name}` | {spec} | {remark.replace('|', '&#124;')} |" for name, spec, remark in rows]
    return [f"Read in {peer.source}.", "", "| name there | ActLab spec | note |", "|---|---|---|", *table]


def _table(rows: list[Row]) -> list[str]:
    head = [
        "| name there | ActLab spec | value: float32, float64 | gradient: float32, float64 | note |",
        "|---|---|---|---|---|",
    ]
    return head + [
        f"| `{row.name}` | `{row.spec}` | {_pair(row.value)} | {_pair(row.gradient)} | {row.note} |" for row in rows
    ]


def _pair(numbers: tuple[float, ...]) -> str:
    return ", ".join("none" if np.isnan(number) else "0" if number == 0 else f"{number:.1e}" for number in numbers)


def look(peer: OtherLibrary) -> tuple[Library, list[Row], list[str]] | None:
    """Return the library, its rows and missing names; None if it is not installed."""
    try:
        library = ASK[peer.library]()
    except ModuleNotFoundError as error:
        print(f"{peer.library}: skipped, {error}")
        return None
    rows = [compare(library, peer, name) for name in peer.same]
    return library, rows, missing(peer, library.names)


def main() -> int:
    """Print the findings, and write the page with ``--write``."""
    torch.set_num_threads(1)
    found, findings = {}, 0
    for peer in (peer for peer in other_libraries() if peer.source is None):
        seen = look(peer)
        if seen is None:
            continue
        library, rows, absent = seen
        found[peer.library] = (library, rows)
        wrong = [row for row in rows if row.finding]
        findings += len(absent) + len(wrong) + (library.version.split("+")[0] != peer.version)
        print(
            f"{peer.library} {library.version}: {len(set(library.names))} names, {len(rows)} compared,"
            f" {len(absent)} missing, {len(wrong)} different without a reason, or with an outdated reason"
        )
        for name in absent:
            print(f"    missing: {name}")
        for row in wrong:
            print(f"    {row.name} = {row.spec}: value {_pair(row.value)}, gradient {_pair(row.gradient)} {row.note}")
    if "--write" in sys.argv:
        PAGE.write_text(page(found), encoding="utf-8")
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
