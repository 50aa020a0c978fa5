"""Columns and chart series of the convergence of a study's arms."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from actlab.report.content.arm_columns import Column
from actlab.report.content.format import MISSING, decimals, fixed, interval, p_value, plain, short_time, signed
from actlab.report.content.series import Row, main_trials, quartiles
from actlab.tasks.training.recorder import held_out_name

if TYPE_CHECKING:
    from actlab.studies.verdict.convergence.convergence import Area, ArmConvergence, TimeToTarget
    from actlab.studies.verdict.verdict import ArmSummary, Verdict

__all__ = [
    "convergence_columns",
    "convergence_record",
    "convergence_table",
    "held_out_curves",
    "held_out_text",
    "reached_curves",
    "reached_text",
]


def convergence_columns(verdict: Verdict) -> list[Column]:
    """Return the columns of times to the target, areas under the curves and best steps; none where no trial has series."""
    found = verdict.convergence
    if found is None:
        return []

    def of(arm: ArmSummary) -> ArmConvergence | None:
        return found.of(arm.spec)

    return [*(_time_columns(of) if found.target is not None else []), *_curve_columns(verdict, of)]


_Of = Callable[["ArmSummary"], "ArmConvergence | None"]


def _time_columns(of: _Of) -> list[Column]:
    def steps(arm: ArmSummary) -> TimeToTarget | None:
        entry = of(arm)
        return None if entry is None else entry.steps

    def in_unit(arm: ArmSummary, unit: str) -> TimeToTarget | None:
        entry = of(arm)
        return None if entry is None else getattr(entry, unit)

    return [
        Column(
            name="steps to target",
            meaning="Kaplan-Meier median of the training steps to the target, and how many trials reach it",
            value=lambda arm: _sort_key(steps(arm)),
            shown=lambda arm: _median(steps(arm), lambda value: plain(value, 4)),
            small=lambda arm: _reached(steps(arm)),
        ),
        Column(
            name="mean steps",
            meaning="restricted mean of the steps to the target, in which a trial that never reaches it counts with all its steps, and its "
            "95% interval",
            value=lambda arm: None if (times := steps(arm)) is None else times.restricted_mean,
            shown=lambda arm: MISSING if (times := steps(arm)) is None else plain(times.restricted_mean, 4),
            small=lambda arm: "" if (times := steps(arm)) is None else interval(times.ci, 0),
        ),
        Column(
            name="epochs to target",
            meaning="Kaplan-Meier median of the epochs to the target",
            value=lambda arm: _sort_key(in_unit(arm, "epochs")),
            shown=lambda arm: _median(in_unit(arm, "epochs"), plain),
        ),
        Column(
            name="seconds to target",
            meaning="Kaplan-Meier median of the seconds of training to the target",
            value=lambda arm: _sort_key(in_unit(arm, "seconds")),
            shown=lambda arm: _median(in_unit(arm, "seconds"), short_time),
        ),
        Column(
            name="speed",
            meaning="whether the arm takes fewer steps to the target than the baseline; p: error rate of that over all arms, valid at any "
            "time",
            value=lambda arm: None if (entry := of(arm)) is None or entry.p is None else entry.pace,
            shown=lambda arm: MISSING if (entry := of(arm)) is None or entry.p is None else entry.pace,
            small=lambda arm: "" if (entry := of(arm)) is None or entry.p is None else f"p {p_value(entry.p)}",
            text=True,
        ),
    ]


def _curve_columns(verdict: Verdict, of: _Of) -> list[Column]:
    def best(arm: ArmSummary) -> tuple[float | None, str]:
        entry = of(arm)
        if entry is None or entry.best_step is None:
            return None, ""
        at = f"(epoch {plain(entry.best_epoch)})" if entry.best_epoch is not None else ""
        return entry.best_step, at

    return [
        Column(
            name="best step",
            meaning="median over trials of the step, and the epoch, with the best held-out value",
            value=lambda arm: best(arm)[0],
            shown=lambda arm: plain(best(arm)[0], 4),
            small=lambda arm: best(arm)[1],
        ),
        _area_column("loss area", "training loss", of, lambda entry: entry.loss_area),
        _area_column(
            f"{held_out_name(verdict.metric)} area",
            f"held-out {verdict.metric} while training",
            of,
            lambda entry: entry.metric_area,
        ),
    ]


def _area_column(name: str, what: str, of: _Of, read: Callable[[ArmConvergence], Area | None]) -> Column:
    def area(arm: ArmSummary) -> Area | None:
        entry = of(arm)
        return None if entry is None else read(entry)

    def difference(arm: ArmSummary) -> str:
        found = area(arm)
        if found is None or found.difference is None or None in found.difference.ci:
            return ""
        low, high = found.difference.ci
        places = decimals((high or 0.0) - (low or 0.0))
        return f"{signed(found.difference.mean, places)} {interval(found.difference.ci, places, sign=True)}"

    return Column(
        name=name,
        meaning=f"area under the curve of the {what} over its length, its mean height; below, the difference to the baseline with its 95% "
        "interval, an estimate",
        value=lambda arm: None if (found := area(arm)) is None else found.mean,
        shown=lambda arm: MISSING if (found := area(arm)) is None else plain(found.mean, 4),
        small=difference,
    )


def _median(times: TimeToTarget | None, shown: Callable[[float], str]) -> str:
    if times is None:
        return MISSING
    return "not reached" if times.median is None else shown(times.median)


def _sort_key(times: TimeToTarget | None) -> float | None:
    if times is None:
        return None
    return math.inf if times.median is None else times.median


def _reached(times: TimeToTarget | None) -> str:
    return "" if times is None else f"({times.n - times.censored} of {times.n})"


def convergence_table(verdict: Verdict, *, names: Iterable[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of text of the columns with a value in any arm.

    Args:
        verdict: of the study.
        names: of the columns; all by default.
    """
    wanted = set(names)
    arms = [
        arm for arm in verdict.arms if verdict.convergence is not None and verdict.convergence.of(arm.spec) is not None
    ]
    shown = [
        column
        for column in convergence_columns(verdict)
        if (not wanted or column.name in wanted) and any(column.value(arm) is not None for arm in arms)
    ]
    rows = [[arm.spec, *(f"{column.shown(arm)} {column.small(arm)}".strip() for column in shown)] for arm in arms]
    return ["arm", *(column.name for column in shown)], rows


