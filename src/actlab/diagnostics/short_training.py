"""First steps: a short training of a task's model, as it is or as prescribed, with a look at its units on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import torch
from torch import nn

from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.training_record import Course, Look, look_at
from actlab.nn.probes.probe import Probe
from actlab.nn.sites.dry_run import undisturbed
from actlab.studies.trial import batches, judge, one_thread
from actlab.tasks.check import as_number
from actlab.tasks.task import Data, Split, Task, isolated, load_data, seed_all

__all__ = ["REFERENCE", "Outcome", "first_steps", "short_trial", "tolerated_rate", "untrained"]

REFERENCE: Final = 512  # inputs on which units are looked at
_EVERY: Final = 10  # steps between two looks
_HELD_OUT: Final = 5  # one example in so many of the training split, where there is no validation split
_DECADES: Final = 5  # down which a learning rate is looked for that kills nothing
_HALVINGS: Final = 2  # of the decade in which it lies, on a log scale
_NOTHING: Final = Remedy()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a short training came to.

    Attributes:
        value: the task's metric on examples that were not trained on, never those of the test split; NaN where it is no number.
        steps: that were made.
        diverged: whether the loss stopped being a number.
    """

    value: float
    steps: int
    diverged: bool


def first_steps(task: Task, seed: int, *, steps: int, learning_rate: float | None = None) -> Course:
    """Train a task's model for a few steps and look at its units: every ten steps, and at every step if some are lost for good.

    Args:
        task: what to train.
        seed: of data, weights and order.
        steps: how many; no more than the task makes itself.
        learning_rate: the task's own if not given.

    Example:
        >>> from actlab.tasks import resolve
        >>> course = first_steps(resolve("digits"), 0, steps=20)
        >>> [look.step for look in course.looks], course.killed, course.losses[-1] < course.losses[0]
        ([0, 10, 20], False, True)
    """
    rate = task.learning_rate if learning_rate is None else learning_rate
    course = _course(task, seed, rate, steps, range(0, steps + 1, _EVERY))
    if not course.deaths:
        return course
    return course.with_looks(
        _course(task, seed, rate, steps, range(steps + 1)).looks
    )  # a layer may come back for a moment


def _course(task: Task, seed: int, rate: float, steps: int, looked: Collection[int]) -> Course:
    looks: list[Look] = []
    with one_thread(), isolated(seed):
        train, _ = _parts(load_data(task, seed), seed)
        reference = train.x[:REFERENCE]
        model = _prepared(task, seed, _NOTHING, train)
        watch = Probe(
            model, rank=False
        )  # one for all looks: to find a model's activations takes longer than to look at them

        def look(step: int, *, last: bool) -> None:
            if step in looked or last:
                with undisturbed(model), watch.sampling(step):
                    model(reference)
                looks.append(look_at(watch.report(), step))
                watch.reset()

        losses = tuple(_train(task, model, train, seed=seed, rate=rate, steps=steps, look=look))
    return Course(learning_rate=rate, losses=losses, looks=tuple(looks))


def tolerated_rate(task: Task, seed: int, *, steps: int, killing: float) -> float | None:
    """Return a learning rate that kills nothing: found by tenths from one that does, then by halving the last decade twice.

    Args:
        task: what to train.
        seed: of the training.
        steps: how long it is watched.
        killing: the rate that kills.

    Returns:
        The largest rate that was found to kill nothing; None if a rate of a hundred-thousandth kills too, as the fault lies elsewhere.
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
    return _course(task, seed, rate, steps, range(0, steps + 1, _EVERY)).killed


def short_trial(task: Task, seed: int, prescription: Remedy, *, steps: int) -> Outcome:
    """Train a task's model with a prescription for a few steps, and judge it on examples that it has not seen.

    Those are the validation split's, or else a fifth of the training split. A training that diverges is judged as it is.

    Raises:
        ActlabError: the prescription does not fit the model.

    Example:
        >>> from actlab.tasks import resolve
        >>> short_trial(resolve("digits"), 0, Remedy(learning_rate=0.01), steps=30).value > 0.5
        True
    """
    rate = prescription.learning_rate or task.learning_rate
    with one_thread(), isolated(seed):
        train, judged = _parts(load_data(task, seed), seed)
        model = _prepared(task, seed, prescription, train)
        losses = list(_train(task, model, train, seed=seed, rate=rate, steps=steps))
        diverged = not losses or not math.isfinite(losses[-1])
        return Outcome(value=_value(task, model, judged, losses), steps=len(losses), diverged=diverged)


def untrained(task: Task, seed: int) -> float:
    """Return the metric of a task's model before its first step, on the examples that a short trial is judged by."""
    with one_thread(), isolated(seed):
        train, judged = _parts(load_data(task, seed), seed)
        return _value(task, _prepared(task, seed, _NOTHING, train), judged, [])


def _value(task: Task, model: nn.Module, judged: Split, losses: list[float]) -> float:
    if task.curve_metric is not None and losses:
        return as_number(task.curve_metric(losses), f"curve_metric of {task.name}")
    return judge(task, model.eval(), judged)


def _parts(data: Data, seed: int) -> tuple[Split, Split]:
    """Return what to train on, and what to judge by."""
    if data.validation is not None:
        return data.train, data.validation
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
    held, rest = order[: max(1, len(order) // _HELD_OUT)], order[max(1, len(order) // _HELD_OUT) :]
    return Split(x=data.train.x[rest], y=data.train.y[rest]), Split(x=data.train.x[held], y=data.train.y[held])


def _prepared(task: Task, seed: int, prescription: Remedy, train: Split) -> nn.Module:
    seed_all(seed)
    model = prescription.apply(task.model(seed), train.x[: task.batch_size], seed)
    seed_all(seed)  # again: the prescription may have drawn numbers, and dropout must not depend on it
    return model.train()


def _train(
    task: Task,
    model: nn.Module,
    split: Split,
    *,
    seed: int,
    rate: float,
    steps: int,
    look: Callable[..., None] | None = None,
) -> Iterator[float]:
    """Train, and yield the loss of every step; it ends with one that is not finite."""
    optimizer = task.optimizer(model.parameters(), rate)
    limit = steps if task.steps is None else min(steps, task.steps)
    made = 0
    for x, y in islice(batches(task, split, seed), limit):
        if look is not None:
            look(made, last=False)
        loss = task.loss(model(x), y)
        value = float(loss.detach())
        yield value
        if not math.isfinite(value):
            break
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
        optimizer.step()
        optimizer.zero_grad()
        made += 1
    if look is not None:
        look(made, last=True)
