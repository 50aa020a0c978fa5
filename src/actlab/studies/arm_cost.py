"""Cost of each arm, measured as time of a training step, number of parameters and peak memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from actlab.evaluate.costs.arm_axes import ArmModels, arm_level, measure_arm_axes
from actlab.evaluate.costs.interleaved import clock_of, interleaved_times, median_time, ratios
from actlab.nn.sites.dry_run import Inputs
from actlab.stats.e_process import Floats
from actlab.studies.arm import Arm
from actlab.studies.arm_model import build_model
from actlab.tasks.isolation import isolated, torch_threads
from actlab.tasks.loading.nested import mapped
from actlab.tasks.task import Task
from actlab.tasks.training.batches import first_batch, first_inputs
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.devices import device_record
from actlab.tasks.training.evaluation import loss_function
from actlab.tasks.training.optimization import make_optimizer
from actlab.tasks.training.placement import placed
from actlab.tasks.training.precision import Precision

__all__ = ["measure_costs"]

_WARM_UP = 2  # steps; the first one creates the optimizer's state
_SECONDS_PER_ARM = 0.3


def measure_costs(
    task: Task,
    arms: Sequence[Arm],
    *,
    baseline: str,
    init: str = "fixed",
    seed: int = 0,
    conditions: Conditions | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure the cost of each arm, interleaved in one process.

    In every round each arm takes one step, in another order than before, so that other load on the machine affects all arms alike. Rounds
    form nine blocks. A block's ratio is the median over its rounds of an arm's time over the baseline's in the same round; the spread of
    the blocks' ratios shows how well the ratio is known. The clock of a step on one thread is the process's CPU time: beside four busy
    processes the wall clock once gave a ratio of 13.5 instead of 1.4 for gelu. With more threads and on an accelerator it is the wall's.

    Args:
        task: the task with model, loss, optimizer and batch size.
        arms: the arms, with the baseline.
        baseline: label of the arm with the ratio 1.
        init: "fixed" or "matched".
        seed: of data and model.
        conditions: device and threads; by default one thread of the CPU.

    Returns:
        For each arm that can take a step: ``step_time`` (median, seconds), ``step_time_ratios`` to the baseline (one per block),
        ``step_time_ratio`` (their median), ``parameters`` (trained ones), ``peak_memory`` (bytes that one training step allocates
        beyond model and optimizer state) and ``on``, the device and the threads. Where the conditions have axes of the level "arm", also
        ``axes``, see :func:`actlab.evaluate.costs.arm_axes.measure_arm_axes`; for a task with a training function these alone.

    Example:
        >>> from actlab.studies.arm import parse_arm
        >>> from actlab.tasks import resolve
        >>> costs = measure_costs(resolve("digits"), [parse_arm("relu"), parse_arm("mish")], baseline="relu")
        >>> costs["relu"]["step_time_ratio"], costs["mish"]["parameters"]
        (1.0, 17290)
    """
    where = Conditions() if conditions is None else conditions
    given: dict[str, Any] = {"baseline": baseline, "init": init, "seed": seed, "where": where}
    on = {**device_record(where.device), "threads": str(where.threads)}
    with torch_threads(where.threads), isolated(seed):
        if task.door == "loop":
            costs = _step_costs(task, arms, **given)
        elif task.has_data and task.door == "function":  # a step of the function is not known
            costs = {arm.label: {} for arm in arms} if arm_level(where.axes) else {}
        else:
            return {}
        measured = [arm for arm in arms if arm.label in costs]
        axes = _axes(task, measured, **given) if arm_level(where.axes) else {}
        return {
            label: {**cost, "on": on, **({"axes": axes[label]} if label in axes else {})}
            for label, cost in costs.items()
        }


