"""Digit images and stratified splits of scikit-learn, without the import of the library."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["digit_images", "stratified_split"]

Ints = NDArray[np.int64]


def digit_images() -> tuple[NDArray[np.float64], Ints]:
    """Return what ``sklearn.datasets.load_digits(return_X_y=True)`` returns: pixels (1797, 64) from 0 to 16, and labels (1797,)."""
    library = find_spec("sklearn")
    if library is None or not library.submodule_search_locations:
        raise ModuleNotFoundError("the digits are those of scikit-learn; pip install scikit-learn")
    table = np.loadtxt(
        Path(library.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz", delimiter=","
    )
    return np.ascontiguousarray(table[:, :-1]), table[:, -1].astype(np.int64)


def stratified_split(labels: Ints, held_out: int, seed: int) -> tuple[Ints, Ints]:
    """Return the positions that ``sklearn.model_selection.train_test_split`` draws, of the larger part and of the one that is held out.

    Args:
        labels: class of each example, shape (n,).
        held_out: number of examples in the second part.
        seed: ``random_state``.

    Example:
        >>> train, test = stratified_split(np.array([0, 0, 1, 1, 1, 1]), 3, seed=0)
        >>> len(train), np.bincount(np.array([0, 0, 1, 1, 1, 1])[test]).tolist()
        (3, [1, 2])
    """
    random = np.random.RandomState(seed)  # whose numbers are those of scikit-learn
    _, classes = np.unique(labels, return_inverse=True)
    counts = np.bincount(classes)
    members = np.split(np.argsort(classes, kind="mergesort"), np.cumsum(counts)[:-1])
    larger = _shares(counts, len(labels) - held_out, random)
    smaller = _shares(counts - larger, held_out, random)
    first, second = list[int](), list[int]()
    for member, count, kept, taken in zip(members, counts, larger, smaller, strict=True):
        drawn = member[random.permutation(count)]
        first += drawn[:kept].tolist()
        second += drawn[kept : kept + taken].tolist()
    return random.permutation(first), random.permutation(second)


def _shares(counts: Ints, total: int, random: np.random.RandomState) -> Ints:
    """Return how many of each class are drawn: the most likely numbers, ties broken at random."""
    exact = counts / counts.sum() * total
    shares = np.floor(exact)
    missing = int(total - shares.sum())
    if missing > 0:
        remainder = exact - shares
        for value in np.sort(np.unique(remainder))[::-1]:
            tied = np.where(remainder == value)[0]
            added = min(len(tied), missing)
            shares[random.choice(tied, size=added, replace=False)] += 1
            missing -= added
            if missing == 0:
                break
    drawn: Ints = shares.astype(np.int64)
    return drawn
