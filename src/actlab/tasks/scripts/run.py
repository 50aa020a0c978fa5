"""Run of a script as one trial, with what it reports and how it ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from actlab.errors import did_you_mean
from actlab.system.name_list import listed
from actlab.tasks.scripts.command import fill, split
from actlab.tasks.scripts.ending import ending, is_out_of_memory
from actlab.tasks.scripts.folder import environment, trial_folder
from actlab.tasks.scripts.process import CommandProcess, Ended
from actlab.tasks.scripts.reports import ReportReader
from actlab.tasks.scripts.script import TWO_LINES, given_rate
from actlab.tasks.task import Task
from actlab.tasks.training.checkpoint import checkpoint_file
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.recorder import LOSS, Recorder, held_out_name

__all__ = ["VALIDATION", "Result", "ScriptEndedError", "run_script"]

#: Name under which a script reports the metric on its validation split.
VALIDATION = "validation"

_TICK = 0.05  # seconds between two looks at the reports
_NAMES = 100  # reported names of a trial
_FAULTS = frozenset(
    {-4, -6, -7, -8, -11}
)  # signals of a fault in the code itself: SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV


class ScriptEndedError(Exception):
    """Ends a trial whose script did not give its result.

    Attributes:
        status: of the trial.
        is_provisional: whether a later run of the study tries it again.
    """

    def __init__(
        self,
        text: str,
        *,
        status: Literal["failed", "diverged", "out_of_memory"] = "failed",
        is_provisional: bool = False,
    ) -> None:
        super().__init__(text)
        self.status, self.is_provisional = status, is_provisional


@dataclass(kw_only=True)
class Result:
    """What a script has reported so far.

    Attributes:
        metric: name of the metric.
        recorder: of the series.
        last: latest value by name.
        step: latest step.
        model: record of the model that took the arm: digest of its weights, parameters, versions; None before.
        error: why a line of ActLab in the script raised, or None.
        cpu_seconds: CPU time of the script's processes.
    """

    metric: str
    recorder: Recorder
    last: dict[str, float] = field(default_factory=dict)
    step: int = 0
    model: Mapping[str, Any] | None = None
    error: str | None = None
    cpu_seconds: float = 0.0
    _open: dict[str, tuple[int, float, float]] = field(default_factory=dict)  # may be replaced by the next report
    _began: float | None = None  # clock of the first record; the later ones are of the same clock

    def take(self, record: Mapping[str, Any]) -> None:
        """Take a record of the script's process.

        Raises:
            ScriptEndedError: the training loss or the metric is not finite, or there are too many names.
        """
        if record["kind"] == "error":
            self.error = self.error or record["text"]
        elif record["kind"] == "model":
            if self.model is None:
                self.model, self._began = record, record["time"]
        elif record["kind"] == "report":
            self._take_values(record["step"], record["time"], record["values"])

    def _take_values(self, step: int, time: float, values: Mapping[str, float]) -> None:
        self._began = time if self._began is None else self._began
        self.step = max(step, self.step)
        self.last |= values
        if len(self.last) > _NAMES:
            raise ScriptEndedError(
                f"the script reports more than {_NAMES} names, such as {listed(list(self.last)[:3])}; each is the name of a series."
            )
        for name, value in values.items():
            before = self._open.get(name)
            if before is not None and before[0] != step:
                self._record(name, before)
            self._open[name] = (step, time - self._began, value)
        for name in (LOSS, self.metric):
            if not math.isfinite(values.get(name, 0.0)):
                raise ScriptEndedError(f"the {name} is {values[name]} at step {step}", status="diverged")

    def _record(self, name: str, point: tuple[int, float, float]) -> None:
        step, seconds, value = point
        held_out = held_out_name(name) if name == self.metric else name
        for series in dict.fromkeys((name, held_out)):
            self.recorder.record(step, {series: value}, seconds=seconds)

    def close(self) -> None:
        """Record the points that no later report can replace any more.

        The curve of the metric is that of the validation split where the script reports it.
        """
        for name, point in self._open.items():
            self._record(name, point)
        self._open.clear()
        self.recorder.copy(VALIDATION, held_out_name(self.metric))  # the metric itself may then be of the test split


def run_script(task: Task, request: Mapping[str, Any], result: Result, *, lr: float, conditions: Conditions) -> None:
    """Run a script for one trial, and fill in its result as it goes on.

    Args:
        task: whose ``door`` is "script".
        request: what its process is asked to do: the arm, the seed, the stage and the settings.
        result: filled in.
        lr: learning rate, as in the task.
        conditions: under which the trial is executed.

    Raises:
        ScriptEndedError: the script failed, diverged, or did not report the metric.
        TaskError: the command cannot be run.
    """
    with trial_folder({**request, "mode": "trial"}) as folder:
        out = _kept_folder(request, lr, conditions) or folder / "out"
        values = {"seed": request["seed"], "lr": given_rate(lr), "out": out}
        arguments = fill(split(task.script or ""), values)
        named = {**values, "stage": request["stage"], "arm": request["arm"]["label"]}
        device = None if conditions.device == "cpu" else conditions.device
        shown = environment(folder, named, threads=conditions.threads, device=device)
        reader = ReportReader(folder)
        try:
            with CommandProcess(arguments, shown) as process:
                ended = None
                while ended is None:
                    ended = process.wait(_TICK)
                    for record in reader.new():
                        result.take(record)
        finally:
            result.close()
    result.cpu_seconds = ended.cpu_seconds
    _check(result, ended)


def _kept_folder(request: Mapping[str, Any], lr: float, conditions: Conditions) -> Path | None:
    """Return the folder of a trial beside the checkpoints of others, which is removed when its result is stored; None without checkpoints.

    A trial whose processes were killed finds it again, so that a script that stores its state there goes on.
    """
    if conditions.checkpoints is None:
        return None
    trial = {"stage": request["stage"], "arm": request["arm"]["label"], "seed": request["seed"], "lr": lr}
    folder = checkpoint_file(conditions.checkpoints, **trial).with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check(result: Result, ended: Ended) -> None:
    """Raise if the script has not given a result."""
    if result.error is not None:
        raise ScriptEndedError(result.error)
    if ended.code != 0:
        is_outside = ended.code is None or (ended.code < 0 and ended.code not in _FAULTS)
        status: Any = "out_of_memory" if is_out_of_memory(ended) else "failed"
        raise ScriptEndedError(f"the script failed: {ending(ended)}", status=status, is_provisional=is_outside)
    if result.model is None:
        raise ScriptEndedError(
            f"the script did not call actlab.apply_, so its model had no activation of the arm. {TWO_LINES}"
        )
    if result.metric not in result.last:
        found = f"it reported {listed(list(result.last))}" if result.last else "it reported nothing"
        near = did_you_mean(result.metric, result.last)
        raise ScriptEndedError(
            f"the script ended without a report of {result.metric}: {found}.{near} Add actlab.report({_keyword(result.metric)}), or name "
            f"another --metric.\n{ending(ended)}"
        )


def _keyword(name: str) -> str:
    return f"{name}=..." if name.isidentifier() else f"**{{{name!r}: ...}}"
