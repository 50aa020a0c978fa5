"""Checks of the settings of the training loop, such as scheduler, early stopping and precision."""

from __future__ import annotations

import inspect
import math
import warnings
from dataclasses import fields
from typing import Any, Final

from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from actlab.errors import PlanError, TaskError, did_you_mean
from actlab.tasks.data import Data
from actlab.tasks.task import Task
from actlab.tasks.training.batches import step_count
from actlab.tasks.training.optimization import make_optimizer, make_scheduler
from actlab.tasks.training.precision import check_compiler
from actlab.tasks.user_code import user_code

__all__ = ["check_loop_settings", "check_rate_matters", "check_schedule"]

#: Fields that only the loop of ActLab reads.
_OF_LOOP: Final = ("scheduler", "clip_norm", "accumulate", "ema", "validate_every", "patience", "precision", "compile")
_PRECISIONS: Final = ("bf16", "fp16")
_MEANT: Final = {
    "bfloat16": "bf16", "bf16-mixed": "bf16", "float16": "fp16", "half": "fp16", "16": "fp16", "16-mixed": "fp16", "fp16-mixed": "fp16",
    "amp": "bf16", "torch.bfloat16": "bf16", "torch.float16": "fp16", "mixed": "bf16", "true": "bf16",
}  # fmt: skip
_FULL: Final = {"fp32", "float32", "32", "full", "no", "none", "torch.float32", "32-true", "false"}
_TRIED_STEPS: Final = 10_000  # of a scheduler, which take 0.2 s
_RATES: Final = 100  # steps whose learning rates are compared: a warm-up may begin with 0


def check_loop_settings(task: Task) -> None:
    """Check the fields of a task that the training loop reads; a task that trains by itself must have none of them.

    Raises:
        TaskError: a field has a value that is not allowed.

    Example:
        >>> from actlab.tasks import resolve
        >>> check_loop_settings(resolve("digits"))
    """
    if task.door != "loop":
        _check_not_set(task)
        return
    for name, required in (("accumulate", True), ("validate_every", False), ("patience", False)):
        value = getattr(task, name)
        if not (_is_count(value) or (value is None and not required)):
            what = {
                "accumulate": "batches for a step of the optimizer",
                "validate_every": "steps between two evaluations",
            }
            raise TaskError(
                f"{name} of the task {task.name} is {value!r}; a whole number from 1 up is needed: "
                f"{what.get(name, 'evaluations without a better one after which a trial ends')}{'' if required else ', or None'}."
            )
    _check_number(task, "clip_norm", task.clip_norm, math.inf, "the largest norm of the gradient, such as 1.0")
    _check_number(task, "ema", task.ema, 1.0, "the weight of the average at each step, such as 0.999")
    if task.scheduler is not None and not callable(task.scheduler):
        raise TaskError(
            f"scheduler of the task {task.name} is a {type(task.scheduler).__name__}; a function scheduler(optimizer, total_steps) is "
            "needed that returns a torch scheduler, or None."
        )
    _check_precision(task)
    _check_compile(task)


