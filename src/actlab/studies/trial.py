"""Reproducible trial of one arm on one seed, with exceptions and divergence recorded as results."""

from __future__ import annotations

import math
import platform
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.nn.training.parameter_groups import exempt_learned_numbers_
from actlab.studies.arm import Arm
from actlab.studies.arm_model import build_model
from actlab.studies.batches import batches, step_count
from actlab.studies.controls import Snapshot, constant_metric
from actlab.studies.data_cache import cached_data
from actlab.studies.trial_inputs import input_digests
from actlab.system.interrupts import may_raise
from actlab.tasks.check import as_number
from actlab.tasks.error_text import shortened, text_of
from actlab.tasks.isolation import isolated, one_thread, seed_all
from actlab.tasks.task import Data, Split, Task
from actlab.tasks.user_code import one_line

__all__ = ["Trial", "evaluate_model", "run_trial", "train_model", "versions"]

Status: TypeAlias = Literal["completed", "diverged", "failed", "out_of_memory"]

_CURVE_POINTS = 100
_EVALUATION_BATCH = 1024  # examples per forward pass in evaluation; larger batches are no faster on a core
_TRACEBACK_FRAMES = 8  # innermost frames stored of an exception in user code
# Parts of messages that mean memory ran out; on the CPU, torch raises a plain RuntimeError.
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


class _DivergedError(Exception):
    """Ends a trial whose loss or metric is not finite."""


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("actlab", "torch", "numpy")}
    return {**packages, "python": platform.python_version(), "machine": platform.machine(), "cpu": _processor()}


def _processor() -> str:
    """Return the processor's name and the instructions that torch uses on it; both decide the last bits."""
    name = platform.processor()
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        name = next(
            (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), name
        )
    return f"{name} {torch.backends.cpu.get_cpu_capability()}".strip()


