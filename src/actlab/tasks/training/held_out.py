"""Evaluations on the validation split during a training, which change no number of it."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from actlab.tasks.data import Split
from actlab.tasks.loading.loader import Loader
from actlab.tasks.task import Task
from actlab.tasks.training.evaluation import evaluate_model
from actlab.tasks.training.recorder import Recorder, held_out_name

__all__ = ["EVALUATIONS", "HeldOut", "held_out_steps", "undisturbed"]

#: Largest number of evaluations of a trial, with the one after the last step.
EVALUATIONS: Final = 12

_EQUAL: Final = 8  # of them that are equally spaced
_EARLY: Final = 2  # others at least, each at half of the steps of the next: most is learned early
_FEWEST: Final = 6
_SMALL: Final = (
    100  # examples of a validation split that is evaluated as often as any, as a step of a small net takes as long
)
_SHARE: Final = 0.15  # examples evaluated over examples trained: a step takes three times as long as an evaluation, so 5 % of the time


def held_out_steps(total: int, *, examples: int = 0, batch_size: int = 1) -> tuple[int, ...]:
    """Return the steps after which a trial is evaluated: eight equally spaced ones, the last included, and four early ones.

    There are fewer, down to six in all, where the evaluations would take more than about 5 % of the training.

    Args:
        total: number of training steps.
        examples: size of the validation split.
        batch_size: examples of a training step.

    Example:
        >>> held_out_steps(408)[:6], held_out_steps(408)[7], held_out_steps(3)
        ((3, 6, 12, 25, 51, 102), 204, (1, 2, 3))
        >>> held_out_steps(1000, examples=10_000, batch_size=100)
        (62, 125, 250, 500, 750, 1000)
    """
    affordable = int(_SHARE * total * batch_size / max(1, examples))
    wanted = EVALUATIONS if examples <= _SMALL else min(EVALUATIONS, max(_FEWEST, affordable - affordable % 2))
    if total <= wanted:
        return tuple(range(1, total + 1))
    count = min(_EQUAL, wanted - _EARLY)  # an even number, so that half of the steps is among them
    early = [total // (count << halved) for halved in range(1, wanted - count + 1)]
    return tuple(sorted({*early, *(total * part // count for part in range(1, count + 1))} - {0}))


class HeldOut:
    """Evaluations of a model during its training, recorded as the series of the task's metric.

    They come every ``validate_every`` steps of the task, after half of the steps and after the last; by default as
    :func:`held_out_steps` says. The one after the last step is that of the trial's result, recorded by :meth:`record`, unless the task has
    a ``patience``, for which it counts as all others.

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
        6
        >>> 0 <= held_out.evaluate(task.model(0), 6) <= 1
        True
        >>> held_out.next, recorder.to_series()["accuracy"]["step"]
        (12, [6])
    """

    def __init__(self, task: Task, split: Split | Loader, *, total: int, recorder: Recorder) -> None:
        self._task, self._split, self._recorder = task, split, recorder
        every = task.validate_every
        self._steps = (
            held_out_steps(total, examples=split.examples or 0, batch_size=task.batch_size * task.accumulate)
            if every is None
            else tuple(sorted({*range(every, total, every), total // 2, total} - {0}))
        )
        self._half, self._latest = total // 2, 0
        self._last = 0 if task.patience is not None else total  # the step whose evaluation is that of the result
        #: Step after which :meth:`evaluate` is to be called; 0 for none.
        self.next = self._after(0)
        #: Result after half of the steps; None where it is not finite or its evaluation failed.
        self.half: float | None = None

    def _after(self, step: int) -> int:
        at = bisect_right(self._steps, step)
        return 0 if at == len(self._steps) or self._steps[at] == self._last else self._steps[at]

    def evaluate(self, model: nn.Module, step: int) -> float | None:
        """Evaluate the model after a step of its training, which goes on as if it had not been.

        Returns:
            The result, or None where the evaluation failed.
        """
        value = None
        self._recorder.tick(step)
        with self._recorder.paused(), suppress(Exception), undisturbed(model):  # the metric is user code
            value = evaluate_model(self._task, model.eval(), self._split)
            self.record(step, value)
        self.advance(step)
        return value

    def advance(self, step: int) -> None:
        """Wait for the evaluation after this one; a trainer of several models at once calls it when it has recorded them."""
        self.next = self._after(step)

    def record(self, step: int, value: float, *, seconds: float | None = None) -> None:
        """Record a result after a step; a trainer of several models at once calls it for each of them.

        Of the evaluations after one step the first is recorded: that of the best weights, which the model has after an early end, is no
        point of the curve.

        Args:
            step: at whose end the recorder has a tick.
            value: the result.
            seconds: of training up to then; by default those of the tick, as the evaluation itself took time since.
        """
        if step == self._latest:
            return
        self._latest = step
        since = self._recorder.seconds_at(step) if seconds is None else seconds
        self._recorder.record(step, {held_out_name(self._task.evaluated_name): value}, seconds=since)
        if step == self._half and math.isfinite(value):
            self.half = value

    def state(self) -> dict[str, Any]:
        """Return what is known of the evaluations so far, for a checkpoint."""
        return {"latest": self._latest, "next": self.next, "half": self.half}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        self._latest, self.next, self.half = int(state["latest"]), int(state["next"]), state["half"]


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
