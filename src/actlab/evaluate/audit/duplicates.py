"""Exact duplicates within and across splits, and equal inputs with different targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from actlab.evaluate.audit.example_stream import SPLITS, Examples, Part
from actlab.evaluate.audit.finding import EXAMPLES_SHOWN, Finding
from actlab.evaluate.audit.hash_sample import HashSample, Keys, hashed, mixed
from actlab.system.plural import plural

__all__ = ["PAIRS", "ExactDuplicates", "example_keys", "near_report", "part_keys"]

#: Splits of which the first should have nothing of the second.
PAIRS: Final = (("test", "train"), ("test", "validation"), ("validation", "train"))

_REMEDY_ACROSS = (
    "Remove these examples from {second}, or split by what they have in common; until then a model that memorises looks better than "
    "it is."
)
_LIKELY: Final = 0.01  # chance from which on equal rows are taken for equal by chance
_REMEDY_WITHIN = "Keep one of each, or accept that they count more than others."


def part_keys(values: Part) -> Keys:
    """Return a key for each value of a part, shape (n,), equal for equal content; -0.0 is 0.0.

    Example:
        >>> keys = part_keys(np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]]))
        >>> (keys == keys[0]).tolist()
        [True, True, False]
    """
    if isinstance(values, list):
        return hashed(v.encode() if isinstance(v, str) else np.ascontiguousarray(v).tobytes() for v in values)
    plain = values + 0 if values.dtype.kind in "fc" else values
    rows = np.ascontiguousarray(plain).reshape(len(plain), -1)
    if rows.shape[1] == 1 and rows.itemsize <= 8:
        return mixed(rows[:, 0].view(f"u{rows.itemsize}"))
    return _row_keys(rows)


def _row_keys(rows: npt.NDArray[Any]) -> Keys:
    size = rows.shape[1] * rows.itemsize
    content = rows.tobytes()
    return (
        hashed(content[at : at + size] for at in range(0, size * len(rows), size))
        if size
        else mixed(np.zeros(len(rows), int))
    )


def example_keys(examples: Examples) -> Keys:
    """Return a key for the inputs of each example, shape (n,)."""
    found = [part_keys(values) for values in examples.parts.values()]
    total = found[0]
    for keys in found[1:]:
        total = mixed(total) + keys
    return total


@dataclass(frozen=True, kw_only=True, eq=False)
class _Groups:
    """Examples by key, for the keys that occur more than once.

    ``counts`` and ``first`` have a row for each key and a column for each split of ``SPLITS``; ``first`` is -1 where there is none.
    """

    counts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]


class ExactDuplicates:
    """Search for equal inputs by a key of 64 bits for each example.

    Args:
        capacity: largest number of keys that are kept; of more, a sample by key. One takes 32 bytes.

    Example:
        >>> found = ExactDuplicates(1000)
        >>> for split, x in (("test", np.array([[1, 2], [3, 4]])), ("train", np.array([[3, 4], [5, 6], [7, 8]]))):
        ...     found.add(Examples(split=split, start=0, parts={"x": x}), part_keys(x), np.zeros(len(x), int))
        >>> [(report.kind, report.count) for report in found.reports(has_classes=True, chance=lambda pairs: 1.0)]
        [('exact duplicates', 1)]
    """

    def __init__(self, capacity: int) -> None:
        self._sample = HashSample(capacity, "split", "index", "target")
        self.sizes = dict.fromkeys(SPLITS, 0)

    def add(self, examples: Examples, keys: Keys, targets: npt.NDArray[np.int64]) -> None:
        """Enter a batch with the keys of its inputs and targets, shape (n,)."""
        place = np.full(len(examples), SPLITS.index(examples.split))
        self._sample.add(keys, split=place, index=examples.indices, target=targets)
        self.sizes[examples.split] += len(examples)

    @property
    def share(self) -> float:
        """Share of the examples that were compared."""
        return self._sample.share

    def count(self, first: str, second: str) -> int:
        """Return how many examples of a split are also in another one, scaled up from the sample."""
        a, b = SPLITS.index(first), SPLITS.index(second)
        counts = self._groups.counts
        return round(int(counts[counts[:, b] > 0, a].sum()) / self.share)

    @property
    def pairs(self) -> int:
        """Number of pairs of equal examples, in all splits."""
        total = self._groups.counts.sum(1)
        return round(float((total * (total - 1) / 2).sum()) / self.share)

    @cached_property
    def _order(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the records of keys that occur more than once, sorted by key, and the number of their key."""
        keys = self._sample.column("key")
        order = np.lexsort((self._sample.column("index"), self._sample.column("split"), keys))
        ordered = keys[order]
        same = np.zeros(len(order) + 1, dtype=bool)
        same[1:-1] = ordered[1:] == ordered[:-1]
        repeated = same[:-1] | same[1:]
        begins = repeated & ~same[:-1]
        return order[repeated], (np.cumsum(begins) - 1)[repeated]

    @cached_property
    def _groups(self) -> _Groups:
        records, group = self._order
        split, index = self._sample.column("split")[records], self._sample.column("index")[records]
        number = int(group[-1]) + 1 if len(group) else 0
        cell = group * len(SPLITS) + split
        counts = np.bincount(cell, minlength=number * len(SPLITS)).reshape(number, len(SPLITS))
        first = np.full(number * len(SPLITS), -1, dtype=np.int64)
        first[cell[::-1]] = index[::-1]
        return _Groups(counts=counts, first=first.reshape(number, len(SPLITS)))

    def reports(self, *, has_classes: bool, chance: Any) -> Iterator[Finding]:
        """Yield what was found.

        Args:
            has_classes: whether targets are classes, so that equal inputs must have equal targets.
            chance: of the number of equal pairs, returns the chance that so many rows are equal without a copy; 0 where it cannot happen.
        """
        by_chance = bool(self._groups.counts.size) and chance(self.pairs) > _LIKELY
        for first, second in PAIRS:
            yield from self._across(first, second, by_chance=by_chance)
        for split in SPLITS:
            yield from self._within(split, by_chance=by_chance)
        for split in SPLITS:
            yield from self._conflicts(split, has_classes=has_classes, by_chance=by_chance)

    def _across(self, first: str, second: str, *, by_chance: bool) -> Iterator[Finding]:
        count = self.count(first, second)
        if not count:
            return
        a, b = SPLITS.index(first), SPLITS.index(second)
        found = self._groups.first[(self._groups.counts[:, a] > 0) & (self._groups.counts[:, b] > 0)]
        total = self.sizes[first]
        why = " As many equal rows are expected by chance: the columns have few values." if by_chance else ""
        yield Finding(
            kind="exact duplicates",
            severity="note" if by_chance else "finding",
            splits=(first, second),
            count=count,
            share=count / total,
            examples=_pairs(found[:, [a, b]]),
            sentence=f"{count:,} of {plural(total, f'{first} example')} {'is' if count == 1 else 'are'} also in {second}.{why}",
            remedy=_REMEDY_ACROSS.format(second=second),
            estimated=self.share < 1,
        )

    def _within(self, split: str, *, by_chance: bool) -> Iterator[Finding]:
        place = SPLITS.index(split)
        counts = self._groups.counts[:, place]
        count = round(int(np.maximum(counts - 1, 0).sum()) / self.share)
        if not count:
            return
        records, group = self._order
        inside = self._sample.column("split")[records] == place
        index, number = self._sample.column("index")[records][inside], group[inside]
        again = np.nonzero(number[1:] == number[:-1])[0]
        pairs = np.stack([index[again], index[again + 1]], axis=1)
        why = ", as is expected by chance where columns have few values" if by_chance else ""
        yield Finding(
            kind="exact duplicates",
            severity="note",
            splits=(split, split),
            count=count,
            share=count / self.sizes[split],
            examples=_pairs(pairs),
            sentence=f"{plural(count, 'example')} of {split} {'repeats' if count == 1 else 'repeat'} another one of it{why}.",
            remedy=_REMEDY_WITHIN,
            estimated=self.share < 1,
        )

    def _conflicts(self, split: str, *, has_classes: bool, by_chance: bool) -> Iterator[Finding]:
        records, group = self._order
        target, place = self._sample.column("target")[records], self._sample.column("split")[records]
        index = self._sample.column("index")[records]
        number = int(group[-1]) + 1 if len(group) else 0
        begins = np.nonzero(np.diff(group, prepend=-1))[0]
        differs = np.zeros(number, dtype=bool)
        if number:
            np.logical_or.at(differs, group, target != target[begins][group])
        mine = differs[group] & (place == SPLITS.index(split))
        count = round(int(mine.sum()) / self.share)
        if not count:
            return
        is_fault = has_classes and not by_chance
        what = "class" if has_classes else "target"
        yield Finding(
            kind="label conflicts",
            severity="finding" if is_fault else "note",
            splits=(split,),
            count=count,
            share=count / self.sizes[split],
            examples=tuple(index[mine][:EXAMPLES_SHOWN].tolist()),
            sentence=f"{plural(count, 'example')} of {split} {'has' if count == 1 else 'have'} the same inputs as another example with "
            f"another {what}.",
            remedy="Correct the labels or remove these examples: no model can get all of them right."
            if has_classes
            else "Inputs do not determine the target here: the error cannot fall below what this spread leaves.",
            estimated=self.share < 1,
        )