def versions() -> dict[str, str]:
    """Return the versions of the software and the machine type on which the numbers depend.

    Example:
        >>> sorted(versions())
        ['actlab', 'cpu', 'machine', 'numpy', 'python', 'torch']
    """
    return dict(_versions())


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Result of one arm on one seed. Its fields are the columns of the store.

    Attributes:
        stage: "main", evaluated on the test split, or "tune".
        arm: label of the arm.
        seed: fixes data, order, initial weights and dropout.
        lr: learning rate.
        status: "completed", "diverged", "failed" or "out_of_memory".
        metric: result of a completed main trial, else None.
        curve: at most 100 points ``{"step": ..., "loss": ...}``, means of consecutive training losses.
        train_loss: mean training loss, or None before the first step.
        validation: metric on the validation split, where there is one.
        parameters: number of trained parameters.
        steps: number of training steps.
        seconds: wall clock time.
        cpu_seconds: CPU time of the process.
        error: reason of a trial that did not complete; the first line is a summary.
        started: seconds since 1970.
        finished: seconds since 1970.
        versions: software and machine, see :func:`versions`, and number of ``threads`` where the trial began.
        provisional: whether a later run of the study runs the trial again and replaces this row, as after a worker was killed.
        inputs: digests of what the trial was computed from (``code``: the modules that the task imports; ``data``; ``weights``: those
            of the task's model before the swap), or None where they were not recorded.
        controls: ``constant``, the metric of a prediction that is the same for every example (the mean of the model's outputs), and
            ``half_validation``, the validation metric after half of the steps; each where it can be computed.
    """

    stage: str
    arm: str
    seed: int
    lr: float
    status: Status = "completed"
    metric: float | None = None
    curve: list[dict[str, float]] = field(default_factory=list)
    train_loss: float | None = None
    validation: float | None = None
    parameters: int | None = None
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    error: str | None = None
    started: float = field(default_factory=time.time)
    finished: float = field(default_factory=time.time)
    versions: dict[str, str] = field(default_factory=versions)
    provisional: bool = False
    inputs: dict[str, str] | None = None
    controls: dict[str, float] | None = None

    def to_row(self) -> dict[str, Any]:
        """Return the trial as a row of the store."""
        return dict(vars(self))


@dataclass(kw_only=True)
class _Measurements:
    """Values of a running trial; they are stored also when it fails later."""

    losses: list[float] = field(default_factory=list)
    parameters: int | None = None
    validation: float | None = None
    metric: float | None = None
    controls: dict[str, float] | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of the trial that are recorded however it ends."""
        return {
            "curve": _curve(self.losses),
            "train_loss": _mean(self.losses),
            "validation": self.validation,
            "parameters": self.parameters,
            "steps": len(self.losses),
            "controls": self.controls,
            "inputs": self.inputs or None,
            "versions": self.versions,
        }


def run_trial(
    task: Task,
    arm: Arm,
    seed: int,
    *,
    init: str = "fixed",
    lr: float | None = None,
    stage: str = "main",
    decay_learned: bool = True,
) -> Trial:
    """Train and evaluate one arm on one seed, on one thread. The global generators are restored.

    The result is a pure function of the arguments: the same numbers to the bit, in whatever process it runs.

    Args:
        task: the task to train.
        arm: activations for the model's sites.
        seed: fixes data, order, initial weights and dropout, whatever the arm.
        init: "fixed" or "matched".
        lr: learning rate; the task's own by default.
        stage: "main" evaluates on the test split, once, at the end; "tune" never reads it.
        decay_learned: whether the optimizer's weight decay acts on the learned numbers of activations as well.

    Returns:
        The result. A loss that is not finite, memory that runs out and an exception in user code are results too: see its ``status``.

    Example:
        >>> from actlab.studies.arm import parse_arm
        >>> from actlab.tasks import resolve
        >>> trial = run_trial(resolve("digits"), parse_arm("gelu"), seed=0)
        >>> trial.status, trial.steps
        ('completed', 408)
    """
    rate = task.learning_rate if lr is None else lr
    started, wall, cpu = time.time(), time.perf_counter(), time.process_time()
    measured, reason = _Measurements(), None
    status: Status = "completed"
    try:
        with one_thread(), isolated(seed):
            _train_and_evaluate(measured, task, arm, seed, init=init, lr=rate, stage=stage, decay_learned=decay_learned)
    except _DivergedError as error:
        status, reason = "diverged", str(error)
    except BaseException as error:  # user code may raise anything; the reason is the result
        status, reason = _failure(error)
    key: dict[str, Any] = {"stage": stage, "arm": arm.label, "seed": seed, "lr": rate}
    return Trial(
        **key,
        status=status,
        metric=measured.metric if status == "completed" else None,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        error=reason,
        started=started,
        **measured.to_fields(),
    )


def train_model(
    task: Task,
    seed: int,
    *,
    arm: Arm | None = None,
    watch: Callable[[nn.Module], AbstractContextManager[Any]] = nullcontext,
) -> nn.Module:
    """Return the task's model in eval mode, trained as in a trial. The global generators are restored.

    Args:
        task: the task to train.
        seed: fixes data, order, initial weights and dropout.
        arm: activations for the model's sites; by default the model's own.
        watch: of the untrained model, returns a context that is open during training, such as a probe.

    Raises:
        TaskError: the training diverged.
        ActlabError: the arm does not fit the model.

    Example:
        >>> from actlab.tasks import resolve
        >>> train_model(resolve("digits"), seed=0).training
        False
    """
    with one_thread(), isolated(seed):
        data = cached_data(task, seed)
        model = _untrained_model(task, arm, seed, data.train.x[: task.batch_size])
        seed_all(seed)
        try:
            with watch(model):
                _train(task, model, data.train, seed, lr=task.learning_rate, losses=[])
        except _DivergedError as error:
            raise TaskError(f"The training of {task.name} diverged: {error}. Try a smaller learning rate.") from error
    return model.eval()


def _untrained_model(task: Task, arm: Arm | None, seed: int, batch: Tensor) -> nn.Module:
    if arm is not None:
        return build_model(task, arm, seed, init="fixed", batch=batch)
    seed_all(seed)
    return task.model(seed).train()


def _train_and_evaluate(
    measured: _Measurements,
    task: Task,
    arm: Arm,
    seed: int,
    *,
    init: str,
    lr: float,
    stage: str,
    decay_learned: bool,
) -> None:
    """Run a trial and fill in the measurements."""
    data = cached_data(task, seed)
    measured.inputs |= input_digests(task, data)
    measured.versions["threads"] = str(torch.get_num_threads())
    batch = data.train.x[: task.batch_size]
    model = build_model(task, arm, seed, init=init, batch=batch, digests=measured.inputs)
    measured.parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    seed_all(seed)  # again: the swap may have drawn numbers, and dropout must not depend on the arm
    half = _Half() if stage == "main" and data.validation is not None else None
    _train(task, model, data.train, seed, lr=lr, losses=measured.losses, decay_learned=decay_learned, half=half)
    model.eval()
    curve = None if task.curve_metric is None else _finite(task.curve_metric(measured.losses), "curve_metric")
    if data.validation is not None:
        measured.validation = _finite(evaluate_model(task, model, data.validation), "metric on the validation split")
    elif stage == "tune":
        measured.validation = curve
    if stage == "main":
        output = None if curve is not None else _outputs(model, data.test)
        measured.metric = curve if output is None else _finite(_metric(task, output, data.test), "metric")
        measured.controls = _controls(task, model, data, output, half)


@dataclass(kw_only=True)
class _Half:
    """State of the model after half of the steps."""

    snapshot: Snapshot | None = None


def _controls(task: Task, model: nn.Module, data: Data, output: Tensor | None, half: _Half | None) -> dict[str, float]:
    """Return the control measurements; they come last and change no result."""
    controls = {"constant": None if output is None else constant_metric(task.metric, output, data.test.y)}
    validation = data.validation
    if half is not None and half.snapshot is not None and validation is not None:
        controls["half_validation"] = half.snapshot.evaluate(model, lambda it: evaluate_model(task, it, validation))
    return {name: value for name, value in controls.items() if value is not None}


def _train(
    task: Task,
    model: nn.Module,
    split: Split,
    seed: int,
    *,
    lr: float,
    losses: list[float],
    decay_learned: bool = True,
    half: _Half | None = None,
) -> None:
    """Train, and append the loss of every step to ``losses``. Most of a study's time is spent in this loop."""
    optimizer = task.optimizer(model.parameters(), lr)
    if not decay_learned:
        exempt_learned_numbers_(optimizer, model)
    loss_of = task.loss
    middle = 0 if half is None else step_count(task, split) // 2
    for x, y in islice(batches(task, split, seed), task.steps):
        loss = loss_of(model(x), y)
        value = loss.item()
        if not math.isfinite(value):
            raise _DivergedError(f"the loss is {value} at step {len(losses) + 1}")
        losses.append(value)
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
        optimizer.step()
        optimizer.zero_grad()
        if half is not None and len(losses) == middle:
            half.snapshot = Snapshot(model)


@torch.no_grad()
def evaluate_model(task: Task, model: nn.Module, split: Split) -> float:
    """Return the task's metric on a split; the mode of the model, training or evaluation, is not changed."""
    return _metric(task, _outputs(model, split), split)


@torch.no_grad()
def _outputs(model: nn.Module, split: Split) -> Tensor:
    return torch.cat([model(part) for part in torch.split(split.x, _EVALUATION_BATCH)])


@torch.no_grad()
def _metric(task: Task, output: Tensor, split: Split) -> float:
    return as_number(task.metric(output, split.y), f"metric of {task.name}")


def _finite(value: Any, what: str) -> float:
    number = as_number(value, what)
    if not math.isfinite(number):
        raise _DivergedError(f"the {what} is {number}")
    return number


def _mean(losses: Sequence[float]) -> float | None:
    return math.fsum(losses) / len(losses) if losses else None


def _curve(losses: Sequence[float]) -> list[dict[str, float]]:
    """Return at most 100 points, each the mean of consecutive losses at the last step of these."""
    count = len(losses)
    points = min(count, _CURVE_POINTS)
    edges = [round(point * count / points) for point in range(points + 1)] if points else []
    return [{"step": end, "loss": math.fsum(losses[start:end]) / (end - start)} for start, end in pairwise(edges)]


def _failure(error: BaseException) -> tuple[Status, str]:
    """Return status and reason of a trial in which user code raised; Ctrl-C is raised again."""
    if isinstance(error, KeyboardInterrupt) and may_raise():
        raise error
    return "out_of_memory" if _is_out_of_memory(error) else "failed", _reason(error)


def _is_out_of_memory(error: BaseException) -> bool:
    text = text_of(error)[:10_000].lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(phrase in text for phrase in _OUT_OF_MEMORY)


def _reason(error: BaseException) -> str:
    """Return a summary line and the innermost frames."""
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[-_TRACEBACK_FRAMES:])
    return f"{one_line(error)}\n{shortened(''.join(frames))}".rstrip()
