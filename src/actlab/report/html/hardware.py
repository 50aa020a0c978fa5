"""HTML page of what activations gain or lose on a machine, in every dtype."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from actlab.report.charts.hardware import ratio_plot
from actlab.report.charts.svg import NARROW, WIDE, svg
from actlab.report.content.format import plural
from actlab.report.content.hardware import (
    PASS_TITLES,
    dtype_sentences,
    function_rows,
    hardware_headline,
    hardware_notes,
    machine_rows,
    ratio_alternative,
    untimed_sentences,
)
from actlab.report.html.template import render
from actlab.report.output_file import write_output

if TYPE_CHECKING:
    from actlab.bench.hardware import Hardware

__all__ = ["html", "write"]


def write(found: Hardware, path: str | Path, *, force: bool = False) -> Path:
    """Write the page.

    Args:
        found: result of :func:`actlab.bench.hardware.measure_hardware`.
        path: of the file; an earlier page is replaced.
        force: whether any other file is replaced, too.

    Returns:
        The path.

    Raises:
        ActlabError: the file cannot be written, or is another one than a page.
    """
    return write_output(Path(path), html(found), force=force)


def html(found: Hardware) -> str:
    """Return the page of :func:`write` as text."""
    headline = hardware_headline(found)
    sentences = [sentence for sentence in dtype_sentences(found) if sentence != headline]
    return render(
        "hardware.html.j2",
        "page.css",
        title=f"{found.machine.name}: {headline}",
        subject=found.machine.name,
        answer=headline,
        sentences=sentences,
        facts=_facts(found),
        figure=_figure(found),
        dtypes=found.dtypes,
        tables=[
            {"name": passes.replace("+", "-"), "title": title, "rows": function_rows(found, passes)}
            for passes, title in PASS_TITLES.items()
        ],
        untimed=untimed_sentences(found),
        machine=machine_rows(found.machine),
        notes=hardware_notes(found),
    )


def _figure(found: Hardware) -> dict[str, Any] | None:
    """Return both drawings of the chart of ratios; None where only ReLU was timed."""
    wide, narrow = (ratio_plot(found, frame) for frame in (WIDE, NARROW))
    if wide is None or narrow is None:
        return None
    return {
        "alt": ratio_alternative(found),
        "wide": Markup(svg(wide, name="ratios-wide")),  # noqa: S704 vl-convert escapes every text in its SVG
        "narrow": Markup(svg(narrow, name="ratios-narrow")),  # noqa: S704 as above
    }


def _facts(found: Hardware) -> list[dict[str, Any]]:
    machine = found.machine
    timed = len({one.spec for one in found.timings})
    return [
        {
            "name": "Card" if machine.device == "cuda" else "Processor",
            "value": machine.name,
            "note": machine.capability,
        },
        {"name": "Functions", "value": str(timed), "note": f"of {plural(len(found.specs), 'function')}"},
        {"name": "Elements", "value": f"{found.size:,}", "note": "of an output"},
        {"name": "torch", "value": machine.versions["torch"], "note": plural(machine.threads, "thread")},
    ]
