"""Interleaved timing of short calls by CPU time, wall clock or CUDA events, without page faults."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torch

__all__ = ["Call", "Timer", "interleaved_times", "preallocate", "timer_for", "without_page_faults"]

Call: TypeAlias = Callable[[], object]
Timer: TypeAlias = Callable[[Call], float]  # returns the seconds of a call
_TRIES = 8  # attempts to time a call without new pages
_PAGES = 64  # newly mapped pages from which a measurement is repeated


def interleaved_times(calls: Mapping[Any, Call], rounds: int, timer: Timer) -> dict[Any, list[float]]:
    """Return the seconds of every call in every round; the order is random in each round, so that disturbances affect all calls alike.

    Args:
        calls: what to time; a short call is repeated within a round.
        rounds: measurements of each call.
        timer: see :func:`timer_for`.

    Example:
        >>> times = interleaved_times({"a": lambda: sum(range(1000))}, 3, timer_for("cpu"))
        >>> len(times["a"])
        3
    """
    repeats = {}
    for key, call in calls.items():
        call()  # compiles
        repeats[key] = max(
            1, min(1000, int(0.005 / max(timer(call), 1e-7)))
        )  # long enough for the resolution of the clock
    order = random.Random(0)  # noqa: S311 not used for security
    times: dict[Any, list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key in order.sample(list(calls), len(calls)):
            call, count = calls[key], repeats[key]
            times[key].append(timer(lambda: [call() for _ in range(count)]) / count)  # noqa: B023 called at once
    return times


def timer_for(device: str) -> Timer:
    """Return a timer: CUDA events on the GPU; with one thread CPU time, which other processes disturb least; else the wall clock."""
    if device == "cuda":
        return _cuda_seconds
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def seconds(call: Call) -> float:
        start = now()
        call()
        return now() - start

    return seconds


def without_page_faults(timer: Timer) -> Timer:
    """Return a timer that repeats a call during which pages were mapped: glibc cannot always reuse freed memory for the next tensor."""

    def seconds(call: Call) -> float:
        for _ in range(_TRIES):
            before = _minor_faults()
            elapsed = timer(call)
            if _minor_faults() - before < _PAGES:
                break
        return elapsed

    return seconds


def preallocate(calls: Iterable[Call], size: int) -> None:
    """Run each call once to allocate its lasting tensors; then map and free ``size`` contiguous bytes, which later tensors reuse."""
    for call in calls:
        call()
    torch.empty(size, dtype=torch.uint8).zero_()


def _minor_faults() -> int:
    """Return how many pages were mapped into this process so far; called with glibc only."""
    import resource  # noqa: PLC0415 not available on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _cuda_seconds(call: Call) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call] # not annotated in torch
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000
