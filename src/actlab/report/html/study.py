"""The page: a verdict as one HTML file that needs nothing else, neither network nor fonts nor scripts from elsewhere.

Everything that comes from the study (names of arms, errors, warnings) is escaped; a content security policy inside the file
forbids every request. The drawings are SVG, made here; the numbers are those of the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from actlab.report.charts.palette import looks
from actlab.report.charts.study import cost_plot, curve_plot, difference_plot
from actlab.report.charts.svg import NARROW, WIDE, Frame, svg
from actlab.report.content import verdict as words
from actlab.report.content.arm_columns import Column, columns
from actlab.report.content.format import chance, plain
from actlab.report.content.reproduce import command, versions
from actlab.report.content.series import Row
from actlab.report.html.template import rendered, written

if TYPE_CHECKING:
    import altair as alt

    from actlab.studies.verdict.verdict import Verdict

__all__ = ["html", "write"]


def write(verdict: Verdict, rows: Iterable[Row], path: str | Path) -> Path:
    """Write the page of a verdict.

    Args:
        verdict: what was found.
        rows: the trials, as ``Study.rows()`` returns them.
        path: the file to write; it is replaced if it is there.

    Returns:
        The path that was written.

    Raises:
        ActlabError: the file cannot be written.
    """
    return written(Path(path), html(verdict, rows))


def html(verdict: Verdict, rows: Iterable[Row]) -> str:
    """Return the page of :func:`write` as text."""
    rows = list(rows)
    return rendered(
        "page.html.j2",
        "page.css",
        verdict=verdict,
        title=f"{words.task_name(verdict.task)}: {verdict.recommendation}",
        task=words.task_name(verdict.task),
        chips_label="Best set" if len(verdict.best_set) != 1 else "Best",
        chips=_chips(verdict),
        sure=words.how_sure(verdict),
        facts=_facts(verdict),
        figures=_figures(verdict, rows),
        **_table(verdict),
        **_ties(verdict),
        command=command(verdict),
        made=_made(verdict, rows),
    )


def _chips(verdict: Verdict) -> list[dict[str, str]]:
    best = [arm.spec for arm in verdict.arms if arm.spec in verdict.best_set]
    return [
        {"arm": arm, "colour": looks(verdict)[arm].colour, "note": "baseline" if arm == verdict.baseline else ""}
        for arm in best
    ]


def _facts(verdict: Verdict) -> list[dict[str, str]]:
    name, value, note = words.gain_words(verdict)
    rope = f"same within ±{plain(verdict.rope)}" if verdict.rope else "any difference counts"
    return [
        {"name": name, "value": value, "note": note},
        {"name": "Seeds", "value": str(len(verdict.seeds)), "note": "paired across arms"},
        {
            "name": "Trials run",
            "value": str(verdict.trials_run),
            "note": f"of {verdict.trials_full_grid} in the full grid",
        },
        {"name": "Error rate", "value": chance(verdict.alpha), "note": rope},
    ]


def _figures(verdict: Verdict, rows: Sequence[Row]) -> list[dict[str, Any]]:
    better = "higher" if verdict.direction == "max" else "lower"
    drawn = (
        _figure(
            "curves",
            "How they learn",
            "Training loss, smoothed. Line: the median of the seeds; band: the middle half of them. In colour: the best set."
            + ("" if verdict.baseline in verdict.best_set else f" Strong line: {verdict.baseline}."),
            words.curve_words(verdict, rows),
            lambda frame: curve_plot(verdict, rows, frame),
        ),
        _figure(
            "differences",
            f"Against {verdict.baseline}",
            f"What each arm adds to {verdict.baseline} on the same seed, in {verdict.metric}. Large dot and bar: mean and its 95% "
            "interval; small dots: single seeds; arrow: further out.",
            words.difference_words(verdict),
            lambda frame: difference_plot(verdict, rows, frame),
        ),
        _figure(
            "cost",
            "What it costs",
            f"{verdict.metric} ({better} is better) with its 95% interval over the time of a training step, {verdict.baseline} = 1. "
            f"Best is {'up' if better == 'higher' else 'down'} and to the left; arrow: further out.",
            words.cost_words(verdict),
            lambda frame: cost_plot(verdict, frame),
        ),
    )
    return [figure for figure in drawn if figure]


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
    return {"name": name, "title": title, "lead": f"{lead[0].upper()}{lead[1:]}", "words": text, **drawings}


def _table(verdict: Verdict) -> dict[str, Any]:
    shown = columns(verdict)
    first = Column(
        name="arm", meaning="sorted as in the verdict, best first", value=lambda _: None, shown=lambda _: "", text=True
    )
    arms = [
        {
            "name": arm.spec,
            "colour": looks(verdict)[arm.spec].colour,
            "reason": arm.reason or "",
            "cells": [column.cell(arm) for column in shown],
        }
        for arm in verdict.arms
    ]
    note = (
        f"p: the error rate of the study at which the difference would have ruled {verdict.baseline} or the arm out. "
        "Better: share of seeds in which the "
        f"arm beats {verdict.baseline}. Same: probability that the difference is within ±{plain(verdict.rope)}. Step time is "
        "measured with the arms in turn."
    )
    return {"columns": [first, *shown], "arms": arms, "note": note}


def _ties(verdict: Verdict) -> dict[str, Any]:
    ordered = sorted(verdict.ties, key=lambda tie: (tie.kind == "equivalent", tie.seeds_needed or 10**9))
    pairs = [
        {
            "names": words.listed(tie.arms),
            "known": "practically the same" if tie.kind == "equivalent" else "undecided",
            "same": chance(tie.prob_equivalent),
            "seeds": "none" if tie.kind == "equivalent" else tie.seeds_needed or "unknown",
        }
        for tie in ordered
    ]
    same = f"Practically the same means within ±{plain(verdict.rope)} {verdict.metric}."
    return {"pairs": pairs, "ties_lead": f"Pairs that the evidence does not separate. {same}"}


def _made(verdict: Verdict, rows: Sequence[Row]) -> list[tuple[str, str]]:
    made = [("Study", verdict.study), ("Store", verdict.store), ("Fingerprint", verdict.fingerprint)]
    rate = "tuned for every arm with the same budget" if verdict.tune else "the task's own, not tuned"
    made += [("Initialisation", verdict.init), ("Learning rate", rate)]
    return [*made, ("Seeds", ", ".join(map(str, verdict.seeds))), ("Versions", versions(rows))]
