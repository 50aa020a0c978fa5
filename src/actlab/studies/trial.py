"""The trial: one arm on one seed. A pure function of the plan: the same numbers to the bit, in whatever process it runs.

Whatever goes wrong in it is a result: a loss that is not finite, memory that runs out, a user's code that raises.
"""

from __future__ import annotations

import math
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from importlib.metadata import version
from itertools import islice, pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.nn.transforms.changes import Changes
from actlab.nn.transforms.init import init_
from actlab.nn.transforms.swap import swap_
from actlab.studies.plan import Arm
from actlab.tasks.check import as_number
from actlab.tasks.isolation import isolated, one_thread, seed_all
from actlab.tasks.task import Split, Task, load_data
from actlab.tasks.user_code import one_line

__all__ = ["Row", "batches", "blank_row", "build_model", "judge", "run_trial", "trained", "versions"]

Row: TypeAlias = dict[str, Any]

_CURVE_POINTS = 100
_EVALUATION_BATCH = 1024  # examples per forward pass when judged; larger ones are no faster on a core
_LONGEST_TRACE = 8  # innermost frames kept of what a user's code raised
_OUT_OF_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
)  # torch raises a RuntimeError on the CPU


class _DivergedError(Exception):
    """Ends a trial whose loss or metric is not finite."""


def run_trial(
    task: Task, arm: Arm, seed: int, *, init: str = "fixed", lr: float | None = None, stage: str = "main"
) -> Row:
    """Train and judge one arm on one seed, on one thread; no global generator is left changed.

    Args:
        task: what to train.
        arm: what to put at the model's activation sites.
        seed: fixes data, order, initial weights and dropout, whatever the arm.
        init: "fixed" or "matched".
        lr: learning rate; the task's own by default.
        stage: "main" judges on the test split, once, at the end; "tune" never reads it.

    Returns:
        A row: ``stage, arm, seed, lr, status, metric, curve, train_loss, validation, parameters, steps, seconds, cpu_seconds,
        error, started, finished (seconds since 1970), versions``. ``status`` is "completed", "diverged", "failed" or
        "out_of_memory"; only a completed one has a metric.

    Example:
        >>> from actlab.studies.plan import arm_of
        >>> from actlab.tasks import resolve
        >>> row = run_trial(resolve("digits"), arm_of("gelu"), seed=0)
        >>> row["status"], row["steps"]
        ('completed', 408)
    """
    row = blank_row(stage=stage, arm=arm.label, seed=seed, lr=task.learning_rate if lr is None else lr)
    wall, cpu = time.perf_counter(), time.process_time()
    losses: list[float] = []
    try:
        with one_thread(), isolated(seed):
            _fill(row, task, arm, init, losses)
    except _DivergedError as error:
        row |= {"status": "diverged", "error": str(error)}
    except (Exception, SystemExit) as error:  # a user's code may raise anything; the reason is the result
        row |= {"status": "out_of_memory" if _is_out_of_memory(error) else "failed", "error": _reason(error)}
    if row["status"] != "completed":
        row["metric"] = None
    row |= {"curve": _curve(losses), "train_loss": _mean(losses), "steps": len(losses)}
    row |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu, "finished": time.time()}
    return row


def blank_row(*, stage: str, arm: str, seed: int, lr: float) -> Row:
    """Return the row of a trial that has not learned anything yet."""
    return {
        "stage": stage,
        "arm": arm,
        "seed": seed,
        "lr": lr,
        "status": "completed",
        "metric": None,
        "curve": [],
        "train_loss": None,
        "validation": None,
        "parameters": None,
        "steps": 0,
        "seconds": 0.0,
        "cpu_seconds": 0.0,
        "error": None,
        "started": time.time(),
        "finished": time.time(),
        "versions": versions(),
    }


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("actlab", "torch", "numpy")}
    return {**packages, "python": platform.python_version(), "machine": platform.machine()}


def versions() -> dict[str, str]:
    """Return the versions that the numbers depend on.

    Example:
        >>> sorted(versions())
        ['actlab', 'machine', 'numpy', 'python', 'torch']
    """
    return dict(_versions())


def build_model(task: Task, arm: Arm, seed: int, *, init: str, batch: Tensor) -> tuple[nn.Module, Changes]:
    """Build the task's model for a seed and put the arm into it; call it inside :func:`actlab.tasks.isolation.isolated`.

    Args:
        task: whose model.
        arm: what to put at its activation sites.
        seed: of the weights.
        init: "fixed" or "matched".
        batch: first inputs of the training split, shape (batch, ...).

    Returns:
        The model in training mode, and what the swap changed.

    Raises:
        ActlabError: the arm does not fit the model.
    """
    seed_all(seed)
    model = task.model(seed)
    generator = torch.Generator().manual_seed(seed)  # of the weights that a gated arm makes anew
    changes = swap_(model, arm.for_swap(), example_inputs=batch, generator=generator)
    if init == "matched":
        init_(model, batch, generator=torch.Generator().manual_seed(seed))
    return model.train(), changes


