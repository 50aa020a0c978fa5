"""The catalogue: one file per family, one decorated function per activation. Importing it fills the registry."""

from actlab.functions.catalogue import (
    attention,
    exponential,
    gated,
    grouped,
    periodic,
    quantised,
    rectified,
    self_gated,
    sigmoidal,
    stochastic,
    vector,
)

__all__ = [
    "attention",
    "exponential",
    "gated",
    "grouped",
    "periodic",
    "quantised",
    "rectified",
    "self_gated",
    "sigmoidal",
    "stochastic",
    "vector",
]
