"""Parsing of a duration such as 10m."""

from __future__ import annotations

import math
import re

from actlab.errors import PlanError

__all__ = ["parse_budget", "parse_interval"]

_BUDGET = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|sec|seconds?|m|min|minutes?|h|hours?)?\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_budget(budget: str | float | None, what: str = "budget") -> float | None:
    """Return a budget or another time in seconds, from ``"90s"``, ``"10m"``, ``"2h"`` or a number of seconds. None means no limit.

    Raises:
        PlanError: the text is no time, or the time is not above 0.

    Example:
        >>> parse_budget("10m"), parse_budget(90)
        (600.0, 90.0)
    """
    if budget is None:
        return None
    match = _BUDGET.fullmatch(str(budget))
    seconds = float(match["number"]) * _SECONDS[(match["unit"] or "s")[0]] if match else math.nan
    if isinstance(budget, bool) or not 0 < seconds < math.inf:
        raise PlanError(
            f"The {what} is {budget!r}; allowed are times like 90s, 10m, 2h, or a number of seconds above 0."
        )
    return seconds


def parse_interval(interval: str | float | None, what: str) -> float | None:
    """Return an interval in seconds, as :func:`parse_budget`; None for ``None``, ``"none"`` and 0, which turn off what it is for.

    Raises:
        PlanError: the text is no time.

    Example:
        >>> parse_interval("2m", "checkpoint_every"), parse_interval("none", "checkpoint_every"), parse_interval(0, "checkpoint_every")
        (120.0, None, None)
    """
    if interval is None or (
        not isinstance(interval, bool) and str(interval).strip().lower() in {"none", "off", "0", "0.0", "0s"}
    ):
        return None
    try:
        return parse_budget(interval, what)
    except PlanError as error:
        raise PlanError(f"{error} 0 or 'none' turns it off.") from None