def trained(
    task: Task,
    seed: int,
    *,
    arm: Arm | None = None,
    watch: Callable[[nn.Module], AbstractContextManager[Any]] = nullcontext,
) -> nn.Module:
    """Return the task's model, trained as a trial trains it, in eval mode; the global generators are as they were.

    Args:
        task: what to train.
        seed: fixes data, order, initial weights and dropout.
        arm: what to put at the model's activation sites; the model as it is if not given.
        watch: of the untrained model, a context that is open while it trains: a probe, or a recorder of shapes.

    Raises:
        TaskError: the training diverged.
        ActlabError: the arm does not fit the model.

    Example:
        >>> from actlab.tasks import resolve
        >>> trained(resolve("digits"), seed=0).training
        False
    """
    row = blank_row(stage="main", arm="" if arm is None else arm.label, seed=seed, lr=task.learning_rate)
    with one_thread(), isolated(seed):
        data = load_data(task, seed)
        model = _untrained(task, arm, seed, data.train.x[: task.batch_size])
        seed_all(seed)
        try:
            with watch(model):
                _train(task, model, data.train, row, [])
        except _DivergedError as error:
            raise TaskError(f"The training of {task.name} diverged: {error}. Try a smaller learning rate.") from error
    return model.eval()


def _untrained(task: Task, arm: Arm | None, seed: int, batch: Tensor) -> nn.Module:
    if arm is not None:
        return build_model(task, arm, seed, init="fixed", batch=batch)[0]
    seed_all(seed)
    return task.model(seed).train()


def _fill(row: Row, task: Task, arm: Arm, init: str, losses: list[float]) -> None:
    seed = row["seed"]
    data = load_data(task, seed)
    model, _ = build_model(task, arm, seed, init=init, batch=data.train.x[: task.batch_size])
    row["parameters"] = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    seed_all(seed)  # again: the swap may have drawn numbers, and dropout must not depend on the arm
    _train(task, model, data.train, row, losses)
    model.eval()
    curve = None if task.curve_metric is None else _finite(task.curve_metric(losses), "curve_metric")
    if data.validation is not None:
        row["validation"] = _finite(judge(task, model, data.validation), "metric on the validation split")
    elif row["stage"] == "tune":
        row["validation"] = curve
    if row["stage"] == "main":
        row["metric"] = curve if curve is not None else _finite(judge(task, model, data.test), "metric")


def _train(task: Task, model: nn.Module, split: Split, row: Row, losses: list[float]) -> None:
    """Train; the hot path of everything."""
    optimizer = task.optimizer(model.parameters(), row["lr"])
    loss_of = task.loss
    for x, y in islice(batches(task, split, row["seed"]), task.steps):
        loss = loss_of(model(x), y)
        value = loss.item()
        if not math.isfinite(value):
            raise _DivergedError(f"the loss is {value} at step {len(losses) + 1}")
        losses.append(value)
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
        optimizer.step()
        optimizer.zero_grad()


def batches(task: Task, split: Split, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches, epoch by epoch; a last batch of one example is left out, for batch normalisation cannot take it."""
    generator = torch.Generator().manual_seed(seed)
    x, y, size = split.x, split.y, task.batch_size
    count = len(split)
    starts = [start for start in range(0, count, size) if count - start > 1 or size == 1 or count == 1]
    for _ in range(task.epochs):
        if not task.shuffle:
            yield from ((x[start : start + size], y[start : start + size]) for start in starts)
            continue
        order = torch.randperm(count, generator=generator)
        for start in starts:
            index = order[start : start + size]
            yield x.index_select(0, index), y.index_select(0, index)


@torch.no_grad()
def judge(task: Task, model: nn.Module, split: Split) -> float:
    """Return the task's metric on a split; the model stays in the mode it is in."""
    output = torch.cat([model(part) for part in torch.split(split.x, _EVALUATION_BATCH)])
    return as_number(task.metric(output, split.y), f"metric of {task.name}")


def _finite(value: Any, what: str) -> float:
    number = as_number(value, what)
    if not math.isfinite(number):
        raise _DivergedError(f"the {what} is {number}")
    return number


def _mean(losses: Sequence[float]) -> float | None:
    return math.fsum(losses) / len(losses) if losses else None


def _curve(losses: Sequence[float]) -> list[dict[str, float]]:
    """Return at most 100 points: means of neighbouring losses, each at its last step."""
    count = len(losses)
    points = min(count, _CURVE_POINTS)
    edges = [round(point * count / points) for point in range(points + 1)] if points else []
    return [{"step": end, "loss": math.fsum(losses[start:end]) / (end - start)} for start, end in pairwise(edges)]


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(phrase in text for phrase in _OUT_OF_MEMORY)


def _reason(error: BaseException) -> str:
    """Return one line, then the innermost frames."""
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[-_LONGEST_TRACE:])
    return f"{one_line(error)}\n{''.join(frames)}".rstrip()
