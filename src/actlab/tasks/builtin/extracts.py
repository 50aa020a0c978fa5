"""Extracts of real data that come with ActLab; ``data/SOURCES.md`` names origin and licence of each."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["extract"]


@lru_cache(maxsize=8)
def extract(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an extract by name; they are not to be changed.

    Example:
        >>> extract("oil")["price"][:2].tolist()
        [25.559999465942383, 26.0]
    """
    with (files(__package__) / "data" / f"{name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as found:
        return {key: found[key] for key in found.files}
