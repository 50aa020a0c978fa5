"""Terminal table of what activations gain or lose on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.hardware import (
    PASS_TITLES,
    dtype_sentences,
    function_rows,
    hardware_notes,
    machine_rows,
    untimed_sentences,
)
from actlab.report.terminal.text_table import below, text_table

if TYPE_CHECKING:
    from actlab.bench.hardware import Hardware

__all__ = ["hardware_table"]

_SHORT: Final = {"float32": "f32", "float64": "f64", "bfloat16": "bf16", "float16": "f16"}


def hardware_table(found: Hardware) -> RenderableType:
    """Return the times over ReLU and over float32 for the terminal, one table for each pass, and what the machine is."""
    parts: list[RenderableType] = [Text(", ".join(f"{name}: {text}" for name, text in machine_rows(found.machine)))]
    for passes, title in PASS_TITLES.items():
        headings, rows = _cells(found, passes)
        if rows:
            parts += [below(title, style="bold"), text_table(headings, rows, right=headings[1:])]
    sentences = [*dtype_sentences(found), *untimed_sentences(found)]
    parts += [below(sentence) if number == 0 else Text(sentence) for number, sentence in enumerate(sentences)]
    legend = f"{', '.join(f'{_SHORT[dtype]}: {dtype}' for dtype in found.dtypes)}."
    notes = Group(*(Text(note, style="dim") for note in (legend, *hardware_notes(found))))
    return Group(*parts, Padding(notes, (1, 0, 0, 0)))


def _cells(found: Hardware, passes: str) -> tuple[list[str], list[list[str]]]:
    others = [dtype for dtype in found.dtypes if dtype != "float32" and "float32" in found.dtypes]
    headings = [
        "function",
        *(["time f32"] if "float32" in found.dtypes else []),
        *(f"{_SHORT[dtype]}/relu" for dtype in found.dtypes),
        *(f"{_SHORT[dtype]}/f32" for dtype in others),
    ]
    rows = []
    for row in function_rows(found, passes):
        by_dtype = dict(zip(found.dtypes, row["cells"], strict=True))
        rows.append(
            [
                row["spec"],
                *([by_dtype["float32"]["time"]] if "float32" in by_dtype else []),
                *(cell["relu"] for cell in by_dtype.values()),
                *(by_dtype[dtype]["float32"] for dtype in others),
            ]
        )
    return headings, rows
