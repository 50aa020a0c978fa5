"""Times of several actions that run in turn, so that other load on the machine affects all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.devices import device_kind

__all__ = ["Clock", "clock_of", "interleaved_times", "median_time", "ratios", "synchronizer"]

Floats: TypeAlias = npt.NDArray[np.float64]
Clock: TypeAlias = Callable[[], float]
_BLOCKS: Final = (
    9  # the second smallest and the second largest of nine medians enclose the median with 96 % probability
)
_FEWEST, _MOST = 1, 15  # rounds of a block


def clock_of(where: Conditions) -> Clock:
    """Return the clock of a device: CPU time on one thread, else the wall's, on an accelerator when all of its work is done.

    Beside four busy processes the wall clock once gave a ratio of 13.5 instead of 1.4 for a training step with gelu.
    """
    if where.device == "cpu":
        return time.process_time if where.threads == 1 else time.perf_counter
    synchronize = synchronizer(where.device)

    def now() -> float:
        synchronize()
        return time.perf_counter()

    return now


def synchronizer(device: str) -> Callable[[], None]:
    """Return a function that waits until an accelerator has done all of its work; on the CPU there is nothing to wait for."""
    if device == "cpu":
        return lambda: None
    found: Callable[[], None] = getattr(torch, device_kind(device)).synchronize
    return found


def interleaved_times(
    actions: dict[str, Callable[[], Any]], clock: Clock, *, seconds: float, most: int = _MOST
) -> list[dict[str, Floats]]:
    """Return, for each of nine blocks, the seconds of each action by round.

    In every round each action runs once, in another order than before.

    Args:
        actions: by name; one that raises is removed.
        clock: see :func:`clock_of`.
        seconds: wall clock time for all of it; each block has one round at least.
        most: largest number of rounds of a block.

    Example:
        >>> blocks = interleaved_times({"a": lambda: sum(range(100))}, time.perf_counter, seconds=0.01)
        >>> len(blocks), bool(blocks[0]["a"][0] > 0)
        (9, True)
    """
    order = random.Random(0)  # noqa: S311 # no cryptography; a random order avoids synchrony with the OS scheduler
    start = time.perf_counter()
    blocks = [_block(actions, order, start + seconds * (block + 1) / _BLOCKS, clock, most) for block in range(_BLOCKS)]
    return [{name: times[name] for name in actions} for times in blocks]


def _block(
    actions: dict[str, Callable[[], Any]], order: random.Random, end: float, clock: Clock, most: int
) -> dict[str, Floats]:
    times: dict[str, list[float]] = {name: [] for name in actions}
    for done in range(most):
        if done >= _FEWEST and time.perf_counter() > end:
            break
        for name in order.sample(list(actions), len(actions)):
            try:
                times[name].append(_seconds(actions[name], clock))
            except Exception:  # user code may raise anything
                del actions[name]
    return {name: np.array(times[name]) for name in actions}


def _seconds(action: Callable[[], Any], clock: Clock) -> float:
    start = clock()
    action()
    return clock() - start


def median_time(blocks: Sequence[Mapping[str, Floats]], name: str) -> float:
    """Return the median seconds of an action over all rounds."""
    return float(np.median(np.concatenate([times[name] for times in blocks])))


def ratios(blocks: Sequence[Mapping[str, Floats]], name: str, baseline: str) -> list[float]:
    """Return, for each block, the median ratio of an action's time to the baseline's in the same round; none without a baseline.

    Example:
        >>> ratios([{"a": np.array([2.0, 3.0]), "b": np.array([1.0, 1.0])}], "a", "b")
        [2.5]
    """
    return [float(np.median(times[name] / times[baseline])) for times in blocks if baseline in times]
