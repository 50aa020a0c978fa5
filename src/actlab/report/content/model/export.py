"""Sentences and cells of the report of an export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from actlab.report.content.format import MISSING, plain, plural

if TYPE_CHECKING:
    from actlab.export.report import BatchDifference, DeviceFigures, ExportReport, Latency, Memory

__all__ = [
    "ACTIVATIONS",
    "activation_rows",
    "checked_with",
    "device_rows",
    "device_sentences",
    "difference_sentence",
    "export_title",
    "instructions_alternative",
    "latency_headings",
    "latency_rows",
    "latency_sentences",
    "measured_devices",
    "memory_sentence",
]

ACTIVATIONS: Final = ("site", "function", "nodes", "operators", "computed in")


def export_title(report: ExportReport) -> str:
    """Return the file, the model and the format."""
    opset = f", opset {report.opset}" if report.opset else ""
    return f"{report.path}: {report.model} as {report.target}{opset}"


def checked_with(report: ExportReport) -> str:
    """Return the size, and what the file was checked with."""
    part = "node" if report.opset else "layer"
    return f"{plural(report.nodes, part)} · {report.bytes:,} bytes · checked with {report.runtime}"


def activation_rows(report: ExportReport) -> list[list[str]]:
    """Return the activations in the file, a cell for each of :data:`ACTIVATIONS`."""
    return [[each.site, each.spec, str(each.nodes), each.operators, each.dtype] for each in report.activations]


def memory_sentence(memory: Memory) -> str:
    """Return flash and RAM."""
    flash = "flash not measured" if memory.flash is None else f"flash {memory.flash:,} bytes"
    return f"{flash}, of which constants {memory.constants:,} · RAM {memory.ram:,} bytes (no plan is below {memory.needed:,})"


def difference_sentence(difference: BatchDifference) -> str:
    """Return how far the outputs are from the model's on a batch."""
    batch = "the inputs" if difference.batch is None else f"a batch of {difference.batch}"
    which = "traced" if difference.traced else "not the traced one"
    return f"Largest difference from the model on {batch} ({which}): {difference.largest:.2g}"


def latency_headings(latencies: Sequence[Latency]) -> tuple[str, ...]:
    """Return the headings of :func:`latency_rows`."""
    return ("function", "runtime", "version", f"ms for {latencies[0].size:,} numbers")


def latency_rows(latencies: Sequence[Latency]) -> list[list[str]]:
    """Return the times of the activations in the runtimes."""
    times = [MISSING if each.milliseconds is None else plain(each.milliseconds) for each in latencies]
    return [[each.spec, each.runtime, each.version, time] for each, time in zip(latencies, times, strict=True)]


def latency_sentences(latencies: Sequence[Latency]) -> list[str]:
    """Return what a runtime cannot run, with the reason."""
    return [f"{each.spec} does not run in {each.runtime}: {each.missing}" for each in latencies if each.missing]


def measured_devices(devices: Sequence[DeviceFigures]) -> list[DeviceFigures]:
    """Return the cores on which the project was run."""
    return [each for each in devices if each.instructions is not None]


def device_rows(devices: Sequence[DeviceFigures]) -> list[list[str]]:
    """Return bytes and instructions, a column for each core; instructions by layer at the end."""
    return [
        ["flash, bytes", *(f"{each.flash:,}" for each in devices)],
        ["RAM, bytes", *(f"{each.ram:,}" for each in devices)],
        ["stack, bytes", *(f"{each.stack:,}" for each in devices)],
        ["instructions", *(f"{each.instructions:,}" for each in devices)],
        *(
            [layers[0].layer, *(f"{each.instructions:,}" for each in layers)]
            for layers in zip(*(each.layers for each in devices), strict=True)
        ),
    ]


def device_sentences(devices: Sequence[DeviceFigures]) -> list[str]:
    """Return for each core whether its outputs are right and what counted, or why nothing was measured."""
    return [_device_sentence(each) for each in devices]


def _device_sentence(each: DeviceFigures) -> str:
    if each.missing:
        return f"{each.name} was not measured: {each.missing}"
    outputs = f"all outputs are right on {each.vectors} vectors" if each.right else f"WRONG OUTPUTS: {each.result}"
    note = f"; {each.note}" if each.note else ""
    return f"{each.name}: {outputs}; counted by {each.compiler}, {each.emulator}{note}"


def instructions_alternative(devices: Sequence[DeviceFigures]) -> str:
    """Return the chart of the instructions by layer in words."""
    totals = ", ".join(f"{each.name} {each.instructions:,}" for each in devices)
    most = max(devices[0].layers, key=lambda layer: layer.instructions)
    return f"Instructions by layer. In all: {totals}. On {devices[0].name} most are of {most.layer}: {most.instructions:,}."
