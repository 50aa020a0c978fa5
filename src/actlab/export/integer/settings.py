"""Settings of a quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from actlab.errors import ExportError

__all__ = ["Calibration", "QuantizeSettings"]

Calibration = Literal["minmax", "percentile", "mse"]


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings:
    """How the numbers of a net become codes.

    Attributes:
        calibration: how the range of a tensor follows from its values on the data: their smallest and largest (``"minmax"``), two
            percentiles (``"percentile"``), which leave out outliers, or the range with the smallest mean squared error of the codes
            (``"mse"``).
        percentile: of the upper end; the lower one is 100 minus it.
        input_scale: what one step of the inputs stands for, for all or by name; None follows from the data. Whole numbers from 0
            to 255 or from -128 to 127, such as pixels, are exact with 1.
        output_width: bits of the codes of outputs that come from a dense layer or convolution; by default 8, and 32 behind bits, which give
            so few different sums that classes would tie.

    Raises:
        ExportError: a value is not allowed.
    """

    calibration: Calibration = "minmax"
    percentile: float = 99.99
    input_scale: float | Mapping[str, float] | None = None
    output_width: Literal[8, 32] | None = None

    def __post_init__(self) -> None:
        if self.calibration not in get_args(Calibration):
            allowed = ", ".join(map(repr, get_args(Calibration)))
            raise ExportError(f"calibration is one of {allowed}; got {self.calibration!r}.")
        if not 50 < self.percentile <= 100:
            raise ExportError(f"percentile is above 50 and at most 100, such as 99.99; got {self.percentile!r}.")
        if self.output_width not in {None, 8, 32}:
            raise ExportError(f"output_width is 8 or 32, or None for one that fits; got {self.output_width!r}.")
        scales = self.input_scale
        for scale in scales.values() if isinstance(scales, Mapping) else [scales]:
            if scale is not None and not (np.isfinite(scale) and scale > 0):
                raise ExportError(f"input_scale is a finite number above 0; got {scale!r}.")

    def scale_of(self, name: str) -> float | None:
        """Return what one step of an input stands for; None where it follows from the data."""
        return self.input_scale.get(name) if isinstance(self.input_scale, Mapping) else self.input_scale