def _pairs(indices: npt.NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    ordered = indices[np.argsort(indices[:, 0], kind="stable")]
    return tuple((int(a), int(b)) for a, b in ordered[:EXAMPLES_SHOWN])


def near_report(first: str, second: str, pairs: npt.NDArray[Any], *, count: int, total: int, what: str = "") -> Finding:
    """Return the report of near duplicates.

    Args:
        first: split whose examples are counted.
        second: split in which their near duplicates are; the same for those within a split.
        pairs: indices into the two splits, shape (found, 2).
        count: number of examples, scaled up where they are a sample.
        total: examples of the first split.
        what: in what they are near, as the end of the sentence.
    """
    is_across = first != second
    subject = f"{count:,} of {plural(total, f'{first} example')}"
    verb = "has" if count == 1 else "have"
    where = f"in {second}" if is_across else "in the same split"
    return Finding(
        kind="near duplicates",
        severity="finding" if is_across else "note",
        splits=(first, second),
        count=count,
        share=min(1.0, count / total),
        examples=tuple((int(a), int(b)) for a, b in pairs[:EXAMPLES_SHOWN]),
        sentence=f"{subject} {verb} a near duplicate {where}{what}.",
        remedy=f"Look at the pairs. If they show the same thing, remove one of each from {second}, or split by what they have in common."
        if is_across
        else "Look at the pairs. They count more than other examples; keep one of each if that is not meant.",
        estimated=count != len(pairs),
    )
