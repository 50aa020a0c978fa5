"""Ranges of tensors from calibration data, and the codings that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from actlab.errors import ExportError
from actlab.export.integer.coding import Codes
from actlab.export.integer.elementwise import Elementwise
from actlab.export.integer.lower import Lowered
from actlab.export.integer.settings import QuantizeSettings
from actlab.export.net.layers import Array

__all__ = ["Sample", "check_inputs", "codes_of", "coding_of", "fit", "joined", "observe", "trim"]

Floats = np.ndarray[Any, Any]
KEPT = 2**15  # numbers of a tensor that are kept, evenly spread over the calibration data
SMALLEST, LARGEST = 1e-37, 1e36  # of a scale, so that float32 holds it and its products with codes
SHRINK: Final = np.geomspace(1.0, 0.1, 32)  # parts of the full range that are tried
FITTED = 4096  # numbers to which a range is fitted
FINER: Final = np.geomspace(1.15, 0.8, 15)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Values of a tensor on the calibration data.

    Attributes:
        low: smallest.
        high: largest.
        values: some of them, float64 of shape (n,); further ones beyond the ends where the ends do not matter.
    """

    low: float
    high: float
    values: Floats


def check_inputs(lowered: Lowered, calibration: Sequence[Array]) -> None:
    """Check the calibration data.

    Raises:
        ExportError: there are no examples, another number of arrays than of inputs, other shapes, NaN or infinities.
    """
    net = lowered.net
    expected = [net.shapes[name] for name in net.inputs]
    got = [tuple(x.shape[1:]) for x in calibration]
    if got != expected or len({len(x) for x in calibration}) != 1:
        shapes = [("batch", *shape) for shape in expected]
        raise ExportError(f"The calibration data has arrays of shapes {shapes}; got {[x.shape for x in calibration]}.")
    if not len(calibration[0]):
        raise ExportError("The calibration data has no examples; give some hundreds of the training data.")
    for name, x in zip(net.inputs, calibration, strict=True):
        if not np.isfinite(x).all():
            count = int((~np.isfinite(x)).sum())
            raise ExportError(
                f"The calibration data holds NaN or infinities: {count} of {x.size} numbers of {name}. Leave out those examples."
            )


