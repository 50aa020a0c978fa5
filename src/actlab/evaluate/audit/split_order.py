"""Examples on the wrong side of a split in time, and groups that are in several splits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from actlab.evaluate.audit.duplicates import PAIRS, part_keys
from actlab.evaluate.audit.example_stream import SPLITS, Examples
from actlab.evaluate.audit.finding import EXAMPLES_SHOWN, Finding
from actlab.evaluate.audit.hash_sample import HashSample, mixed
from actlab.system.plural import plural

__all__ = ["GroupSplit", "TimeOrder", "wrong_side"]

_ATTRIBUTES: Final = 10  # groups up to which each is an attribute that all splits should have, not one person
_MOST: Final = 0.9  # share of the groups of a split that are in another: a random split
_RANDOM: Final = 0.5  # share of the smaller split on the wrong side, from which on the order was not looked at
_UNEQUAL: Final = 10.0
_JUDGED: Final = 10  # examples of a group that its metric needs


def wrong_side(
    earlier: npt.NDArray[np.float64], later: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which examples stand on the wrong side of the time that divides two splits best.

    Args:
        earlier: times of the split that should come first, shape (n,).
        later: times of the other one, shape (m,).

    Returns:
        Whether each is later, or earlier, than that time; the fewest that any time leaves.

    Example:
        >>> early, late = wrong_side(np.array([1.0, 2.0, 3.0, 9.0]), np.array([4.0, 5.0, 0.5, 3.0]))
        >>> early.tolist(), late.tolist()
        ([False, False, False, True], [False, False, True, False])
    """
    moments = np.unique(np.concatenate([earlier, later]))
    after = len(earlier) - np.searchsorted(np.sort(earlier), moments, side="right")
    before = np.searchsorted(np.sort(later), moments, side="left")
    moment = moments[int((after + before).argmin())]
    return earlier > moment, later < moment


class TimeOrder:
    """Check that training examples come before those of validation, and these before those of the test.

    Args:
        capacity: largest number of times of a split that are kept; of more, a sample. One takes 16 bytes.

    Example:
        >>> order = TimeOrder(100)
        >>> for split, times in (("test", [3.0, 9.0]), ("train", [1.0, 2.0, 4.0, 5.0])):
        ...     values = np.array(times)
        ...     order.add(Examples(split=split, start=0, parts={"x": values}, times=values))
        >>> [(report.count, report.examples) for report in order.reports()]
        [(1, (0,))]
    """

    def __init__(self, capacity: int) -> None:
        self._samples = {name: HashSample(capacity, "index", "time") for name in SPLITS}
        self.sizes = dict.fromkeys(SPLITS, 0)

    def add(self, examples: Examples) -> None:
        """Enter a batch."""
        if examples.times is not None:
            times = examples.times.view(np.int64)
            self._samples[examples.split].add(mixed(examples.indices), index=examples.indices, time=times)
            self.sizes[examples.split] += len(examples)

    def reports(self) -> Iterator[Finding]:
        """Yield what was found."""
        for later, earlier in PAIRS:
            if self.sizes[later] and self.sizes[earlier]:
                yield from self._pair(earlier, later)

    def _pair(self, earlier: str, later: str) -> Iterator[Finding]:
        samples = self._samples[earlier], self._samples[later]
        early, late = (sample.column("time").view(np.float64) for sample in samples)
        finite = [np.isfinite(times) for times in (early, late)]
        wrong_early, wrong_late = wrong_side(early[finite[0]], late[finite[1]])
        counts = [round(int(w.sum()) / s.share) for w, s in zip((wrong_early, wrong_late), samples, strict=True)]
        total = sum(counts)
        if not total:
            return
        split, wrong, kept = (
            (later, wrong_late, samples[1].column("index")[finite[1]])
            if counts[1]
            else (earlier, wrong_early, samples[0].column("index")[finite[0]])
        )
        smaller = min(self.sizes[earlier], self.sizes[later])
        is_random = total > _RANDOM * smaller
        yield Finding(
            kind="time order",
            splits=(split, earlier if split == later else later),
            count=total,
            share=min(1.0, total / smaller),
            examples=tuple(kept[wrong][:EXAMPLES_SHOWN].tolist()),
            sentence=f"{earlier} and {later} overlap in time: {plural(total, 'example')} at least "
            f"{'is' if total == 1 else 'are'} on the wrong side of any moment that divides them"
            + (", as after a random split." if is_random else "."),
            remedy=f"Split at one moment, so that all of {earlier} is before all of {later}: otherwise the model is judged on a past whose "
            "future it has seen.",
            estimated=min(sample.share for sample in samples) < 1,
        )


