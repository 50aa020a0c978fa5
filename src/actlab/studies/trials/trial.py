"""Reproducible trial of one arm on one seed, with exceptions and divergence recorded as results."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import torch

from actlab.studies.arm import Arm
from actlab.studies.trials.function_trial import run_function_trial
from actlab.studies.trials.loop_trial import run_loop_trial
from actlab.studies.trials.measurements import Measurements, TrialSettings, versions
from actlab.studies.trials.script_trial import run_script_trial
from actlab.system.interrupts import may_raise
from actlab.tasks.error_text import shortened, text_of
from actlab.tasks.isolation import isolated, torch_threads
from actlab.tasks.loading.worker_error import worker_error
from actlab.tasks.scripts.run import ScriptEndedError
from actlab.tasks.task import Door, Task
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.devices import device_record
from actlab.tasks.training.loop import DivergedError
from actlab.tasks.user_code import one_line, user_line

__all__ = ["Ending", "Trial", "ending_of", "run_trial"]

Status: TypeAlias = Literal["completed", "diverged", "failed", "out_of_memory"]

_TRACEBACK_FRAMES = 8  # innermost frames stored of an exception in user code
# Parts of messages that mean memory ran out; on the CPU, torch raises a plain RuntimeError.
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


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
        versions: software and machine, see :func:`versions`, with ``device``, the name of a ``card``, ``threads`` and ``trainer``.
        provisional: whether a later run of the study runs the trial again and replaces this row, as after a worker was killed.
        inputs: digests of what the trial was computed from (``code``: the modules that the task imports; ``data``; ``weights``: those
            of the task's model before the swap), or None where they were not recorded.
        controls: ``constant``, the metric of a prediction that is the same for every example (the mean of the model's outputs), and
            ``half_validation``, the validation metric after half of the steps; each where it can be computed.
        series: values by step: ``{name: {"step": [..], "seconds": [..], "value": [..]}}`` of at most 200 points, see
            :class:`actlab.tasks.training.recorder.Recorder`; "loss" is the training loss, the name of the task's metric that on
            held-out data. None where nothing was recorded.
        metrics: of a completed main trial, by name, where the task has more than one; None where it has not.
        axes: of a completed main trial, by axis, see :func:`actlab.evaluate.axis_run.run_axes`; None where none was asked for.
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
    series: dict[str, Any] | None = None
    metrics: dict[str, float] | None = None
    axes: dict[str, Any] | None = None

    def to_row(self) -> dict[str, Any]:
        """Return the trial as a row of the store."""
        return dict(vars(self))


#: How a trial runs, by who trains. Each is called inside ``isolated`` and fills in the measurements.
_RUNS: Final[Mapping[Door, Callable[[Task, Arm, TrialSettings, Measurements], None]]] = {
    "loop": run_loop_trial,
    "function": run_function_trial,
    "script": run_script_trial,
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
    conditions: Conditions | None = None,
) -> Trial:
    """Train and evaluate one arm on one seed. The global generators are restored.

    The result is a pure function of the arguments: the same numbers to the bit, in whatever process it runs.

    Args:
        task: the task to train.
        arm: activations for the model's sites.
        seed: fixes data, order, initial weights and dropout, whatever the arm.
        init: "fixed" or "matched".
        lr: learning rate; the task's own by default.
        stage: "main" evaluates on the test split, once, at the end; "tune" never reads it.
        decay_learned: whether the optimizer's weight decay acts on the learned numbers of activations as well.
        conditions: under which it is executed; by default one thread of the CPU, without checkpoints.

    Returns:
        The result. A loss that is not finite, memory that runs out and an exception in user code are results too: see its ``status``.

    Example:
        >>> from actlab.studies.arm import parse_arm
        >>> from actlab.tasks import resolve
        >>> trial = run_trial(resolve("digits"), parse_arm("gelu"), seed=0)
        >>> trial.status, trial.steps
        ('completed', 1600)
    """
    rate = task.learning_rate if lr is None else lr
    started, wall, cpu = time.time(), time.perf_counter(), time.process_time()
    measured = Measurements()
    settings = TrialSettings(
        seed=seed, lr=rate, stage=stage, init=init, decay_learned=decay_learned, conditions=conditions or Conditions()
    )
    ending = _run(task, arm, settings, measured)
    key: dict[str, Any] = {"stage": stage, "arm": arm.label, "seed": seed, "lr": rate}
    before = measured.checkpoint  # of attempts that were killed
    return Trial(
        **key,
        status=ending.status,
        metric=measured.metric if ending.status == "completed" else None,
        seconds=time.perf_counter() - wall + (0.0 if before is None else before.seconds),
        cpu_seconds=time.process_time() - cpu + measured.cpu_seconds + (0.0 if before is None else before.cpu_seconds),
        error=ending.reason,
        started=started,
        provisional=ending.is_provisional,
        **measured.to_fields(),
    )


class Ending(NamedTuple):
    """How a trial ended."""

    status: Status = "completed"
    reason: str | None = None
    is_provisional: bool = False


def _run(task: Task, arm: Arm, settings: TrialSettings, measured: Measurements) -> Ending:
    """Run a trial and return how it ended."""

    def run() -> None:
        with torch_threads(settings.conditions.threads), isolated(settings.seed):
            measured.versions |= _executed(task, settings.conditions)
            _RUNS[task.door](task, arm, settings, measured)

    return ending_of(run)


def ending_of(run: Callable[[], None]) -> Ending:
    """Run a trial, or the rest of one, and return how it ended.

    Example:
        >>> ending_of(lambda: None).status
        'completed'
    """
    try:
        run()
    except DivergedError as error:
        return Ending("diverged", str(error))
    except ScriptEndedError as error:
        return Ending(error.status, str(error), error.is_provisional)
    except BaseException as error:  # user code may raise anything; the reason is the result
        return Ending(*_failure(error))
    return Ending()


def _executed(task: Task, conditions: Conditions) -> dict[str, str]:
    """Return device and threads as rows record them."""
    device = {"device": conditions.device} if task.door == "script" else device_record(conditions.device)
    return {**device, "threads": str(torch.get_num_threads())}


def _failure(error: BaseException) -> tuple[Status, str]:
    """Return status and reason of a trial in which user code raised; Ctrl-C is raised again."""
    if isinstance(error, KeyboardInterrupt) and may_raise():
        raise error
    return "out_of_memory" if _is_out_of_memory(error) else "failed", _reason(error)


def _is_out_of_memory(error: BaseException) -> bool:
    text = text_of(error)[:10_000].lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(phrase in text for phrase in _OUT_OF_MEMORY)


def _reason(error: BaseException) -> str:
    """Return a summary line and the innermost frames; of an exception in a worker process of a loader the user's line there."""
    if worker_error(text_of(error)) is not None:
        return f"{one_line(error)}{user_line(error)}"
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[-_TRACEBACK_FRAMES:])
    return f"{one_line(error)}\n{shortened(''.join(frames))}".rstrip()