def observe(lowered: Lowered, calibration: Sequence[Array], chunk: int = 64) -> dict[str, Sample]:
    """Return samples of all tensors by name.

    Args:
        lowered: the net.
        calibration: arrays of shape (batch, ...), one for each input.
        chunk: examples that are computed at a time.

    Raises:
        ExportError: a tensor holds NaN or infinities.
    """
    check_inputs(lowered, calibration)
    examples = len(calibration[0])
    parts: dict[str, list[Floats]] = {}
    ends: dict[str, tuple[float, float]] = {}
    makers = {layer.output: layer for layer in lowered.net.layers}
    for start in range(0, examples, chunk):
        found = lowered.tensors([x[start : start + chunk] for x in calibration])
        for name, array in found.items():
            values = _finite(array.reshape(-1), makers.get(name))
            low, high = ends.get(name, (np.inf, -np.inf))
            ends[name] = (min(low, float(values.min())), max(high, float(values.max())))
            share = max(KEPT * len(array) // examples, 1)
            parts.setdefault(name, []).append(values[:: max(len(values) // share, 1)].astype(np.float64))
    return {name: Sample(low=ends[name][0], high=ends[name][1], values=np.concatenate(parts[name])) for name in parts}


def _finite(values: Floats, maker: Any) -> Floats:
    """Return the finite values; of an activation others are left out, as a logarithm has them at 0, because tables saturate."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    if isinstance(maker, Elementwise):
        return values[finite] if finite.any() else np.zeros(1)
    place = f"{maker.name} ({type(maker).__name__.lower()})" if maker else "an input"
    raise ExportError(
        f"The output of {place} holds NaN or infinities on the calibration data, which no range covers. "
        "Look at the model's outputs on these inputs first."
    )


def joined(samples: Sequence[Sample]) -> Sample:
    """Return the sample of several tensors with one coding."""
    return Sample(
        low=min(each.low for each in samples),
        high=max(each.high for each in samples),
        values=np.concatenate([each.values for each in samples]),
    )


def coding_of(low: float, high: float) -> Codes:
    """Return 8-bit codes for a range, which is widened to hold 0.

    Example:
        >>> coding_of(0.0, 255.0), coding_of(3.0, 3.0).scale * 255
        (Codes(scale=1.0, zero=-128, width=8), 3.0)
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        return Codes(scale=1.0)
    scale = float(np.clip((high - low) / 255, SMALLEST, LARGEST))
    return Codes(scale=scale, zero=int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def codes_of(x: Any, coding: Codes) -> Any:
    """Return the codes of numbers, int8 of the same shape; halves go to even, NaN is the code of 0."""
    with np.errstate(over="ignore"):  # to infinity, which saturates
        steps = np.rint(np.asarray(x, np.float64) / coding.scale) + coding.zero
    return np.clip(np.where(np.isnan(steps), coding.zero, steps), -128, 127).astype(np.int8)


def fit(
    sample: Sample,
    settings: QuantizeSettings,
    function: Callable[[Floats], Floats] = lambda x: x,
    rounded: Callable[[Floats], Floats] = lambda x: x,
) -> Codes:
    """Return the coding of a tensor.

    Args:
        sample: its values.
        settings: with the kind of calibration.
        function: of shape (n,) to (n,) or (count, n), which alone reads the tensor: then the error is that of its results.
        rounded: the same with its results rounded to their codes. Without it, the end of a range may lie where the function is nearly
            constant, but has another code than beyond, and half of all numbers would have that code.
    """
    if settings.calibration == "minmax" or sample.low == sample.high:
        return coding_of(sample.low, sample.high)
    if settings.calibration == "percentile":
        share = settings.percentile / 100
        low = float(np.quantile(sample.values, 1 - share, method="lower"))
        high = float(np.quantile(sample.values, share, method="higher"))
        return coding_of(max(low, sample.low), min(high, sample.high))
    return _least_squares(sample, function, rounded)


def _least_squares(sample: Sample, function: Callable[[Floats], Floats], rounded: Callable[[Floats], Floats]) -> Codes:
    values = sample.values  # beyond the ends too: there the function must have its own code
    values = np.concatenate([values[:: max(len(values) // FITTED, 1)], [sample.low, sample.high]])
    exact = function(values)
    kept = np.isfinite(exact)

    def error(low: float, high: float) -> float:
        coding = coding_of(low, high)
        codes = codes_of(values, coding).astype(np.float64)
        approximate = rounded((codes - coding.zero) * coding.scale)
        with np.errstate(all="ignore"):
            difference = np.nan_to_num(approximate - exact, nan=1e15, posinf=1e15, neginf=-1e15)[kept]
        return float((difference**2).mean())

    low, high = sample.low, sample.high
    factor = min(SHRINK, key=lambda part: error(low * part, high * part))
    low, high = low * factor, high * factor
    for _ in range(2):
        high *= min(FINER, key=lambda part: error(low, min(high * part, max(sample.high, 0.0))))
        high = min(high, max(sample.high, 0.0))
        low *= min(FINER, key=lambda part: error(max(low * part, min(sample.low, 0.0)), high))
        low = max(low, min(sample.low, 0.0))
    full = coding_of(sample.low, sample.high)
    return coding_of(low, high) if error(low, high) < error(sample.low, sample.high) else full


def trim(sample: Sample, codes: Callable[[Floats], Any]) -> Sample:
    """Return a sample without the ends over which a function has one code, such as those of a sigmoid.

    Args:
        sample: of the function's input.
        codes: of the function's results, from shape (n,) to (count, n).
    """
    low, high = min(sample.low, 0.0), max(sample.high, 0.0)
    points = np.linspace(low, high, 2049)
    found = codes(points)
    changes = np.flatnonzero((found[:, 1:] != found[:, :-1]).any(0))
    if not len(changes):
        return sample
    low, high = float(points[changes[0]]), float(points[changes[-1] + 1])
    return Sample(low=max(low, min(sample.low, high)), high=min(high, max(sample.high, low)), values=sample.values)


def largest(samples: Mapping[str, Sample], name: str) -> float:
    """Return the largest magnitude of a tensor."""
    return max(abs(samples[name].low), abs(samples[name].high))
