"""Comparison of a model's outputs with an engine's, against the rounding that is to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from actlab.errors import ExportError
from actlab.export.conform.report import Miss

__all__ = ["Comparison", "Outcome", "grid_step", "in_shape_of"]

Array = np.ndarray[Any, np.dtype[Any]]
SAFETY = 4.0  # times what a few units in the last place change
FAR = 1e6  # times the size of the outputs: what a NaN or an infinity on one side counts
LEVELS = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """A comparison of one set of outputs.

    Attributes:
        miss: as it is reported.
        errors: mean squared difference of each example, over the mean square of the outputs.
    """

    miss: Miss
    errors: Array

    @property
    def squared(self) -> float:
        """Mean of the errors."""
        return float(self.errors.mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What outputs are compared with.

    Attributes:
        wanted: outputs of the engine, in the model's shapes.
        sizes: root mean square of each of the model's outputs.
        floors: largest difference of each output that rounding explains.
        examples: number of examples; 1 where the outputs have no batch.
    """

    wanted: tuple[Array, ...]
    sizes: tuple[float, ...]
    floors: tuple[float, ...]
    examples: int

    def outcome(self, outputs: Sequence[Tensor]) -> Outcome:
        """Return how far outputs are from the engine's."""
        largest, within, errors = 0.0, True, np.zeros(self.examples)
        for tensor, want, size, floor in zip(outputs, self.wanted, self.sizes, self.floors, strict=True):
            difference = _difference(as_array(tensor), want)
            if difference.shape[:1] != want.shape[:1]:
                difference = np.full_like(want, np.inf)
            largest = max(largest, float(difference.max(initial=0.0)))
            within = within and bool((difference <= floor).all())
            relative = np.minimum(difference / size, FAR) ** 2
            is_split = relative.ndim > 0 and relative.shape[0] == self.examples
            errors = errors + (relative.reshape(self.examples, -1).mean(1) if is_split else relative.mean())
        errors = errors / max(len(self.wanted), 1)
        return Outcome(miss=Miss(largest=largest, rms=float(errors.mean() ** 0.5), within=within), errors=errors)


def as_array(tensor: Tensor) -> Array:
    """Return a tensor in float64."""
    return np.asarray(tensor.detach().cpu().double().numpy())


def _difference(got: Array, want: Array) -> Array:
    if got.shape != want.shape:
        return np.full_like(want, np.inf)
    with np.errstate(invalid="ignore"):
        difference = np.abs(got - want)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))


def in_shape_of(outputs: Sequence[Tensor], arrays: Sequence[Array], engine: str) -> tuple[Array, ...]:
    """Return the engine's outputs as float64 arrays in the shapes of the model's.

    Raises:
        ExportError: number or shapes differ.
    """
    if len(outputs) != len(arrays):
        raise ExportError(
            f"{engine} has {len(arrays)} outputs, and the model {len(outputs)}; they are compared in order."
        )
    shaped = []
    for i, (tensor, array) in enumerate(zip(outputs, arrays, strict=True)):
        if array.size != tensor.numel() or (array.ndim == tensor.dim() and array.shape != tuple(tensor.shape)):
            raise ExportError(
                f"Output {i} of {engine} has the shape {array.shape}, and the model's {tuple(tensor.shape)}. Give the outputs for "
                "example_inputs, in the same order of dimensions."
            )
        shaped.append(np.asarray(array, dtype=np.float64).reshape(tuple(tensor.shape)))
    return tuple(shaped)


def grid_step(array: Array) -> float | None:
    """Return the step of the codes that numbers stand for, where they are few multiples of one; else None.

    Example:
        >>> grid_step(np.round(np.linspace(-1, 1, 999) / 0.05) * 0.05)
        0.05
        >>> grid_step(np.linspace(-1, 1, 999)) is None
        True
    """
    values = np.unique(array[np.isfinite(array)].round(9))
    if not 8 <= len(values) <= LEVELS or array.size < 2 * len(values):
        return None
    gaps = np.diff(values)
    step = float(gaps.min())
    whole = gaps / step
    if np.abs(whole - np.rint(whole)).max() > 1e-2 or whole.sum() > LEVELS:
        return None
    return float(f"{(values[-1] - values[0]) / np.rint(whole).sum():.6g}")
