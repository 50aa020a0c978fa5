"""HTML page of a study, with its verdict, charts, tables and the command that reproduces it.

All text from the study (names of arms, errors, warnings) is escaped, and a Content-Security-Policy in the file forbids all requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from actlab.report.charts.axes import curve_of_axis_plot, reliability_plot
from actlab.report.charts.convergence import held_out_plot, reached_plot
from actlab.report.charts.front import front_plot
from actlab.report.charts.palette import arm_styles
from actlab.report.charts.study import cost_plot, curve_plot, difference_plot
from actlab.report.charts.svg import NARROW, WIDE, Frame, svg
from actlab.report.content.arm_columns import Column, columns
from actlab.report.content.axes import (
    axes_legend,
    axes_rows,
    curve_names,
    curve_titles,
    front_rows,
    front_text,
    reliability_text,
    series_text,
)
from actlab.report.content.convergence import convergence_table, held_out_text, reached_text
from actlab.report.content.format import chance, plain
from actlab.report.content.learning_rate import learning_rates
from actlab.report.content.series import Row
from actlab.report.content.study_sites import HEADINGS, site_rows, site_sentence
from actlab.report.content.verdict import (
    confidence_sentences,
    cost_text,
    curve_text,
    difference_text,
    headline_gain,
    region_text,
    task_name,
)
from actlab.report.content.versions import versions
from actlab.report.html.template import render
from actlab.report.output_file import write_output
from actlab.studies.arm import named
from actlab.studies.verdict.axes.front import Front, find_fronts
from actlab.system.name_list import listed

if TYPE_CHECKING:
    import altair as alt

    from actlab.studies.verdict.verdict import Verdict

__all__ = ["html", "write"]

_AXIS_FIGURES = 8  # curves of axes on a page; --figure AXIS:CURVE draws any


def write(verdict: Verdict, rows: Iterable[Row], path: str | Path, *, force: bool = False) -> Path:
    """Write the page of a study.

    Args:
        verdict: of the study.
        rows: the trials, as from ``Study.rows()``.
        path: of the file; an earlier page is replaced.
        force: whether any other file is replaced, too.

    Returns:
        The path.

    Raises:
        ActlabError: the file cannot be written, or is another one than a page.
    """
    return write_output(Path(path), html(verdict, rows), force=force)


def html(verdict: Verdict, rows: Iterable[Row]) -> str:
    """Return the page of :func:`write` as text."""
    rows = list(rows)
    return render(
        "study.html.j2",
        "page.css",
        verdict=verdict,
        title=f"{task_name(verdict.task)}: {verdict.recommendation}",
        task=task_name(verdict.task),
        chips_label="Best set" if len(verdict.best_set) != 1 else "Best",
        chips=_chips(verdict),
        confidence=confidence_sentences(verdict),
        facts=_facts(verdict),
        figures=_figures(verdict, rows),
        **_convergence(verdict, rows),
        **_axes(verdict, rows),
        **_table(verdict),
        **_ties(verdict),
        baseline=named(verdict.baseline),
        sites=site_rows(verdict.sites),
        site_headings=HEADINGS,
        site_lead=site_sentence(verdict.sites) or "Every arm swaps all of them.",
        command=verdict.command,
        provenance=_provenance(verdict, rows),
    )


def _chips(verdict: Verdict) -> list[dict[str, str]]:
    best = [arm.spec for arm in verdict.arms if arm.spec in verdict.best_set]
    return [
        {"arm": arm, "colour": arm_styles(verdict)[arm].colour, "note": "baseline" if arm == verdict.baseline else ""}
        for arm in best
    ]


def _facts(verdict: Verdict) -> list[dict[str, str]]:
    name, value, note = headline_gain(verdict)
    return [
        {"name": name, "value": value, "note": note},
        {"name": "Seeds", "value": str(len(verdict.seeds)), "note": "paired across arms"},
        {
            "name": "Trials run",
            "value": str(verdict.trials_run),
            "note": f"of {verdict.trials_full_grid} (all arms on all seeds)",
        },
        {"name": "Error rate", "value": chance(verdict.alpha), "note": region_text(verdict)},
    ]


def _figures(verdict: Verdict, rows: Sequence[Row]) -> list[dict[str, Any]]:
    better = "higher" if verdict.direction == "max" else "lower"
    figures = (
        _figure(
            "curves",
            "Learning curves",
            "Training loss, smoothed. Line: median over seeds; band: quartiles. In colour: the best set."
            + ("" if verdict.baseline in verdict.best_set else f" Bold line: {verdict.baseline}."),
            curve_text(verdict, rows),
            lambda frame: curve_plot(verdict, rows, frame),
        ),
        _figure(
            "differences",
            f"Differences to {named(verdict.baseline)}",
            f"{verdict.metric} minus that of {named(verdict.baseline)} on the same seed. Large dot and bar: mean and its 95% interval; "
            "small dots: single seeds; arrow: outside the axis.",
            difference_text(verdict),
            lambda frame: difference_plot(verdict, rows, frame),
        ),
        _figure(
            "cost",
            "Cost",
            f"{verdict.metric} ({better} is better) with its 95% interval over the time of a training step, {named(verdict.baseline)} = 1. "
            f"Best: {'upper' if better == 'higher' else 'lower'} left; arrow: outside the axis.",
            cost_text(verdict),
            lambda frame: cost_plot(verdict, frame),
        ),
    )
    return [figure for figure in figures if figure]


def _convergence(verdict: Verdict, rows: Sequence[Row]) -> dict[str, Any]:
    """Return sentences, figures and table of the section on convergence; all empty where no trial has series."""
    found = verdict.convergence
    if found is None:
        return {"speed_sentences": (), "speed_figures": (), "speed_headings": (), "speed_rows": ()}
    figures = (
        _figure(
            "held-out",
            f"{verdict.metric} on held-out data",
            "On the validation split while training, or as your own training reports it. Line: median over seeds; band: quartiles; dashed: "
            "the target.",
            held_out_text(verdict, rows),
            lambda frame: held_out_plot(verdict, rows, frame),
        ),
        _figure(
            "reached",
            "Trials that have reached the target",
            "Share of trials by training step, one minus the Kaplan-Meier curve. A trial that never reaches the target stays below.",
            reached_text(verdict),
            lambda frame: reached_plot(verdict, frame),
        ),
    )
    headings, table = convergence_table(verdict)
    timed = "measured in the trials" if found.seconds_from == "trials" else "steps times the arm's own step time"
    note = (
        "Speed is tested on steps to the target, at the error rate of the study for this question alone; all other numbers here are "
        f"estimates. Seconds: {timed}."
    )
    return {
        "speed_sentences": found.sentences,
        "speed_figures": [figure for figure in figures if figure],
        "speed_headings": headings,
        "speed_rows": table,
        "speed_note": note,
    }


def _axes(verdict: Verdict, rows: Sequence[Row]) -> dict[str, Any]:
    """Return sentences, table and figures of the section on axes; all empty where the study has none."""
    found = verdict.axes
    if found is None:
        return {"axes_sentences": (), "axes_rows": (), "axes_figures": ()}
    figures = [_front_figure(verdict, front) for front in find_fronts(found)]
    figures += [
        _figure(
            "reliability",
            "Reliability",
            "Accuracy over confidence, in ten groups of examples over all seeds. Dashed: the two are equal. Below it a model is too sure "
            "of itself.",
            reliability_text(verdict, rows),
            lambda frame: reliability_plot(verdict, rows, frame),
        )
    ]
    figures += [_axis_figure(verdict, rows, axis, name) for axis, name in curve_names(rows)[:_AXIS_FIGURES]]
    return {
        "axes_sentences": found.sentences,
        "axes_rows": axes_rows(verdict),
        "axes_figures": [figure for figure in figures if figure],
        "axes_note": f"{axes_legend(verdict)}. Small: difference to {named(verdict.baseline)} with its 95% "
        "interval, an estimate; below a name, the region of practical equivalence.",
    }


def _axis_figure(verdict: Verdict, rows: Sequence[Row], axis: str, name: str) -> dict[str, Any] | None:
    across, up = curve_titles(rows, axis, name)
    return _figure(
        re.sub(r"\W", "-", f"{axis}-{name}"),
        f"{axis}: {name.replace('_', ' ')}",
        f"{up} over {across}. Line: median over seeds; band: quartiles.",
        series_text(verdict, rows, axis, name),
        lambda frame: curve_of_axis_plot(verdict, rows, frame, axis=axis, name=name),
    )


def _front_figure(verdict: Verdict, front: Front) -> dict[str, Any] | None:
    better = "upper" if front.quality.direction == "max" else "lower"
    figure = _figure(
        re.sub(r"\W", "-", f"front-{front.cost.name}"),
        f"int8 {verdict.metric} and {front.cost.name}",
        f"Mean of the int8 {verdict.metric} with its 95% interval over {front.cost.name}. Filled, on the dashed line: the Pareto front, "
        f"where no other arm is at least as good on both and better on one. Best: {better} left.",
        front_text(front),
        lambda frame: front_plot(front, verdict, frame),
    )
    return figure and {
        **figure,
        "headings": ("arm", front.cost.name, front.quality.name, "front"),
        "rows": front_rows(front),
    }


def _figure(
    name: str, title: str, lead: str, text: str, draw: Callable[[Frame], alt.LayerChart | None]
) -> dict[str, Any] | None:
    wide, narrow = draw(WIDE), draw(NARROW)
    if wide is None or narrow is None:
        return None
    drawings = {
        "wide": Markup(svg(wide, name=f"{name}-wide")),  # noqa: S704 vl-convert escapes every text in its SVG
        "narrow": Markup(svg(narrow, name=f"{name}-narrow")),  # noqa: S704 as above
    }
    texts = {"title": title, "lead": f"{lead[0].upper()}{lead[1:]}", "alt": text}
    return {"name": name, **texts, **drawings, "headings": (), "rows": ()}


def _table(verdict: Verdict) -> dict[str, Any]:
    shown = columns(verdict)
    first = Column(
        name="arm", meaning="in the verdict's order, best first", value=lambda _: None, shown=lambda _: "", text=True
    )
    arms = [
        {
            "name": arm.spec,
            "colour": arm_styles(verdict)[arm.spec].colour,
            "reason": arm.reason or "",
            "cells": [column.cell(arm) for column in shown],
        }
        for arm in verdict.arms
    ]
    note = (
        f"p: corrected; the error rate of the study at which the difference would rule out {named(verdict.baseline)} or the arm. "
        f"Better: share of seeds on which the arm is better than {named(verdict.baseline)}. "
        f"Same: probability that the difference is within ±{plain(verdict.rope)}. Step time: arms in turn, in nine blocks."
    )
    return {"columns": [first, *shown], "arms": arms, "note": note}


def _ties(verdict: Verdict) -> dict[str, Any]:
    ordered = sorted(verdict.ties, key=lambda tie: (tie.kind == "equivalent", tie.seeds_needed or 10**9))
    pairs = [
        {
            "names": listed(tie.arms),
            "kind": "practically equivalent" if tie.kind == "equivalent" else "undecided",
            "same": chance(tie.prob_equivalent),
            "seeds": "none" if tie.kind == "equivalent" else tie.seeds_needed or "unknown",
        }
        for tie in ordered
    ]
    same = region_text(verdict)
    lead = f"Pairs of arms that the evidence does not separate, or that are practically equivalent. {same[0].upper()}{same[1:]}."
    return {"pairs": pairs, "ties_lead": lead}


def _provenance(verdict: Verdict, rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [
        ("Study", verdict.study),
        ("Store", verdict.store),
        ("Fingerprint", verdict.fingerprint),
        ("Initialization", verdict.init),
        ("Learning rate", learning_rates(rows)),
        ("Seeds", ", ".join(map(str, verdict.seeds))),
        ("Versions", versions(rows)),
        *([("Trials ran on", verdict.trials_on)] if verdict.trials_on else []),
        *([("Times taken on", verdict.times_on)] if verdict.times_on else []),
        *([("Repeated trials", verdict.repeats)] if verdict.repeats else []),
        *([("Trainer", verdict.trainer)] if verdict.trainer else []),
    ]
