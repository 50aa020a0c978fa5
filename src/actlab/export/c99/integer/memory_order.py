"""Order of a net's tensors in memory, channels last around convolutions and pools.

With channels last, the window of a convolution is rows of neighbours and a sum over it is a product of two vectors. The caller's tensors
are channels first. Between the two lies a :class:`Transpose`, or nothing where a dense layer's weights can be permuted instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import singledispatch

import numpy as np

from actlab.errors import ExportError
from actlab.export.integer.coding import Coding
from actlab.export.integer.layers import (
    Affine,
    ArgMax,
    AveragePool,
    Combine,
    Concat,
    IntegerLayer,
    Lookup,
    MaxPool,
    Multiply,
    Pad,
    Product,
    Reshape,
    Select,
    Slice,
    Softmax,
)
from actlab.export.integer.net import IntegerNet

__all__ = ["Transpose", "in_memory_order"]

Shape = tuple[int, ...]
Order = Shape | None  # the shape, channels first, of the tensor that lies with channels last; None in row-major order


@dataclass(frozen=True, kw_only=True, eq=False)
class Transpose(IntegerLayer):
    """Rows and columns of a matrix exchanged.

    Attributes:
        rows: of the input.
        columns: of the input.
    """

    rows: int
    columns: int


@dataclass(kw_only=True)
class _Ordered:
    """Tensors and layers so far.

    Attributes:
        net: the net with channels first.
        orders: of tensors in memory.
        shapes: in memory.
        codings: of tensors.
        layers: that work on them.
        copies: names of tensors in another order.
    """

    net: IntegerNet
    orders: dict[str, Order]
    shapes: dict[str, Shape]
    codings: dict[str, Coding]
    layers: list[IntegerLayer] = field(default_factory=list)
    copies: dict[tuple[str, Order], str] = field(default_factory=dict)

    def read(self, tensor: str, order: Order) -> str:
        """Return the name of a tensor in an order, after the layer that makes a copy where it is needed."""
        if self.orders[tensor] == order:
            return tensor
        if (tensor, order) not in self.copies:
            self.copies[tensor, order] = self._copy(tensor, order)
        return self.copies[tensor, order]

    def _copy(self, tensor: str, order: Order) -> str:
        old, shape = self.orders[tensor], self.net.shapes[tensor]
        if old is not None and order is not None:
            return self.read(self.read(tensor, None), order)
        name = f"{tensor}:{order}"
        channels, pixels = _channels_and_pixels(old or order or ())
        rows, columns = (channels, pixels) if old is None else (pixels, channels)
        if min(rows, columns) == 1:
            self.layers.append(Reshape(name=name, inputs=(tensor,), output=name))
        else:
            self.layers.append(Transpose(name=name, inputs=(tensor,), output=name, rows=rows, columns=columns))
        self.codings[name] = self.codings[tensor]
        self.orders[name] = order
        self.shapes[name] = _in_memory(shape, order)
        return name

    def add(self, layer: IntegerLayer, order: Order) -> None:
        """Append a layer, whose output lies in an order."""
        self.layers.append(layer)
        self.orders[layer.output] = order
        self.shapes[layer.output] = _in_memory(self.net.shapes[layer.output], order)

    def own(self, tensor: str) -> Order:
        """Return channels last for a tensor, or row-major order where it has no channels and positions."""
        shape = self.net.shapes[tensor]
        return shape if len(shape) > 1 else None

    def own_or_rows(self, tensor: str) -> Order:
        """Return the order of a tensor where a dimension can be found in it, else row-major order."""
        order = self.orders[tensor]
        return order if order == self.net.shapes[tensor] else None


def in_memory_order(net: IntegerNet) -> IntegerNet:
    """Return a net of the same function whose tensors lie in memory as their shapes say, in row-major order.

    Shapes of tensors around convolutions and pools are (*positions, channels), also where they are flattened behind them; the weights of a
    convolution have the shape (out, *window, in / groups), and numbers by channel are repeated for each position.

    Args:
        net: with channels first.

    Raises:
        ExportError: a layer has no such form.
    """
    ordered = _Ordered(
        net=net,
        orders=dict.fromkeys(net.inputs),
        shapes={name: net.shapes[name] for name in net.inputs},
        codings=dict(net.codings),
    )
    for layer in net.layers:
        _order(layer, ordered)
    outputs = tuple(ordered.read(name, None) for name in net.outputs)
    return IntegerNet(
        name=net.name,
        inputs=net.inputs,
        outputs=outputs,
        shapes=ordered.shapes,
        codings=ordered.codings,
        layers=tuple(ordered.layers),
    )


def _channels_and_pixels(order: Shape) -> tuple[int, int]:
    return order[0], int(np.prod(order[1:], dtype=int))


def _in_memory(shape: Shape, order: Order) -> Shape:
    return shape if order is None else (*order[1:], order[0])


def _elements(order: Shape) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return for each element in memory its index with channels first."""
    indices = np.arange(int(np.prod(order, dtype=int))).reshape(order)
    return np.moveaxis(indices, 0, -1).reshape(-1)


@singledispatch
def _order(layer: IntegerLayer, _ordered: _Ordered) -> None:
    raise ExportError(f"{layer.name}: {type(layer).__name__} has no C99 form.")


