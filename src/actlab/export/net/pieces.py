"""Pieces of piecewise activations that inputs of a net reach, and those that no input reaches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import inf

import numpy as np

from actlab.export.net.evaluate import evaluate
from actlab.export.net.layers import Activation, Array
from actlab.export.net.net import Net
from actlab.functions.formula.quadrature import breakpoints
from actlab.functions.grammar import parse

__all__ = ["unreached"]

NARROW = 1e-6  # pieces of less are left out
MOST = 64  # breakpoints of a function; those with more, such as waves and splines, are no piecewise functions here


def unreached(net: Net, inputs: Sequence[Array]) -> list[str]:
    """Return the activations of a net that have a piece which no number of a batch reaches.

    Args:
        net: its layers.
        inputs: arrays of shape (batch, ...), one for each input.

    Returns:
        Names of layers, in order.
    """
    values = dict(zip(net.inputs, inputs, strict=True))
    missed = []
    with np.errstate(all="ignore"):  # large inputs may overflow
        for layer in net.layers:
            if (
                isinstance(layer, Activation)
                and len(layer.inputs) == 1
                and _misses(str(layer.spec), values[layer.inputs[0]])
            ):
                missed.append(layer.name)
            values[layer.output] = evaluate(layer, [values[name] for name in layer.inputs], net.shapes[layer.output])
    return missed


def _misses(spec: str, numbers: Array) -> bool:
    points = _breakpoints(spec)
    edges = (-inf, *points, inf)
    return any(high - low > NARROW and not ((numbers > low) & (numbers < high)).any() for low, high in pairwise(edges))


@cache
def _breakpoints(text: str) -> tuple[float, ...]:
    spec = parse(text)
    if spec.activation.kind != "elementwise":
        return ()
    points = tuple(breakpoints(spec.formula, spec.activation.inputs[0]))
    return points if len(points) <= MOST else ()
