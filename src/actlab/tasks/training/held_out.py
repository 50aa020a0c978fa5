"""Evaluations on the validation split during a training, which change no number of it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import numpy as np
import torch
from torch import nn

from actlab.tasks.data import Split
from actlab.tasks.task import Task
from actlab.tasks.training.evaluation import evaluate_model
from actlab.tasks.training.recorder import Recorder, held_out_name

__all__ = ["EVALUATIONS", "HeldOut", "held_out_steps", "undisturbed"]

#: Largest number of evaluations of a trial, with the one after the last step.
EVALUATIONS: Final = 20

_FEWEST: Final = 4
_SMALL: Final = 2000  # examples of a validation split that is evaluated 20 times whatever the training takes
_SHARE: Final = 0.15  # examples evaluated over examples trained: a step takes three times as long as an evaluation, so 5 % of the time


def held_out_steps(total: int, *, examples: int = 0, batch_size: int = 1) -> tuple[int, ...]:
    """Return the steps after which a trial is evaluated, equally spaced, with that after half of the steps and the last.

    There are 20; fewer, down to 4, where the validation split is large and the evaluations would take more than about 5 % of the training.

    Args:
        total: number of training steps.
        examples: size of the validation split.
        batch_size: examples of a training step.

    Example:
        >>> held_out_steps(408)[:3], held_out_steps(408)[9], held_out_steps(3)
        ((20, 40, 61), 204, (1, 2, 3))
        >>> held_out_steps(1000, examples=10_000, batch_size=100)
        (250, 500, 750, 1000)
    """
    affordable = int(_SHARE * total * batch_size / max(1, examples))
    count = EVALUATIONS if examples <= _SMALL else min(EVALUATIONS, max(_FEWEST, affordable - affordable % 2))
    return tuple(sorted({total * part // count for part in range(1, count + 1)} - {0}))


class HeldOut:
    """Evaluations of a model during its training, recorded as the series of the task's metric.

    The one after the last step is that of the trial's result, recorded by :meth:`record`.

    Args:
        task: gives metric and name.
        split: the validation split.
        total: number of training steps.
        recorder: of the values.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> task, recorder = resolve("digits"), Recorder()
        >>> held_out = HeldOut(task, load_data(task, 0).validation, total=100, recorder=recorder)
        >>> held_out.next
        5
        >>> held_out.evaluate(task.model(0), 5)
        >>> held_out.next, recorder.to_series()["accuracy"]["step"]
        (10, [5])
    """

    def __init__(self, task: Task, split: Split, *, total: int, recorder: Recorder) -> None:
        self._task, self._split, self._recorder = task, split, recorder
        self._steps = held_out_steps(total, examples=len(split), batch_size=task.batch_size)
        self._half, self._done = total // 2, 0
        #: Step after which :meth:`evaluate` is to be called; 0 for none.
        self.next = self._after(0)
        #: Result after half of the steps; None where it is not finite or its evaluation failed.
        self.half: float | None = None

    def _after(self, step: int) -> int:
        return next((it for it in self._steps[:-1] if it > step), 0)

    def evaluate(self, model: nn.Module, step: int) -> None:
        """Evaluate the model after a step of its training, which goes on as if it had not been."""
        self._recorder.tick(step)
        with self._recorder.paused(), suppress(Exception), undisturbed(model):  # the metric is user code
            self.record(step, evaluate_model(self._task, model.eval(), self._split))
        self.next = self._after(step)

    def record(self, step: int, value: float, *, seconds: float | None = None) -> None:
        """Record a result after a step; a trainer of several models at once calls it for each of them."""
        self._recorder.record(step, {held_out_name(self._task.metric_name): value}, seconds=seconds)
        if step == self._half and math.isfinite(value):
            self.half = value


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Restore modes and buffers of a model and the global generators after the block.

    Example:
        >>> model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
        >>> with undisturbed(model):
        ...     _ = model(torch.ones(3, 2))
        >>> model[0].num_batches_tracked.item()
        0
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module, _ in modes
        for name, buffer in module.named_buffers(recurse=False)
    ]
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 # user code may draw from it
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=list(devices)), torch.no_grad():
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002 # as above
        random.setstate(python_state)
        with torch.no_grad():
            for module, name, buffer, before in buffers:
                setattr(module, name, buffer.copy_(before))  # the forward pass may have put another tensor in its place
        for module, mode in modes:
            module.training = mode
