"""Short trainings of a task's model, to record dead units, find a safe learning rate or try a remedy."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from torch import nn

from actlab.diagnostics.diagnosed_model import reference_batch, required_inputs
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.training_record import Snapshot, TrainingRecord, snapshot_of
from actlab.errors import TaskError
from actlab.nn.probes.probe import Probe
from actlab.nn.sites.dry_run import copy_inputs, no_side_effects
from actlab.nn.sites.dry_run import run as run_model
from actlab.tasks.data import Data, Split
from actlab.tasks.isolation import isolated, one_thread, seed_all
from actlab.tasks.loading.loader import Loader
from actlab.tasks.task import Task, load_data
from actlab.tasks.training.evaluation import as_number, evaluate_model
from actlab.tasks.training.loop import DivergedError, TrainingSettings, train
from actlab.tasks.training.recorder import Recorder

__all__ = ["REFERENCE", "Outcome", "first_steps", "safe_learning_rate", "short_trial", "untrained_metric"]

# inputs on which units are measured
REFERENCE: Final = 512
# training steps between two snapshots
_EVERY: Final = 10
# one example in this many of the training split is held out if there is no validation split
_HELD_OUT: Final = 5
# powers of ten over which a safe learning rate is searched
_DECADES: Final = 5
# halvings, on a log scale, of the last power of ten
_HALVINGS: Final = 2
_UNCHANGED: Final = Remedy()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of a short training.

    Attributes:
        value: the task's metric on held-out examples, never those of the test split; may be NaN.
        steps: number of training steps.
        diverged: whether the loss became non-finite.
    """

    value: float
    steps: int
    diverged: bool


def first_steps(task: Task, seed: int, *, steps: int, learning_rate: float | None = None) -> TrainingRecord:
    """Train a task's model for a few steps and record its units every ten steps, or at every step if layers lose units permanently.

    Args:
        task: what to train.
        seed: of data, weights and order.
        steps: number of steps, limited by the task's own.
        learning_rate: by default the task's own.

    Example:
        >>> from actlab.tasks import resolve
        >>> record = first_steps(resolve("digits"), 0, steps=20)
        >>> [look.step for look in record.looks], record.killed, record.losses[-1] < record.losses[0]
        ([0, 10, 20], False, True)
    """
    rate = task.learning_rate if learning_rate is None else learning_rate
    record = _record(task, seed, rate, steps, range(0, steps + 1, _EVERY))
    if not record.deaths:
        return record
    # train again with a snapshot at every step: a layer may recover between two of the first snapshots
    return record.with_snapshots(_record(task, seed, rate, steps, range(steps + 1)).looks)


def _record(task: Task, seed: int, rate: float, steps: int, at: Collection[int]) -> TrainingRecord:
    """Train, with snapshots at the steps of ``at`` and after the last one."""
    looks: list[Snapshot] = []
    with one_thread(), isolated(seed):
        examples, _ = _train_and_held_out(load_data(task, seed), seed)
        model = _initial_model(task, seed, _UNCHANGED, examples)
        reference = reference_batch(task, model, examples, REFERENCE, seed).inputs
        seed_all(seed)  # again: a loader was read
        # one probe for all snapshots: finding a model's activations takes longer than measuring them
        probe = Probe(model, rank=False)

        def look(step: int, *, last: bool) -> None:
            if step in at or last:
                with no_side_effects(model), probe.sampling(step):
                    run_model(model, copy_inputs(reference))
                looks.append(snapshot_of(probe.report(), step))
                probe.reset()

        losses = tuple(_losses(task, model, examples, seed=seed, rate=rate, steps=steps, look=look))
    return TrainingRecord(learning_rate=rate, losses=losses, looks=tuple(looks))


def safe_learning_rate(task: Task, seed: int, *, steps: int, killing: float) -> float | None:
    """Search the largest learning rate at which no layer dies and the loss does not diverge, down to a hundred-thousandth.

    Args:
        task: what to train.
        seed: of the training.
        steps: length of each training.
        killing: a rate at which layers die or the loss diverges.

    Returns:
        The largest rate found: within a factor of 10 ** 0.25 below the first one that is too large. None if there is none, so that the
        fault has another cause.
    """
    high = killing
    for _ in range(_DECADES):
        low = high / 10
        if not _kills(task, seed, steps, low):
            break
        high = low
    else:
        return None
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _kills(task, seed, steps, middle) else (middle, high)
    return low


