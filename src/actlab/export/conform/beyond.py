"""Inputs beyond the examples at which functions differ that the examples cannot tell apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_map

from actlab.export.conform.report import Undecided
from actlab.nn.sites.dry_run import Arguments

__all__ = ["SCALES", "apart", "scaled"]

SCALES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
GRID = np.concatenate([-np.geomspace(1e-3, 200.0, 400)[::-1], np.geomspace(1e-3, 200.0, 400)])
DIFFERENT = 1e-5  # over 1 + the magnitude


def scaled(arguments: Arguments, factor: float) -> Arguments:
    """Return the arguments of a call with every floating-point tensor multiplied."""
    args: Arguments = tree_map(
        lambda leaf: leaf * factor if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf, arguments
    )
    return args


def apart(
    spec: str,
    curves: tuple[Callable[[Any], Any] | None, Callable[[Any], Any] | None],
    reached: tuple[float, float] | None,
    differs_at: Callable[[float], bool],
) -> Undecided:
    """Return where a function differs from the one that was found.

    Args:
        spec: its name.
        curves: the found function and this one, of arrays; None where they are no functions of one number.
        reached: smallest and largest input of the site.
        differs_at: whether the model's outputs differ at a factor of the example inputs.
    """
    low = high = None
    if curves[0] is not None and curves[1] is not None and reached is not None:
        with np.errstate(all="ignore"):
            found, other = curves[0](GRID), curves[1](GRID)
        different = ~(np.abs(found - other) <= DIFFERENT * (1 + np.abs(found)))
        if not different[(reached[0] <= GRID) & (reached[1] >= GRID)].any():
            below, above = GRID[different & (reached[0] > GRID)], GRID[different & (reached[1] < GRID)]
            low, high = (float(below.max()) if below.size else None), (float(above.min()) if above.size else None)
    scale = next((factor for factor in SCALES if differs_at(factor)), None)
    return Undecided(spec=spec, low=low, high=high, scale=scale)
