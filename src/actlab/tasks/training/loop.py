"""Training loop of a task."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

from torch import nn

from actlab.nn.training.parameter_groups import exempt_learned_numbers_
from actlab.tasks.data import Split
from actlab.tasks.task import Task
from actlab.tasks.training.batches import batches
from actlab.tasks.training.evaluation import as_number
from actlab.tasks.training.held_out import HeldOut
from actlab.tasks.training.recorder import Recorder

__all__ = ["DivergedError", "finite", "train"]


class DivergedError(Exception):
    """Ends a training whose loss or metric is not finite."""


def finite(value: Any, what: str) -> float:
    """Return a value as a finite number.

    Raises:
        DivergedError: it is not finite.
    """
    number = as_number(value, what)
    if not math.isfinite(number):
        raise DivergedError(f"the {what} is {number}")
    return number


def train(
    task: Task,
    model: nn.Module,
    split: Split,
    seed: int,
    *,
    lr: float,
    recorder: Recorder,
    decay_learned: bool = True,
    held_out: HeldOut | None = None,
) -> None:
    """Train a model, and append the loss of every step to the recorder. Most of a study's time is spent in this loop.

    Args:
        task: gives loss, optimizer and number of steps.
        model: in training mode; trained in place.
        split: the training split.
        seed: of the order of the batches.
        lr: learning rate.
        recorder: of the losses.
        decay_learned: whether weight decay acts on the learned numbers of activations.
        held_out: evaluations during the training, or None.

    Raises:
        DivergedError: a loss is not finite.
    """
    optimizer = task.optimizer(model.parameters(), lr)
    if not decay_learned:
        exempt_learned_numbers_(optimizer, model)
    loss_of, losses = task.loss, recorder.losses
    look = 0 if held_out is None else held_out.next
    recorder.start()
    for x, y in islice(batches(task, split, seed), task.steps):
        loss = loss_of(model(x), y)
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(f"the loss is {value} at step {len(losses) + 1}")
        losses.append(value)
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
        optimizer.step()
        optimizer.zero_grad()
        if held_out is not None and len(losses) == look:
            held_out.evaluate(model, look)
            look = held_out.next
    recorder.tick(len(losses))
