"""Probes: what was measured of a model's activations, as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from actlab.report.content.format import NOTHING
from actlab.report.terminal.verdict import grid

if TYPE_CHECKING:
    from actlab.nn.probes.probe_report import ProbeReport, ProbeRow
    from actlab.nn.probes.propagation import Propagation

__all__ = ["probe_table", "propagation_table"]

_HEADINGS = ("site", "after", "runs", "units", "mean", "deviation", "sparse", "saturated", "E f'^2", "gradient", "rank")
_UNITS = ("dead", "born dead", "stuck", "rare", "silent")
_FORECAST = ("layer", "runs", "weights", "q", "by closed form", "gradient", "by closed form", "factor")


def probe_table(report: ProbeReport) -> RenderableType:
    """Return a report for a terminal: one line for each site, shares in percent, and what the columns mean below.

    Columns of which nothing was measured are left out.
    """
    rows = [[*_numbers(row), *_shares(row)] for row in report]
    wanted = [i for i in range(len(_HEADINGS) + len(_UNITS)) if i < 3 or any(row[i] != NOTHING for row in rows)]
    headings = [(*_HEADINGS, *_UNITS)[i] for i in wanted]
    table = grid(headings, [[row[i] for i in wanted] for row in rows], right=headings[3:])
    return Group(table, Padding(Text(_legend(report), style="dim"), (1, 0, 0, 0)))


def _numbers(row: ProbeRow) -> list[str]:
    texts = [row.path, row.after or NOTHING, row.spec, str(row.units) if row.units else NOTHING]
    texts += [_short(row.mean), _short(math.sqrt(row.variance)), _percent(row.sparsity), _percent(row.saturated)]
    return [*texts, _short(row.chi), _short(row.gradient_norm), _short(row.effective_rank)]


def _shares(row: ProbeRow) -> list[str]:
    return [_percent(share) for share in (row.dead, row.born_dead, row.stuck, row.sparse, row.silent)]


def _legend(report: ProbeReport) -> str:
    first = report[0]
    meaning = (
        f"{first.samples} samples in {first.batches} batches. sparse, saturated: share of outputs. dead (zero output and zero slope for "
        "every sample), stuck (saturated in 95 % of the elements), rare (not zero in less than 5 %): share of units. "
        "silent: share of units that are zero throughout a batch, which is no sign of death."
    )
    lines = [meaning]
    lines += [f"Not seen: {path}: {reason}." for path, reason in report.unseen.items()]
    return "\n".join(lines)


def propagation_table(found: Propagation) -> RenderableType:
    """Return the propagation by depth for a terminal: measured beside the closed form, and a sentence on where gradients are lost."""
    rows: list[Sequence[str]] = [
        (
            layer.path,
            layer.spec,
            _short(layer.weight),
            _short(layer.q),
            _short(layer.q_forecast),
            _short(layer.gradient),
            _short(layer.gradient_forecast),
            _short(layer.chi),
        )
        for layer in found.layers
    ]
    table: Table = grid(_FORECAST, rows, right=_FORECAST[2:])
    return Group(table, Padding(Text(_sentence(found), style="bold"), (1, 0, 0, 0)))


def _sentence(found: Propagation) -> str:
    trouble = found.trouble
    size = f"{found.decades:+.2f} decades from the last layer to the first (closed form {found.decades_forecast:+.2f})"
    if trouble is None:
        return f"The gradient keeps its scale: {size}."
    return f"Gradients {trouble.kind}: {size}. It begins at {trouble.begins}; at {trouble.reaches} they are off by a decade."


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else NOTHING


def _percent(share: float) -> str:
    if not math.isfinite(share):
        return NOTHING
    return "0" if share == 0 else f"{100 * share:.3g}%"
