"""The catalogue: one file per family, one decorated function per activation. Importing it fills the registry."""

from actlab.functions.catalogue import (
    adaptive,
    bumps,
    exponential,
    gated,
    periodic,
    polynomial,
    rectified,
    self_gated,
    shaped_gates,
    sigmoidal,
    stochastic,
    vector,
)

__all__ = [
    "adaptive",
    "bumps",
    "exponential",
    "gated",
    "periodic",
    "polynomial",
    "rectified",
    "self_gated",
    "shaped_gates",
    "sigmoidal",
    "stochastic",
    "vector",
]
