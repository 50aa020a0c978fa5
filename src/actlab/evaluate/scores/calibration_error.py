"""Calibration error over bins of equal mass or width, and that of a calibrated model by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BINS", "Reliability", "Scheme", "chance_error", "reliability"]

Floats: TypeAlias = npt.NDArray[np.float64]
#: Whether bins hold equal shares of the examples, or have equal widths.
Scheme: TypeAlias = Literal["mass", "width"]
#: Number of bins, as in Guo et al. 2017 (arXiv:1706.04599).
BINS: Final = 15
_DRAWS: Final = 200  # of correct answers under the hypothesis that the model is calibrated


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Confidence and accuracy in each bin that has examples.

    Attributes:
        confidence: mean confidence, shape (bins,).
        accuracy: share of correct answers, shape (bins,).
        count: number of examples, shape (bins,).
    """

    confidence: Floats
    accuracy: Floats
    count: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of accuracy and confidence, bins weighted by their examples."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))

    @property
    def largest_error(self) -> float:
        """Largest distance of accuracy and confidence of a bin."""
        return float(np.abs(self.accuracy - self.confidence).max())

    def to_curve(self) -> dict[str, Any]:
        """Return the points of a reliability diagram, ready for JSON."""
        return {"x": self.confidence.tolist(), "y": self.accuracy.tolist(), "count": self.count.tolist()}


def reliability(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = BINS, scheme: Scheme = "mass"
) -> Reliability:
    """Return confidence and accuracy by bins of confidence.

    Bins of equal mass have as many examples each as ties allow: examples of one confidence are in one bin, so that the result does not
    depend on the order of the examples. The last bin of either kind includes a confidence of exactly 1.

    Args:
        confidence: probability of the predicted class, shape (n,), from 0 to 1.
        correct: whether the prediction is right, shape (n,).
        bins: number of bins.
        scheme: "mass" or "width".

    Raises:
        ValueError: there are no examples, or a confidence is no probability.

    Example:
        >>> reliability([0.5, 0.5, 0.75, 1.0], [1, 1, 1, 1], bins=2).error
        0.3125
    """
    values, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if not values.size:
        raise ValueError("there are no examples")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"confidences are from {values.min()} to {values.max()}; probabilities are needed")
    place = _places(values, bins, scheme)
    count = np.bincount(place, minlength=bins)
    kept = count > 0
    sums = (np.bincount(place, weights=part, minlength=bins)[kept] for part in (values, right))
    means = [total / count[kept] for total in sums]
    return Reliability(confidence=means[0], accuracy=means[1], count=count[kept])


def _places(values: Floats, bins: int, scheme: Scheme) -> npt.NDArray[np.int64]:
    """Return the bin of each value, shape (n,)."""
    if scheme == "width":
        return np.minimum((values * bins).astype(np.int64), bins - 1)
    # The bin of a value is that of the first example which has it, in the order of the values.
    first = np.searchsorted(np.sort(values), values, side="left")
    return np.asarray(first * bins // len(values), dtype=np.int64)


def chance_error(confidence: npt.ArrayLike, *, bins: int = BINS, seed: int = 0) -> Floats:
    """Return calibration errors that a calibrated model with these confidences shows, of 200 draws of its answers, shape (200,).

    The error is a sum of distances, so it is above zero for a calibrated model, and more so the fewer examples there are in a bin.

    Args:
        confidence: probability of the predicted class, shape (n,).
        bins: number of bins of equal mass.
        seed: of the draws.

    Example:
        >>> few, many = (chance_error(np.full(n, 0.8)).mean() for n in (50, 5000))
        >>> bool(few > 5 * many)
        True
    """
    values = np.asarray(confidence, dtype=np.float64)
    place = _places(values, bins, "mass")
    draws = np.random.default_rng(seed)
    total = np.bincount(place, weights=values, minlength=bins)
    found = []
    for _ in range(_DRAWS):
        right = np.bincount(place, weights=draws.random(values.size) < values, minlength=bins)
        found.append(np.abs(right - total).sum() / values.size)
    return np.array(found)
