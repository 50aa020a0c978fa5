"""Tasks and arms whose trials can be trained as a stack, and the reasons why others cannot."""

from __future__ import annotations

from collections.abc import Sequence

from actlab.errors import PlanError
from actlab.functions.grammar import parse
from actlab.studies.arm import Arm
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.devices import Hardware

__all__ = ["arm_obstacle", "data_obstacle", "obstacle", "outline"]

# Fields of a task that the stacked trainer does not know, with how a sentence calls them; it knows those that are not here.
_FIELDS = {
    "step": "it has a training step of its own",
    "predict": "it has a predict function of its own",
    "clip_norm": "it clips gradients",
    "ema": "it averages its weights",
    "patience": "it can end early",
    "precision": "it trains in mixed precision",
    "device": "it names a device",
}


def obstacle(task: Task, conditions: Conditions | None = None) -> str | None:
    """Return why no trials of a task can be trained as a stack, or None.

    Args:
        task: the task; nothing of it is run.
        conditions: under which the trials are executed.

    Example:
        >>> from actlab.tasks import resolve
        >>> obstacle(resolve("digits")) is None, obstacle(resolve("jamming:digits"))
        (True, ...)
    """
    if task.door != "loop":
        return "its training is not that of ActLab's loop"
    for field, reason in _FIELDS.items():
        if getattr(task, field, None) is not None:
            return reason
    if task.accumulate != 1:
        return "it accumulates gradients"
    if task.compile:
        return "it compiles its model"
    if conditions is not None and conditions.device != "cpu":
        return f"its trials run on {conditions.device}"
    return None


def data_obstacle(data: Data) -> str | None:
    """Return why trials on data cannot be trained as a stack, or None."""
    splits = [data.train, data.test, *([] if data.validation is None else [data.validation])]
    return None if all(isinstance(split, Split) for split in splits) else "its data come from datasets or loaders"


def arm_obstacle(arm: Arm) -> str | None:
    """Return why the trials of an arm cannot be trained as a stack, as what it does, or None.

    Example:
        >>> from actlab.studies.arm import parse_arm
        >>> arm_obstacle(parse_arm("gelu")) is None, arm_obstacle(parse_arm("rrelu"))
        (True, 'draws random numbers')
    """
    for text in arm.specs():
        spec = parse(text)
        if spec.activation.kind == "stochastic":
            return "draws random numbers"
    return None


def outline(task: Task, arms: Sequence[Arm], data: Data | None, hardware: Hardware, *, stack: bool | None) -> str:
    """Return whether a study's trials are trained as stacks, in words, as far as it is known before it starts.

    Args:
        task: of the study.
        arms: of its plan.
        data: of the first seed; None where the task has none.
        hardware: where the trials run.
        stack: as asked for.

    Raises:
        PlanError: stacks are asked for and not possible.

    Example:
        >>> from actlab.studies.arm import parse_arm
        >>> from actlab.tasks import resolve
        >>> task = resolve("digits")
        >>> outline(task, [parse_arm("relu"), parse_arm("rrelu")], None, Hardware(), stack=None)
        'where that is faster, measured when the study starts; not rrelu, which draws random numbers'
        >>> outline(task, [], None, Hardware(), stack=False)
        'none: as asked for'
    """
    if stack is not None and not isinstance(stack, bool):
        raise PlanError(f"stack is {stack!r}; allowed: True, False, or None for stacks where they are faster.")
    reason = "as asked for" if stack is False else obstacle(task, Conditions(device=hardware.device_of(0)))
    if reason is None and data is not None:
        reason = data_obstacle(data)
    if reason is not None and stack:
        raise PlanError(
            f"The trials of {task.name} cannot be trained as a stack: {reason}. Omit --stack (stack=True), and they run one by one."
        )
    if reason is not None:
        return f"none: {reason}"
    refused = {arm.label: why for arm in arms if (why := arm_obstacle(arm)) is not None}
    where = "where that is possible" if stack else "where that is faster, measured when the study starts"
    return "; ".join([where, *(f"not {arm}, which {why}" for arm, why in refused.items())])
