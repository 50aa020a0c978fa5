"""Sample of keyed records in bounded memory, in which equal keys stay together or leave together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["HashSample", "Keys", "chosen_at", "hashed", "mixed"]

Keys = npt.NDArray[np.uint64]


def hashed(contents: Iterable[bytes]) -> Keys:
    """Return keys of 64 bits for byte strings, the same in every process.

    Example:
        >>> first, second, third = hashed([b"a", b"b", b"a"])
        >>> bool(first == third), bool(first == second)
        (True, False)
    """
    digests = b"".join(hashlib.blake2b(content, digest_size=8).digest() for content in contents)
    return np.frombuffer(digests, dtype=np.uint64)


def mixed(values: npt.NDArray[Any]) -> Keys:
    """Return whole numbers as keys whose bits all depend on all bits of the number (the finalizer of SplitMix64).

    Args:
        values: integers, any shape.

    Example:
        >>> mixed(np.arange(3)).dtype, len(set(mixed(np.arange(1000)).tolist()))
        (dtype('uint64'), 1000)
    """
    x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def chosen_at(level: int, keys: Keys) -> npt.NDArray[np.bool_]:
    """Return which keys are in the sample of a share of 2 ** -level, shape (n,): those whose first ``level`` bits are 0.

    Example:
        >>> chosen_at(1, np.array([1, 2**63], dtype=np.uint64)).tolist()
        [True, False]
    """
    if not level:
        return np.ones(len(keys), dtype=np.bool_)
    return np.asarray(keys >> np.uint64(64 - level) == 0, dtype=np.bool_)


class HashSample:
    """Records of which at most ``capacity`` are kept: those whose key is below a bound, which is halved when they are too many.

    Records of equal keys are kept together, so that a share of duplicates in the sample estimates the share in the whole without bias
    (adaptive sampling: Flajolet, Computing 34, 1990).

    Args:
        capacity: largest number of records.
        fields: names of their numbers, int64, beside the key.

    Example:
        >>> sample = HashSample(100, "index")
        >>> sample.add(mixed(np.arange(1000)), index=np.arange(1000))
        >>> len(sample) <= 100, 0.05 < sample.share < 0.2
        (True, True)
    """

    def __init__(self, capacity: int, *fields: str) -> None:
        self.capacity = capacity
        self._blocks: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("key", *fields)}
        self._kept = 0
        self._level = 0

    def __len__(self) -> int:
        return self._kept

    @property
    def share(self) -> float:
        """Share of all keys that are kept."""
        return 2.0**-self._level

    def add(self, keys: Keys, **columns: npt.NDArray[Any]) -> None:
        """Add records.

        Args:
            keys: shape (n,).
            columns: the numbers of each field, shape (n,).
        """
        chosen = self._chosen(keys)
        for name, values in {"key": keys, **columns}.items():
            self._blocks[name].append(values[chosen].astype(np.uint64 if name == "key" else np.int64))
        self._kept += int(chosen.sum())
        while self._kept > self.capacity:
            self._level += 1
            self._thin()

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return the numbers of a field, or with "key" the keys, shape (kept,), in the order in which they were added."""
        blocks = self._blocks[name]
        if len(blocks) != 1:
            blocks[:] = [np.concatenate(blocks) if blocks else np.empty(0, np.uint64 if name == "key" else np.int64)]
        return blocks[0]

    def _chosen(self, keys: Keys) -> npt.NDArray[np.bool_]:
        return chosen_at(self._level, mixed(keys))

    def _thin(self) -> None:
        chosen = self._chosen(self.column("key"))
        for name in self._blocks:
            self._blocks[name] = [self.column(name)[chosen]]
        self._kept = int(chosen.sum())
