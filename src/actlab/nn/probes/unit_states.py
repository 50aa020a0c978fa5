"""Classify the units of a layer as dead, saturated, sparse or healthy, over all the data.

- **dead**: the output is exactly zero and so is the slope, for every sample and position: no loss sends a gradient through it;
- **born dead**: dead now, and dead already at initialization;
- **saturated**: not dead, and on a flat end of the function (slope within 1 % of the steepest) for at least 95 % of the elements;
- **sparse**: neither, and not zero for less than 5 % of the elements. Not a fault: gradient still arrives on active samples;
- **healthy**: all others.

A unit that is zero throughout one batch is *silent in a batch*. The smaller the batch, the more healthy units are silent in it, so counting
them, as many hand-written hooks do, does not find dead units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = ["SATURATED", "SPARSE", "STATES", "Census", "classify_units"]

# Shares of the elements.
SATURATED: Final = 0.95
SPARSE: Final = 0.05
STATES: Final = ("healthy", "sparse", "saturated", "dead", "born dead")
HEALTHY, IS_SPARSE, IS_SATURATED, DEAD, BORN_DEAD = range(len(STATES))


@dataclass(frozen=True, kw_only=True, eq=False)
class Census:
    """States and statistics of the units of one layer, over all measured data. All arrays have one element per unit.

    Attributes:
        states: index into :data:`STATES`.
        activity: share of elements that are not zero.
        mean: mean output.
        saturated: share of elements on a flat end of the function, and not zero.
        silent: share of batches in which the unit was zero throughout.
        gradient: root of the mean squared gradient of the unit's input; NaN where no gradients were measured.
    """

    states: np.ndarray
    activity: np.ndarray
    mean: np.ndarray
    saturated: np.ndarray
    silent: np.ndarray
    gradient: np.ndarray

    def share(self, *states: str) -> float:
        """Return the share of units in any of the states."""
        wanted = [STATES.index(state) for state in states]
        return float(np.isin(self.states, wanted).mean()) if len(self.states) else 0.0

    @property
    def dead(self) -> np.ndarray:
        """Whether each unit is dead, born dead included."""
        return self.states >= DEAD

    def state_of(self, unit: int) -> str:
        """Return the state of a unit, one of :data:`STATES`."""
        return STATES[int(self.states[unit])]


def classify_units(
    *,
    zeros: np.ndarray,
    has_slope: np.ndarray,
    saturated: np.ndarray,
    elements: float,
    at_init: np.ndarray | None = None,
) -> np.ndarray:
    """Return the state of every unit. All arrays have shape ``(units,)``.

    Args:
        zeros: number of elements that were exactly zero.
        has_slope: whether the slope of any element was not exactly zero.
        saturated: number of elements on a flat end and not zero.
        elements: number of elements of each unit.
        at_init: whether the unit was dead at initialization.

    Returns:
        Indices into :data:`STATES`.

    Example:
        >>> counts = {"zeros": np.array([100, 97, 0, 0]), "saturated": np.array([0, 0, 99, 3])}
        >>> [STATES[state] for state in classify_units(**counts, has_slope=np.array([False, True, True, True]), elements=100)]
        ['dead', 'sparse', 'saturated', 'healthy']
    """
    states = np.where(zeros > (1 - SPARSE) * elements, IS_SPARSE, HEALTHY)
    states = np.where(saturated >= SATURATED * elements, IS_SATURATED, states)
    dead = (zeros >= elements) & ~has_slope
    states = np.where(dead, DEAD, states)
    return states if at_init is None else np.where(dead & at_init, BORN_DEAD, states)
