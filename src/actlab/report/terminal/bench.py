"""Terminal tables of a speed benchmark and of what activations cost in a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.bench.speed import PASSES, Bench, Measurement
from actlab.report.content.format import MISSING, count, interval, plural, ratio, short_time, size
from actlab.report.terminal.text_table import below, text_table
from actlab.studies.arm import named

if TYPE_CHECKING:
    from actlab.diagnostics.cost import ArmCost, Costs

__all__ = ["cost_table", "speed_table"]

FORWARD, BOTH_PASSES = PASSES
COST_HEADINGS = ("activation", "step", "vs baseline", "95% interval", "parameters", "memory")
Measurements = dict[tuple[str, str, str], Measurement]


def speed_table(bench: Bench) -> RenderableType:
    """Return a benchmark for the terminal, with times, speedups over torch and the share of the memory bandwidth."""
    contenders = list(dict.fromkeys(m.contender for m in bench.measurements))
    measured: Measurements = {(m.spec, m.contender, m.passes): m for m in bench.measurements}
    others = [contender for contender in contenders if contender != "torch"]
    prefixes = [""] if len(others) == 1 else [f"{name} " for name in others]
    headings = ["function", *contenders]
    headings += [prefix + part for prefix in prefixes for part in ("speedup", "forward", "bandwidth")]
    rows = [
        [
            spec,
            *(_time(measured, spec, name) for name in contenders),
            *(cell for name in others for cell in _speedups(measured, spec, name)),
        ]
        for spec in dict.fromkeys(m.spec for m in bench.measurements)
    ]
    lines = Group(*(Text(note, style="dim") for note in _notes(bench, contenders)))
    return Group(text_table(headings, rows, right=headings[1:]), Padding(lines, (1, 0, 0, 0)))


def _time(measured: Measurements, spec: str, contender: str) -> str:
    measurement = measured.get((spec, contender, BOTH_PASSES))
    return MISSING if measurement is None else short_time(measurement.seconds)


def _speedups(measured: Measurements, spec: str, contender: str) -> list[str]:
    if (spec, contender, BOTH_PASSES) not in measured:  # another library may not have the function
        return [MISSING] * 3
    both, forward = measured[spec, contender, BOTH_PASSES], measured[spec, contender, FORWARD]
    return [f"{both.times:.2f}", f"{forward.times:.2f}", f"{both.roofline:.0%}"]


def _notes(bench: Bench, contenders: Sequence[str]) -> list[str]:
    before, after = bench.load
    where = (
        f"{bench.size:,} elements of {bench.dtype} on {bench.device}, {plural(bench.threads, 'thread')}, memory allocator "
        f"{'tuned' if bench.allocator == 'kept' else 'as shipped'}, "
        f"load {before:.1f} to {after:.1f}, median of {plural(bench.rounds, 'round')} in turns."
    )
    what = (
        "Times are for forward and backward together. speedup: torch's time divided by this one; forward: the same for the forward pass; "
        f"bandwidth: share of the speed of a copy ({bench.copy / 1e9:.1f} GB/s here) for the bytes that must be moved."
    )
    means = [f"{c} {bench.geometric_mean(c, BOTH_PASSES):.2f}x" for c in contenders if c != "torch"]
    return [where, what, *([f"Geometric mean speedup, forward and backward: {', '.join(means)}."] if means else [])]


def cost_table(costs: Costs) -> RenderableType:
    """Return the costs for the terminal, one line per activation, and what was measured below."""
    table = text_table(COST_HEADINGS, [_cells(arm, costs) for arm in costs.arms], right=COST_HEADINGS[1:])
    batch = "one batch" if costs.batch_size is None else plural(costs.batch_size, "example")
    legend = (
        f"{costs.name}, {batch} a step, nothing trained. step: forward, backward and optimizer on one "
        f"thread, median; vs baseline: time over that of {named(costs.baseline)}, from interleaved steps (an interval that contains "
        "1.00 shows no difference); memory: allocated in a step beyond model and optimizer."
    )
    return Group(table, below(legend))


def _cells(arm: ArmCost, costs: Costs) -> list[str]:
    if arm.step_time is None:
        return [arm.spec, "a step raises", *[MISSING] * 4]
    return [
        arm.spec,
        short_time(arm.step_time),
        "baseline" if arm.spec == costs.baseline else ratio(arm.ratio),
        interval(arm.interval, 2),
        count(arm.parameters),
        size(arm.peak_memory),
    ]
