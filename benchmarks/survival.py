"""Kaplan-Meier curves, medians and restricted means against scikit-survival, on random times with ties and censoring.

    python -m venv /tmp/survival && /tmp/survival/bin/pip install scikit-survival==0.28.0
    PYTHONPATH=src /tmp/survival/bin/python benchmarks/survival.py [--samples 2000] [--seed 0]

scikit-survival is installed in an environment of its own, so that it does not change the versions of numpy and scipy here; only
`actlab.stats` is imported, which needs no torch. Exit code 1 when a value differs by more than 1e-9.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sksurv.functions import StepFunction
from sksurv.nonparametric import kaplan_meier_estimator

from actlab.stats.survival import kaplan_meier

Floats = NDArray[np.float64]
TOLERANCE = 1e-9


@dataclass(kw_only=True)
class Largest:
    """Largest difference of each kind."""

    curve: float = 0.0
    median: float = 0.0
    restricted_mean: float = 0.0
    medians_unknown: int = 0


def draw(draws: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """Return times and whether the event came: continuous, in whole steps with ties, or all censored at one horizon."""
    n = int(draws.integers(2, 41))
    events = draws.exponential(100.0, size=n)
    ends = np.full(n, 80.0) if draws.random() < 0.5 else draws.exponential(150.0, size=n)
    times, reached = np.minimum(events, ends), events <= ends
    return (np.ceil(times / 10) * 10 if draws.random() < 0.5 else times), reached


def restricted_mean(curve: StepFunction, horizon: float) -> float:
    """Return the integral of scikit-survival's step function by adding its rectangles."""
    edges = [0.0, *(time for time in curve.x if 0 < time < horizon), horizon]
    heights = [1.0 if left < curve.x[0] else float(curve(left)) for left in edges[:-1]]
    return sum(height * (right - left) for height, left, right in zip(heights, edges, edges[1:], strict=False))


def compare(times: Floats, reached: NDArray[np.bool_], largest: Largest) -> None:
    """Compare the two on one sample."""
    ours = kaplan_meier(times, reached)
    at, survival = kaplan_meier_estimator(reached, times)
    assert np.array_equal(at, ours.times), "the two list different times"
    largest.curve = max(largest.curve, float(np.abs(survival - ours.survival).max()))
    below = np.flatnonzero(survival <= 0.5 + 1e-12)
    if (below.size == 0) != (ours.median is None):
        largest.median = np.inf
    elif ours.median is None:
        largest.medians_unknown += 1
    else:
        largest.median = max(largest.median, abs(float(at[below[0]]) - ours.median))
    horizon = float(np.quantile(times, 0.8))
    mean = ours.restricted_mean(horizon)
    other = restricted_mean(StepFunction(at, survival), horizon)
    largest.restricted_mean = max(largest.restricted_mean, abs(other - (np.inf if mean is None else mean)) / horizon)


def main() -> int:
    """Print the largest differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draws, largest = np.random.default_rng(options.seed), Largest()
    for _ in range(options.samples):
        times, reached = draw(draws)
        if reached.any():  # scikit-survival refuses samples without an event
            compare(times, reached, largest)
    print(f"{options.samples} samples of 2 to 40 times; largest differences to scikit-survival:")
    print(f"  survival curve                  {largest.curve:.1e}")
    print(f"  median                          {largest.median:.1e}  (unknown in both: {largest.medians_unknown})")
    print(f"  restricted mean / horizon       {largest.restricted_mean:.1e}")
    return int(max(largest.curve, largest.median, largest.restricted_mean) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
