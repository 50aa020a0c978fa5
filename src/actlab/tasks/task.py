"""Dataclasses of a task (model, data, loss, metric, optimizer) and of its data splits.

Seed s fixes split, order, initial weights and dropout for every arm, so that arms are compared in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from actlab.errors import TaskError, did_you_mean
from actlab.system.name_list import listed
from actlab.tasks.setting_names import nearest_setting, why_no_setting

__all__ = ["Data", "Split", "Task", "accuracy", "adam", "as_data", "load_data"]

Direction = Literal["max", "min"]
Parameters = Iterable[nn.Parameter]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Inputs and targets of one split of the data.

    Attributes:
        x: inputs, shape (n, ...).
        y: targets, shape (n, ...).

    Example:
        >>> len(Split(x=torch.zeros(3, 2), y=torch.zeros(3)))
        3
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Data of one seed.

    Attributes:
        train: the training split.
        test: the test split, evaluated once, at the end of a trial.
        validation: the split on which learning rates are chosen, or None.

    Example:
        >>> part = Split(x=torch.zeros(3, 2), y=torch.zeros(3))
        >>> Data(train=part, test=part).validation is None
        True
    """

    train: Split
    test: Split
    validation: Split | None = None


# The byte code and the docstrings of `adam` and `accuracy` are part of the fingerprint of a plan whose Task was built in code
# and uses them (`actlab.studies.plan.task_digest`). An edit of either, even of a docstring, makes such stored studies another plan.


