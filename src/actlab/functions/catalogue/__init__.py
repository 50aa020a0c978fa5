"""The catalogue: one file per family, one decorated function per activation. Importing it fills the registry."""

from actlab.functions.catalogue import (
    exponential,
    gated,
    periodic,
    rectified,
    self_gated,
    sigmoidal,
    stochastic,
    vector,
)

__all__ = ["exponential", "gated", "periodic", "rectified", "self_gated", "sigmoidal", "stochastic", "vector"]
