"""Task of a training function, with its metric and direction read from the names that it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypedDict, Unpack

from torch import nn

from actlab.errors import TaskError, did_you_mean
from actlab.system.name_list import listed
from actlab.tasks.metrics.metric_direction import Direction, direction_of, first_known
from actlab.tasks.task import Task
from actlab.tasks.training_function.arguments import bound_arguments
from actlab.tasks.training_function.returned_names import plain_function, read_names

__all__ = ["FUNCTION_OPTIONS", "FunctionOptions", "function_task", "is_training_function"]


class FunctionOptions(TypedDict, total=False):
    """Keyword options beside a training function, with the names of a task's fields."""

    model: Callable[[int], nn.Module]
    metric_name: str
    direction: Direction
    learning_rate: float
    example_inputs: Callable[[int], Any]
    data: Callable[[int], Any]


FUNCTION_OPTIONS: Final = tuple(FunctionOptions.__annotations__)


def is_training_function(value: Any) -> bool:
    """Return whether a value is meant as a training function: something to call that is no task and no module."""
    return callable(value) and not isinstance(value, type | Task | nn.Module)


def function_task(
    train: Callable[..., Any], *, fields: Mapping[str, Any] | None = None, **options: Unpack[FunctionOptions]
) -> Task:
    """Return the task of a training function.

    Args:
        train: called with ``model``, ``seed`` and ``trial``, as far as it takes them; returns the metrics by name, or one number.
        fields: further fields of the task, such as its source.
        options: ``model(seed)``, which returns a new model, is needed. ``metric_name`` is the result that is compared, by default the
            first one that ``train`` returns whose direction its name tells. ``direction`` is "max" or "min", by default that of the name.
            ``learning_rate`` is that of ``trial.lr``, by default 0.001. ``example_inputs(seed)`` returns inputs of the model, with which
            its activations are found by a run and not only in the source. ``data(seed)`` is for ``actlab importance`` only.

    Raises:
        TaskError: the model is missing, or metric or direction cannot be known.

    Example:
        >>> def train(model, seed): return {"accuracy": 0.5}
        >>> task = function_task(train, model=lambda seed: nn.Linear(2, 2), metric_name="accuracy")
        >>> task.name, task.metric_name, task.direction, task.door
        ('train', 'accuracy', 'max', 'function')
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    name = getattr(plain_function(train), "__name__", type(train).__name__)
    if "model" not in given:
        raise TaskError(
            f"{name} is a training function, and there is no model for it. Add model=build, where build(seed) returns a new model "
            "with the activations it has today."
        )
    if "example_inputs" in given and not callable(given["example_inputs"]):
        given["example_inputs"] = partial(_fixed, given["example_inputs"])
    bound_arguments(train, dict.fromkeys(("model", "seed", "trial")), of=name)
    given["metric_name"], given["direction"] = _metric(train, given.get("metric_name"), given.get("direction"), of=name)
    return Task(**{"name": name, **given, "train": train, **(fields or {})})


def _fixed(value: Any, _: int) -> Any:
    return value


def _metric(train: Callable[..., Any], name: Any, direction: Any, *, of: str) -> tuple[str, Any]:
    """Return name and direction of the metric that is compared."""
    read = read_names(train)
    if name is not None and not (isinstance(name, str) and name.strip() and name.isprintable()):
        raise TaskError(f"metric_name of {of} is {name!r}; the name under which it returns its result is needed.")
    chosen = name or first_known(read.names, any_direction=direction is not None)
    if chosen is None:
        found = f"it returns or reports {listed(read.names)}" if read.names else "no names can be read in its source"
        raise TaskError(
            f"Which result of {of} is compared is not known: {found}. Add metric_name, such as 'accuracy', and direction: 'max' where "
            "a larger one is better, 'min' where a smaller one is."
        )
    if read.is_all and chosen not in read.names:
        raise TaskError(
            f"metric_name is {chosen!r}, and {of} returns {listed(read.names)}.{did_you_mean(chosen, read.names)}"
        )
    known = direction or direction_of(chosen)
    if known is None:
        raise TaskError(
            f"Whether a larger or a smaller {chosen} is better, its name does not tell. Add direction: 'max' (larger is better) or 'min'."
        )
    return chosen, known
