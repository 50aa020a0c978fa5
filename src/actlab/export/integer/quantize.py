"""Quantisation of a net after training, from calibration data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

from actlab.export.integer.build import Builder
from actlab.export.integer.codings import Codings
from actlab.export.integer.lower import lower
from actlab.export.integer.net import IntegerNet
from actlab.export.integer.ranges import check_inputs, observe
from actlab.export.integer.settings import Calibration, QuantizeSettings
from actlab.export.net.layers import Conv, Dense, Scale
from actlab.export.net.net import Net
from actlab.export.refusal import Refusal, refuse
from actlab.system.options import from_options

__all__ = ["QuantizeOptions", "quantize"]

Floats = np.ndarray[Any, Any]


class QuantizeOptions(TypedDict, total=False):
    """Fields of :class:`~actlab.export.integer.settings.QuantizeSettings` as keyword arguments."""

    calibration: Calibration
    percentile: float
    input_scale: float | Mapping[str, float] | None
    output_width: Any


def quantize(
    net: Net,
    data: Floats | Sequence[Floats],
    settings: QuantizeSettings | None = None,
    **options: Unpack[QuantizeOptions],
) -> IntegerNet:
    """Return a net in integer arithmetic.

    Activations become int8 codes with a scale and a zero for each tensor, weights int8 codes with a scale for each output, sums int32.
    Activations become clamps or tables of 256 entries that are exact for each code, binary ones thresholds.

    Args:
        net: in float32, from :func:`actlab.export.net.read.read_net`.
        data: for the ranges, some hundreds of training examples: float arrays of shape (batch, ...), one for each input, or the only one.
        settings: see :class:`~actlab.export.integer.settings.QuantizeSettings`.
        options: fields of ``settings`` by name, such as ``calibration="minmax"``; they take precedence.

    Raises:
        ExportError: layers have no integer form, all of which are named; the calibration data has other shapes, NaN or infinities, or makes
            some; or a setting is not allowed.

    Example:
        >>> import torch
        >>> from actlab.export.net.read import read_net
        >>> model, x = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 2)), torch.randn(64, 4)
        >>> whole = quantize(read_net(model, x), x.numpy())
        >>> [layer.made_from for layer in whole.layers], whole.run(x.numpy())[0].dtype
        (['dense gelu', 'dense'], dtype('int8'))
        >>> bool(abs(whole.numbers(x.numpy())[0] - model(x).detach().numpy()).max() < 0.1)
        True
    """
    chosen = from_options(QuantizeSettings, settings, options)
    arrays = (data,) if isinstance(data, np.ndarray) else tuple(data)
    lowered = lower(net)
    refuse(net.name, "int8", [*lowered.refusals, *_broken_weights(net)])
    check_inputs(lowered, arrays)
    samples = observe(lowered, [np.asarray(x, np.float32) for x in arrays])
    builder = Builder(Codings(lowered, samples, chosen))
    builder.add_all()
    return builder.net()


def _broken_weights(net: Net) -> list[Refusal]:
    found = []
    for layer in net.layers:
        arrays = (layer.weight, layer.bias) if isinstance(layer, (Dense, Conv)) else ()
        if isinstance(layer, Scale):
            arrays = (layer.scale.values, layer.shift.values)
        if not all(np.isfinite(each).all() for each in arrays):
            reason = "its weights hold NaN or infinities."
            found.append(Refusal(name=type(layer).__name__.lower(), place=layer.name, reason=reason))
    return found
