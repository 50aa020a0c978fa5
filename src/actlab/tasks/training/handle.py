"""Handle of a trial in the user's training function, for what is asked of it and what it reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from actlab.errors import TaskError, did_you_mean
from actlab.reported_values import as_float, reported_number, reported_step
from actlab.system.name_list import listed
from actlab.tasks.training.checkpoint import Checkpoint, generator_states, restore_generators
from actlab.tasks.training.loop import DivergedError
from actlab.tasks.training.recorder import LOSS, Recorder

__all__ = ["TrialCheckpoint", "TrialHandle", "returned_values"]

_NAMES: Final = 100  # reported names of a trial
_REPORT: Final = "trial.report"


class TrialCheckpoint:
    """State of the training in a file, from which a trial goes on after its process was killed. Without checkpoints it does nothing.

    Args:
        file: of the trial, or None for no checkpoints.
        trial: whose reports go on, too.

    Example:
        >>> none = TrialHandle().checkpoint
        >>> none.due, none.load()
        (False, None)
    """

    def __init__(self, file: Checkpoint | None, trial: TrialHandle) -> None:
        self._file, self._trial = file, trial

    @property
    def due(self) -> bool:
        """Whether it is time to save: the interval has passed since the last time."""
        return self._file is not None and self._file.due

    def save(self, state: Mapping[str, Any]) -> None:
        """Save tensors, numbers, texts, and lists and dicts of them, such as the ``state_dict()`` of model and optimizer, and the step.

        The states of the global generators and what was reported so far are saved with it.
        """
        if self._file is not None:
            generators = generator_states(self._trial.device)
            self._file.save({"user": dict(state), "generators": generators, "reports": self._trial.state()})

    def load(self) -> dict[str, Any] | None:
        """Return what :meth:`save` was given last, with the global generators as they were then; None where the trial begins anew."""
        saved = None if self._file is None else self._file.load()
        if saved is None:
            return None
        restore_generators(saved["generators"], self._trial.device)
        self._trial.restore(saved["reports"])
        return dict(saved["user"])


class TrialHandle:
    """What a training function is given as ``trial``.

    Attributes:
        seed: of the trial, the same for every arm. The global generators of torch, NumPy and ``random`` are seeded with it already.
        lr: learning rate: the task's own, or the one that is tried where it is tuned.
        device: where the trial is to run, such as "cpu" or "cuda:0".
        steps_share: share of the training steps that the trial is to run: 1 in the main stage, less where learning rates are tried.
        checkpoint: to go on after a kill, see :class:`TrialCheckpoint`.

    Args:
        metric_name: name of the result that is compared.
        recorder: of the series.

    Example:
        >>> trial = TrialHandle(metric_name="accuracy", lr=0.1)
        >>> trial.report(step=10, loss=0.7, accuracy=0.5)
        >>> trial.lr, trial.latest("accuracy")
        (0.1, 0.5)
    """

    def __init__(
        self,
        *,
        metric_name: str = "metric",
        seed: int = 0,
        lr: float = 1e-3,
        stage: str = "main",
        device: str = "cpu",
        steps_share: float = 1.0,
        recorder: Recorder | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.seed, self.lr, self.device, self.steps_share = seed, lr, device, steps_share
        self._stage = stage
        #: Whether the training function has read the stage, and so can keep off the test split.
        self.has_told_stage = False
        self._recorder = Recorder() if recorder is None else recorder
        self.checkpoint = TrialCheckpoint(checkpoint, self)
        self._metric = metric_name
        self._open: dict[str, tuple[int, float, float]] = {}  # may be replaced by a report of the same step
        self._reports, self._steps = 0, 0
        #: Why the training is to end, where a value that was reported is not finite.
        self.diverged: DivergedError | None = None

    def __repr__(self) -> str:
        rate = f"lr={self.lr:g}, " if self.lr else ""  # 0 for the training's own
        return f"TrialHandle(seed={self.seed}, {rate}stage={self._stage!r}, device={self.device!r})"

    @property
    def stage(self) -> str:
        """What the trial is for: "main", or another word where the learning rate is chosen; then the test split must not be used."""
        self.has_told_stage = True
        return self._stage

    def report(self, *, step: int | None = None, **values: Any) -> None:
        """Report values of a training step, such as ``loss`` and the metric on held-out data, by its name.

        Every value is a point of a curve; one that is reported again for the same step replaces the earlier one. What ``train`` returns is
        the result; where it returns nothing, the last report of the metric is. A report without values is left out.

        Args:
            step: number of training steps so far, over all epochs; by default the number of reports.
            values: numbers, or tensors and arrays with one element, by name. ``loss`` is the training loss.

        Raises:
            TaskError: a value is no number, or the step is no whole number or smaller than before.
            DivergedError: the loss or the metric is not finite; the trial ends.
        """
        if not values:  # as of a log that has only times
            return
        self._reports += 1
        given = reported_step(step, values, by=_REPORT)
        at = self._reports if given is None else given
        numbers = {name: reported_number(name, value, by=_REPORT) for name, value in values.items()}
        seconds = self._recorder.seconds
        for name, number in numbers.items():
            self._take(name, at, seconds, number)
        for name in (LOSS, self._metric):
            if not math.isfinite(numbers.get(name, 0.0)):
                self.diverged = DivergedError(f"the {name} is {numbers[name]} at step {at}")
                raise self.diverged

    def latest(self, name: str) -> float | None:
        """Return the last value that was reported under a name, or None."""
        return self._open[name][2] if name in self._open else None

    @property
    def latest_values(self) -> dict[str, float]:
        """The last values, by name."""
        return {name: point[2] for name, point in self._open.items()}

    @property
    def steps(self) -> int:
        """The largest step that was reported."""
        return self._steps

    def close(self) -> None:
        """Record the points that no later report can replace any more."""
        for name, (step, seconds, value) in self._open.items():
            self._record(name, step, seconds, value)

    def state(self) -> dict[str, Any]:
        """Return all that was reported so far, for a checkpoint."""
        is_open = {name: list(point) for name, point in self._open.items()}
        return {"recorder": self._recorder.state(), "open": is_open, "reports": self._reports, "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        self._recorder.restore(state["recorder"])
        self._open = {name: (int(step), seconds, value) for name, (step, seconds, value) in state["open"].items()}
        self._reports, self._steps = int(state["reports"]), int(state["steps"])

    def _take(self, name: str, step: int, seconds: float, value: float) -> None:
        before = self._open.get(name)
        if before is None and len(self._open) >= _NAMES:
            raise TaskError(
                f"trial.report got more than {_NAMES} names, such as {listed(list(self._open)[:3])}; each is a curve."
            )
        if before is not None and step < before[0]:
            raise TaskError(
                f"trial.report got {name} at step {step} after step {before[0]}; steps count over the whole training, so that they never "
                "decrease. Did you count from 0 in every epoch?"
            )
        if before is not None and step > before[0]:
            self._record(name, *before)
        self._open[name] = (step, seconds, value)
        self._steps = max(self._steps, step)

    def _record(self, name: str, step: int, seconds: float, value: float) -> None:
        self._recorder.record(step, {name: value}, seconds=seconds)
        losses = self._recorder.losses
        if name == LOSS and step == len(losses) + 1:  # a loss for every step, as the loop of ActLab records them
            losses.append(value)
        elif name == LOSS:
            losses.clear()


def returned_values(returned: Any, trial: TrialHandle, *, metric: str, of: str) -> dict[str, float]:
    """Return the results of a training function by name.

    Args:
        returned: what it returned: a mapping, one number, or None for what was reported last.
        trial: its handle.
        metric: name of the result that is compared.
        of: names the function in a message.

    Raises:
        TaskError: the result is missing or no number.
        DivergedError: it is not finite.

    Example:
        >>> returned_values({"accuracy": 0.5, "note": "fine"}, TrialHandle(), metric="accuracy", of="train")
        {'accuracy': 0.5}
        >>> returned_values(0.5, TrialHandle(), metric="accuracy", of="train")
        {'accuracy': 0.5}
    """
    if returned is None:
        values: dict[str, Any] = dict(trial.latest_values)
        found = f"returned None and reported {listed(list(values))}" if values else "returned None and reported nothing"
    elif isinstance(returned, Mapping):
        values = {str(name): value for name, value in returned.items()}
        found = f"returned {listed(list(values))}" if values else "returned an empty mapping"
    else:
        number = as_float(returned)
        if number is None:
            raise TaskError(
                f"{of} returned a {type(returned).__name__}: {str(returned)[:60]!r}; a mapping such as {{{metric!r}: 0.9}} is needed, or "
                "one number."
            )
        values, found = {metric: number}, ""
    if metric not in values:
        raise TaskError(f"{of} {found}, and not {metric}, which is compared.{did_you_mean(metric, values)}")
    result = as_float(values[metric])
    if result is None:
        raise TaskError(f"{of} returned {metric}={str(values[metric])[:60]!r}; a number is needed.")
    if not math.isfinite(result):
        raise DivergedError(f"the {metric} is {result}")
    numbers = {name: as_float(value) for name, value in values.items()}
    return {name: number for name, number in numbers.items() if number is not None and math.isfinite(number)}
