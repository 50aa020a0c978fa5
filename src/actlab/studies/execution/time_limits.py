"""Time limits of a trial and of a study, on clocks that no change of the date alters."""

from __future__ import annotations

import time
from collections.abc import Sequence

from actlab.studies.store.store import TrialSummary
from actlab.studies.trials.stage import share_of

__all__ = ["Budget", "RunningTime", "default_trial_limit"]

_FACTOR = 20  # times the longest trial so far
_FLOOR = 60.0  # seconds: a busy machine, a slow disk or a first import must not end a short trial
_FIRST_FLOOR = 600.0  # the same before the first trial has ended, when the expectation is a guess from single steps
_LONGEST_TICK = 1.0  # seconds between two looks that count at most: the processes may have been stopped in between


class RunningTime:
    """Seconds that a process has run, without the time in which all processes of the study were stopped (Ctrl-Z)."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = time.monotonic()

    def tick(self) -> float:
        """Count the time since the last look, and return the seconds so far."""
        now = time.monotonic()
        self.seconds += min(now - self._last, _LONGEST_TICK)
        self._last = now
        return self.seconds


def default_trial_limit(longest: float | None, expected: float | None) -> tuple[float | None, str]:
    """Return the seconds after which a trial is taken to hang, and in words where they come from; None if nothing is known.

    Args:
        longest: seconds of the longest trial so far, or None.
        expected: seconds of a trial as estimated from the time of a step, or None.

    Example:
        >>> default_trial_limit(None, None)
        (None, '')
        >>> default_trial_limit(None, 100.0)
        (2000.0, '20 times the time expected from single steps, at least 600 s')
    """
    if longest is not None:
        return max(_FLOOR, _FACTOR * longest), f"{_FACTOR} times the longest trial so far, at least {_FLOOR:.0f} s"
    if expected is not None:
        limit = max(_FIRST_FLOOR, _FACTOR * expected)
        return limit, f"{_FACTOR} times the time expected from single steps, at least {_FIRST_FLOOR:.0f} s"
    return None, ""


class Budget:
    """Time budget of a study.

    Args:
        seconds: after which no trial is started, or None.
        jobs: number of trials that run at the same time.
    """

    def __init__(self, seconds: float | None, jobs: int) -> None:
        self.seconds, self._jobs, self._begin = seconds, jobs, time.monotonic()

    @property
    def left(self) -> float | None:
        """Seconds left, which may be negative; None without a budget."""
        return None if self.seconds is None else self.seconds - (time.monotonic() - self._begin)

    @property
    def grace(self) -> float:
        """Seconds after the end of the budget in which running trials may still finish."""
        return min(30.0, max(2.0, 0.1 * (self.seconds or 0.0)))

    def is_over_for(self, round_work: float, results: Sequence[TrialSummary], open_seed: int | None) -> bool:
        """Return whether the budget is spent, or a round that is not begun would end after it.

        Args:
            round_work: trials of the open round, each counted as its share of the steps of a main trial.
            results: so far.
            open_seed: seed of the open round, or None.
        """
        left = self.left
        if left is None:
            return False
        if left <= 0 or not results or any(result.key.seed == open_seed for result in results):
            return left <= 0
        seconds = sum(result.seconds for result in results) / sum(share_of(result.key.stage) for result in results)
        return left < seconds * round_work / self._jobs
