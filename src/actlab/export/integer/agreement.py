"""Accuracy of an integer net beside that of the float net that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from actlab.errors import ExportError
from actlab.export.integer.net import IntegerNet
from actlab.export.net.net import Net

__all__ = ["Agreement", "agreement"]

CHUNK = 256  # examples that the float net computes at a time
Floats = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """An integer net and its float net on the same examples.

    Attributes:
        examples: their number.
        accuracy_float: share of the labels that the float net's largest outputs agree with; None without labels.
        accuracy_integer: likewise, of the integer net.
        decided_otherwise: share of the largest outputs that are at another place.
        largest_difference: of any output number.
        mean_square: root of the mean squared difference, over the standard deviation of the float net's outputs.
    """

    examples: int
    accuracy_float: float | None
    accuracy_integer: float | None
    decided_otherwise: float
    largest_difference: float
    mean_square: float


def agreement(
    net: Net, whole: IntegerNet, inputs: Floats | Sequence[Floats], labels: Floats | None = None, *, output: int = 0
) -> Agreement:
    """Compare an integer net with the float net on data, such as a task's test split.

    Args:
        net: in float32.
        whole: what :func:`~actlab.export.integer.quantize.quantize` made of it.
        inputs: float arrays of shape (batch, ...), one for each input, or the only one.
        labels: classes, int of shape (batch,), or (batch, positions) where the classes are the last of several dimensions.
        output: which output is looked at; its classes are the last dimension.

    Raises:
        ExportError: there is no such output, it is an index, or the labels have another shape.

    Example:
        >>> import torch
        >>> from actlab.export.integer.quantize import quantize
        >>> from actlab.export.net.read import read_net
        >>> _ = torch.manual_seed(0)
        >>> model, x = torch.nn.Linear(4, 3), torch.randn(200, 4)
        >>> net = read_net(model, x)
        >>> found = agreement(net, quantize(net, x.numpy()), x.numpy(), model(x).argmax(1).numpy())
        >>> found.accuracy_float, found.accuracy_integer > 0.97, found.largest_difference < 0.05
        (1.0, True, True)
    """
    arrays = (inputs,) if isinstance(inputs, np.ndarray) else tuple(inputs)
    if not 0 <= output < len(net.outputs) or net.is_whole(net.outputs[output]):
        raise ExportError(
            f"Output {output} of {net.name} is none of its numbers; its outputs: {', '.join(net.outputs)}."
        )
    exact, numbers = _outputs(net, arrays)[output], whole.numbers(arrays)[output]
    first, second = exact.argmax(-1), numbers.argmax(-1)
    if labels is not None and np.shape(labels) != first.shape:
        raise ExportError(f"The labels have shape {np.shape(labels)}; the outputs decide {first.shape}.")
    difference = numbers - exact
    spread = float(exact.std()) or 1.0
    return Agreement(
        examples=len(exact),
        accuracy_float=None if labels is None else float((first == labels).mean()),
        accuracy_integer=None if labels is None else float((second == labels).mean()),
        decided_otherwise=float((first != second).mean()),
        largest_difference=float(np.abs(difference).max()),
        mean_square=float(np.sqrt((difference**2).mean())) / spread,
    )


def _outputs(net: Net, arrays: Sequence[Floats]) -> list[Floats]:
    parts = [
        net.run([np.asarray(x[start : start + CHUNK], np.float32) for x in arrays])
        for start in range(0, len(arrays[0]), CHUNK)
    ]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]
