"""Table, columns and chart series of the axes on which a study's arms are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from actlab.report.content.arm_columns import Column
from actlab.report.content.format import (
    MINUS,
    MISSING,
    count,
    decimals,
    fixed,
    interval,
    plural,
    short_time,
    signed,
    size,
)
from actlab.report.content.series import Row, main_trials, quartiles
from actlab.studies.arm import named

if TYPE_CHECKING:
    from actlab.studies.verdict.axes.column_finding import ArmNumber, ColumnFinding
    from actlab.studies.verdict.axes.front import Front
    from actlab.studies.verdict.verdict import ArmSummary, Verdict

__all__ = [
    "MARKS",
    "axes_columns",
    "axes_legend",
    "axes_record",
    "axes_rows",
    "axis_curves",
    "cell_text",
    "column_heading",
    "curve_names",
    "curve_titles",
    "front_rows",
    "front_text",
    "has_diagonal",
    "reliability_curves",
    "reliability_text",
    "series_text",
]

#: Mark of each statement in tables; what is undecided or only described has none.
MARKS: Final[Mapping[str, str]] = {"better": "▲", "worse": "▼", "tie": "≈"}
_TIME_WORDS: Final = {"better": "faster", "worse": "slower"}
_WORDS: Final = {"better": "better", "worse": "worse", "tie": "practically the same", "undecided": "undecided"}
_SCALED: Final[Mapping[str, Callable[[float], str]]] = {"s": short_time, "bytes": size}
_LARGE: Final = 1_000  # a number without a unit has no decimals from here on, and a decimal unit from ten times that
_ARROWS: Final = {"max": "↑", "min": "↓", None: ""}
_GROUPS: Final = 10  # points of a reliability diagram
RELIABILITY: Final = ("calibration", "reliability")


def column_heading(column: ColumnFinding) -> str:
    """Return the name of a column with an arrow in the direction of better, and its unit where numbers do not have it."""
    unit = f" ({column.unit})" if column.unit and column.unit not in {"share", *_SCALED} else ""
    return f"{column.name}{unit} {_ARROWS[column.direction]}".rstrip()


def _shown(column: ColumnFinding, value: float | None) -> str:
    """Return a number of a column: with a decimal unit for times, bytes and large counts, else with the digits of its intervals."""
    if value is None:
        return MISSING
    if column.unit in _SCALED:
        return _SCALED[column.unit](value)
    if not column.unit and abs(value) >= _LARGE:
        return count(value) if abs(value) >= 10 * _LARGE else f"{value:.0f}"
    return fixed(value, _places(column))


def _places(column: ColumnFinding) -> int:
    widths = [high - low for low, high in (entry.ci for entry in column.arms) if low is not None and high is not None]
    if widths or column.rope:
        return decimals(column.rope or None, *widths)
    return decimals(*(abs(entry.mean) / 100 for entry in column.arms if entry.mean))


def cell_text(column: ColumnFinding, number: ArmNumber) -> str:
    """Return the mean of an arm with the mark of its statement; a star where it rests on fewer seeds than have run."""
    star = "*" if number.missing and number.n else ""
    return f"{_shown(column, number.mean)}{star} {MARKS.get(number.relation, '')}".rstrip()


def axes_legend(verdict: Verdict) -> str:
    """Return what arrows and marks are."""
    baseline = named(verdict.baseline)
    return (
        f"↑ higher, ↓ lower is better · ▲ better, ▼ worse than {baseline}, ≈ practically the same; no mark: undecided · "
        "* on fewer seeds, see the warnings"
    )


def axes_rows(verdict: Verdict) -> list[dict[str, Any]]:
    """Return the rows of the page's table: a column each, with one cell for every arm in the verdict's order.

    Returns:
        ``{"heading", "description", "region", "cells"}``; a cell has ``shown``, ``mark``, ``word`` and ``small``, a list of texts.
    """
    found = verdict.axes
    return [
        {
            "heading": column_heading(column),
            "description": f"{column.description}. {_region(column)}".strip(". "),
            "region": f"±{_shown(column, column.rope)}" if column.direction and column.rope else "",
            "cells": [_cell(column, column.of(arm.spec)) for arm in verdict.arms],
        }
        for column in (() if found is None else found.columns)
    ]


def _region(column: ColumnFinding) -> str:
    if not (column.direction and column.rope):
        return ""
    return f"Practically the same: within ±{_shown(column, column.rope)} ({column.rope_rule})"


def _cell(column: ColumnFinding, number: ArmNumber) -> dict[str, Any]:
    small = [_interval(column, number.ci)]
    if number.difference is not None:
        small = [
            _times_baseline(column, number)
            or f"{_signed(column, number.difference.mean)} {_interval(column, number.difference.ci, sign=True)}"
        ]
    if number.missing and number.n:
        small.append(f"{number.n} of {plural(number.trials, 'seed')}")
    if number.relation == "undecided" and number.seeds_needed:
        small.append(f"about {number.seeds_needed} more seeds")
    return {
        "shown": _shown(column, number.mean),
        "mark": MARKS.get(number.relation, ""),
        "word": _word(column, number),
        "small": [part.removesuffix(MISSING).rstrip() for part in small if part != MISSING],
    }


def _times_baseline(column: ColumnFinding, number: ArmNumber) -> str:
    """Return what is measured once for each arm as a multiple of the baseline's, with its interval; empty for all else."""
    base = next((entry.mean for entry in column.arms if entry.relation == "baseline"), None)
    difference = number.difference
    if difference is None or difference.seeds or not base:
        return ""
    low, high = difference.ci
    ends = MISSING if low is None or high is None else f"[{1 + low / base:.2f}, {1 + high / base:.2f}]"
    return f"{1 + difference.mean / base:.2f}x {ends}"


