"""Terminal view of the report of an export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import plain, plural
from actlab.report.terminal.text_table import text_table

if TYPE_CHECKING:
    from actlab.export.report import BatchDifference, DeviceFigures, ExportReport, Latency, Memory

__all__ = ["export_view"]

ACTIVATIONS = ("site", "function", "nodes", "operators", "computed in")


def export_view(report: ExportReport) -> RenderableType:
    """Return a report for the terminal: the file, the activations in it, and how it was checked."""
    return Group(*_parts(report))


def _parts(report: ExportReport) -> Iterator[RenderableType]:
    opset = f", opset {report.opset}" if report.opset else ""
    yield Text(f"{report.path}: {report.model} as {report.target}{opset}", style="bold")
    part = "node" if report.opset else "layer"
    yield Text(f"{plural(report.nodes, part)} · {report.bytes:,} bytes · checked with {report.runtime}", style="dim")
    rows = [[each.site, each.spec, str(each.nodes), each.operators, each.dtype] for each in report.activations]
    if rows:
        yield Padding(text_table(ACTIVATIONS, rows, right=("nodes",)), (1, 0, 0, 0))
    yield Text("")
    if report.memory is not None:
        yield Text(_memory(report.memory))
    for difference in report.differences:
        yield Text(_difference(difference))
    for lines in (report.special_values, report.notes):
        for line in lines:
            yield Text(f"- {line}")
    yield from _devices(report.devices)
    if report.latencies:
        yield from _latencies(report.latencies)


def _latencies(latencies: Sequence[Latency]) -> Iterator[RenderableType]:
    """Yield the table of times, and why there are none where a runtime cannot run a function."""
    times = ["–" if each.milliseconds is None else plain(each.milliseconds) for each in latencies]
    rows = [[each.spec, each.runtime, each.version, time] for each, time in zip(latencies, times, strict=True)]
    title = f"ms for {latencies[0].size:,} numbers"
    yield Padding(text_table(("function", "runtime", "version", title), rows, right=(title,)), (1, 0, 0, 0))
    for each in latencies:
        if each.missing:
            yield Text(f"- {each.spec} does not run in {each.runtime}: {each.missing}")


def _memory(memory: Memory) -> str:
    flash = "flash not measured" if memory.flash is None else f"flash {memory.flash:,} bytes"
    return f"{flash}, of which constants {memory.constants:,} · RAM {memory.ram:,} bytes (no plan is below {memory.needed:,})"


def _devices(devices: Sequence[DeviceFigures]) -> Iterator[RenderableType]:
    measured = [each for each in devices if each.instructions is not None]
    if measured:
        names = [each.name for each in measured]
        rows = [
            ["flash, bytes", *(f"{each.flash:,}" for each in measured)],
            ["RAM, bytes", *(f"{each.ram:,}" for each in measured)],
            ["stack, bytes", *(f"{each.stack:,}" for each in measured)],
            ["instructions", *(f"{each.instructions:,}" for each in measured)],
            *(
                [layers[0].layer, *(f"{each.instructions:,}" for each in layers)]
                for layers in zip(*(each.layers for each in measured), strict=True)
            ),
        ]
        yield Padding(text_table(("in an emulator", *names), rows, right=names), (1, 0, 0, 0))
    for each in devices:
        if each.missing:
            yield Text(f"- {each.name} was not measured: {each.missing}")
        else:
            outputs = (
                f"all outputs are right on {each.vectors} vectors" if each.right else f"WRONG OUTPUTS: {each.result}"
            )
            note = f"; {each.note}" if each.note else ""
            yield Text(f"- {each.name}: {outputs}; counted by {each.compiler}, {each.emulator}{note}")


def _difference(difference: BatchDifference) -> str:
    batch = "the inputs" if difference.batch is None else f"a batch of {difference.batch}"
    which = "traced" if difference.traced else "not the traced one"
    return f"Largest difference from the model on {batch} ({which}): {difference.largest:.2g}"