def _step_costs(
    task: Task, arms: Sequence[Arm], *, baseline: str, init: str, seed: int, where: Conditions
) -> dict[str, dict[str, Any]]:
    """Return time, parameters and memory of a training step of each arm that can take one."""
    split = cached_data(task, seed).train
    batch, inputs, loss_of = first_batch(task, split), first_inputs(task, split, seed), loss_function(task, split)
    built = {
        arm.label: _warmed_up(task, arm, inputs, _Batch(batch, loss_of), init=init, seed=seed, device=where.device)
        for arm in arms
    }
    steps = {label: step for label, step in built.items() if step is not None}
    times = interleaved_times(steps, clock_of(where), seconds=_SECONDS_PER_ARM * len(steps))  # type: ignore[arg-type] # steps are called
    return {label: _cost(step, times, label, baseline) for label, step in steps.items()}


def _axes(
    task: Task, arms: Sequence[Arm], *, baseline: str, init: str, seed: int, where: Conditions
) -> dict[str, dict[str, Any]]:
    """Return the axes of the level "arm" on new models, as the others have taken steps."""
    data = cached_data(task, seed)
    inputs, models = first_inputs(task, data.train, seed), {}
    for arm in arms:
        with suppress(Exception):  # user code may raise anything; the trials record it
            models[arm.label] = build_model(task, arm, seed, init=init, batch=inputs).to(where.device)
    known = ArmModels(models=models, task=task, data=data, inputs=inputs, seed=seed)
    return measure_arm_axes(known, where=where, baseline=baseline)


class _Batch(NamedTuple):
    """A batch, and the function of a model and it that gives the loss."""

    batch: Any
    loss_of: Callable[[nn.Module, Any], Tensor]


@dataclass(kw_only=True)
class _Step:
    """A training step of a model on one batch."""

    task: Task
    model: nn.Module
    batch: _Batch
    optimizer: torch.optim.Optimizer = field(init=False)
    precision: Precision = field(init=False)

    def __post_init__(self) -> None:
        device = next((str(weight.device) for weight in self.model.parameters()), "cpu")
        self.optimizer = make_optimizer(self.task, self.model, self.task.learning_rate)
        self.precision = Precision(self.task.precision, device)

    def __call__(self) -> None:
        batch, loss_of = self.batch
        with self.precision.forward():
            loss = loss_of(self.model, batch if type(batch) is tuple else mapped(batch, lambda leaf: leaf))
        loss.item()
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
        self.optimizer.step()
        self.optimizer.zero_grad()


def _warmed_up(
    task: Task, arm: Arm, inputs: Inputs | None, batch: _Batch, *, init: str, seed: int, device: str
) -> _Step | None:
    """Return the arm's step after a warm-up, or None where it raises, which the trials will record."""
    with suppress(Exception):  # user code may raise anything
        model = build_model(task, arm, seed, init=init, batch=inputs)
        moved = batch._replace(batch=placed(batch.batch, device))
        step = _Step(task=task, model=model.to(device), batch=moved)
        for _ in range(_WARM_UP):
            step()
        return step
    return None


def _cost(step: _Step, blocks: Sequence[Mapping[str, Floats]], label: str, baseline: str) -> dict[str, Any]:
    to_baseline = ratios(blocks, label, baseline)
    return {
        "step_time": median_time(blocks, label),
        "step_time_ratio": float(np.median(to_baseline)) if to_baseline else None,
        "step_time_ratios": to_baseline,
        "parameters": sum(weight.numel() for weight in step.model.parameters() if weight.requires_grad),
        "peak_memory": _peak_memory(step),
    }


def _peak_memory(step: _Step) -> int | None:
    """Return the largest number of bytes that torch's allocator had in use during one step; exact and repeatable."""
    device = next((weight.device for weight in step.model.parameters()), torch.device("cpu"))
    if device.type == "cuda":
        return _peak_memory_of_card(step, device)
    if device.type != "cpu":
        return None
    with suppress(Exception):  # user code may raise anything
        with _silent_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            step()
        events = profiler.profiler.kineto_results.events()
        changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
        return max(0, int(np.cumsum([size for _, size in changes]).max(initial=0)))
    return None


def _peak_memory_of_card(step: _Step, device: torch.device) -> int | None:
    with suppress(Exception):  # user code may raise anything
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return max(0, torch.cuda.max_memory_allocated(device) - before)
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