def _kills(task: Task, seed: int, steps: int, rate: float) -> bool:
    return _record(task, seed, rate, steps, range(0, steps + 1, _EVERY)).killed


def short_trial(task: Task, seed: int, remedy: Remedy, *, steps: int) -> Outcome:
    """Train a task's model with a remedy for a few steps, and evaluate it on held-out examples.

    Those are the validation split or, without one, a fifth of the training split. A training that diverges is evaluated where it ended.

    Raises:
        ActlabError: the remedy does not fit the model.

    Example:
        >>> from actlab.tasks import resolve
        >>> short_trial(resolve("digits"), 0, Remedy(learning_rate=0.01), steps=30).value > 0.5
        True
    """
    rate = remedy.learning_rate or task.learning_rate
    with one_thread(), isolated(seed):
        examples, held_out = _train_and_held_out(load_data(task, seed), seed)
        model = _initial_model(task, seed, remedy, examples)
        losses = _losses(task, model, examples, seed=seed, rate=rate, steps=steps)
        diverged = not losses or not math.isfinite(losses[-1])
        return Outcome(value=_metric(task, model, held_out, losses), steps=len(losses), diverged=diverged)


def untrained_metric(task: Task, seed: int) -> float:
    """Return the metric of a task's untrained model on the held-out examples of a short trial."""
    with one_thread(), isolated(seed):
        examples, held_out = _train_and_held_out(load_data(task, seed), seed)
        return _metric(task, _initial_model(task, seed, _UNCHANGED, examples), held_out, [])


def _metric(task: Task, model: nn.Module, held_out: Split | Loader, losses: list[float]) -> float:
    if task.curve_metric is not None and losses:
        return as_number(task.curve_metric(losses), f"curve_metric of {task.name}")
    return evaluate_model(task, model.eval(), held_out)


def _train_and_held_out(data: Data, seed: int) -> tuple[Split | Loader, Split | Loader]:
    """Return the examples to train on, and those to evaluate on.

    Raises:
        TaskError: there is no validation split, and the training split is read from a loader.
    """
    train = data.train
    if data.validation is not None:
        return train, data.validation
    if isinstance(train, Loader) and not train.is_dataset:
        raise TaskError(
            f"{train.of[:1].upper()}{train.of[1:]} is read from a {type(train.source).__name__}, of which no examples can be held out. "
            "Return a validation split from data(seed), or a dataset in the place of the loader."
        )
    order = torch.randperm(train.examples or 0, generator=torch.Generator().manual_seed(seed))
    held, rest = order[: max(1, len(order) // _HELD_OUT)], order[max(1, len(order) // _HELD_OUT) :]
    if isinstance(train, Loader):
        return train.subset(rest), train.subset(held)
    return Split(x=train.x[rest], y=train.y[rest]), Split(x=train.x[held], y=train.y[held])


def _initial_model(task: Task, seed: int, remedy: Remedy, train: Split | Loader) -> nn.Module:
    inputs = required_inputs(task, train, seed)
    seed_all(seed)
    model = remedy.apply(task.model(seed), inputs, seed)
    seed_all(seed)  # again: the remedy may have drawn random numbers, and dropout must not depend on it
    return model.train()


def _losses(
    task: Task,
    model: nn.Module,
    split: Split | Loader,
    *,
    seed: int,
    rate: float,
    steps: int,
    look: Callable[..., None] | None = None,
) -> list[float]:
    """Train, and return the loss of every step; NaN as that of a step at which the training diverged."""
    recorder, settings = Recorder(), TrainingSettings(lr=rate, limit=steps)
    before_step = None if look is None else partial(look, last=False)
    ended = []
    task = replace(task, compile=False)  # a probe looks at the model, which the compiler would not show
    try:
        train(task, model, split, seed, settings=settings, recorder=recorder, look=before_step)
    except DivergedError:
        ended = [math.nan]
    if look is not None:
        look(len(recorder.losses), last=True)
    return [*recorder.losses, *ended]
