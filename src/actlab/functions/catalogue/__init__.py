"""The catalogue: one file per family, one decorated function per activation. Importing it fills the registry."""

from actlab.functions.catalogue import (
    curved,
    exponential,
    gated,
    logarithmic,
    periodic,
    rectified,
    self_gated,
    shrinkage,
    sigmoidal,
    squashing,
    stochastic,
    vector,
)

__all__ = [
    "curved",
    "exponential",
    "gated",
    "logarithmic",
    "periodic",
    "rectified",
    "self_gated",
    "shrinkage",
    "sigmoidal",
    "squashing",
    "stochastic",
    "vector",
]
