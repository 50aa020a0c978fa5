"""Training script of the user as a task."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from actlab.errors import PlanError, TaskError
from actlab.tasks.metrics.metric_direction import Direction
from actlab.tasks.scripts.command import check_command, joined, places, script_file, split
from actlab.tasks.scripts.metric_name import find_metric, reported_names
from actlab.tasks.task import OWN_RATE, Task

__all__ = ["TWO_LINES", "Script", "check_rate_given", "given_rate", "script_fact", "warn_of_seed"]

_log = logging.getLogger(__name__)

#: What a script needs, for messages.
TWO_LINES = (
    "A script takes part with two lines: actlab.apply_(model) after the model is built, and "
    "actlab.report(step=epoch, accuracy=accuracy) where it prints its result."
)


@dataclass(frozen=True)
class Script:
    """A training script that ActLab runs once for every arm and seed.

    The script has two lines for it: :func:`actlab.apply_` after the model is built, and :func:`actlab.report` where it prints. The command
    is run in the current folder without a shell. ``{seed}``, ``{lr}`` and ``{out}`` in it stand for the seed, the learning rate and an
    empty folder that is removed after the trial; the environment variables ``ACTLAB_SEED``, ``ACTLAB_LR`` and ``ACTLAB_OUT`` have them
    too. ``python`` is the interpreter that runs ActLab.

    Attributes:
        command: text, or a sequence of words.
        metric: name of the reported value that is compared; by default the first name in the script's calls of ``report`` whose direction
            is known, such as accuracy.
        direction: "max" when a larger value is better, "min" when a smaller one is; by default that of the name.
        lr: learning rate for ``{lr}`` and ``ACTLAB_LR``; needed where the command has ``{lr}``, and for ``tune="lr"``.
        rope: region of practical equivalence, as of a :class:`~actlab.Task`.
        name: of the task; by default that of the script's file.

    Example:
        >>> Script("python train.py --epochs 3 --seed {seed}", metric="f1").words[:2]
        ('python', 'train.py')
    """

    command: str | Sequence[str]
    _: KW_ONLY
    metric: str | None = None
    direction: Direction | None = None
    lr: float | None = None
    rope: float | None = None
    name: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Words of the command.

        Raises:
            TaskError: it cannot be split.
        """
        return split(self.command)

    def to_task(self) -> Task:
        """Return the task of the script, after everything is checked that can be without running it.

        Raises:
            TaskError: command, script, metric or learning rate is wrong; the message says what to change.
        """
        words = self.words
        check_command(words)
        self._check_rate(words)
        file = script_file(words)
        metric, direction = find_metric(_reporting_text(file), self.metric, self.direction)
        command = joined(words)
        return Task(
            name=self.name or (Path(words[0]).name if file is None else file.stem),
            script=command,
            metric_name=metric,
            direction=direction,
            learning_rate=OWN_RATE if self.lr is None else self.lr,
            rope=self.rope,
            description=command,
            source=f"{command}\n{_text(file)}",
            file=None if file is None else str(file.resolve()),
        )

    def _check_rate(self, words: Sequence[str]) -> None:
        rate = self.lr
        if rate is None:
            if "lr" in places(words):
                raise TaskError(
                    "The command has {lr}, and no learning rate is given; add --lr 0.001, or Script(..., lr=0.001)."
                )
        elif isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
            raise TaskError(f"The learning rate of the script is {rate!r}; a number above 0 is needed.")


def given_rate(rate: float) -> float | None:
    """Return the learning rate of a trial as it is given to a script and shown to people, or None for the training's own.

    Example:
        >>> given_rate(0.01), given_rate(Script("python --version", metric="accuracy").to_task().learning_rate)
        (0.01, None)
    """
    return None if rate == OWN_RATE else rate


def script_fact(task: Task) -> dict[str, Any]:
    """Return what it takes to run the script of a task again, as plain values."""
    return {
        "command": task.script,
        "folder": str(Path.cwd()),
        "metric": task.metric_name,
        "direction": task.direction,
        "lr": given_rate(task.learning_rate),
    }


def warn_of_seed(task: Task, texts: Iterable[str]) -> None:
    """Warn where the seed does not reach a script, as far as its command and its texts tell.

    Args:
        task: whose ``door`` is "script".
        texts: of the script and of the modules that it imports.
    """
    if "seed" not in places(split(task.script or "")) and not any("ACTLAB_SEED" in text for text in texts):
        _log.warning(
            "The seed does not reach the script: there is no {seed} in the command %r, and the script does not read the variable "
            "ACTLAB_SEED. Its trials are not paired by seed.",
            task.script,
        )


def check_rate_given(task: Task) -> None:
    """Check that the learning rate of a script can be chosen.

    Raises:
        PlanError: it is the script's own.
    """
    command = task.script or ""
    if given_rate(task.learning_rate) is None:
        raise PlanError(
            "tune='lr' needs the learning rate to reach the script: write {lr} into the command and give the rate in the middle of the "
            f"grid with --lr, or Script(..., lr=0.001). Command: {command}"
        )
    file = script_file(split(command))
    if "lr" not in places(split(command)) and file is not None and "ACTLAB_LR" not in _text(file):
        raise PlanError(
            f"tune='lr' needs the learning rate to reach the script: write {{lr}} into the command. Command: {command}"
        )


def _text(file: Path | None) -> str:
    return "" if file is None else file.read_text(encoding="utf-8", errors="replace")


def _reporting_text(file: Path | None) -> str:
    """Return the text of the script, or of the first file beside it that reports where the script itself does not."""
    texts = [_text(file), *(_text(path) for path in sorted(Path("." if file is None else file.parent).glob("*.py")))]
    return next((text for text in texts if reported_names(text)), texts[0])
