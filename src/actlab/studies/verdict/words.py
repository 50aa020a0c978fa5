"""Lists of names, numbers with nouns and statements on step times, for the sentences of a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from actlab.studies.verdict.step_time import TimeRatio

__all__ = ["counted", "listed", "step_time_text"]

# Step times closer than this are called equal where the interval allows it.
_SAME_TIME = 0.02


def listed(names: Sequence[str]) -> str:
    """Return names separated by commas and a final "and".

    Example:
        >>> listed(["gelu", "silu", "relu"])
        'gelu, silu and relu'
    """
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s in the plural.

    Example:
        >>> counted(1, "seed"), counted(6, "seed")
        ('1 seed', '6 seeds')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def step_time_text(times: TimeRatio | None, other: str) -> str:
    """Return how long a training step takes compared with that of another arm; empty where the measurement does not tell.

    Example:
        >>> step_time_text(TimeRatio(ratio=1.3, low=1.27, high=1.34), "relu")
        'a training step takes 30% longer'
    """
    if times is None:
        return ""
    if times.low >= 1 - _SAME_TIME and times.high <= 1 + _SAME_TIME:
        return f"a training step takes as long as with {other}"
    if not times.is_known:
        return ""
    if times.ratio >= 2:
        return f"a training step takes {times.ratio:.1f} times as long"
    return f"a training step takes {abs(times.ratio - 1):.0%} {'longer' if times.ratio > 1 else 'less time'}"
