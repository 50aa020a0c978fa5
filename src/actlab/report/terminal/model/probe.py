"""Terminal tables of probe reports and of signal propagation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from actlab.report.content.format import MINUS, MISSING, percent, plain, plural, signed
from actlab.report.terminal.text_table import below, text_table

if TYPE_CHECKING:
    from actlab.nn.probes.probe_report import ProbeReport, ProbeRow
    from actlab.nn.probes.propagation import Propagation

__all__ = ["probe_table", "propagation_table"]

_HEADINGS = (
    "site", "after", "activation", "units", "mean", "std", "sparse", "saturated", "E f'^2", "gradient", "rank",
    "dead", "born dead", "stuck", "rare", "silent",
)  # fmt: skip
_PROPAGATION = ("layer", "activation", "weights", "q", "closed form", "gradient", "closed form", "factor")


def probe_table(report: ProbeReport) -> RenderableType:
    """Return a report for the terminal, one line per site; columns without measurements are left out."""
    rows = [_cells(row) for row in report]
    shown = [i for i in range(len(_HEADINGS)) if i < 3 or any(row[i] != MISSING for row in rows)]
    headings = [_HEADINGS[i] for i in shown]
    table = text_table(headings, [[row[i] for i in shown] for row in rows], right=headings[3:])
    return Group(table, below(_legend(report)))


def _cells(row: ProbeRow) -> list[str]:
    return [
        row.path,
        row.after or MISSING,
        row.spec,
        str(row.units) if row.units else MISSING,
        *map(plain, (row.mean, math.sqrt(row.variance))),
        *map(percent, (row.sparsity, row.saturated)),
        *map(plain, (row.chi, row.gradient_norm, row.effective_rank)),
        *map(percent, (row.dead, row.born_dead, row.stuck, row.sparse, row.silent)),
    ]


def _legend(report: ProbeReport) -> str:
    first = report[0]
    meaning = (
        f"{plural(first.samples, 'sample')} in {first.batches} batch{'' if first.batches == 1 else 'es'}. "
        "sparse, saturated: share of outputs. dead (output and slope zero for every sample), stuck (saturated for 95 % of the elements), "
        "rare (nonzero for less than 5 %): share of units. silent: share of units that are zero throughout a batch, which need not be dead."
    )
    return "\n".join([meaning, *(f"Not measured: {path}: {reason}." for path, reason in report.unseen.items())])


def propagation_table(propagation: Propagation) -> RenderableType:
    """Return signal and gradient by depth for the terminal, measured and by closed form, with a summary sentence."""
    rows: list[Sequence[str]] = [
        (
            layer.path,
            layer.spec,
            *map(plain, (layer.weight, layer.q, layer.q_forecast, layer.gradient, layer.gradient_forecast, layer.chi)),
        )
        for layer in propagation.layers
    ]
    return Group(
        text_table(_PROPAGATION, rows, right=_PROPAGATION[2:]), below(_propagation_sentence(propagation), style="bold")
    )


def _propagation_sentence(propagation: Propagation) -> str:
    trouble = propagation.trouble
    measured, forecast = (_decades(value) for value in (propagation.decades, propagation.decades_forecast))
    size = f"{measured} decades from the last layer to the first (closed form {forecast})"
    if trouble is None:
        return f"The gradient keeps its scale: {size}."
    change = "shrink" if trouble.kind == "vanish" else "grow"
    return f"Gradients {change}: {size}. It begins at {trouble.begins} and exceeds one decade at {trouble.reaches}."


def _decades(value: float) -> str:
    """Return a difference in decades; minus infinity means a gradient of exactly zero."""
    return f"{MINUS}∞" if value == -math.inf else signed(value, 2)
