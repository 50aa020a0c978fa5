"""Start of a script up to the line at which its model takes an arm, before any trial."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from actlab.errors import TaskError
from actlab.tasks.scripts.command import fill, split
from actlab.tasks.scripts.ending import ending
from actlab.tasks.scripts.folder import environment, trial_folder
from actlab.tasks.scripts.process import CommandProcess, Ended
from actlab.tasks.scripts.reports import ReportReader
from actlab.tasks.scripts.script import TWO_LINES, given_rate
from actlab.tasks.task import Task

__all__ = ["rehearse"]

_LIMIT = 600.0  # seconds to the model; a script may load data before
_TICK = 0.05  # seconds between two looks at the reports


def rehearse(task: Task, request: Mapping[str, Any], *, limit: float | None) -> dict[str, Any]:
    """Run a script until it calls ``actlab.apply_``, and return the answer, with the sites of the model and what arms do there.

    Args:
        task: whose ``door`` is "script".
        request: what its process is asked to do, with the arms, the seed and the settings.
        limit: seconds, or None for ten minutes.

    Raises:
        TaskError: the script fails, ends without the call, or takes too long; or an arm does not fit.
    """
    command = task.script or ""
    with trial_folder({**request, "mode": "rehearsal"}) as folder:
        values = {"seed": request["seed"], "lr": given_rate(task.learning_rate), "out": folder / "out"}
        arguments = fill(split(command), values)
        reader, end = ReportReader(folder), time.monotonic() + (limit or _LIMIT)
        named = {**values, "stage": "check", "arm": request["arms"][0]["label"]}
        with CommandProcess(arguments, environment(folder, named, threads=1)) as process:
            while time.monotonic() < end:
                ended = process.wait(_TICK)
                for record in reader.new():
                    if record["kind"] == "error":
                        raise TaskError(record["text"])
                    if record["kind"] == "sites":
                        return record
                if ended is not None:
                    raise TaskError(_why(command, ended))
    raise TaskError(
        f"The script has not called actlab.apply_ within {limit or _LIMIT:.0f} s. It belongs after the model is built; does the script "
        f"wait for something? More time: --trial-limit. Command: {command}"
    )


def _why(command: str, ended: Ended) -> str:
    if ended.code == 0:
        return f"The script ended without a call of actlab.apply_. {TWO_LINES} Command: {command}"
    return f"The script does not get to actlab.apply_: {ending(ended)}\nCommand: {command}"