def convergence_record(verdict: Verdict, arm: ArmSummary) -> dict[str, Any]:
    """Return the numbers of one arm for tables that programs read; None for each that is not known."""
    entry = None if verdict.convergence is None else verdict.convergence.of(arm.spec)
    target = None if verdict.convergence is None else verdict.convergence.target
    record: dict[str, Any] = {"target": None if target is None else str(target)}
    for unit in ("steps", "epochs", "seconds"):
        times = None if entry is None else getattr(entry, unit)
        record[f"{unit}_to_target"] = None if times is None else times.median
        record[f"{unit}_to_target_mean"] = None if times is None else times.restricted_mean
        record[f"{unit}_to_target_low"] = None if times is None else times.ci[0]
        record[f"{unit}_to_target_high"] = None if times is None else times.ci[1]
    record["trials_without_target"] = None if entry is None or entry.steps is None else entry.steps.censored
    record["speed"] = None if entry is None or entry.p is None else entry.pace
    record["speed_p"] = None if entry is None else entry.p
    record["loss_area"] = None if entry is None or entry.loss_area is None else entry.loss_area.mean
    record["metric_area"] = None if entry is None or entry.metric_area is None else entry.metric_area.mean
    record["best_step"] = None if entry is None else entry.best_step
    record["best_epoch"] = None if entry is None else entry.best_epoch
    return record


def held_out_curves(verdict: Verdict, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the curves of the held-out metric, as median and quartiles over seeds, per arm and step.

    Returns:
        ``{"arm", "step", "median", "low", "high", "seeds"}``, ordered by arm (as in the verdict) and step.
    """
    name, values = held_out_name(verdict.metric), defaultdict[str, dict[float, list[float]]](lambda: defaultdict(list))
    for row in main_trials(rows):
        series: Mapping[str, Any] = (row.get("series") or {}).get(name) or {"step": (), "value": ()}
        for step, value in zip(series["step"], series["value"], strict=True):
            if value is not None:
                values[row["arm"]][step].append(float(value))
    points = []
    for arm in verdict.arms:
        most = max((len(at_step) for at_step in values[arm.spec].values()), default=0)
        for step, at_step in sorted(values[arm.spec].items()):
            if 2 * len(at_step) < most:  # steps of a few trials only, as where each reports at steps of its own
                continue
            low, high = quartiles(at_step)
            point = {"arm": arm.spec, "step": step, "median": median(at_step), "low": low, "high": high}
            points.append({**point, "seeds": len(at_step)})
    return points


def reached_curves(verdict: Verdict) -> list[dict[str, Any]]:
    """Return the share of trials that have reached the target by a step, one minus the Kaplan-Meier curve.

    Returns:
        ``{"arm", "step", "share"}``, ordered by arm (as in the verdict) and step, from step 0 to that of the longest trial.
    """
    found, points = verdict.convergence, list[dict[str, Any]]()
    for arm in verdict.arms:
        entry = None if found is None else found.of(arm.spec)
        if found is None or entry is None or entry.steps is None:
            continue
        steps = [(0.0, 1.0), *entry.steps.curve, (float(found.horizon), entry.steps.curve[-1][1])]
        points += [{"arm": arm.spec, "step": step, "share": 1 - survival} for step, survival in steps]
    return points


def held_out_text(verdict: Verdict, rows: Iterable[Row]) -> str:
    """Return the alternative text of the held-out curves, with the last median of every arm."""
    points = held_out_curves(verdict, rows)
    last = {point["arm"]: point["median"] for point in points}
    digits = decimals(*(point["high"] - point["low"] for point in points))
    parts = [f"{arm} {fixed(value, digits)}" for arm, value in last.items()]
    target = (
        ""
        if verdict.convergence is None or verdict.convergence.target is None
        else f" Target: {verdict.convergence.target}."
    )
    return f"Median {verdict.metric} on held-out data at the last step: {', '.join(parts)}.{target}"


def reached_text(verdict: Verdict) -> str:
    """Return the alternative text of the shares of trials that have reached the target."""
    found = verdict.convergence
    entries = [] if found is None else [(arm.arm, arm.steps) for arm in found.arms if arm.steps is not None]
    parts = [
        f"{arm} {_reached(times)}, median {_median(times, lambda value: plain(value, 4))}" for arm, times in entries
    ]
    target = "" if found is None or found.target is None else f" {found.target}"
    return f"Trials that have reached the target{target} by a step: {'; '.join(parts)}."
