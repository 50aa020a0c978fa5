"""Texts that share half of their shingles or more, within and across splits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from actlab.evaluate.audit.duplicates import PAIRS, near_report
from actlab.evaluate.audit.example_stream import SPLITS
from actlab.evaluate.audit.finding import Finding
from actlab.evaluate.audit.hash_sample import HashSample, Keys

__all__ = ["SharedText", "overlap_threshold"]

#: Share of its shingles from which on a text is a near duplicate, if the data allow it to be told.
_HALF: Final = 0.5
_FEWEST: Final = 8  # shingles of a text of which a part of them says anything; of fewer, all must be shared
_STOCK: Final = 64  # texts with a shingle, beyond which it is a stock phrase


def overlap_threshold(by_chance: npt.NDArray[np.float64], rate: float) -> float:
    """Return the share of common shingles from which on a text is a near duplicate.

    It is one half, or where unrelated texts have much in common, the share that the largest of n exceeds with probability ``rate`` when the
    tail is exponential, with its scale from the median.

    Args:
        by_chance: largest share of each of n texts whose shingles are drawn from all of them, shape (n,).
        rate: chance that any text exceeds the threshold without being a copy.

    Returns:
        A number from 0.5 up; above 1, nothing can be told.

    Example:
        >>> overlap_threshold(np.array([0.0, 0.01, 0.02]), 0.01), round(overlap_threshold(np.full(1000, 0.05), 0.01), 2)
        (0.5, 0.83)
    """
    if len(by_chance) < _FEWEST:
        return _HALF
    return max(_HALF, float(np.median(by_chance)) / math.log(2) * math.log(len(by_chance) / rate))


class SharedText:
    """Search for texts that share most of their shingles.

    Every text is seen once; kept are at most ``capacity`` shingles with their texts, of more a sample by key, 32 bytes each.

    Args:
        capacity: largest number of shingles.
        rate: chance of any report in data without near duplicates.

    Example:
        >>> from actlab.evaluate.audit.text.shingles import shingles, tokens_of
        >>> search = SharedText(10_000, rate=0.01)
        >>> texts = [" ".join(f"{topic}{place}" for place in range(30)) for topic in "abcdef"]
        >>> for split, some in (("test", [texts[0] + " and more"]), ("train", texts)):
        ...     keys, owner = shingles(tokens_of(some, "words"), 5)
        ...     search.add(split, keys, owner, texts=len(some), exact=np.arange(len(some)) + len(split))
        >>> [(report.splits, report.examples) for report in search.reports()]
        [(('test', 'train'), ((0, 0),))]
    """

    def __init__(self, capacity: int, *, rate: float) -> None:
        self.rate = rate
        self._sample = HashSample(capacity, "split", "index", "exact")
        self.sizes = dict.fromkeys(SPLITS, 0)
        self.why_not: dict[str, str] = {}

    @property
    def share(self) -> float:
        """Share of the shingles that were compared."""
        return self._sample.share

    def add(
        self,
        split: str,
        keys: Keys,
        owner: npt.NDArray[np.int64],
        *,
        texts: int,
        exact: npt.NDArray[Any],
    ) -> None:
        """Enter the shingles of some texts.

        Args:
            split: of the texts.
            keys: of their shingles.
            owner: number of the text of each, from 0.
            texts: number of texts.
            exact: key of each text's whole content, shape (texts,); texts with the same one are not near duplicates but equal.
        """
        content = exact.astype(np.uint64).view(np.int64)[owner]
        place = np.full(len(keys), SPLITS.index(split))
        self._sample.add(keys, split=place, index=self.sizes[split] + owner, exact=content)
        self.sizes[split] += texts

    def reports(self) -> Iterator[Finding]:
        """Yield what was found, across splits and within them."""
        keys, split = self._sample.column("key"), self._sample.column("split")
        order = np.argsort(keys, kind="stable")
        for first, second in (*PAIRS, *((name, name) for name in SPLITS)):
            a = order[split[order] == SPLITS.index(first)]
            b = order[split[order] == SPLITS.index(second)]
            if len(a) and len(b):
                yield from self._near(first, second, a, b)

    def _near(self, first: str, second: str, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> Iterator[Finding]:
        texts, place, number = np.unique(self._sample.column("index")[a], return_inverse=True, return_counts=True)
        left, right = self._meetings(a, b, own=first == second)
        owner, other, share = self._best(place[left], right, number)
        # texts made of the same shingles in another order share what unrelated texts share
        drawn = self._best(np.random.default_rng(0).permutation(place)[left], right, number)[2]
        threshold = overlap_threshold(np.concatenate([drawn, np.zeros(len(texts) - len(drawn))]), self.rate)
        if threshold > 1:
            self.why_not[f"near duplicates of {first} in {second}"] = (
                "the texts have too much in common to tell copies from others"
            )
            return
        near = (share >= threshold) & ((number[owner] >= _FEWEST) | (share >= 1))
        if not near.any():
            return
        ranked = np.nonzero(near)[0][np.argsort(-share[near], kind="stable")]
        pairs = np.stack([texts[owner[ranked]], other[ranked]], axis=1)
        yield near_report(
            first,
            second,
            pairs,
            count=len(pairs),
            total=self.sizes[first],
            what=f", sharing {threshold:.0%} or more of the runs of its tokens",
        )

    def _best(
        self, owner: npt.NDArray[np.int64], right: npt.NDArray[np.int64], number: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return of the texts that share anything the place, the text with which each shares most, and how much.

        ``owner`` is the place of the first text of every meeting, ``right`` the record of the second; ``number`` counts shingles by place.
        """
        index = self._sample.column("index")[right]
        width = int(index.max(initial=0)) + 1
        meeting, shared = np.unique(owner * width + index, return_counts=True)
        owner, other = np.divmod(meeting, width)
        share = np.minimum(1.0, shared / number[owner])
        order = np.lexsort((-share, owner))
        first = order[np.diff(owner[order], prepend=-1) > 0]
        return owner[first], other[first], share[first]

    def _meetings(
        self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], *, own: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the place in ``a`` and the record of ``b`` of all pairs of equal keys, but for stock phrases and equal texts."""
        keys, index, exact = (self._sample.column(name) for name in ("key", "index", "exact"))
        begin, end = (np.searchsorted(keys[b], keys[a], side=side) for side in ("left", "right"))
        count = np.where(end - begin > _STOCK, 0, end - begin)
        left = np.repeat(np.arange(len(a)), count)
        offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        right = b[np.repeat(begin, count) + offset]
        differs = exact[a[left]] != exact[right]
        if own:
            differs &= index[a[left]] > index[right]
        return left[differs], right[differs]
