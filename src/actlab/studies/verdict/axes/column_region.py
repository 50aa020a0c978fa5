"""Region of practical equivalence of a column, as given or as it follows from its unit or size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from actlab.studies.arm import named
from actlab.studies.verdict.axes.axis_numbers import ArmSeries

__all__ = ["column_region"]

_SHARES: Final = {"share": 0.005, "percent": 0.5, "%": 0.5}  # half a percentage point
_OF_SIZE: Final = 0.01


def column_region(column: Mapping[str, Any], baseline: ArmSeries, seeds: Sequence[int]) -> tuple[float, str]:
    """Return the half width of the region, and how it was chosen.

    It is what the column gives, or half a percentage point of a share, or 1 % of the size of the baseline's first number other than 0
    in the order of the plan's seeds, which no later number changes.

    Args:
        column: its ``rope`` and ``unit``.
        baseline: numbers of the baseline.
        seeds: of the plan, in its order.

    Example:
        >>> numbers = ArmSeries(arm="relu", values={0: 0.0, 1: 250.0}, missing={})
        >>> column_region({"rope": None, "unit": "ms"}, numbers, [0, 1]), column_region({"unit": "share"}, numbers, [0, 1])[0]
        ((2.5, "1% of relu's number on seed 1"), 0.005)
    """
    if column.get("rope") is not None:
        return abs(float(column["rope"])), "given by the axis"
    unit = str(column.get("unit") or "").strip().lower()
    if unit in _SHARES:
        return _SHARES[unit], "half a percentage point, the default for shares"
    for seed in seeds:
        if baseline.values.get(seed):
            whose = named(baseline.arm, short=True)
            return _OF_SIZE * abs(baseline.values[seed]), f"{_OF_SIZE:.0%} of {whose}'s number on seed {seed}"
        if seed not in baseline.values and seed not in baseline.missing:
            break  # it has not run yet
    return 0.0, "none before the baseline has a first number"
