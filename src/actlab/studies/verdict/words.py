"""Names of arms and statements on step times, for the sentences of a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from actlab.studies.arm import named
from actlab.studies.verdict.step_time import TimeRatio
from actlab.system.name_list import listed

__all__ = ["all_named", "capitalized", "step_time_text"]

# Step times closer than this are called equal where the interval allows it.
_SAME_TIME = 0.02


def all_named(arms: Sequence[str]) -> str:
    """Return arms as a sentence lists them; one alone may be followed by a verb.

    Example:
        >>> all_named(["gelu", "unchanged"]), all_named(["unchanged"])
        ('gelu and the model as it is', 'the unchanged model')
    """
    return listed(named(arm, short=len(arms) == 1) for arm in arms)


def capitalized(sentence: str) -> str:
    """Return a sentence with a capital letter if it begins with words; the label of an arm is left as it is.

    Example:
        >>> capitalized("the unchanged model is excluded."), capitalized("gelu is excluded.")
        ('The unchanged model is excluded.', 'gelu is excluded.')
    """
    return f"T{sentence[1:]}" if sentence.startswith("the ") else sentence


def step_time_text(times: TimeRatio | None, other: str) -> str:
    """Return how long a training step takes compared with that of another arm; empty where the measurement does not tell.

    Example:
        >>> step_time_text(TimeRatio(ratio=1.3, low=1.27, high=1.34), "relu")
        'a training step takes 30% longer'
    """
    if times is None:
        return ""
    if times.low >= 1 - _SAME_TIME and times.high <= 1 + _SAME_TIME:
        return f"a training step takes as long as with {named(other)}"
    if not times.is_known:
        return ""
    if times.ratio >= 2:
        return f"a training step takes {times.ratio:.1f} times as long"
    return f"a training step takes {abs(times.ratio - 1):.0%} {'longer' if times.ratio > 1 else 'less time'}"
