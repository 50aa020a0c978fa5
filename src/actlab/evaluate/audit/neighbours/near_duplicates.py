"""Near duplicates of points, among the nearest neighbours of queries while all points stream past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from actlab.evaluate.audit.duplicates import PAIRS, near_report
from actlab.evaluate.audit.example_stream import SPLITS
from actlab.evaluate.audit.finding import EXAMPLES_SHOWN, Finding
from actlab.evaluate.audit.hash_sample import Keys, chosen_at, mixed
from actlab.evaluate.audit.neighbours.neighbour_gap import chosen_by_rate, gap_p_values
from actlab.system.plural import plural

__all__ = ["NEIGHBOURS", "NearDuplicates"]

#: Nearest neighbours that are kept of each query.
NEIGHBOURS: Final = 32
_FEWEST_NEIGHBOURS: Final = 8
_OF_TRAINING: Final = 4  # times fewer queries of the training split: duplicates within it bias no result
_LOCAL: Final = 10  # the neighbours are at most this fraction of all points: near enough for one density
_CELLS: Final = 2**22  # distances that are computed at once
_BLOCK: Final = 2048  # points that are compared at once
# Squared distances by a product of matrices in float32 are off by this share of the squared lengths.
_ROUNDING: Final = 4e-6

Points = npt.NDArray[np.float32]


@dataclass(eq=False)
class _Neighbours:
    """Nearest points of one split to each query, ascending by distance."""

    distance: npt.NDArray[np.float32]
    index: npt.NDArray[np.int64]
    key: Keys
    target: npt.NDArray[np.int64]
    seen: int = 0

    @classmethod
    def none(cls, queries: int) -> _Neighbours:
        shape = (queries, NEIGHBOURS)
        return cls(
            distance=np.full(shape, np.inf, dtype=np.float32),
            index=np.full(shape, -1, dtype=np.int64),
            key=np.zeros(shape, dtype=np.uint64),
            target=np.zeros(shape, dtype=np.int64),
        )

    def rows(self, chosen: npt.NDArray[Any]) -> _Neighbours:
        return _Neighbours(self.distance[chosen], self.index[chosen], self.key[chosen], self.target[chosen], self.seen)

    def joined(self, other: _Neighbours) -> _Neighbours:
        return _Neighbours(
            distance=np.concatenate([self.distance, other.distance]),
            index=np.concatenate([self.index, other.index]),
            key=np.concatenate([self.key, other.key]),
            target=np.concatenate([self.target, other.target]),
            seen=self.seen,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """Points with what is kept of each."""

    points: Points
    index: npt.NDArray[np.int64]
    key: Keys
    target: npt.NDArray[np.int64]

    def rows(self, chosen: npt.NDArray[Any]) -> _Batch:
        return _Batch(
            points=self.points[chosen], index=self.index[chosen], key=self.key[chosen], target=self.target[chosen]
        )

    def joined(self, other: _Batch) -> _Batch:
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in ("points", "index", "key", "target")}
        return _Batch(**{name: np.concatenate(pair) for name, pair in pairs.items()})


@dataclass(eq=False)
class _Queries:
    """Points of one split whose neighbours are searched, in that split and in those that are read after it."""

    capacity: int
    batch: _Batch
    near: dict[str, _Neighbours] = field(default_factory=dict)
    level: int = 0

    def add(self, batch: _Batch) -> None:
        new = batch.rows(self._chosen(batch.index))
        self.batch = self.batch.joined(new)
        self.near = {name: found.joined(_Neighbours.none(len(new.index))) for name, found in self.near.items()}
        while len(self.batch.index) > self.capacity:
            self.level += 1
            kept = self._chosen(self.batch.index)
            self.batch = self.batch.rows(kept)
            self.near = {name: found.rows(kept) for name, found in self.near.items()}

    def _chosen(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return chosen_at(self.level, mixed(index))

    def look_at(self, split: str, batch: _Batch, *, own: bool) -> None:
        """Enter points of a split among the neighbours; of the queries' own split, no point is its own neighbour."""
        found = self.near.setdefault(split, _Neighbours.none(len(self.batch.index)))
        rows = max(1, _CELLS // _BLOCK)
        for at in range(0, len(batch.index), _BLOCK):
            block = batch.rows(np.arange(at, min(at + _BLOCK, len(batch.index))))
            for start in range(0, len(self.batch.index), rows):
                _update(found, self.batch, block, slice(start, start + rows), own=own)
        found.seen += len(batch.index)


def _update(found: _Neighbours, queries: _Batch, block: _Batch, rows: slice, *, own: bool) -> None:
    """Enter the points of a block that are nearer to some queries than the farthest neighbours so far."""
    points, others = torch.from_numpy(queries.points[rows]), torch.from_numpy(block.points)
    lengths, other_lengths = points.square().sum(1), others.square().sum(1)
    squared = (torch.mm(points, others.T).mul_(-2) + other_lengths).numpy()
    farthest = found.distance[rows, -1]
    limit = np.square(farthest) - lengths.numpy() + _ROUNDING * (lengths + other_lengths.max()).numpy()
    if np.isinf(farthest).any() and len(block.index) > NEIGHBOURS + 1:
        enough = np.partition(squared, NEIGHBOURS, axis=1)[:, NEIGHBOURS]  # one more than needed, for the query itself
        limit = np.minimum(limit, enough + _ROUNDING * (lengths + other_lengths.max()).numpy())
    row, column = np.divmod(np.flatnonzero(squared <= limit[:, None]), len(block.index))
    row += rows.start or 0
    if own:
        other = queries.index[row] != block.index[column]
        row, column = row[other], column[other]
    if len(row):
        _enter(found, queries, block, row, column)


def _enter(found: _Neighbours, queries: _Batch, block: _Batch, row: npt.NDArray[Any], column: npt.NDArray[Any]) -> None:
    """Merge pairs of a query and a point of a block into the lists of neighbours."""
    exact = np.sqrt(np.square(queries.points[row] - block.points[column]).sum(1))
    touched = np.unique(row)
    places = np.searchsorted(touched, row)
    old = np.repeat(np.arange(len(touched)), NEIGHBOURS)
    owner = np.concatenate([old, places])
    distance = np.concatenate([found.distance[touched].ravel(), exact])
    order = np.lexsort((distance, owner))
    starts = np.searchsorted(owner[order], np.arange(len(touched)))
    kept = order[starts[:, None] + np.arange(NEIGHBOURS)]
    found.distance[touched] = distance[kept]
    for name in ("index", "key", "target"):
        values = getattr(found, name)
        values[touched] = np.concatenate([values[touched].ravel(), getattr(block, name)[column]])[kept]


class NearDuplicates:
    """Search for points that are much nearer to each other than the density of the data around them explains.

    Points are those of :class:`actlab.evaluate.audit.neighbours.descriptors.Descriptor`. Every point is seen once; kept are at most
    ``capacity`` queries of each split with 32 neighbours in each split that is read after it, at most 3 kB each.

    Args:
        capacity: largest number of queries of a split, of the training split a quarter; of more examples a sample.
        rate: chance of any report in data without near duplicates.
        splits: whose near duplicates are searched.

    Example:
        >>> random = np.random.default_rng(0)
        >>> train = random.normal(size=(300, 4)).astype(np.float32)
        >>> test = np.concatenate([random.normal(size=(50, 4)), train[:2] + 1e-3]).astype(np.float32)
        >>> search = NearDuplicates(1000, rate=0.01)
        >>> for split, points in (("test", test), ("train", train)):
        ...     index = np.arange(len(points))
        ...     search.add(split, points, index=index, keys=mixed(index + 1000 * len(split)), targets=index)
        >>> [(report.splits, report.examples) for report in search.reports(has_classes=False)]
        [(('test', 'train'), ((50, 0), (51, 1)))]
    """

    def __init__(self, capacity: int, *, rate: float, splits: Sequence[str] = SPLITS) -> None:
        self.capacity, self.rate, self._asked = capacity, rate, splits
        self._queries: dict[str, _Queries] = {}
        self.sizes = dict.fromkeys(SPLITS, 0)

    def add(
        self, split: str, points: Points, *, index: npt.NDArray[np.int64], keys: Keys, targets: npt.NDArray[np.int64]
    ) -> None:
        """Enter points, shape (n, d), with their index in the split, the key of their content and that of their target, shape (n,)."""
        batch = _Batch(points=points, index=index, key=keys, target=targets)
        for at in range(0, len(index), _BLOCK):
            self._add(split, batch.rows(np.arange(at, min(at + _BLOCK, len(index)))))

    def _add(self, split: str, batch: _Batch) -> None:
        self.sizes[split] += len(batch.index)
        if split not in self._queries and split in self._asked:
            capacity = max(1, self.capacity // _OF_TRAINING) if split == "train" else self.capacity
            self._queries[split] = _Queries(capacity, batch.rows(np.arange(0)))
        if split in self._queries:
            self._queries[split].add(batch)
        for name, queries in self._queries.items():
            queries.look_at(split, batch, own=name == split)

    @property
    def share(self) -> float:
        """Smallest share of the examples of a split whose neighbours were searched."""
        return min((2.0**-queries.level for queries in self._queries.values()), default=1.0)

    def reports(self, *, has_classes: bool, is_image: bool = False, what: str = "") -> Iterator[Finding]:
        """Yield what was found, across splits and within them.

        Args:
            has_classes: whether targets are classes.
            is_image: whether examples are images: two of one thing have one class, two alike rows of a table need not.
            what: in what they are near, as the end of the sentence.
        """
        for first, second in (*PAIRS, *((split, split) for split in SPLITS)):
            if first not in self._queries or second not in self._queries[first].near:
                continue
            queries = self._queries[first]
            pairs, differ = self._near(queries, queries.near[second])
            if len(pairs):
                scaled = round(len(pairs) * 2.0**queries.level)
                yield near_report(first, second, pairs, count=scaled, total=self.sizes[first], what=what)
                if has_classes and differ.any():
                    count = round(int(differ.sum()) * 2.0**queries.level)
                    conflicts = _conflicts(first, second, pairs[differ], count=count, total=self.sizes[first])
                    yield conflicts if is_image else replace(conflicts, severity="note")

    def _near(self, queries: _Queries, found: _Neighbours) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Return pairs of a query and its nearest near duplicate that is no exact one, and whether their targets differ."""
        k = int(np.clip(found.seen // _LOCAL, _FEWEST_NEIGHBOURS, NEIGHBOURS))
        p, copies = gap_p_values(found.distance[:, :k], queries.batch.points.shape[1])
        other = (found.key[:, :k] != queries.batch.key[:, None]) & (np.arange(k) < copies[:, None])
        chosen = np.nonzero(chosen_by_rate(p, self.rate) & other.any(1))[0]
        chosen = chosen[np.argsort(p[chosen], kind="stable")]
        place = other[chosen].argmax(1)
        pairs = np.stack([queries.batch.index[chosen], found.index[chosen, place]], axis=1)
        return pairs, found.target[chosen, place] != queries.batch.target[chosen]


def _conflicts(first: str, second: str, pairs: npt.NDArray[Any], *, count: int, total: int) -> Finding:
    return Finding(
        kind="label conflicts",
        splits=(first, second),
        count=count,
        share=min(1.0, count / total),
        examples=tuple((int(a), int(b)) for a, b in pairs[:EXAMPLES_SHOWN]),
        sentence=f"{plural(count, f'{first} example')} {'has' if count == 1 else 'have'} a near duplicate in {second} with another "
        "class.",
        remedy="Look at the pairs, and correct the label that is wrong.",
        estimated=count != len(pairs),
    )
