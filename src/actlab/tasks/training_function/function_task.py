"""Task of a training function, with its metric and direction read from the names that it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal, TypedDict, Unpack

from torch import nn

from actlab.errors import TaskError, did_you_mean
from actlab.system.name_list import listed
from actlab.tasks.metrics.metric_direction import Direction, direction_of, first_known
from actlab.tasks.setting_names import SETTINGS
from actlab.tasks.task import OWN_RATE, Task
from actlab.tasks.training_function.arguments import bound_arguments, takes
from actlab.tasks.training_function.returned_names import plain_function, read_names
from actlab.tasks.training_function.user_functions import names_read
from actlab.tasks.user_code import takes_seed

__all__ = ["FUNCTION_OPTIONS", "FunctionOptions", "function_task", "is_training_function", "task_and_options"]


class FunctionOptions(TypedDict, total=False):
    """Keyword options beside a training function, with the names of a task's fields.

    Attributes:
        model: of a seed, returns a new model; a class of modules will do. Needed.
        metric_name: the result that is compared; by default the first one that the function returns whose direction its name tells.
        direction: "max" or "min"; by default that of the name.
        learning_rate: of ``trial.lr``; by default 0.001.
        example_inputs: of a seed, returns a batch as the model takes it, on which its activations are found; or the batch itself.
        data: of a seed, returns the splits; for importance, and for axes (``evaluate=``).
        output_kind: what the model gives, for axes; see :class:`actlab.tasks.task.Task`, as for the next three.
        input_kind: what inputs are.
        groups: of examples.
        out_of_distribution: of a seed, returns inputs that the model was not made for.
    """

    model: Callable[[int], nn.Module]
    metric_name: str
    direction: Direction
    learning_rate: float
    example_inputs: Callable[[int], Any]
    data: Callable[[int], Any]
    output_kind: Literal["logits", "log_probabilities", "probabilities", "values"]
    input_kind: Literal["image", "table", "series", "text"]
    groups: int | str | Callable[[Any, Any], Any]
    out_of_distribution: Callable[[int], Any]


FUNCTION_OPTIONS: Final = tuple(FunctionOptions.__annotations__)
_LOOP_OPTIONS: Final = frozenset(SETTINGS) - {*FUNCTION_OPTIONS, "rope", "name"}


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
        options: see :class:`FunctionOptions`. Where ``train`` does not read ``trial.lr``, its learning rate is not known.

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
    if isinstance(given["model"], nn.Module) or not callable(given["model"]):
        kind = type(given["model"]).__name__
        raise TaskError(
            f"model is a {kind}; every trial needs a new one, from a function of the seed: model=lambda seed: Net(...)."
        )
    if not takes_seed(given["model"]):
        given["model"] = partial(_built, given["model"])
    if "example_inputs" in given and not callable(given["example_inputs"]):
        given["example_inputs"] = partial(_fixed, given["example_inputs"])
    plain = plain_function(train)
    if inspect.isgeneratorfunction(plain) or inspect.iscoroutinefunction(plain):
        kind = "has a yield" if inspect.isgeneratorfunction(plain) else "is async"
        raise TaskError(
            f"{name} {kind}, so that a call of it trains nothing. Call it in a plain function, which returns the result."
        )
    bound_arguments(train, dict.fromkeys(("model", "seed", "trial")), of=name)
    if not _may_read_rate(train):
        given.setdefault("learning_rate", OWN_RATE)
    given["metric_name"], given["direction"] = _metric(train, given.get("metric_name"), given.get("direction"), of=name)
    return Task(**{"name": name, **given, "train": train, **(fields or {})})


def _may_read_rate(train: Callable[..., Any]) -> bool:
    read = names_read(train)
    return takes(train, "trial") and (read is None or "lr" in read)


def task_and_options(source: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the task of a training function, and the options that are not for it; another source is returned as it is.

    Args:
        source: a training function, or anything else that a task is made of.
        options: of the call, with those of :class:`FunctionOptions`.

    Raises:
        TaskError: an option is for the loop of ActLab, or for a training function where there is none.

    Example:
        >>> def train(model, seed): return {"accuracy": 0.5}
        >>> task, rest = task_and_options(train, {"model": lambda seed: nn.Linear(2, 2), "seeds": 3})
        >>> task.metric_name, rest
        ('accuracy', {'seeds': 3})
    """
    rest = {name: value for name, value in options.items() if name not in FUNCTION_OPTIONS}
    own = {name: value for name, value in options.items() if name in FUNCTION_OPTIONS}
    if is_training_function(source):
        loop = [name for name in rest if name in _LOOP_OPTIONS]
        if loop:
            name = getattr(plain_function(source), "__name__", "train")
            raise TaskError(
                f"{listed(loop)} cannot be given beside a training function: the loop is {name}'s own. Set it there, or fix an argument: "
                f"functools.partial({name}, {loop[0]}=...)."
            )
        return function_task(source, **own), rest
    if own:
        what = "a Task" if isinstance(source, Task) else repr(source)
        raise TaskError(
            f"{listed(list(own))} can be given beside a training function only, as in compare(train, arms, model=build); {what} brings its "
            "own."
        )
    return source, rest


def _built(build: Callable[[], nn.Module], _: int) -> nn.Module:
    return build()


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
        by_name = "" if read.names else " Or return it by a known name, as in return {'accuracy': value}."
        raise TaskError(
            f"Which result of {of} is compared is not known: {found}. Add metric_name, the name of the result, and direction: 'max' where "
            f"a larger one is better, 'min' where a smaller one is.{by_name}"
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