class GroupSplit:
    """Check that no group, such as a patient, is in several splits, and that groups are of comparable size.

    Args:
        capacity: largest number of examples that are kept; of more, all those of a sample of groups. One takes 24 bytes.

    Example:
        >>> groups = GroupSplit(100)
        >>> for split, names in (("test", ["ann", "bob"]), ("train", ["bob", "eve", "eve"])):
        ...     values = np.array(names)
        ...     groups.add(Examples(split=split, start=0, parts={"x": values}, groups=values))
        >>> [(report.kind, report.count, report.examples) for report in groups.reports()]
        [('group leakage', 1, (1,))]
    """

    def __init__(self, capacity: int) -> None:
        self._sample = HashSample(capacity, "split", "index")
        self._names: dict[int, str] = {}
        self._is_fractional = False
        self.sizes = dict.fromkeys(SPLITS, 0)

    def add(self, examples: Examples) -> None:
        """Enter a batch."""
        groups = examples.groups
        if groups is None:
            return
        if groups.dtype.kind == "f":
            self._is_fractional |= bool((groups != np.round(groups)).any())
        keys = part_keys(
            groups.astype(np.float64) if groups.dtype.kind in "fiub" else [str(g) for g in groups.tolist()]
        )
        for place in np.unique(keys, return_index=True)[1] if len(self._names) <= EXAMPLES_SHOWN else ():
            self._names.setdefault(int(keys[place]), str(groups[place]))
        place = np.full(len(examples), SPLITS.index(examples.split))
        self._sample.add(keys, split=place, index=examples.indices)
        self.sizes[examples.split] += len(examples)

    def reports(self) -> Iterator[Finding]:
        """Yield what was found."""
        keys, group = np.unique(self._sample.column("key"), return_inverse=True)
        if len(keys) < 2:
            return
        split = self._sample.column("split")
        counts = np.bincount(group * len(SPLITS) + split, minlength=len(keys) * len(SPLITS)).reshape(-1, len(SPLITS))
        for first, second in PAIRS:
            yield from self._across(first, second, group, counts)
        if len(keys) <= _UNEQUAL * _JUDGED and self._sample.share == 1:
            yield from self._unequal(keys, counts)

    def _across(
        self, first: str, second: str, group: npt.NDArray[Any], counts: npt.NDArray[np.int64]
    ) -> Iterator[Finding]:
        a, b = SPLITS.index(first), SPLITS.index(second)
        both = (counts[:, a] > 0) & (counts[:, b] > 0)
        number = round(int(both.sum()) / self._sample.share)
        if not number:
            return
        of = round(int((counts[:, a] > 0).sum()) / self._sample.share)
        is_attribute = number >= _MOST * of and (len(counts) <= _ATTRIBUTES or self._is_fractional)
        inside = (self._sample.column("split") == a) & both[group]
        affected = round(int(inside.sum()) / self._sample.share)
        meaning = " They are few, or a measure, and each is in both: taken for an attribute." if is_attribute else ""
        yield Finding(
            kind="group leakage",
            severity="note" if is_attribute else "finding",
            splits=(first, second),
            count=number,
            share=min(1.0, affected / self.sizes[first]),
            examples=tuple(self._sample.column("index")[inside][:EXAMPLES_SHOWN].tolist()),
            sentence=f"{number:,} of {plural(of, 'group')} of {first}, with {plural(affected, 'example')}, "
            f"{'is' if number == 1 else 'are'} also in {second}.{meaning}",
            remedy="If a group is one person, machine or source, split by group (scikit-learn's GroupShuffleSplit): the model can know it "
            "again. If groups are an attribute such as age, this is as it should be.",
            estimated=self._sample.share < 1,
        )

    def _unequal(self, keys: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> Iterator[Finding]:
        total = counts.sum(1)
        small, large = int(total.argmin()), int(total.argmax())
        if total[large] < _UNEQUAL * total[small] or len(keys) > _UNEQUAL * _JUDGED:
            return
        judged = counts[:, SPLITS.index("test")]
        few = int((judged < _JUDGED).sum())
        named = [self._names.get(int(keys[place]), "one") for place in (large, small)]
        also = (
            f" {plural(few, 'group')} of the test {'has' if few == 1 else 'have'} fewer than {_JUDGED} examples."
            if few
            else ""
        )
        yield Finding(
            kind="group imbalance",
            severity="note",
            count=len(keys),
            share=float(total[small] / total.sum()),
            sentence=f"Groups have from {total[small]:,} ({named[1]}) to {total[large]:,} ({named[0]}) examples.{also}",
            remedy="Look at the metric of each group (actlab evaluate, axis groups): the mean is that of the largest.",
        )
