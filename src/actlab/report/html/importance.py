"""The importance page: what a model's activations are worth and have learned, as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from actlab.report.charts.importance import UNITS_SHOWN, distance_plot, exchange_plot, learned_curves, together_plot
from actlab.report.charts.svg import NARROW, WIDE, Frame, svg
from actlab.report.content.format import fixed, interval, p_value, plain, signed
from actlab.report.content.importance import SHAPE_LEGEND, headline, legend, places_of, said, shape_rows
from actlab.report.html.template import rendered, written

if TYPE_CHECKING:
    import altair as alt

    from actlab.diagnostics.appraise import Appraisal
    from actlab.stats.paired_effect import Effect

__all__ = ["html", "write"]


def write(found: Appraisal, path: str | Path) -> Path:
    """Write the page of an appraisal.

    Args:
        found: what was measured.
        path: the file to write; it is replaced if it is there.

    Returns:
        The path that was written.

    Raises:
        ActlabError: the file cannot be written.
    """
    return written(Path(path), html(found))


def html(found: Appraisal) -> str:
    """Return the page of :func:`write` as text."""
    importance = found.importance
    headings, rows = shape_rows(found.shapes)
    return rendered(
        "importance.html.j2",
        "page.css",
        "importance.css",
        title=f"{found.name}: {headline(importance)}",
        asked=f"{found.name} · {_how(found)}",
        answer=headline(importance)[:1].upper() + headline(importance)[1:],
        facts=_facts(found),
        figures=list(_figures(found)),
        moved=_moved(found),
        sites=[_site(found, number) for number in range(len(importance))],
        notes=list(legend(importance)),
        curves=[_curves(found, number) for number in range(len(found.shapes))],
        shape_headings=headings,
        shape_rows=rows,
        shape_note=SHAPE_LEGEND,
    )


def _how(found: Appraisal) -> str:
    act = f"with {found.act}, " if found.act else ""
    return f"{act}trained at seed {found.seed}" if found.was_trained else "as it came"


def _facts(found: Appraisal) -> list[dict[str, str]]:
    importance = found.importance
    together = ", ".join(importance.together) or "none"
    return [
        {
            "name": "Can be lines together",
            "value": f"{len(importance.together)} of {len(importance)}",
            "note": together,
        },
        {"name": importance.measure, "value": plain(importance.baseline), "note": "as the model is"},
        {"name": "Tolerance", "value": plain(importance.tolerance), "note": "lost at most"},
        {"name": "Samples", "value": str(importance.samples), "note": f"of the {found.split} split"},
    ]


def _figures(found: Appraisal) -> Iterator[dict[str, Any]]:
    importance = found.importance
    dots = (
        "Dot and bar: mean over samples and its 95% interval; in colour: told from zero at the error rate of the table."
    )
    yield _figure("line", "A line in its place", f"What is lost when a site is its best affine fit. {dots}",
                  lambda frame: exchange_plot(importance, frame, constant=False))  # fmt: skip
    yield _figure("constant", "A constant in its place", f"What is lost when a site gives the mean of its outputs. {dots}",
                  lambda frame: exchange_plot(importance, frame, constant=True))  # fmt: skip
    if together_plot(importance, WIDE) is not None:
        yield _figure("together", "More and more lines", "What is lost when sites become lines one after another, the least important "
                      "first; band: 95% interval; dashed: the tolerance.", lambda frame: together_plot(importance, frame))  # fmt: skip


def _moved(found: Appraisal) -> list[dict[str, Any]]:
    """Return the figure of the distances over training, or none."""
    if distance_plot(found.history, WIDE) is None:
        return []
    lead = "Distance of each curve from its start, mean over the units of a layer."
    return [_figure("moved", "How far they moved", lead, lambda frame: distance_plot(found.history, frame))]


def _figure(name: str, title: str, lead: str, draw: Callable[[Frame], alt.LayerChart | None]) -> dict[str, Any]:
    drawings = {}
    for size, frame in (("wide", WIDE), ("narrow", NARROW)):
        chart = draw(frame)
        drawings[size] = "" if chart is None else Markup(svg(chart, name=f"{name}-{size}"))  # noqa: S704 vl-convert escapes every text in its SVG
    return {"name": name, "title": title, "lead": lead, **drawings}


def _site(found: Appraisal, number: int) -> dict[str, Any]:
    row, places = found.importance[number], places_of(found.importance)
    effects = [_cells(effect, places) for effect in (row.linearised, row.ablated)]
    return {"path": row.path, "spec": row.spec, "r2": fixed(row.r2, 3), "effects": effects}


def _cells(effect: Effect, places: int) -> dict[str, str]:
    if effect.state == "none":
        return {"mean": signed(0.0, places), "interval": "", "p": "", "said": said(effect), "state": "none"}
    ends = interval((effect.low, effect.high), places, sign=True)
    state = effect.state if effect.state in {"worse", "better"} else "unknown"
    return {
        "mean": signed(effect.mean, places),
        "interval": ends,
        "p": p_value(effect.adjusted),
        "said": said(effect),
        "state": state,
    }


def _curves(found: Appraisal, number: int) -> dict[str, Any]:
    shape = found.shapes[number]
    history = found.history.get(shape.path, [])
    many = len(shape.y) > UNITS_SHOWN
    note = f"{UNITS_SHOWN} of {len(shape.y)} units" if many else f"{len(shape.y)} units" if len(shape.y) > 1 else ""
    return {
        "path": shape.path,
        "spec": shape.spec,
        "note": note,
        "words": f"Learned curves of {shape.path}; moved by {shape.distance.mean():.3g} on average from where they began.",
        "drawing": Markup(learned_curves(shape, history)),  # noqa: S704 made here of numbers
    }
