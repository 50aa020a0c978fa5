"""Examples of a task's splits as batches of arrays, read once, with target, group and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from actlab.errors import TaskError, did_you_mean
from actlab.evaluate.input_kind import InputKind, input_kind
from actlab.tasks.data import Data, Split
from actlab.tasks.loading.batch_parts import parts_of
from actlab.tasks.loading.loader import Loader
from actlab.tasks.loading.nested import is_named_tuple, row_count
from actlab.tasks.task import Task
from actlab.tasks.user_code import user_code

__all__ = ["SPLITS", "ExampleStream", "Examples", "Part"]

#: In the order in which they are read: what is asked about before what it is looked up in.
SPLITS: Final = ("test", "validation", "train")

#: Values of one part of the inputs, one for each example: an array of shape (n, ...), or a list of texts or of sequences.
Part = npt.NDArray[Any] | list[Any]

_ROWS: Final = 2048  # of tensors in memory that are taken at once
# Of integers of a table the columns differ in scale, of text they do not: share of the variance that is between columns.
_BETWEEN_COLUMNS: Final = 0.2
_SHORTEST_TEXT: Final = 8
_LONG_TEXT: Final = 32
_SCALE: Final = 20  # short rows of numbers below it are answers or counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """A batch of examples.

    Attributes:
        split: name of the split.
        start: index of the first example in its split.
        parts: inputs by name; a single one is called "x".
        target: as the batch has it, an array of shape (n, ...) or a list; None where there is none or it has several parts.
        groups: label of each example, shape (n,), or None where the task names no groups.
        times: of each example, float64, shape (n,), or None where the task names no times.
    """

    split: str
    start: int
    parts: Mapping[str, Part]
    target: Part | None = None
    groups: npt.NDArray[Any] | None = None
    times: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """Indices of the examples in their split, shape (n,)."""
        return np.arange(self.start, self.start + len(self))


@dataclass(eq=False)
class ExampleStream:
    """The examples of a task's data, which can be read once from the front to the end.

    Args:
        task: which says what groups, times and kinds are.
        data: its splits.
        limit: largest number of examples that are read of each split, or None for all.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> first = next(ExampleStream(digits, load_data(digits, 0)).batches())
        >>> first.split, first.parts["x"].shape
        ('test', (360, 64))
    """

    task: Task
    data: Data
    limit: int | None = None
    kinds: dict[str, InputKind] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """Number of examples in all splits as far as it is known."""
        sizes = [split.examples or 0 for split in self.data.splits.values()]
        return sum(sizes if self.limit is None else [min(size, self.limit) for size in sizes])

    def batches(self) -> Iterator[Examples]:
        """Yield the examples of the test, the validation and the training split.

        Raises:
            TaskError: a split cannot be read, or groups or times are no column of the inputs.
        """
        for name in SPLITS:
            split = self.data.splits.get(name)
            if split is not None:
                yield from self._split(name, split)

    def _split(self, name: str, split: Split | Loader) -> Iterator[Examples]:
        start = 0
        for batch in _read(split, f"the {name} split of {self.task.name}"):
            left = None if self.limit is None else self.limit - start
            if left is not None and left <= 0:
                return
            examples = self._examples(name, start, batch)
            examples = examples if left is None or left >= len(examples) else _first(examples, left)
            yield examples
            start += len(examples)

    def _examples(self, name: str, start: int, batch: Any) -> Examples:
        inputs, target = _inputs_and_target(batch)
        rows = _example_count(batch, inputs, target)
        parts = {}
        is_ragged = _is_by_example(inputs, _length(target))
        for part, value in [("x", inputs)] if is_ragged else _named_leaves(inputs, "x"):
            if part in {self.task.groups, self.task.times}:
                continue
            values = _as_part(value, rows)
            if values is None:
                self.unread[part] = f"it is {type(value).__name__}, not one value for each of {rows} examples"
            else:
                parts[part] = values
        if not parts:
            raise TaskError(
                f"A batch of the {name} split of {self.task.name} has no tensors, arrays or texts with one entry for each example."
            )
        for part, values in parts.items():
            self.kinds.setdefault(part, _kind(self.task, values))
        of = f"of {self.task.name}"
        found = _Batch(batch=batch, inputs=inputs, target=target, rows=rows)
        groups, times = (_labels(getattr(self.task, name), f"{name} {of}", found) for name in ("groups", "times"))
        return Examples(
            split=name,
            start=start,
            parts=parts,
            target=None if target is None else _as_part(target, rows),
            groups=groups,
            times=None if times is None else _as_times(times, f"times {of}"),
        )


def _first(examples: Examples, rows: int) -> Examples:
    def cut(values: Any) -> Any:
        return None if values is None else values[:rows]

    return Examples(
        split=examples.split,
        start=examples.start,
        parts={name: cut(values) for name, values in examples.parts.items()},
        target=cut(examples.target),
        groups=cut(examples.groups),
        times=cut(examples.times),
    )


def _read(split: Split | Loader, of: str) -> Iterator[Any]:
    if isinstance(split, Split):
        yield from ((split.x[at : at + _ROWS], split.y[at : at + _ROWS]) for at in range(0, len(split), _ROWS))
        return
    batches = split.evaluation()
    while True:
        with user_code(f"reading {of}"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _inputs_and_target(batch: Any) -> tuple[Any, Any]:
    """Return inputs and target; where a batch has no target that can be told, all of it is inputs."""
    is_pair = isinstance(batch, tuple | list) and len(batch) == 2 and not is_named_tuple(batch)
    if is_pair and _is_by_example(batch[0], _length(batch[1])):
        return list(batch[0]), batch[1]
    try:
        parts = parts_of(batch)
    except TaskError:
        return batch, None
    return parts.inputs, parts.target


def _length(target: Any) -> int | None:
    if isinstance(target, Tensor | np.ndarray):
        return len(target) if target.ndim else None
    return len(target) if isinstance(target, list | tuple) else None


def _is_by_example(value: Any, count: int | None) -> bool:
    """Return whether a value has one tensor for each example, of several lengths, and not one for each part of the inputs.

    Args:
        value: a part of a batch.
        count: examples of the batch; None where no target tells.
    """
    if not isinstance(value, list | tuple) or isinstance(value, PackedSequence) or is_named_tuple(value) or not value:
        return False
    if not all(isinstance(item, Tensor | np.ndarray) and item.ndim for item in value):
        return False
    lengths = {len(item) for item in value}
    return len(lengths) > 1 if count is None else len(value) == count and lengths != {count}


def _example_count(batch: Any, inputs: Any, target: Any) -> int:
    """Return the number of examples of a batch, also where its sequences are of several lengths."""
    if isinstance(inputs, Mapping):
        parts = list(inputs.values())
    else:
        parts = [inputs, *(inputs if isinstance(inputs, tuple) and not is_named_tuple(inputs) else ())]
    for part in parts:
        if isinstance(part, PackedSequence):
            return int(part.batch_sizes[0])
        if _is_by_example(part, _length(target)):
            return len(part)
    return row_count(batch)


def _named_leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _named_leaves(part, str(key) if name == "x" else f"{name}.{key}")
    elif is_named_tuple(value):
        yield from _named_leaves(value._asdict(), name)
    elif _is_per_example(value) or isinstance(value, PackedSequence):
        yield name, value
    elif isinstance(value, tuple) or (isinstance(value, list) and _is_of_columns(value)):
        if len(value) == 1:
            yield from _named_leaves(value[0], name)
            return
        for place, part in enumerate(value):
            yield from _named_leaves(part, f"{name}{place}" if name == "x" else f"{name}.{place}")
    else:
        yield name, value


def _is_per_example(value: Any) -> bool:
    """Return whether a list or tuple has one text or number for each example, as default_collate leaves texts."""
    return (
        isinstance(value, tuple | list) and bool(value) and all(isinstance(v, str | bytes | int | float) for v in value)
    )


def _is_of_columns(value: list[Any]) -> bool:
    """Return whether a list has one entry for each part, and not one for each example."""
    lengths = {len(part) for part in value if isinstance(part, Tensor | np.ndarray) and part.ndim}
    return bool(value) and len(lengths) == 1 and all(isinstance(part, Tensor | np.ndarray) for part in value)


def _as_part(value: Any, rows: int) -> Part | None:
    """Return the values of a part by example, or None where it has none."""
    if isinstance(value, PackedSequence):
        padded, lengths = pad_packed_sequence(value, batch_first=True)
        return [row[:length].numpy() for row, length in zip(padded.detach().cpu(), lengths.tolist(), strict=True)]
    if isinstance(value, Tensor):
        dense = value if value.layout == torch.strided else value.to_dense()
        strided = dense.detach().cpu().resolve_conj().resolve_neg()
        value = (strided.float() if strided.dtype == torch.bfloat16 else strided).numpy()
    if isinstance(value, np.ndarray):
        if value.ndim == 0 or len(value) != rows:
            return None
        return value if value.dtype.kind in "fiubc" else [str(item) for item in value.tolist()]
    if not isinstance(value, list | tuple) or len(value) != rows:
        return None
    if all(isinstance(item, Tensor | np.ndarray) for item in value):
        return [np.asarray(item) for item in value]
    if all(isinstance(item, bool | int | float | np.number) for item in value):
        return np.asarray(value)
    return [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in value]


def _kind(task: Task, values: Part) -> InputKind:
    if task.input_kind is not None:
        return task.input_kind
    if isinstance(values, list):
        return "series" if any(isinstance(v, np.ndarray) and v.dtype.kind == "f" for v in values) else "text"
    if values.dtype.kind == "f":
        return "table" if values.ndim == 1 else input_kind(task, torch.from_numpy(values[:1]))
    if values.ndim > 2:  # bytes of pixels
        return input_kind(task, torch.from_numpy(values[:1].astype(np.float32)))
    is_long = values.ndim == 2 and values.shape[1] >= _SHORTEST_TEXT
    is_scale = is_long and values.shape[1] < _LONG_TEXT and values.max(initial=0) < _SCALE
    return "text" if is_long and not is_scale and _is_vocabulary(values) else "table"


def _is_vocabulary(values: npt.NDArray[Any]) -> bool:
    """Return whether all columns of integers, shape (n, length), hold the same kind of number."""
    numbers = values.astype(np.float64)
    total = float(numbers.var())
    between = _BETWEEN_COLUMNS + 2 / len(numbers)  # the means of few numbers differ by chance
    return values.min(initial=0) >= 0 and total > 1.0 and float(numbers.mean(0).var()) < between * total


Column = int | str | Callable[[Any, Any], Any] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """A batch as it was read, with its parts and its number of examples."""

    batch: Any
    inputs: Any
    target: Any
    rows: int


def _labels(column: Column, of: str, found: _Batch) -> npt.NDArray[Any] | None:
    """Return what a task's ``groups`` or ``times`` names: a column, a part, or what its function returns."""
    if column is None:
        return None
    if callable(column):
        with user_code(f"{of}, called with (inputs, target),"):
            given = column(found.inputs, found.target)
    else:
        given = _part_named(column, of, found.batch) if isinstance(column, str) else _column(column, of, found.inputs)
    labels = _as_part(given, found.rows)
    if labels is None or (isinstance(labels, np.ndarray) and labels.reshape(found.rows, -1).shape[1] != 1):
        raise TaskError(
            f"{of} gave {type(given).__name__} where one label for each of {found.rows} examples is needed, shape ({found.rows},)."
        )
    return np.asarray(labels).reshape(found.rows)


