"""Terminal view of the report of an export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.model.export import (
    ACTIVATIONS,
    activation_rows,
    checked_with,
    device_rows,
    device_sentences,
    difference_sentence,
    export_title,
    latency_headings,
    latency_rows,
    latency_sentences,
    measured_devices,
    memory_sentence,
)
from actlab.report.terminal.text_table import text_table

if TYPE_CHECKING:
    from actlab.export.report import ExportReport

__all__ = ["export_view"]


def export_view(report: ExportReport) -> RenderableType:
    """Return a report for the terminal: the file, the activations in it, and how it was checked."""
    return Group(*_parts(report))


def _parts(report: ExportReport) -> Iterator[RenderableType]:
    yield Text(export_title(report), style="bold")
    yield Text(checked_with(report), style="dim")
    if report.activations:
        yield Padding(text_table(ACTIVATIONS, activation_rows(report), right=("nodes",)), (1, 0, 0, 0))
    yield Text("")
    if report.memory is not None:
        yield Text(memory_sentence(report.memory))
    for difference in report.differences:
        yield Text(difference_sentence(difference))
    for line in (*report.special_values, *report.notes):
        yield Text(f"- {line}")
    measured = measured_devices(report.devices)
    if measured:
        names = [each.name for each in measured]
        yield Padding(text_table(("in an emulator", *names), device_rows(measured), right=names), (1, 0, 0, 0))
    for sentence in device_sentences(report.devices):
        yield Text(f"- {sentence}")
    if report.latencies:
        headings = latency_headings(report.latencies)
        yield Padding(text_table(headings, latency_rows(report.latencies), right=headings[-1:]), (1, 0, 0, 0))
    for sentence in latency_sentences(report.latencies):
        yield Text(f"- {sentence}")
