"""Targets as classes or numbers, by their dtype and values."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from actlab.evaluate.audit.example_stream import Part

__all__ = ["TargetReader"]

_MOST_CLASSES: Final = 10_000
_PER_CLASS: Final = 2.0  # examples of a class on average, below which whole numbers are counts or ids


class TargetReader:
    """Reader of targets, which decides by the first batch what they are.

    Whole numbers, texts, one-hot rows, and floating point numbers that are all 0 or 1 are classes; other floating point numbers, one for
    each example, are numbers; all else, such as images or sequences, is neither.

    Attributes:
        kind: "class", "number", or None for neither.
        names: of the classes, by code.
        counts: examples by class and split.

    Example:
        >>> reader = TargetReader()
        >>> reader.read("test", np.array([7, 3, 7])).tolist(), reader.kind, reader.names
        ([0.0, 1.0, 0.0], 'class', ['7', '3'])
    """

    def __init__(self) -> None:
        self.kind: Literal["class", "number"] | None = None
        self.names: list[str] = []
        self.counts: dict[str, Counter[int]] = {}
        self._codes: dict[Any, int] = {}
        self._is_decided = False
        self._is_one_hot = False

    def read(self, split: str, target: Part | None) -> npt.NDArray[np.float64] | None:
        """Return codes of classes or numbers, float64, shape (n,); None where targets are neither."""
        values = None if target is None else _plain(target)
        if values is not None and not self._is_decided:
            self._decide(values)
        if values is not None and len(values) and not self._fits(values):
            self.kind = None  # splits whose targets have several shapes; the checks of them would compare unlike things
        if values is None or self.kind is None:
            return None
        if self.kind == "number":
            return values.reshape(len(values), -1)[:, 0].astype(np.float64)
        found = self._read_codes(values.argmax(1) if self._is_one_hot and values.ndim == 2 else values.reshape(-1))
        if len(self.names) > _MOST_CLASSES:
            self.kind = None
            return None
        self.counts.setdefault(split, Counter()).update(found.tolist())
        return found.astype(np.float64)

    @property
    def has_classes(self) -> bool:
        """Whether targets are classes, and there are fewer than examples."""
        total = sum(sum(counts.values()) for counts in self.counts.values())
        return self.kind == "class" and total >= _PER_CLASS * len(self.names)

    def _decide(self, values: npt.NDArray[Any]) -> None:
        self._is_decided = True
        per_example = values[0].size if len(values) else 0
        if values.dtype.kind == "f" and values.ndim == 2 and values.shape[1] > 1 and _one_hot(values):
            self.kind, self._is_one_hot = "class", True
        elif per_example != 1:
            self.kind = None
        elif values.dtype.kind != "f" or bool(np.isin(values, (0, 1)).all()):
            self.kind = "class"
        else:
            self.kind = "number"

    def _fits(self, values: npt.NDArray[Any]) -> bool:
        """Return whether there is one target for each example, or one row of ones and zeros."""
        return (self._is_one_hot and values.ndim == 2) or values.size == len(values)

    def _read_codes(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        distinct, place = np.unique(values, return_inverse=True)
        for value in distinct[np.argsort([np.argmax(place == i) for i in range(len(distinct))])].tolist():
            if value not in self._codes:
                self._codes[value] = len(self._codes)
                self.names.append(str(value))
        return np.array([self._codes[value] for value in distinct.tolist()], dtype=np.int64)[place.reshape(-1)]


def _plain(target: Part) -> npt.NDArray[Any] | None:
    if isinstance(target, np.ndarray):
        return target
    if all(isinstance(value, str) for value in target):
        return np.array(target)
    return None


def _one_hot(values: npt.NDArray[Any]) -> bool:
    return bool(np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all())
