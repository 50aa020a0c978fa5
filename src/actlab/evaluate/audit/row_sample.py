"""Sample of examples as rows of numbers with targets, and the chance that rows are equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from actlab.evaluate.audit.example_stream import SPLITS, Examples, Part
from actlab.evaluate.audit.hash_sample import chosen_at, mixed

__all__ = ["MOST_COLUMNS", "RowSample", "chance_of_equal_rows"]

#: Numbers of an example up to which all are looked at one by one.
MOST_COLUMNS: Final = 4096
_QUERIES: Final = 1000
_CELLS: Final = 2**22  # comparisons that are made at once
_MOST_COMPARISONS: Final = 2**31


class RowSample:
    """Rows of numbers of some examples of each split, drawn by their index, so that all examples have the same chance.

    Args:
        capacity: largest number of rows of a split.
        cells: largest number of numbers of a split, 4 or 8 bytes each.

    Example:
        >>> sample = RowSample(100)
        >>> x = np.random.default_rng(0).normal(size=(1000, 3))
        >>> sample.add(Examples(split="train", start=0, parts={"x": x}), np.zeros(1000))
        >>> rows, targets, index = sample.of("train")
        >>> len(rows) <= 100, rows.shape[1], sample.names
        (True, 3, ['x[0]', 'x[1]', 'x[2]'])
    """

    def __init__(self, capacity: int = 10_000, cells: int = 2**22) -> None:
        self.capacity, self._cells = capacity, cells
        self.names: list[str] = []
        self.why_not = ""
        self.sizes = dict.fromkeys(SPLITS, 0)
        self._kept: dict[str, list[tuple[npt.NDArray[Any], ...]]] = {name: [] for name in SPLITS}
        self._levels = dict.fromkeys(SPLITS, 0)

    def add(self, examples: Examples, targets: npt.NDArray[np.float64] | None) -> None:
        """Enter a batch with its targets, float64, shape (n,)."""
        if self.why_not:
            return
        rows = self._rows(examples.parts)
        if rows is None:
            return
        split = examples.split
        self.sizes[split] += len(rows)
        found = np.full(len(rows), np.nan) if targets is None else targets
        chosen = self._chosen(examples.indices, split)
        self._kept[split].append((rows[chosen], found[chosen], examples.indices[chosen]))
        capacity = max(1, min(self.capacity, self._cells // len(self.names)))
        while sum(len(part[2]) for part in self._kept[split]) > capacity:
            self._levels[split] += 1
            rows, found, index = self.of(split)
            chosen = self._chosen(index, split)
            self._kept[split] = [(rows[chosen], found[chosen], index[chosen])]

    @property
    def share(self) -> float:
        """Smallest share of the rows of a split that are kept."""
        return min(2.0**-level for level in self._levels.values())

    def of(self, split: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return rows, shape (n, columns), their targets and their indices, shape (n,)."""
        parts = self._kept[split]
        if not parts:
            empty = np.empty(0)
            return np.empty((0, len(self.names))), empty, empty.astype(np.int64)
        if len(parts) > 1:
            parts[:] = [tuple(np.concatenate(column) for column in zip(*parts, strict=True))]
        rows, targets, index = parts[0]
        return rows, targets, index

    def _chosen(self, index: npt.NDArray[np.int64], split: str) -> npt.NDArray[np.bool_]:
        return chosen_at(self._levels[split], mixed(index))

    def _rows(self, parts: Mapping[str, Part]) -> npt.NDArray[Any] | None:
        blocks = [
            (name, values.reshape(len(values), -1))
            for name, values in parts.items()
            if isinstance(values, np.ndarray) and values.dtype.kind in "fiub"
        ]
        width = sum(values.shape[1] for _, values in blocks)
        if not self.names:
            self.names = [
                name if values.shape[1] == 1 else f"{name}[{i}]"
                for name, values in blocks
                for i in range(values.shape[1])
            ]
        if not 0 < width <= MOST_COLUMNS or width != len(self.names):
            self.why_not = (
                f"examples have {width:,} numbers; up to {MOST_COLUMNS:,} are looked at one by one"
                if width > MOST_COLUMNS
                else "examples are no rows of numbers of one length"
            )
            return None
        return blocks[0][1] if len(blocks) == 1 else np.concatenate([values for _, values in blocks], axis=1)


def chance_of_equal_rows(rows: npt.NDArray[Any], pairs: int, total: int) -> float:
    """Return the chance that at least so many pairs of rows are equal without a copy among them.

    Columns of few values make equal rows likely. If columns are independent, in blocks of any size, the number of blocks in which a pair
    differs is a sum of independent events, whose distribution is log-concave (Newton's inequality). So the numbers of pairs that differ in
    the two smallest numbers of columns that occur bound how many are expected to differ in none, on a line in the logarithm.

    Args:
        rows: a sample, shape (n, columns).
        pairs: pairs of equal rows in all data.
        total: number of rows in all data.

    Example:
        >>> random = np.random.default_rng(0)
        >>> coins, numbers = random.integers(0, 2, (500, 12)), random.normal(size=(500, 12))
        >>> chance_of_equal_rows(coins, 30, 500) > 0.01, chance_of_equal_rows(numbers, 1, 500) < 0.01
        (True, True)
    """
    if len(rows) < 2 or pairs < 1:
        return 1.0
    histogram, compared = _differing_columns(rows)
    found = np.nonzero(histogram[1:])[0][:2] + 1
    if len(found) < 2:
        return 1.0 if len(found) < 1 else 0.0
    nearest, next_one = (float(histogram[place]) for place in found)
    per_column = min(1.0, nearest / next_one) ** (1 / (found[1] - found[0]))
    expected = nearest * per_column ** float(found[0])
    expected *= total * (total - 1) / 2 / max(1, compared)
    if expected <= 0:
        return 0.0
    from scipy.special import gammainc  # noqa: PLC0415 # slow to import, and needed where rows are equal only

    # P(Poisson(2 * expected) >= pairs): twice, as the expectation is from counts itself
    return float(gammainc(pairs, 2 * expected))


def _differing_columns(rows: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], int]:
    """Return how many pairs differ in 0, 1, 2, ... columns, and how many were compared."""
    n, columns = rows.shape
    queries = int(min(n, _QUERIES, max(50, _MOST_COMPARISONS // (n * columns))))
    codes = np.stack([np.unique(rows[:, place], return_inverse=True)[1] for place in range(columns)], axis=1).astype(
        np.int32
    )
    histogram = np.zeros(columns + 1, dtype=np.int64)
    compared = 0
    step = max(1, _CELLS // (n * columns))
    for start in range(0, queries, step):
        chosen = codes[start : min(start + step, queries)]
        differing = (chosen[:, None, :] != codes[None]).sum(2)
        later = np.arange(n)[None] > np.arange(start, start + len(chosen))[:, None]
        histogram += np.bincount(differing[later], minlength=columns + 1)
        compared += int(later.sum())
    return histogram, compared