def _part_named(name: str, of: str, batch: Any) -> Any:
    candidates = [batch] if isinstance(batch, Mapping) else []
    if isinstance(batch, tuple | list):
        candidates += [part for part in batch if isinstance(part, Mapping)]
    for parts in candidates:
        if name in parts:
            return parts[name]
    value = getattr(batch, name, None) if not isinstance(batch, Mapping) else None
    if value is not None and not callable(value):
        return value
    names = [str(key) for parts in candidates for key in parts]
    raise TaskError(
        f"{of} is {name!r}, and its batches have no part of that name; they have {', '.join(names) or 'no parts with names'}."
        f"{did_you_mean(name, names)} A number of a column, or a function of (inputs, target) may stand in its place."
    )


def _column(number: int, of: str, inputs: Any) -> Any:
    if not isinstance(inputs, Tensor | np.ndarray) or inputs.ndim != 2:
        raise TaskError(
            f"{of} is {number!r}, a column of inputs of shape (n, features), and its inputs are not of that shape. Name a part of inputs "
            "with names, or give a function of (inputs, target)."
        )
    if not -inputs.shape[1] <= number < inputs.shape[1]:
        raise TaskError(f"{of} is column {number}, and its inputs have columns 0 to {inputs.shape[1] - 1}.")
    return inputs[:, number]


def _as_times(labels: npt.NDArray[Any], of: str) -> npt.NDArray[np.float64]:
    if labels.dtype.kind in "fiub":
        times: npt.NDArray[np.float64] = labels.astype(np.float64)
        return times
    try:
        dates = labels.astype("datetime64[us]")
    except ValueError as error:
        raise TaskError(
            f"{of} gave {str(labels[0])!r}, which is no number and no date such as 2024-05-01 or 2024-05-01T12:30."
        ) from error
    return dates.astype(np.int64).astype(np.float64)