def _check_not_set(task: Task) -> None:
    defaults = {field.name: field.default for field in fields(Task)}
    for name in _OF_LOOP:
        value = getattr(task, name)
        if value != defaults[name]:
            who = "script" if task.door == "script" else "training function"
            raise TaskError(
                f"{name} of the task {task.name} is set, and only the loop of ActLab reads it: this task's {who} trains by itself. "
                f"Do it there, and remove {name}."
            )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check_number(task: Task, name: str, value: Any, below: float, what: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < below:
        allowed = "above 0" if math.isinf(below) else f"between 0 and {below:g}"
        raise TaskError(f"{name} of the task {task.name} is {value!r}; a number {allowed} is needed, {what}, or None.")


def _check_precision(task: Task) -> None:
    value: Any = task.precision
    if value is None or (isinstance(value, str) and value in _PRECISIONS):
        return
    word = str(value).lower()
    meant = _MEANT.get(word)
    hint = f" Did you mean {meant!r}?" if meant else did_you_mean(word, _PRECISIONS)
    if word in _FULL:
        hint = " Remove it for the dtype of the model."
    raise TaskError(
        f"precision of the task {task.name} is {value!r}; allowed are 'bf16', 'fp16' (with a gradient scaler), and None for the dtype of "
        f"the model.{hint}"
    )


def _check_compile(task: Task) -> None:
    if not isinstance(task.compile, bool):
        raise TaskError(f"compile of the task {task.name} is {task.compile!r}; allowed are True and False.")
    if task.compile:
        check_compiler(task.device or "cpu", task.name)


def check_schedule(task: Task, model: nn.Module, data: Data) -> None:
    """Check what the training loop asks of the optimizer, of the scheduler, which is stepped to the end, and of the data.

    Call it inside :func:`actlab.tasks.isolation.isolated`.

    Args:
        task: the task, whose settings are checked.
        model: discarded afterwards.
        data: of a seed.

    Raises:
        TaskError: there is no validation split for what needs one, or the scheduler cannot be stepped that often.
    """
    for name in ("patience", "validate_every"):
        if getattr(task, name) is not None and data.validation is None:
            raise TaskError(
                f"{name} of the task {task.name} is {getattr(task, name)!r}, and data(seed) has no validation split to evaluate on. Return "
                "one, {'train': .., 'validation': .., 'test': ..}; the test split is read once, at the end."
            )
    with user_code(f"optimizer of {task.name}"):
        optimizer = make_optimizer(task, model, task.learning_rate)
    _check_closure(task, optimizer)
    total = step_count(task, data.train)
    with user_code(f"scheduler of {task.name}, given {total} steps,"):
        scheduler = make_scheduler(task, optimizer, total)
    if isinstance(scheduler, ReduceLROnPlateau):
        if data.validation is None:
            raise TaskError(
                f"scheduler of the task {task.name} returned a ReduceLROnPlateau, which is stepped with the metric on the validation "
                "split, and data(seed) has none. Return one, or another scheduler."
            )
    elif scheduler is not None:
        _check_steps(task, scheduler, total)


def check_rate_matters(task: Task, model: nn.Module, total: int) -> None:
    """Check that the learning rate of a task changes the rates with which its optimizer steps, so that there is something to tune.

    Call it inside :func:`actlab.tasks.isolation.isolated`.

    Args:
        task: whose optimizer and scheduler have been checked.
        model: discarded afterwards.
        total: steps of a trial.

    Raises:
        PlanError: optimizer or scheduler set the rates whatever the learning rate is.
    """
    if _rates(task, model, task.learning_rate, total) != _rates(task, model, 3 * task.learning_rate, total):
        return
    why = "its optimizer does not use the argument lr."
    if task.scheduler is not None:
        why = (
            "its optimizer or its scheduler sets them, such as OneCycleLR(optimizer, max_lr=0.1, ...). Take the rate from the optimizer: "
            "max_lr=[group['lr'] for group in optimizer.param_groups]."
        )
    raise PlanError(
        f"tune='lr' has nothing to choose: the learning rates of {task.name} are the same whatever lr is, as {why}"
    )


def _rates(task: Task, model: nn.Module, lr: float, total: int) -> list[list[float]]:
    """Return the learning rates of the groups at the first steps."""
    optimizer = make_optimizer(task, model, lr)
    scheduler = make_scheduler(task, optimizer, total)
    found = [[float(group.get("lr", lr)) for group in optimizer.param_groups]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch: no optimizer is stepped here
        for _ in range(0 if scheduler is None or isinstance(scheduler, ReduceLROnPlateau) else min(total, _RATES)):
            scheduler.step()
            found.append([float(group.get("lr", lr)) for group in optimizer.param_groups])
    return found


def _check_closure(task: Task, optimizer: Any) -> None:
    try:
        closure = inspect.signature(optimizer.step).parameters.get("closure")
    except (TypeError, ValueError, AttributeError):
        return
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise TaskError(
            f"optimizer of the task {task.name} is a {type(optimizer).__name__}, whose step needs a closure that computes the loss again. "
            "The loop of ActLab calls step() without one: use a training function, train(model, seed, trial), whose loop is your own."
        )


def _check_steps(task: Task, scheduler: Any, total: int) -> None:
    """Step a scheduler as often as a trial does, as one that was made for fewer steps raises only then."""
    done = 0
    with warnings.catch_warnings(), user_code(f"scheduler of {task.name}, stepped after every step of the optimizer,"):
        warnings.simplefilter("ignore")  # of torch: no optimizer is stepped here
        for done in range(min(total, _TRIED_STEPS)):  # noqa: B007 # the number is part of what follows
            scheduler.step()
    rates = [group["lr"] for group in scheduler.optimizer.param_groups] if hasattr(scheduler, "optimizer") else []
    if any(isinstance(rate, float) and not (math.isfinite(rate) and rate >= 0) for rate in rates):
        raise TaskError(
            f"scheduler of the task {task.name} sets the learning rate to {rates[0]} after {done + 1} of {total} steps; it must stay "
            "finite and not negative. total_steps counts steps of the optimizer, not epochs."
        )
