"""Cost of each arm, measured as time of a training step, number of parameters and peak memory."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from actlab.stats.e_process import Floats
from actlab.studies.arm import Arm
from actlab.studies.arm_model import build_model
from actlab.tasks.data import Split
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.task import Task, load_data

__all__ = ["measure_costs"]

_WARM_UP = 2  # steps; the first one creates the optimizer's state
_BLOCKS = 9  # the second smallest and the second largest of nine medians enclose the median with 96 % probability
_FEWEST, _MOST = 1, 15  # rounds of a block
_SECONDS_PER_ARM = 0.3


def measure_costs(
    task: Task, arms: Sequence[Arm], *, baseline: str, init: str = "fixed", seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Measure the cost of each arm, interleaved in one process and on one thread.

    In every round each arm takes one step, in another order than before, so that other load on the machine affects all arms alike. Rounds
    form nine blocks. A block's ratio is the median over its rounds of an arm's time over the baseline's in the same round; the spread of
    the blocks' ratios shows how well the ratio is known. The clock is the process's CPU time, as a step runs on one thread: beside four
    busy processes the wall clock once gave a ratio of 13.5 instead of 1.4 for gelu.

    Args:
        task: the task with model, loss, optimizer and batch size.
        arms: the arms, with the baseline.
        baseline: label of the arm with the ratio 1.
        init: "fixed" or "matched".
        seed: of data and model.

    Returns:
        For each arm that can take a step: ``step_time`` (median, CPU seconds), ``step_time_ratios`` to the baseline (one per block),
        ``step_time_ratio`` (their median), ``parameters`` (trained ones) and ``peak_memory`` (bytes that one training step allocates
        beyond model and optimizer state).

    Example:
        >>> from actlab.studies.arm import parse_arm
        >>> from actlab.tasks import resolve
        >>> costs = measure_costs(resolve("digits"), [parse_arm("relu"), parse_arm("mish")], baseline="relu")
        >>> costs["relu"]["step_time_ratio"], costs["mish"]["parameters"]
        (1.0, 17290)
    """
    with one_thread(), isolated(seed):
        split = load_data(task, seed).train
        batch = Split(x=split.x[: task.batch_size], y=split.y[: task.batch_size])
        steps = {arm.label: step for arm in arms if (step := _warmed_up(task, arm, batch, init, seed)) is not None}
        times = _step_times(steps)
        return {label: _cost(step, times, label, baseline) for label, step in steps.items()}


@dataclass(kw_only=True)
class _Step:
    """A training step of a model on one batch."""

    task: Task
    model: nn.Module
    batch: Split
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = self.task.optimizer(self.model.parameters(), self.task.learning_rate)

    def __call__(self) -> None:
        loss: Tensor = self.task.loss(self.model(self.batch.x), self.batch.y)
        loss.item()
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
        self.optimizer.step()
        self.optimizer.zero_grad()


def _warmed_up(task: Task, arm: Arm, batch: Split, init: str, seed: int) -> _Step | None:
    """Return the arm's step after a warm-up, or None where it raises, which the trials will record."""
    with suppress(Exception):  # user code may raise anything
        model = build_model(task, arm, seed, init=init, batch=batch.x)
        step = _Step(task=task, model=model, batch=batch)
        for _ in range(_WARM_UP):
            step()
        return step
    return None


def _step_times(steps: dict[str, _Step]) -> list[dict[str, Floats]]:
    """Return, for each block, the seconds per step of each arm by round; an arm whose step raises is removed from ``steps``."""
    order = random.Random(0)  # noqa: S311 # no cryptography; a random order avoids synchrony with the OS scheduler
    blocks = []
    start, seconds = time.perf_counter(), _SECONDS_PER_ARM * len(steps)
    for block in range(_BLOCKS):
        end = start + seconds * (block + 1) / _BLOCKS
        blocks.append(_block_times(steps, order, end))
    return [{label: times[label] for label in steps} for times in blocks]


def _block_times(steps: dict[str, _Step], order: random.Random, end: float) -> dict[str, Floats]:
    times: dict[str, list[float]] = {label: [] for label in steps}
    for done in range(_MOST):
        if done >= _FEWEST and time.perf_counter() > end:
            break
        for label in order.sample(list(steps), len(steps)):
            try:
                times[label].append(_seconds(steps[label]))
            except Exception:  # user code may raise anything; the trials will record it
                del steps[label]
    return {label: np.array(times[label]) for label in steps}


def _seconds(step: _Step) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def _cost(step: _Step, blocks: Sequence[Mapping[str, Floats]], label: str, baseline: str) -> dict[str, Any]:
    ratios = [float(np.median(times[label] / times[baseline])) for times in blocks if baseline in times]
    return {
        "step_time": float(np.median(np.concatenate([times[label] for times in blocks]))),
        "step_time_ratio": float(np.median(ratios)) if ratios else None,
        "step_time_ratios": ratios,
        "parameters": sum(weight.numel() for weight in step.model.parameters() if weight.requires_grad),
        "peak_memory": _peak_memory(step),
    }


def _peak_memory(step: _Step) -> int | None:
    """Return the largest number of bytes that torch's allocator had in use during one step; exact and repeatable."""
    with suppress(Exception):  # user code may raise anything
        with _silent_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            step()
        events = profiler.profiler.kineto_results.events()
        changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
        return max(0, int(np.cumsum([size for _, size in changes]).max(initial=0)))
    return None


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Redirect file descriptor 2 to the null device: torch's profiler writes to it directly, not through ``sys.stderr``."""
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
