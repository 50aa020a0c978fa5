"""Charts as files of their own, in SVG, PDF or PNG."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import altair as alt
import vl_convert

from actlab.errors import ActlabError, UnknownNameError
from actlab.report.charts.axes import curve_of_axis_plot, reliability_plot
from actlab.report.charts.convergence import held_out_plot, reached_plot
from actlab.report.charts.palette import LIGHT
from actlab.report.charts.study import cost_plot, curve_plot, difference_plot
from actlab.report.charts.svg import WIDE, svg
from actlab.report.content.axes import curve_names
from actlab.report.content.series import Row
from actlab.report.output_file import MARK, write_output

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["FIGURES", "FORMATS", "write_chart", "write_study_figure"]

FIGURES = ("curves", "differences", "cost", "held-out", "reached", "reliability", "severity")
FORMATS = (".svg", ".pdf", ".png")
# a file of its own has no page whose style sets these variables; the colours are those of the light page
COLOURS = {
    "page": "#ffffff", "ink": "#14171c", "muted": "#59616e", "line": "#e3e6eb", "rest": "#a0a7b2", "rope": "#e9edf3",
    **{f"arm-{number}": hue for number, hue in enumerate(LIGHT, 1)},
}  # fmt: skip
PIXELS = 2  # per CSS pixel, in PNG


def write_chart(chart: alt.TopLevelMixin, path: str | Path, *, name: str, force: bool = False) -> Path:
    """Write a chart on a white ground, in the format of the file's ending, and return its path.

    Args:
        chart: the chart.
        path: file that ends in .svg, .pdf or .png.
        name: part of the ids in the SVG.
        force: whether a file that ActLab did not write is replaced.

    Raises:
        ActlabError: the ending is another one, or the file cannot be written or replaced.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ActlabError(f"The ending of {str(path)!r} says no format of a figure; allowed are {', '.join(FORMATS)}.")
    text = _standalone(svg(chart, name=name))
    return write_output(path, _CONTENTS[ending](text), what="figure", force=force)


def _png(text: str) -> bytes:
    """Return the picture with a text chunk that says who made it."""
    picture: bytes = vl_convert.svg_to_png(text, scale=PIXELS)
    chunk = f"tEXtSoftware\0{MARK}".encode("latin-1")
    end = len(picture) - 12  # the last chunk, which has no data
    length, checksum = struct.pack(">L", len(chunk) - 4), struct.pack(">L", zlib.crc32(chunk))
    return picture[:end] + length + chunk + checksum + picture[end:]


# Each with the mark by which the writer knows its own files.
_CONTENTS: Mapping[str, Callable[[str], bytes]] = {
    ".svg": lambda text: f"{text.rstrip()}\n<!-- {MARK} -->\n".encode(),
    ".pdf": lambda text: bytes(vl_convert.svg_to_pdf(text)) + f"\n% {MARK}\n".encode(),
    ".png": _png,
}


def write_study_figure(
    verdict: Verdict, rows: Iterable[Row], path: str | Path, kind: str = "differences", *, force: bool = False
) -> Path:
    """Write a chart of a study's page as a file; see :func:`write_chart`.

    Args:
        verdict: of the study.
        rows: its trials.
        path: file that ends in .svg, .pdf or .png.
        kind: "curves" (training loss), "differences" (to the baseline), "cost" (metric over step time), "held-out" (metric over steps),
            "reached" (share of trials that have reached the target), "reliability" (accuracy over confidence), "severity" (the first curve
            of an axis, such as a metric over the strength of noise), or another curve as AXIS:CURVE.
        force: whether a file that ActLab did not write is replaced.

    Raises:
        UnknownNameError: there is no such figure.
        ActlabError: the study has no data for it, the ending is unknown, or the file cannot be written or replaced.
    """
    rows = list(rows)
    curves = {f"{axis}:{name}": (axis, name) for axis, name in curve_names(rows)}
    known = [*FIGURES, *curves]
    if kind not in known:
        raise UnknownNameError("figure", kind, known, f"The figures are {', '.join(known)}.")
    of_axis = curves.get(kind) or (_severity([*curves.values()]) if kind == "severity" else None)
    chart = (
        _of_study(verdict, rows, kind)
        if of_axis is None
        else curve_of_axis_plot(verdict, rows, WIDE, axis=of_axis[0], name=of_axis[1])
    )
    if chart is None:
        raise ActlabError(f"The study {verdict.study} has no data for the figure {kind!r} yet.")
    return write_chart(chart, path, name=re.sub(r"\W", "-", kind), force=force)


def _of_study(verdict: Verdict, rows: Sequence[Row], kind: str) -> alt.LayerChart | None:
    charts: Mapping[str, Callable[[], alt.LayerChart | None]] = {
        "curves": lambda: curve_plot(verdict, rows, WIDE),
        "differences": lambda: difference_plot(verdict, rows, WIDE),
        "cost": lambda: cost_plot(verdict, WIDE),
        "held-out": lambda: held_out_plot(verdict, rows, WIDE),
        "reached": lambda: reached_plot(verdict, WIDE),
        "reliability": lambda: reliability_plot(verdict, rows, WIDE),
        "severity": lambda: None,
    }
    return charts[kind]()


def _severity(curves: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the curve that is shown as that of severity: of robustness, else of attacks, else the first."""
    for wanted in ("robustness", "adversarial"):
        for axis, name in curves:
            if axis == wanted:
                return axis, name
    return curves[0] if curves else None


def _standalone(text: str) -> str:
    for variable, colour in COLOURS.items():
        text = text.replace(f"var(--{variable})", colour)
    text = text.replace('font-family="inherit"', 'font-family="sans-serif"').replace('aria-hidden="true"', "", 1)
    head, opening, rest = text.partition(">")
    return f'{head}{opening}<rect width="100%" height="100%" fill="#ffffff"/>{rest}'
