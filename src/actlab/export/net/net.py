"""Net as a list of layers with the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from actlab.export.net.evaluate import evaluate
from actlab.export.net.layers import ArgMax, Array, Layer, Numbers

__all__ = ["Net"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Net:
    """A net in eval mode. Build it with :func:`actlab.export.net.read.read_net`.

    Attributes:
        name: of the model's class.
        inputs: names of the tensors that it takes.
        outputs: names of those that it returns.
        shapes: of all tensors, without the batch.
        layers: in order of execution.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    layers: tuple[Layer, ...]

    def run(self, inputs: Array | Sequence[Array]) -> tuple[Array, ...]:
        """Return the outputs in NumPy, the reference of every target.

        Args:
            inputs: float32 arrays of shape (batch, ...), one for each input; or the only one.

        Returns:
            Arrays of shape (batch, ...); float32, and int64 of an argmax.
        """
        arrays = (inputs,) if isinstance(inputs, np.ndarray) else inputs
        values = dict(zip(self.inputs, arrays, strict=True))
        for layer in self.layers:
            values[layer.output] = evaluate(layer, [values[name] for name in layer.inputs], self.shapes[layer.output])
        return tuple(values[name] for name in self.outputs)

    def size(self, tensor: str) -> int:
        """Return the number of elements of a tensor."""
        return int(np.prod(self.shapes[tensor], dtype=np.int64))

    @property
    def weights(self) -> int:
        """Number of its constants: weights, biases, scales and learned numbers."""
        return sum(array.size for layer in self.layers for array in _arrays(layer))

    def is_whole(self, tensor: str) -> bool:
        """Whether a tensor holds whole numbers, as an argmax makes them."""
        return any(isinstance(layer, ArgMax) and layer.output == tensor for layer in self.layers)


def _arrays(layer: Layer) -> Iterator[Array]:
    for field in fields(layer):
        value = getattr(layer, field.name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, np.ndarray):
                yield each
            elif isinstance(each, Numbers):
                yield each.values
