"""Net in integer arithmetic, as a list of layers with the shapes and codings of its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from actlab.errors import ExportError
from actlab.export.integer.coding import Bits, Codes, Coding
from actlab.export.integer.evaluate import Integers, evaluate, values_of
from actlab.export.integer.layers import IntegerLayer

__all__ = ["IntegerNet"]

CHUNK = 256  # examples that are computed at a time, for the memory of the windows of convolutions

Floats = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerNet:
    """A net whose arithmetic is exact. Build it with :func:`actlab.export.integer.quantize.quantize`.

    Attributes:
        name: of the model's class.
        inputs: names of the tensors that it takes.
        outputs: names of those that it returns.
        shapes: of all tensors, without the batch.
        codings: of all tensors.
        layers: in order of execution.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    codings: Mapping[str, Coding]
    layers: tuple[IntegerLayer, ...]

    def run(self, inputs: Floats | Sequence[Floats]) -> tuple[Integers, ...]:
        """Return the codes of the outputs in NumPy, bit for bit what every target computes.

        Args:
            inputs: float arrays of shape (batch, ...), one for each input; or the only one. They become codes as ``encode`` says.

        Returns:
            Arrays of shape (batch, ...): int8 or int32 codes, bool of bits, int32 of an argmax.
        """
        return self.run_codes(self.encode(inputs))

    def numbers(self, inputs: Floats | Sequence[Floats]) -> tuple[Floats, ...]:
        """Return the numbers that the outputs stand for: float64, and int32 of an argmax. The arguments are those of ``run``."""
        return tuple(
            _numbers(codes, self.codings[name]) for name, codes in zip(self.outputs, self.run(inputs), strict=True)
        )

    def encode(self, inputs: Floats | Sequence[Floats]) -> tuple[Integers, ...]:
        """Return the codes of inputs: ``clip(rint(x / scale) + zero)`` in float64, halves to even; NaN is the code of 0.

        Raises:
            ExportError: there is another number of arrays than of inputs, or one has another shape.
        """
        arrays = (inputs,) if isinstance(inputs, np.ndarray) else tuple(inputs)
        self._check(arrays)
        return tuple(_encoded(x, self.codings[name]) for name, x in zip(self.inputs, arrays, strict=True))

    def run_codes(self, codes: Sequence[Integers]) -> tuple[Integers, ...]:
        """Return the codes of the outputs for codes of the inputs."""
        parts = [
            self.tensors([each[start : start + CHUNK] for each in codes])
            for start in range(0, max(len(codes[0]), 1), CHUNK)
        ]
        return tuple(np.concatenate([part[name] for part in parts]) for name in self.outputs)

    def tensors(self, codes: Sequence[Integers]) -> dict[str, Integers]:
        """Return the codes of all tensors by name, for codes of the inputs."""
        found = dict(zip(self.inputs, codes, strict=True))
        for layer in self.layers:
            codings = [self.codings[name] for name in (*layer.inputs, layer.output)]
            found[layer.output] = evaluate(
                layer, [found[name] for name in layer.inputs], codings, self.shapes[layer.output]
            )
        return found

    def size(self, tensor: str) -> int:
        """Return the number of elements of a tensor."""
        return int(np.prod(self.shapes[tensor], dtype=np.int64))

    def _check(self, arrays: Sequence[Floats]) -> None:
        expected = [self.shapes[name] for name in self.inputs]
        got = [tuple(np.shape(x)[1:]) for x in arrays]
        if got != expected or len({len(x) for x in arrays}) > 1:
            raise ExportError(
                f"{self.name} takes arrays of shapes {[('batch', *shape) for shape in expected]}; got {[np.shape(x) for x in arrays]}."
            )


def _encoded(x: Floats, coding: Coding) -> Integers:
    if not isinstance(coding, Codes):
        raise ExportError(f"Inputs are codes; this one is coded as {coding}.")
    half = 2 ** (coding.width - 1)
    with np.errstate(over="ignore"):  # to infinity, which saturates
        steps = np.rint(np.asarray(x, np.float64) / coding.scale) + coding.zero
    codes = np.clip(np.where(np.isnan(steps), coding.zero, steps), -half, half - 1)
    return codes.astype(np.int8 if coding.width == 8 else np.int32)


def _numbers(codes: Integers, coding: Coding) -> Any:
    if isinstance(coding, (Codes, Bits)):
        return values_of(codes, coding) * coding.scale
    return codes