def _word(column: ColumnFinding, number: ArmNumber) -> str:
    words = _WORDS | _TIME_WORDS if column.unit == "s" else _WORDS
    return words.get(number.relation, "")


def _signed(column: ColumnFinding, value: float) -> str:
    shown = _shown(column, abs(value))
    return (
        signed(value, _places(column))
        if shown == fixed(abs(value), _places(column))
        else f"{'+' if value >= 0 else MINUS}{shown}"
    )


def _interval(column: ColumnFinding, ends: tuple[float | None, float | None], *, sign: bool = False) -> str:
    low, high = ends
    if low is None or high is None:
        return MISSING
    if column.unit not in _SCALED:
        return interval(ends, _places(column), sign=sign)
    return f"[{_signed(column, low)}, {_signed(column, high)}]"


def front_rows(front: Front) -> list[list[str]]:
    """Return the rows of the table of a Pareto front, cheapest arm first: arm, cost, quality with its interval, and whether it is on it."""
    return [
        [
            point.arm,
            f"{point.cost:,.0f}" + (f" {front.cost.unit}" if front.cost.unit else ""),
            f"{_shown(front.quality, point.mean)} {_interval(front.quality, point.ci)}".removesuffix(MISSING).rstrip(),
            "yes" if point.is_on_front else "no",
        ]
        for point in sorted(front.points, key=lambda point: point.cost)
    ]


def front_text(front: Front) -> str:
    """Return the alternative text of the chart of a Pareto front."""
    parts = [f"{arm} {cost}, {quality.partition(' ')[0]}" for arm, cost, quality, _ in front_rows(front)]
    return f"{front.quality.name} over {front.cost.name}: {'; '.join(parts)}. On the front: {', '.join(front.arms)}."


def axes_columns(verdict: Verdict) -> list[Column]:
    """Return the columns of the table of arms for Markdown and LaTeX; none where the study has no axes."""
    return [_column(column) for column in (() if verdict.axes is None else verdict.axes.columns)]


def _column(column: ColumnFinding) -> Column:
    def word(arm: ArmSummary) -> str:
        number = column.of(arm.spec)
        times = _times_baseline(column, number).removesuffix(MISSING).rstrip()
        said = _word(column, number) if number.relation in MARKS else ""
        return f"({', '.join(part for part in (times, said) if part)})" if times or said else ""

    return Column(
        name=column.name,
        meaning=column.description or column.name,
        value=lambda arm: column.of(arm.spec).mean,
        shown=lambda arm: _shown(column, column.of(arm.spec).mean),
        small=word,
    )


