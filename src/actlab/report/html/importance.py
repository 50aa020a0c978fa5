"""HTML page of activation importance and learned shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from actlab.report.charts.importance import UNITS_SHOWN, cumulative_plot, distance_plot, effect_plot, learned_curves
from actlab.report.charts.svg import NARROW, WIDE, Frame, svg
from actlab.report.content.format import fixed, interval, p_value, plain, plural, signed
from actlab.report.content.model.importance import (
    SHAPE_LEGEND,
    effect_label,
    headline,
    importance_decimals,
    legend,
    shape_rows,
    worsening,
)
from actlab.report.html.template import render
from actlab.report.output_file import write_output

if TYPE_CHECKING:
    import altair as alt

    from actlab.diagnostics.appraise import Appraisal
    from actlab.diagnostics.importance_result import Importance
    from actlab.stats.paired_effect import Effect

__all__ = ["html", "write"]


def write(appraisal: Appraisal, path: str | Path) -> Path:
    """Write the page of an appraisal.

    Args:
        appraisal: result of :func:`actlab.diagnostics.appraise.appraise`.
        path: of the file, which is replaced if it exists.

    Returns:
        The path.

    Raises:
        ActlabError: the file cannot be written.
    """
    return write_output(Path(path), html(appraisal))


def html(appraisal: Appraisal) -> str:
    """Return the page of :func:`write` as text."""
    importance = appraisal.importance
    headings, rows = shape_rows(appraisal.shapes)
    return render(
        "importance.html.j2",
        "page.css",
        "importance.css",
        title=f"{appraisal.name}: {headline(importance)}",
        subject=f"{appraisal.name} · {_training(appraisal)}",
        answer=headline(importance)[:1].upper() + headline(importance)[1:],
        facts=_facts(appraisal),
        figures=list(_figures(importance)),
        distance_figures=_distance_figures(appraisal),
        sites=[_site(importance, number) for number in range(len(importance))],
        notes=list(legend(importance)),
        curves=[_curves(appraisal, number) for number in range(len(appraisal.shapes))],
        shape_headings=headings,
        shape_rows=rows,
        shape_note=SHAPE_LEGEND,
    )


def _training(appraisal: Appraisal) -> str:
    act = f"with {appraisal.act}, " if appraisal.act else ""
    return f"{act}trained with seed {appraisal.seed}" if appraisal.was_trained else "trained model from a file"


def _facts(appraisal: Appraisal) -> list[dict[str, str]]:
    importance = appraisal.importance
    return [
        {
            "name": "Can be linearised together",
            "value": f"{len(importance.together)} of {len(importance)}",
            "note": ", ".join(importance.together) or "none",
        },
        {"name": importance.measure, "value": plain(importance.baseline), "note": "of the unchanged model"},
        {"name": "Tolerance", "value": plain(importance.tolerance), "note": f"in units of {importance.measure}"},
        {"name": "Samples", "value": str(importance.samples), "note": f"of the {appraisal.split} split"},
    ]


def _figures(importance: Importance) -> Iterator[dict[str, Any]]:
    dots = "Dot and bar: mean over samples and its 95% interval; in colour: significant at the error rate of the table."
    change = worsening(importance).capitalize()
    yield _figure(
        "line",
        "Linearised",
        f"{change} when a site is replaced by its best linear fit. {dots}",
        lambda frame: effect_plot(importance, frame, constant=False),
    )
    yield _figure(
        "constant",
        "Replaced by a constant",
        f"{change} when a site is replaced by the mean of its outputs. {dots}",
        lambda frame: effect_plot(importance, frame, constant=True),
    )
    if cumulative_plot(importance, WIDE) is not None:
        yield _figure(
            "together",
            "Linearised together",
            f"{change} when sites are linearised one after another, least important first. Band: 95% interval; dashed: tolerance.",
            lambda frame: cumulative_plot(importance, frame),
        )


def _distance_figures(appraisal: Appraisal) -> list[dict[str, Any]]:
    """Return the figure of the distances during training; empty if nothing was recorded."""
    if distance_plot(appraisal.history, WIDE) is None:
        return []
    lead = "Distance of each curve to its initial one, mean over the units of a layer."
    return [_figure("moved", "Change during training", lead, lambda frame: distance_plot(appraisal.history, frame))]


def _figure(name: str, title: str, lead: str, draw: Callable[[Frame], alt.LayerChart | None]) -> dict[str, Any]:
    drawings = {}
    for size, frame in (("wide", WIDE), ("narrow", NARROW)):
        chart = draw(frame)
        drawings[size] = "" if chart is None else Markup(svg(chart, name=f"{name}-{size}"))  # noqa: S704 vl-convert escapes every text in its SVG
    return {"name": name, "title": title, "lead": lead, **drawings}


def _site(importance: Importance, number: int) -> dict[str, Any]:
    row, places = importance[number], importance_decimals(importance)
    effects = [_cells(effect, places) for effect in (row.linearised, row.ablated)]
    return {"path": row.path, "spec": row.spec, "r2": fixed(row.r2, 3), "effects": effects}


def _cells(effect: Effect, places: int) -> dict[str, str]:
    if effect.state == "none":
        return {"mean": signed(0.0, places), "interval": "", "p": "", "label": effect_label(effect), "state": "none"}
    ends = interval((effect.low, effect.high), places, sign=True)
    state = effect.state if effect.state in {"worse", "better"} else "unknown"
    return {
        "mean": signed(effect.mean, places),
        "interval": ends,
        "p": p_value(effect.adjusted),
        "label": effect_label(effect),
        "state": state,
    }


def _curves(appraisal: Appraisal, number: int) -> dict[str, Any]:
    shape = appraisal.shapes[number]
    history = appraisal.history.get(shape.path, [])
    units = plural(len(shape.y), "unit")
    note = f"{UNITS_SHOWN} of {units}" if len(shape.y) > UNITS_SHOWN else units if len(shape.y) > 1 else ""
    return {
        "path": shape.path,
        "spec": shape.spec,
        "note": note,
        "alt": f"Learned curves of {shape.path}; mean distance to the initial curves {plain(float(shape.distance.mean()))}.",
        "drawing": Markup(learned_curves(shape, history)),  # noqa: S704 it contains numbers only
    }
