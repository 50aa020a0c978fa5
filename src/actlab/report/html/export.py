"""HTML page of an export, with the checks of the file and what it takes on devices and in runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from actlab.report.charts.export import instruction_bars
from actlab.report.charts.svg import NARROW, WIDE, svg
from actlab.report.content.format import plural
from actlab.report.content.model.export import (
    ACTIVATIONS,
    activation_rows,
    device_rows,
    device_sentences,
    difference_sentence,
    export_title,
    instructions_alternative,
    latency_headings,
    latency_rows,
    latency_sentences,
    measured_devices,
    memory_sentence,
)
from actlab.report.html.template import render
from actlab.report.output_file import write_output

if TYPE_CHECKING:
    from actlab.export.report import ExportReport

__all__ = ["html", "write"]


def write(report: ExportReport, path: str | Path, *, force: bool = False) -> Path:
    """Write the page, one file for use offline.

    Args:
        report: result of :func:`actlab.export.front.export`.
        path: of the file; an earlier page is replaced.
        force: whether any other file is replaced, too.

    Returns:
        The path.

    Raises:
        ActlabError: the file cannot be written, or is another one than a page.

    Example:
        >>> import tempfile, torch, actlab
        >>> folder = Path(tempfile.mkdtemp())
        >>> report = actlab.export(torch.nn.ReLU(), torch.zeros(2, 3), folder / "net.onnx")
        >>> write(report, folder / "net.html").name
        'net.html'
    """
    return write_output(Path(path), html(report), force=force)


def html(report: ExportReport) -> str:
    """Return the page of :func:`write` as text."""
    differences = [difference_sentence(each) for each in report.differences]
    return render(
        "export.html.j2",
        "page.css",
        title=export_title(report),
        subject=f"{report.model} as {report.target}",
        answer=export_title(report),
        sentences=[*differences, *([] if report.memory is None else [memory_sentence(report.memory)])],
        facts=_facts(report),
        notes=[*map(str, report.special_values), *report.notes],
        figure=_figure(report),
        tables=_tables(report),
        made=[("Checked with", report.runtime), ("Written to", report.path)],
        devices=device_sentences(report.devices),
        missing=latency_sentences(report.latencies),
    )


def _facts(report: ExportReport) -> list[dict[str, str]]:
    return [
        {"name": "File", "value": f"{report.bytes:,} bytes", "note": report.target},
        {
            "name": "Net",
            "value": plural(report.nodes, "node" if report.opset else "layer"),
            "note": plural(len(report.activations), "activation"),
        },
        {"name": "Largest difference", "value": f"{report.largest:.2g}", "note": "of an output from the model's"},
        *_cost(report),
    ]


def _cost(report: ExportReport) -> list[dict[str, str]]:
    """Return what the net takes: instructions on the first core, else RAM, else nothing."""
    measured = measured_devices(report.devices)
    if measured:
        first, *others = measured
        more = [f"{each.name} {each.instructions:,}" for each in others]
        note = "; ".join([*more, f"flash {first.flash:,} bytes, RAM {first.ram:,}"])
        return [{"name": f"Instructions, {first.name}", "value": f"{first.instructions:,}", "note": note}]
    if report.memory is not None:
        return [{"name": "RAM", "value": f"{report.memory.ram:,} bytes", "note": "static, without the stack"}]
    return []


def _tables(report: ExportReport) -> list[dict[str, Any]]:
    """Return the tables that have rows, with the number of columns of text."""
    measured, times = measured_devices(report.devices), report.latencies
    found: list[dict[str, Any]] = []

    def add(title: str, lead: str, headings: Sequence[str], rows: list[list[str]], texts: int) -> None:
        found.append({"title": title, "lead": lead, "headings": headings, "rows": rows, "texts": texts})

    if measured:
        lead = "Counted in an emulator: instructions are no cycles, and no milliseconds."
        add("On devices", lead, ("", *(each.name for each in measured)), device_rows(measured), 1)
    if times:
        lead = "Median of interleaved runs on one thread; torch is the layer before the export."
        add("In runtimes", lead, latency_headings(times), latency_rows(times), 3)
    if report.activations:
        lead = "Each with the part of the file that computes it."
        add("Activations", lead, ACTIVATIONS, activation_rows(report), len(ACTIVATIONS))
    return found


def _figure(report: ExportReport) -> dict[str, Any] | None:
    """Return both drawings of the instructions by layer; None where none were counted."""
    measured = measured_devices(report.devices)
    wide, narrow = (instruction_bars(measured, frame) for frame in (WIDE, NARROW))
    if wide is None or narrow is None:
        return None
    return {
        "alt": instructions_alternative(measured),
        "wide": Markup(svg(wide, name="instructions-wide")),  # noqa: S704 vl-convert escapes every text in its SVG
        "narrow": Markup(svg(narrow, name="instructions-narrow")),  # noqa: S704 as above
    }
