"""The catalogue: one file per family, one decorated function per activation. Importing it fills the registry."""

from actlab.functions.catalogue import (
    exponential,
    gated,
    logarithmic,
    periodic,
    rectified,
    self_gated,
    shrinkage,
    sigmoidal,
    smooth_rectified,
    squashing,
    stochastic,
    vector,
)

__all__ = [
    "exponential",
    "gated",
    "logarithmic",
    "periodic",
    "rectified",
    "self_gated",
    "shrinkage",
    "sigmoidal",
    "smooth_rectified",
    "squashing",
    "stochastic",
    "vector",
]