@_order.register
def _product(layer: Product, ordered: _Ordered) -> None:
    tensor = layer.inputs[0]
    if layer.window is not None:
        read = ordered.read(tensor, ordered.own(tensor))
        weight = np.ascontiguousarray(np.moveaxis(layer.weight, 1, -1))
        ordered.add(replace(layer, inputs=(read,), weight=weight), ordered.own(layer.output))
        return
    order = ordered.orders[tensor] if len(ordered.net.shapes[tensor]) == 1 else None
    weight = layer.weight if order is None else np.ascontiguousarray(layer.weight[:, _elements(order)])
    ordered.add(replace(layer, inputs=(ordered.read(tensor, order),), weight=weight), None)


@_order.register(MaxPool)
@_order.register(AveragePool)
def _pool(layer: MaxPool | AveragePool, ordered: _Ordered) -> None:
    tensor = layer.inputs[0]
    ordered.add(
        replace(layer, inputs=(ordered.read(tensor, ordered.own(tensor)),)),
        ordered.own(layer.output),
    )


def _repeated(inner: int, count: int, order: Order) -> int | None:
    """Return after how many elements in memory the number changes, where there is one for all, or one for each channel or element."""
    if order is None or count == 1:
        return inner
    channels, pixels = _channels_and_pixels(order)
    if pixels == 1 or channels == 1:
        return inner
    if inner == pixels and count == channels:
        return 1
    return 1 if inner == 1 and count == channels * pixels else None


@_order.register(Affine)
@_order.register(Lookup)
def _numbers(layer: Affine | Lookup, ordered: _Ordered) -> None:
    tensor = layer.inputs[0]
    names = ("factor", "bias") if isinstance(layer, Affine) else ("table",)
    arrays = {name: getattr(layer, name) for name in names}
    count = 1 if arrays[names[0]].ndim == 1 and isinstance(layer, Lookup) else len(arrays[names[0]])
    order = ordered.orders[tensor]
    inner = _repeated(layer.inner, count, order)
    if inner is None:
        order, inner = None, layer.inner
    elif order is not None and count == int(np.prod(order, dtype=int)) > 1:
        arrays = {name: array[_elements(order)] for name, array in arrays.items()}
    changed: Affine | Lookup = replace(layer, inputs=(ordered.read(tensor, order),), inner=inner, **arrays)
    ordered.add(changed, order)


@_order.register(Combine)
@_order.register(Multiply)
@_order.register(Select)
def _two(layer: Combine | Multiply | Select, ordered: _Ordered) -> None:
    first, second = layer.inputs
    order = ordered.orders[first]
    count = int(np.prod(ordered.net.shapes[second], dtype=int))
    inner = _repeated(layer.inner, count, order)
    if inner is None:
        order, inner = None, layer.inner
    is_whole = order is not None and count == int(np.prod(order, dtype=int))
    other = ordered.read(second, order if is_whole else None)
    changed: Combine | Multiply | Select = replace(layer, inputs=(ordered.read(first, order), other), inner=inner)
    ordered.add(changed, order)


@_order.register
def _reshape(layer: Reshape, ordered: _Ordered) -> None:
    tensor = layer.inputs[0]
    order, shape = ordered.orders[tensor], ordered.net.shapes[layer.output]
    if len(shape) != 1 and shape != order:
        order = None
    ordered.add(replace(layer, inputs=(ordered.read(tensor, order),)), order)


@_order.register(Slice)
@_order.register(Softmax)
def _along(layer: Slice | Softmax, ordered: _Ordered) -> None:
    tensor = layer.inputs[0]
    order = ordered.own_or_rows(tensor)
    changed: Slice | Softmax = replace(
        layer, inputs=(ordered.read(tensor, order),), dimension=_dimension(layer.dimension, order)
    )
    ordered.add(changed, None if order is None else ordered.own(layer.output))


@_order.register
def _argmax(layer: ArgMax, ordered: _Ordered) -> None:
    tensor = layer.inputs[0]
    order = ordered.own_or_rows(tensor) if layer.dimension == 0 else None
    read = ordered.read(tensor, order)
    ordered.add(replace(layer, inputs=(read,), dimension=_dimension(layer.dimension, order)), None)


@_order.register
def _concat(layer: Concat, ordered: _Ordered) -> None:
    is_last = any(ordered.own_or_rows(tensor) is not None for tensor in layer.inputs)
    orders = [ordered.own(tensor) if is_last else None for tensor in layer.inputs]
    read = tuple(ordered.read(tensor, order) for tensor, order in zip(layer.inputs, orders, strict=True))
    order = ordered.own(layer.output) if is_last else None
    ordered.add(replace(layer, inputs=read, dimension=_dimension(layer.dimension, order)), order)


@_order.register
def _pad(layer: Pad, ordered: _Ordered) -> None:
    tensor = layer.inputs[0]
    order = ordered.own_or_rows(tensor)
    before = layer.before if order is None else (*layer.before[1:], layer.before[0])
    ordered.add(
        replace(layer, inputs=(ordered.read(tensor, order),), before=before),
        None if order is None else ordered.own(layer.output),
    )


def _dimension(dimension: int, order: Order) -> int:
    """Return where a dimension lies with channels last."""
    if order is None:
        return dimension
    return len(order) - 1 if dimension == 0 else dimension - 1
