"""Table of 256 codes of an activation between two quantised int8 tensors.

Every code is the exact one: the formula is evaluated in float64, divided by the output's scale, rounded half to even, moved by the output's
zero point, and saturated. A result that is NaN, as the logarithm of a negative number, becomes the output's zero point, which stands for 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from actlab.functions.activation import Activation
from actlab.functions.spec import Spec

__all__ = ["int8_table"]

Codes = np.ndarray[Any, np.dtype[np.int8]]


def int8_table(
    spec: Spec | Activation, *, input_scale: float, input_zero: int, output_scale: float, output_zero: int
) -> Codes:
    """Return the output's code for each input's code, at the index ``code + 128``.

    Args:
        spec: an elementwise activation, or a stochastic one, which becomes its mean; a gradient rule has no part in it.
        input_scale: what one step of the input's codes stands for; above 0.
        input_zero: code of 0, from -128 to 127.
        output_scale: as ``input_scale``, of the output.
        output_zero: as ``input_zero``, of the output.

    Returns:
        256 codes.

    Raises:
        ExportError: the activation has no table, or a scale or zero point is out of range.
    """
    raise NotImplementedError
