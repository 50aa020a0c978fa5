"""Convolutions and pools of torch as layers of a net."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from torch import Tensor

from actlab.export.net.layers import Conv, Pool, Reshape, Window
from actlab.export.net.value import Reading, UnsupportedError, Value

__all__ = ["WINDOWED"]


def _each(value: Any, count: int) -> tuple[int, ...]:
    """Return a number for each spatial dimension, as torch takes one for all."""
    numbers = [value] if isinstance(value, int) else list(value)
    return tuple(numbers * count if len(numbers) == 1 else numbers)


def _conv(  # noqa: PLR0917 # torch's
    reading: Reading,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    if not isinstance(x, Value) or not isinstance(weight, Tensor) or isinstance(bias, Value):
        raise UnsupportedError("its weights are computed from the input.")
    spatial = weight.dim() - 2
    size, steps = tuple(weight.shape[2:]), _each(dilation, spatial)
    if padding == "same":
        total = [step * (length - 1) for step, length in zip(steps, size, strict=True)]
        before = tuple(each // 2 for each in total)
        after = tuple(each - front for each, front in zip(total, before, strict=True))
    else:
        before = after = _each(0 if padding == "valid" else padding, spatial)
    window = Window(size=size, stride=_each(stride, spatial), before=before, after=after, dilation=steps)
    numbers = weight.float().numpy()
    shift = np.zeros(len(numbers), np.float32) if bias is None else bias.float().numpy()
    return reading.add(Conv, x, weight=numbers, bias=shift, window=window, groups=groups)


def _convolution(  # noqa: PLR0917 # torch's
    reading: Reading,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    _output_padding: Any,
    groups: int,
    *_flags: Any,
) -> Value:
    if transposed:
        raise UnsupportedError("it is a transposed convolution, for which there is no kernel.")
    return _conv(reading, x, weight, bias, stride, padding, dilation, groups)


def _max_pool(  # noqa: PLR0917 # torch's
    reading: Reading, x: Value, size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, _ceil: bool = False
) -> Value:
    spatial = _spatial(x, reading)
    sizes, pads = _each(size, spatial), _each(padding, spatial)
    steps = _each(stride, spatial) if stride else sizes
    window = Window(size=sizes, stride=steps, before=pads, after=pads, dilation=_each(dilation, spatial))
    return reading.add(Pool, x, kind="max", window=window)


def _average_pool(  # noqa: PLR0917 # torch's
    reading: Reading,
    x: Value,
    size: Any,
    stride: Any = (),
    padding: Any = 0,
    _ceil: bool = False,
    count_include_pad: bool = True,
    divisor: Any = None,
) -> Value:
    if divisor is not None:
        raise UnsupportedError("it divides by another number than that of the window's elements.")
    spatial = _spatial(x, reading)
    sizes, pads = _each(size, spatial), _each(padding, spatial)
    steps = _each(stride, spatial) if stride else sizes
    window = Window(size=sizes, stride=steps, before=pads, after=pads, dilation=(1,) * spatial)
    return reading.add(Pool, x, kind="average", window=window, counts_padding=count_include_pad)


def _spatial(x: Value, reading: Reading) -> int:
    if len(x.shape) != len(reading.shape) or len(x.shape) not in {2, 3}:
        raise UnsupportedError(f"it pools a tensor of shape {x.shape}; there are pools in one and two dimensions.")
    return len(x.shape) - 1


def _adaptive_pool(kind: Literal["max", "average"], spatial: int, reading: Reading, x: Value, size: Any) -> Value:
    lengths = x.shape[1:]
    wanted = [length if each is None else each for each, length in zip(_each(size, spatial), lengths, strict=True)]
    if any(length % each for length, each in zip(lengths, wanted, strict=True)):
        raise UnsupportedError(f"it pools {lengths} into {tuple(wanted)}, windows of different sizes.")
    return _pool_all(reading, x, kind, tuple(length // each for length, each in zip(lengths, wanted, strict=True)))


def _pool_all(reading: Reading, x: Value, kind: Literal["max", "average"], sizes: tuple[int, ...]) -> Value:
    zeros, ones = (0,) * len(sizes), (1,) * len(sizes)
    window = Window(size=sizes, stride=sizes, before=zeros, after=zeros, dilation=ones)
    shape = (x.shape[0], *(length // size for length, size in zip(x.shape[1:], sizes, strict=True)))
    return reading.add(Pool, x, shape=shape, kind=kind, window=window)


def _mean(
    kind: Literal["max", "average"], reading: Reading, x: Value, dims: Any = None, *_arguments: Any, **_: Any
) -> Value:
    """Return a mean over dimensions, as a pool over all of them that are behind the channels."""
    if dims is None or dims == []:
        raise UnsupportedError("it runs over the batch as well; give it the dimensions behind the batch.")
    found = sorted(x.dimension(dim) for dim in _each(dims, 1))
    if found != list(range(found[0], len(x.shape))):
        raise UnsupportedError("it runs over dimensions in front of others; a net has means over the last ones.")
    channels = int(np.prod(x.shape[: found[0]], dtype=int))
    length = int(np.prod(x.shape[found[0] :], dtype=int))
    flat = x if x.shape == (channels, length) else reading.add(Reshape, x, shape=(channels, length))
    pooled = _pool_all(reading, flat, kind, (length,))
    return pooled if pooled.shape == reading.shape else reading.add(Reshape, pooled)


def _first_of_two(function: Callable[..., Value], reading: Reading, *arguments: Any, **options: Any) -> Any:
    """Return a pool that returns the indices as well, which must not be used."""
    reading.shape = reading.shape[0]
    return (function(reading, *arguments, **options), None)


def _pools() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for spatial in (1, 2):
        found[f"max_pool{spatial}d"] = _max_pool
        found[f"max_pool{spatial}d_with_indices"] = partial(_first_of_two, _max_pool)
        found[f"avg_pool{spatial}d"] = _average_pool
        for name in ("adaptive_avg_pool", "_adaptive_avg_pool"):
            found[f"{name}{spatial}d"] = partial(_adaptive_pool, "average", spatial)
        found[f"adaptive_max_pool{spatial}d"] = partial(_first_of_two, partial(_adaptive_pool, "max", spatial))
    return found


WINDOWED: Mapping[str, Callable[..., Any]] = {
    "conv1d": _conv,
    "conv2d": _conv,
    "convolution": _convolution,
    **_pools(),
    "mean": partial(_mean, "average"),
    "amax": partial(_mean, "max"),
}