def adam(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    """Adam at torch's defaults, fused where the parameters allow it.

    Fused takes a step of a 40-128-10 net, batch 100, on one core from 1.00 to 0.53 ms.

    Example:
        >>> adam(nn.Linear(2, 1).parameters(), 1e-3).defaults["lr"]
        0.001
    """
    wanted = list(parameters)
    fused = all(p.device.type == "cpu" and p.dtype in {torch.float32, torch.float64} for p in wanted)
    return torch.optim.Adam(wanted, lr=lr, fused=fused or None)


def accuracy(output: Tensor, target: Tensor) -> float:
    """Share of rows whose largest output, shape (n, classes), is the target, shape (n,).

    Example:
        >>> accuracy(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        0.5
    """
    return int((output.argmax(1) == target).sum()) / len(target)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Training protocol of a trial.

    Attributes:
        name: short, lower case; shown and stored.
        model: called with the seed, returns a new model; torch's global generator is seeded before.
        data: called with the seed, returns :class:`Data` or another form that :func:`as_data` takes.
        loss: of (output, target), returns a scalar tensor.
        metric: of (output, target) of the whole test split, returns a number.
        metric_name: name shown for the result; by default that of the function ``curve_metric``, or ``metric`` where there is none.
        direction: "max" when a larger metric is better, "min" when a smaller one is.
        optimizer: of (parameters, learning rate), returns a torch optimizer.
        learning_rate: of a trial, unless it is tuned.
        batch_size: examples per step.
        epochs: passes over the training split.
        steps: largest number of steps, or None for no limit besides ``epochs``.
        shuffle: whether every epoch draws a new order; otherwise batches are taken in the order of the data.
        rope: region of practical equivalence, in the metric's units: differences smaller than this do not matter. None for half a
            percentage point of a share such as the accuracy, and 1 % of the size of any other metric.
        curve_metric: of the list of all step losses, returns a number; if given, it is the result of a trial instead of ``metric``.
        description: one sentence.
        source: text that identifies the code which defines the task; part of a plan's fingerprint.
        file: path of the user's file that defines the task, or None.

    Raises:
        TaskError: a field does not exist, or a required one is missing.

    Example:
        >>> def rmse(output, target):
        ...     return (output - target).square().mean().sqrt()
        >>> Task(name="t", model=None, data=None, loss=None, metric=rmse, direction="min").metric_name
        'rmse'
    """

    name: str
    model: Callable[[int], nn.Module]
    data: Callable[[int], Any]
    loss: Callable[[Tensor, Tensor], Tensor]
    metric: Callable[[Tensor, Tensor], float]
    metric_name: str = ""
    direction: Direction = "max"
    optimizer: Callable[[Parameters, float], torch.optim.Optimizer] = adam
    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 10
    steps: int | None = None
    shuffle: bool = True
    rope: float | None = None
    curve_metric: Callable[[Sequence[float]], float] | None = None
    description: str = ""
    source: str = ""
    file: str | None = None

    def __new__(cls, **given: Any) -> Task:
        """Refuse fields that do not exist; nothing is given where a stored task is read."""
        if given:
            _check_fields(given, {field.name: field.default is MISSING for field in fields(cls)})
        return super().__new__(cls)

    def __post_init__(self) -> None:
        if not self.metric_name:
            object.__setattr__(self, "metric_name", _function_name(self.curve_metric or self.metric))


def _check_fields(given: Mapping[str, Any], required: Mapping[str, bool]) -> None:
    for name in given:
        if name not in required:
            near, why = nearest_setting(name), why_no_setting(name)
            hint = f" Did you mean {near!r}?" if near else f" It {why}." if why else did_you_mean(name, required)
            raise TaskError(f"A Task has no field {name!r}.{hint} Its fields are {', '.join(required)}.")
    missing = [name for name, is_required in required.items() if is_required and name not in given]
    if missing:
        raise TaskError(f"The Task lacks {listed(missing)}. Required are {listed(n for n in required if required[n])}.")


def _function_name(function: Any) -> str:
    """Return the name of a function; of a partial function that of what it calls; of another object that of its class."""
    inner = getattr(function, "func", function)  # functools.partial
    name = getattr(inner, "__name__", type(inner).__name__)
    return "metric" if name == "<lambda>" else str(name)


def load_data(task: Task, seed: int) -> Data:
    """Return the task's data for a seed.

    Raises:
        TaskError: ``task.data`` returned no form of data that :func:`as_data` takes.
    """
    return as_data(task.data(seed), of=task.name)


def as_data(value: Any, *, of: str = "the task") -> Data:
    """Convert a dict or a tuple of splits to :class:`Data`.

    The forms are ``{"train": (x, y), "test": (x, y), "validation": (x, y)}``, and ``((x, y), (x, y))`` for train and test.
    Arrays become tensors: floating point arrays get torch's default dtype, integer arrays int64.

    Raises:
        TaskError: there is no train or no test split, or a split is not a pair of arrays.

    Example:
        >>> pair = np.zeros((4, 2)), np.zeros(4, int)
        >>> data = as_data({"train": pair, "test": pair})
        >>> data.train.x.dtype, len(data.test)
        (torch.float32, 4)
    """
    if isinstance(value, Data):
        return value
    parts = _parts(value, of)
    return Data(**{name: _split(part, f"the {name} split of {of}") for name, part in parts.items() if part is not None})


_FORMS = (
    "Return Data(train=Split(x=..., y=...), test=...), or {'train': (x, y), 'test': (x, y), 'validation': (x, y)}, "
    "or ((x, y), (x, y)) for train and test."
)


def _parts(value: Any, of: str) -> dict[str, Any]:
    if isinstance(value, tuple | list) and len(value) == 2:
        return {"train": value[0], "test": value[1]}
    if not isinstance(value, Mapping):
        raise TaskError(f"data(seed) of {of} returned {_describe(value)}, which is no train and test split. {_FORMS}")
    known = ("train", "test", "validation")
    for name in value:
        if name not in known:
            raise TaskError(
                f"data(seed) of {of} has a split {name!r}; "
                f"allowed are {', '.join(known)}.{did_you_mean(str(name), known)}"
            )
    for name in ("train", "test"):
        if value.get(name) is None:
            raise TaskError(f"data(seed) of {of} has no {name} split; it has {', '.join(value) or 'none'}. {_FORMS}")
    return dict(value)


def _describe(value: Any) -> str:
    return (
        f"a {type(value).__name__} of length {len(value)}"
        if isinstance(value, tuple | list)
        else f"a {type(value).__name__}"
    )


def _split(part: Any, of: str) -> Split:
    if isinstance(part, Split):
        return part
    if not (isinstance(part, tuple | list) and len(part) == 2):
        raise TaskError(f"{of[0].upper()}{of[1:]} is {_describe(part)}, not a pair (x, y) of arrays. {_FORMS}")
    return Split(x=_tensor(part[0], f"x of {of}"), y=_tensor(part[1], f"y of {of}"))


def _tensor(value: Any, of: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.get_default_dtype())
    if array.dtype.kind in "iub":
        return torch.as_tensor(np.ascontiguousarray(array.astype(np.int64)))
    raise TaskError(
        f"{of[0].upper()}{of[1:]} holds {array.dtype}; numbers are needed (a tensor or an array of float or int)."
    )
