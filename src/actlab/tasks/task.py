"""The task: what activations are tried on. A model and data for every seed, a loss, and a metric with its direction.

Seed s fixes the split, the order, the initial weights and the dropout for every arm: arms are compared pair by pair.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from actlab.errors import TaskError, did_you_mean

__all__ = ["Data", "Split", "Task", "accuracy", "adam", "as_data", "isolated", "load_data"]

Direction = Literal["max", "min"]
Parameters = Iterable[nn.Parameter]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Inputs and targets of one part of the data.

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
    """What one seed trains on, and what it is judged on.

    Attributes:
        train: the examples that training sees.
        test: read once, when the trial ends.
        validation: what learning rates are chosen on; never the test split.

    Example:
        >>> part = Split(x=torch.zeros(3, 2), y=torch.zeros(3))
        >>> Data(train=part, test=part).validation is None
        True
    """

    train: Split
    test: Split
    validation: Split | None = None


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
    """A protocol for trials.

    Attributes:
        name: short, lower case; shown and stored.
        model: called with the seed, returns a new model; torch's global generator is seeded before.
        data: called with the seed, returns :class:`Data` (or what :func:`as_data` understands).
        loss: of (output, target), returns a scalar tensor.
        metric: of (output, target) of the whole test split, returns a number.
        metric_name: shown.
        direction: "max" when larger is better, "min" when smaller is.
        optimizer: of (parameters, learning rate), returns a torch optimizer.
        learning_rate: what a trial uses unless it is tuned.
        batch_size: examples per step.
        epochs: passes over the training split.
        steps: stop after so many steps, if that comes first; None for no limit.
        shuffle: draw a new order for every epoch; else take batches in order.
        rope: region of practical equivalence, in the metric's units: differences smaller than this do not matter.
        curve_metric: of the list of all step losses; where given, it is the result of a trial instead of ``metric``.
        description: one sentence.
        source: text that identifies the code which defines the task; part of a plan's fingerprint.
        file: path of the user's file that defines the task, or None.
    """

    name: str
    model: Callable[[int], nn.Module]
    data: Callable[[int], Any]
    loss: Callable[[Tensor, Tensor], Tensor]
    metric: Callable[[Tensor, Tensor], float]
    metric_name: str = "accuracy"
    direction: Direction = "max"
    optimizer: Callable[[Parameters, float], torch.optim.Optimizer] = adam
    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 10
    steps: int | None = None
    shuffle: bool = True
    rope: float = 0.005
    curve_metric: Callable[[Sequence[float]], float] | None = None
    description: str = ""
    source: str = ""
    file: str | None = None


def load_data(task: Task, seed: int) -> Data:
    """Return the task's data for a seed.

    Raises:
        TaskError: what ``task.data`` returns is not data.
    """
    return as_data(task.data(seed), of=task.name)


def as_data(value: Any, *, of: str = "the task") -> Data:
    """Read data from what a newcomer would return.

    That is ``{"train": (x, y), "test": (x, y), "validation": (x, y)}``, or ``((x, y), (x, y))`` for train and test.
    Arrays become tensors; floating point arrays get torch's default dtype, integer ones int64.

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


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and ``random`` inside the block, and put them back after it.

    A user's code knows only the global generators; this is the one place that touches them.

    Example:
        >>> before = torch.get_rng_state()
        >>> with isolated(0):
        ...     first = torch.rand(1)
        >>> bool((torch.get_rng_state() == before).all())
        True
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 # saved for the user's code, which may use it
    with torch.random.fork_rng(devices=[]):
        seed_all(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002 # see above
            random.setstate(python_state)


def seed_all(seed: int) -> None:
    """Seed the global generators of torch, numpy and ``random``; call it inside :func:`isolated` only."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 # a user's code may draw from it
    random.seed(seed)