def axes_record(verdict: Verdict, arm: ArmSummary, names: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the numbers of one arm for tables that programs read; None for each that is not known.

    Args:
        verdict: of the study.
        arm: its summary.
        names: axis and column of what the table has.
    """
    record: dict[str, Any] = {}
    for axis, column in names:
        found = None if verdict.axes is None else verdict.axes.of(axis, column)
        number = None if found is None else found.of(arm.spec)
        difference = None if number is None else number.difference
        key = axis if axis == column else f"{axis}_{column}"
        record[key] = None if number is None else number.mean
        record[f"{key}_low"], record[f"{key}_high"] = (None, None) if number is None else number.ci
        record[f"{key}_difference"] = None if difference is None else difference.mean
        record[f"{key}_difference_low"], record[f"{key}_difference_high"] = (
            (None, None) if difference is None else difference.ci
        )
        record[f"{key}_relation"] = None if number is None else number.relation
        record[f"{key}_seeds"] = None if number is None else number.n
    return record


def _curves_of(rows: Iterable[Row]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Yield arm, axis, name and curve for every curve of the main trials."""
    for row in main_trials(rows):
        for axis, result in (row.get("axes") or {}).items():
            for name, curve in (result.get("curves") or {}).items():
                yield row["arm"], axis, name, curve


def curve_names(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Return axis and name of every curve over numbers, such as a metric over severities; those of reliability are not among them.

    The first curves of all axes are before the second ones, so that the first few are of as many axes as possible.
    """
    names: dict[tuple[str, str], None] = {}
    for _, axis, name, curve in _curves_of(rows):
        is_line = len(curve["x"]) > 1 and all(isinstance(x, int | float) for x in curve["x"])
        if is_line and axis != RELIABILITY[0]:
            names[axis, name] = None
    known = list(names)
    before = {entry: sum(axis == entry[0] for axis, _ in known[:place]) for place, entry in enumerate(known)}
    return sorted(known, key=before.__getitem__)


def curve_titles(rows: Iterable[Row], axis: str, name: str) -> tuple[str, str]:
    """Return what a curve has across and up, as the axis says it."""
    for _, own, curve_name, curve in _curves_of(rows):
        if (own, curve_name) == (axis, name):
            across = curve.get("x_name") or curve.get("x_label") or "severity"
            return str(across), str(curve.get("y_name") or curve.get("y_label") or name.replace("_", " "))
    return "severity", name


def has_diagonal(rows: Iterable[Row], axis: str, name: str) -> bool:
    """Return whether a curve is to be compared with the diagonal, as a ROC curve is."""
    return any(curve.get("diagonal") for _, *of, curve in _curves_of(rows) if of == [axis, name])


def axis_curves(verdict: Verdict, rows: Iterable[Row], axis: str, name: str) -> list[dict[str, Any]]:
    """Return a curve of an axis, as median and quartiles over seeds, per arm and place.

    Returns:
        ``{"arm", "step", "median", "low", "high", "seeds"}``, ordered by arm (as in the verdict) and place, which is called "step".
    """
    values: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for arm, own, curve_name, curve in _curves_of(rows):
        if (own, curve_name) == (axis, name):
            for x, y in zip(curve["x"], curve["y"], strict=False):
                if y is not None:
                    values[arm][float(x)].append(float(y))
    points = []
    for summary in verdict.arms:
        for x, at_x in sorted(values[summary.spec].items()):
            low, high = quartiles(at_x)
            points.append(
                {"arm": summary.spec, "step": x, "median": median(at_x), "low": low, "high": high, "seeds": len(at_x)}
            )
    return points


def reliability_curves(verdict: Verdict, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the points of reliability diagrams: the bins of all seeds of an arm, joined to ten groups of about as many examples each.

    Returns:
        ``{"arm", "confidence", "accuracy", "examples"}``, ordered by arm (as in the verdict) and confidence.
    """
    bins: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for arm, axis, name, curve in _curves_of(rows):
        if (axis, name) == RELIABILITY:
            counts = curve.get("count") or [1] * len(curve["x"])
            bins[arm] += [(x, y, n) for x, y, n in zip(curve["x"], curve["y"], counts, strict=True) if n]
    return [
        {"arm": arm.spec, "confidence": x, "accuracy": y, "examples": n}
        for arm in verdict.arms
        for x, y, n in _joined(sorted(bins[arm.spec]))
    ]


def _joined(bins: Sequence[tuple[float, float, float]]) -> Iterator[tuple[float, float, float]]:
    total = sum(n for *_, n in bins)
    group: list[tuple[float, float, float]] = []
    done = 0.0
    for entry in bins:
        group.append(entry)
        done += entry[2]
        if done >= total / _GROUPS - 1e-9 or entry is bins[-1]:
            size = sum(n for *_, n in group)
            yield sum(x * n for x, _, n in group) / size, sum(y * n for _, y, n in group) / size, size
            group, done = [], 0.0


def reliability_text(verdict: Verdict, rows: Iterable[Row]) -> str:
    """Return the alternative text of the reliability diagram: the largest distance between confidence and accuracy of every arm."""
    largest: dict[str, float] = {}
    for point in reliability_curves(verdict, rows):
        gap = point["accuracy"] - point["confidence"]
        if abs(gap) >= abs(largest.get(point["arm"], 0.0)):
            largest[point["arm"]] = gap
    parts = [f"{arm} {signed(gap, 3)}" for arm, gap in largest.items()]
    return f"Accuracy over confidence. Largest distance of a group to the diagonal: {', '.join(parts)}."


def series_text(verdict: Verdict, rows: Iterable[Row], axis: str, name: str) -> str:
    """Return the alternative text of a curve of an axis, with the median of every arm at both ends."""
    rows = list(rows)
    points = axis_curves(verdict, rows, axis, name)
    places = decimals(*(point["high"] - point["low"] for point in points))
    ends: dict[str, list[float]] = defaultdict(list)
    for point in points:
        ends[point["arm"]].append(point["median"])
    parts = [f"{arm} {fixed(of[0], places)} to {fixed(of[-1], places)}" for arm, of in ends.items()]
    across, up = curve_titles(rows, axis, name)
    return f"{up} over {across}, {axis}, medians at both ends: {', '.join(parts)}."
