"""Hold peers.toml against the libraries themselves: is a name missing, and do their values and gradients agree with ours?

Run: python benchmarks/peers.py [--write]

Every library that can be imported is asked for all its activations; a name that peers.toml neither maps nor explains is a finding. Each
mapped one is computed in float32 and float64 beside ``actlab.layer(spec)``. ``--write`` puts the tables into docs/reference/other_libraries.md. Exit 1 on a
finding: a missing name, or a difference above rounding that no reason in peers.toml explains.

The environment that the committed tables come from: torch 2.13.0, then transformers, keras, jax, einops; and with ``--no-deps``, as they
would pull in torchvision or more: timm, pillow, x-transformers, einx, loguru, torch-einops-utils. timm imports torchvision for image
transforms; a placeholder stands in for it.
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
GRID = np.arange(-24 * 64, 24 * 64 + 1) / 64.0  # every kink of every function lies on it: 0, 0.5, 1, 3, 6
DTYPES = ("float32", "float64")
ROUNDINGS = 64  # differences up to so many units in the last place, of the larger of 1 and the value, are rounding
KINKS = 4  # gradients that differ at so few points only differ by convention
FIRST_HALF_IS_GATE = {"layers.SwiGLUPacked", "layers.SwiGLU", "models.vitamin.GeGluMlp"}  # and transformers' experts
DRAWN = {"nn.functional.gumbel_softmax", "Attend(gumbel_softmax=True)"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One activation of theirs beside ours: largest differences by dtype, of the value and of the gradient away from kinks."""

    theirs: str
    ours: str
    value: tuple[float, ...] = ()
    gradient: tuple[float, ...] = ()
    note: str = ""
    finding: bool = False


def inputs(spec: Spec, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return input and cotangent: the grid for functions of one number, random rows for those of many."""
    record = spec.activation
    draw = np.random.default_rng(0)
    if record.kind == "gated":
        return (6 * draw.standard_normal((50, 8))).astype(dtype), draw.standard_normal((50, 4)).astype(dtype)
    if record.mixes_tokens:
        return draw.standard_normal((2, 6, 8)).astype(dtype), draw.standard_normal((2, 6, 8)).astype(dtype)
    if record.kind == "vector" or record.name == "gumbel_softmax":
        return (3 * draw.standard_normal((3, 5, 4, 6))).astype(dtype), draw.standard_normal((3, 5, 4, 6)).astype(dtype)
    return GRID[:, None].astype(dtype), np.ones((len(GRID), 1), dtype)


def gate_of(theirs: str) -> Half:
    """Return which part of their packed input is the gate."""
    if theirs.endswith("GptOssExperts"):
        return "interleaved"
    own = theirs in FIRST_HALF_IS_GATE or theirs.endswith(("Experts", "SoftcappedSwiGLU"))
    return "first" if own else "second"


def compare(library: Library, peer: OtherLibrary, theirs: str) -> Row:
    """Compute both and return how far apart they are."""
    ours, note = peer.same[theirs], "; ".join(filter(None, (peer.differs.get(theirs), peer.notes.get(theirs))))
    if theirs in DRAWN:
        return Row(theirs=theirs, ours=ours, note=note)
    spec = parse(ours)
    gate = gate_of(theirs)
    values, gradients, kinks, findings = [], [], "", []
    for dtype in DTYPES:
        x, cotangent = inputs(spec, dtype)
        mine = layer(spec, native=False, gate=gate, dtype=getattr(torch, dtype)).eval()
        (value, slope), (my_value, my_slope) = (
            library.evaluate(library.build(theirs, dtype), x, cotangent),
            with_torch(mine, x, cotangent),
        )
        apart = excess(slope, my_slope, dtype)
        rare = 0 < apart.sum() <= KINKS and x.shape == GRID[:, None].shape
        kinks = kinks or (_conventions(x[apart], slope[apart], my_slope[apart]) if rare else "")
        values.append(largest(value, my_value))
        gradients.append(largest(np.where(rare & apart, my_slope, slope), my_slope))
        findings.append(bool(excess(value, my_value, dtype).any() or (apart.any() and not rare)))
    return Row(
        theirs=theirs,
        ours=ours,
        value=tuple(values),
        gradient=tuple(gradients),
        note="; ".join(filter(None, (note, kinks))),
        finding=any(findings) != (theirs in peer.differs),
    )


def excess(theirs: np.ndarray, mine: np.ndarray, dtype: str) -> np.ndarray:
    """Return where two results differ by more than rounding."""
    if theirs.shape != mine.shape:
        raise ValueError(f"their result has shape {theirs.shape}, ours {mine.shape}")
    scale = np.maximum(1.0, np.abs(mine.astype("float64")))
    with np.errstate(invalid="ignore"):
        close = np.abs(theirs.astype("float64") - mine) <= ROUNDINGS * np.finfo(dtype).eps * scale
    return ~(close | (np.isnan(theirs) & np.isnan(mine)) | (theirs == mine))


def largest(theirs: np.ndarray, mine: np.ndarray) -> float:
    """Return the largest difference."""
    return float(np.abs(theirs.astype("float64") - mine).max())


def _conventions(x: np.ndarray, theirs: np.ndarray, mine: np.ndarray) -> str:
    points = "; ".join(f"{a:g}: {b:.3g}, ours {c:.3g}" for a, b, c in zip(x, theirs, mine, strict=True))
    return f"gradient at the kink {points}"


HEAD = """# Coverage: what other libraries have, and our name for it

Written by `python benchmarks/peers.py --write`. It asks every library for all its activations and fails on a name that
`src/actlab/functions/analysis/other_libraries.toml` neither maps nor explains. Each mapped one is computed beside our formula,
`actlab.layer(spec, native=False)`: functions of one number at 3,073 points of [-24, 24], on which their kinks lie; those of
many on random rows. Differences are the largest absolute ones, in float32 and float64; one above 64 units in the last place has
a reason. `actlab show gelu_tanh` tells the way back.
"""


def page(found: dict[str, tuple[Library, list[Row]]]) -> str:
    """Return the page: how much is covered, then a table per library."""
    lines = [
        HEAD,
        "| library | version | its names | mapped | without an entry, with a reason |",
        "|---|---|---|---|---|",
    ]
    for peer in other_libraries():
        counts = f"{len(peer.same) + len(peer.without)} | {len(peer.same)} | {len(peer.without)}"
        lines.append(f"| {peer.library} | {peer.version} | {counts} |")
    for peer in other_libraries():
        lines += ["", f"## {peer.library} {peer.version}", ""]
        lines += _table(found[peer.library][1]) if peer.library in found else ["Not installed where this was written."]
        lines += [f"| `{theirs}` | none | | | {reason} |" for theirs, reason in peer.without.items()]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    head = ["| theirs | ours | value: float32, float64 | gradient: float32, float64 | note |", "|---|---|---|---|---|"]
    return head + [
        f"| `{row.theirs}` | `{row.ours}` | {_pair(row.value)} | {_pair(row.gradient)} | {row.note} |" for row in rows
    ]


def _pair(numbers: tuple[float, ...]) -> str:
    return ", ".join("none" if np.isnan(number) else "0" if number == 0 else f"{number:.1e}" for number in numbers)


def look(peer: OtherLibrary) -> tuple[Library, list[Row], list[str]] | None:
    """Return the library, its rows and what is missing; None where it is not installed."""
    try:
        library = ASK[peer.library]()
    except ModuleNotFoundError as error:
        print(f"{peer.library}: not looked at, {error}")
        return None
    rows = [compare(library, peer, theirs) for theirs in peer.same]
    return library, rows, missing(peer, library.names)


def main() -> int:
    """Print what was found, and write the page if asked to."""
    torch.set_num_threads(1)
    found, findings = {}, 0
    for peer in other_libraries():
        seen = look(peer)
        if seen is None:
            continue
        library, rows, absent = seen
        found[peer.library] = (library, rows)
        wrong = [row for row in rows if row.finding]
        findings += len(absent) + len(wrong) + (library.version.split("+")[0] != peer.version)
        print(
            f"{peer.library} {library.version}: {len(set(library.names))} names asked for, {len(rows)} compared,"
            f" {len(absent)} missing, {len(wrong)} different without a reason, or with one that no longer holds"
        )
        for name in absent:
            print(f"    missing: {name}")
        for row in wrong:
            print(f"    {row.theirs} = {row.ours}: value {_pair(row.value)}, gradient {_pair(row.gradient)} {row.note}")
    if "--write" in sys.argv:
        PAGE.write_text(page(found), encoding="utf-8")
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
