"""Tensor dimension along which a layer's units lie, tracked through the calls of a forward pass.

A linear layer has its units along the last dimension, a convolution along its channels. Elementwise functions and norms keep the axis.
Through transposing, permuting and reshaping it is followed exactly: the function is applied to a tensor that holds the number of each unit,
and the axis of the result is the dimension along which these numbers change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from actlab.nn.passes.linear_calls import CHANNEL_NORMS, LAST_DIMENSION_NORMS, LinearCall

__all__ = ["UnitAxes", "UnitAxis"]

# fmt: off
_MOVES: Final = frozenset({  # functions that move elements without computing on them
    "__get__", "__getitem__", "adjoint", "broadcast_to", "channel_shuffle", "chunk", "expand", "expand_as", "flatten", "flip", "movedim",
    "moveaxis", "narrow", "permute", "ravel", "repeat", "reshape", "reshape_as", "roll", "rot90", "select", "split", "squeeze", "swapaxes",
    "swapdims", "t", "tensor_split", "tile", "transpose", "unbind", "unflatten", "unsafe_chunk", "unsafe_split", "unsqueeze", "view",
    "view_as",
})
_REDUCTIONS: Final = frozenset({
    "amax", "amin", "logsumexp", "max", "mean", "median", "min", "nanmean", "nansum", "norm", "prod", "std", "sum", "var",
})
_CONTRACTIONS: Final = frozenset({"matmul", "__matmul__", "mm", "bmm"})
_OTHER_CONTRACTIONS: Final = frozenset({"addmm", "baddbmm", "cdist", "einsum", "tensordot"})
_LAST_DIMENSION: Final = frozenset({  # units along the last dimension, whatever the input has
    "bilinear", "embedding", "gru", "gru_cell", "lstm", "lstm_cell", "multi_head_attention_forward", "rnn_relu", "rnn_relu_cell",
    "rnn_tanh", "rnn_tanh_cell",
})
_JOINS: Final = frozenset({"cat", "concat", "concatenate", "pad", "index_select"})
# fmt: on


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitAxis:
    """Axis of a tensor along which the units of a layer lie.

    Attributes:
        dim: dimension, counted from the end.
        width: its size.
        after: path of the layer whose units they are; None where it is not known.
        order: number of that layer's execution in the pass.
        is_split: whether reshaping has spread the units over several dimensions, as into heads, of which this is the last; the next norm
            decides which of them counts.
    """

    dim: int
    width: int
    after: str | None = None
    order: int = 0
    is_split: bool = False


class UnitAxes:
    """Axes of units of the tensors of a pass.

    Example:
        >>> axes, x = UnitAxes(), torch.zeros(2, 8, 5)
        >>> axes.set(x, UnitAxis(dim=-2, width=8))
        >>> inputs = axes.inputs([x])
        >>> y = x.transpose(1, 2)
        >>> axes.follow(torch.transpose, inputs, (x, 1, 2), {}, y)
        >>> axes.of(y).dim
        -1
    """

    def __init__(self) -> None:
        self._by_tensor = WeakTensorKeyDictionary()
        self._order = 0

    def of(self, tensor: Tensor) -> UnitAxis | None:
        """Return the axis of a tensor; None where it is not known."""
        return self._by_tensor.get(tensor)  # type: ignore[no-any-return, no-untyped-call]  # torch leaves it untyped

    def set(self, tensor: Tensor, axis: UnitAxis | None) -> None:
        """Set the axis of a tensor; None where it is not known."""
        if axis is not None:
            self._by_tensor[tensor] = axis
        elif tensor in self._by_tensor:
            del self._by_tensor[tensor]

    def keep(self, axis: UnitAxis | None, result: Tensor) -> None:
        """Set the axis of an activation's output to that of its input; a gate makes it narrower."""
        if axis is not None and type(result) is Tensor and not result.is_nested and result.dim() >= -axis.dim:
            self.set(result, replace(axis, width=result.shape[axis.dim]))

    def start(self, call: LinearCall, result: Tensor, after: str | None) -> UnitAxis | None:
        """Set the axis of a linear layer's output, and return it; None for a nested tensor, whose axes are not followed."""
        self._order += 1
        if result.is_nested:
            return None
        dim = call.unit_dim(result)
        axis = UnitAxis(dim=dim, width=result.shape[dim], after=after, order=self._order)
        self.set(result, axis)
        return axis

    def inputs(self, leaves: Sequence[Any]) -> list[tuple[Tensor, UnitAxis, torch.Size]]:
        """Return the tensors of a call that have an axis, with it and their shape, before the call; the latest layer's first."""
        known = ((leaf, self.of(leaf)) for leaf in leaves if isinstance(leaf, Tensor))
        found = [(leaf, axis, leaf.shape) for leaf, axis in known if axis is not None]
        return sorted(found, key=lambda each: -each[1].order)

    def follow(
        self,
        func: Any,
        inputs: Sequence[tuple[Tensor, UnitAxis, torch.Size]],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> None:
        """Set the axes of a function's results.

        Args:
            func: the function.
            inputs: see :meth:`inputs`.
            args: its positional arguments.
            kwargs: its keyword arguments.
            result: what it returned.
        """
        name = getattr(func, "__name__", "")
        name = name if name.endswith("__") else name.rstrip("_")
        if name in _MOVES:
            axes = _moved(func, inputs, args, kwargs)
        elif name in _LAST_DIMENSION:
            axes = [_last(part) for part in _tensors(result)]
        elif isinstance(result, Tensor):
            axes = [_computed(name, inputs, args, kwargs, part) for part in _tensors(result)]
        else:
            axes = [_reduced(inputs, args, kwargs, part) for part in _tensors(result)] if name in _REDUCTIONS else []
        for part, axis in zip(_tensors(result), axes, strict=False):
            self.set(part, axis)


def _tensors(result: Any) -> list[Tensor]:
    parts = result if isinstance(result, (tuple, list)) else [result]
    return [part for part in parts if isinstance(part, Tensor) and not part.is_nested]


def _moved(
    func: Any, inputs: Sequence[tuple[Tensor, UnitAxis, torch.Size]], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[UnitAxis | None]:
    """Return the axes after a function that moves elements, from the numbers of the units it moves."""
    if not inputs:
        return []
    x, axis, shape = inputs[0]
    if axis.width == 0 or 0 in shape:
        return []
    dtype = torch.int16 if axis.width < 1 << 15 else torch.int32
    numbers = torch.arange(axis.width, dtype=dtype, device="cpu" if x.is_meta else x.device)
    numbers = numbers.view(-1, *[1] * (-axis.dim - 1)).expand(shape)
    try:
        moved_args, moved_kwargs = tree_map(lambda leaf: numbers if leaf is x else leaf, (tuple(args), dict(kwargs)))
        moved = func(*moved_args, **moved_kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return []
    return [_changing(part, axis) for part in _tensors(moved)]


def _changing(numbers: Tensor, axis: UnitAxis) -> UnitAxis | None:
    """Return the dimension along which the numbers of units change; the last one where there are several."""
    dims = range(-1, -numbers.dim() - 1, -1)
    if numbers.numel() == 0:
        return None
    if axis.width == 1:
        ones = [dim for dim in dims if numbers.shape[dim] == 1]
        return replace(axis, dim=ones[0]) if len(ones) == 1 else None
    changing = []
    for dim in dims:
        along = numbers[tuple(slice(None) if each == dim else 0 for each in reversed(dims))]
        if len(along) > 1 and bool(along.amin() != along.amax()):
            changing.append(dim)
    if not changing:
        return None
    is_split = axis.is_split or len(changing) > 1
    return replace(axis, dim=changing[0], width=numbers.shape[changing[0]], is_split=is_split)


def _computed(
    name: str,
    inputs: Sequence[tuple[Tensor, UnitAxis, torch.Size]],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    result: Tensor,
) -> UnitAxis | None:
    """Return the axis after a function that computes."""
    own = _of_norm(name, result)
    if not inputs:
        return own
    if own is not None and inputs[0][1].is_split:
        return replace(inputs[0][1], dim=own.dim, width=own.width, is_split=False)
    if name in _CONTRACTIONS:
        first, second = (*args, None, None)[:2]
        kept = (axis for x, axis, _ in inputs if (x is second and axis.dim == -1) or (x is first and axis.dim < -1))
        return next((axis for axis in kept if _fits(axis, result)), None)
    if name == "scaled_dot_product_attention":
        value = args[2] if len(args) > 2 else kwargs.get("value")
        return next((axis for x, axis, _ in inputs if x is value and axis.dim == -1), None)
    if name in _OTHER_CONTRACTIONS:
        return None
    if same := [axis for _, axis, shape in inputs if shape == result.shape]:
        return same[0]
    if name in _REDUCTIONS:
        return _reduced(inputs, args, kwargs, result)
    for _, axis, shape in inputs:
        if name in _JOINS and len(shape) == result.dim():
            return replace(axis, width=result.shape[axis.dim])
        if _fits(axis, result) and (len(shape) == result.dim() or _is_broadcast(shape, result)):
            return axis
    return None


def _last(result: Tensor) -> UnitAxis | None:
    return UnitAxis(dim=-1, width=result.shape[-1]) if result.dim() else None


def _fits(axis: UnitAxis, result: Tensor) -> bool:
    return result.dim() >= -axis.dim and result.shape[axis.dim] == axis.width


def _is_broadcast(shape: torch.Size, result: Tensor) -> bool:
    """Whether an input of this shape may have been broadcast to the result."""
    sizes = zip(reversed(shape), reversed(result.shape), strict=False)
    return len(shape) <= result.dim() and all(size in {1, target} for size, target in sizes)


def _of_norm(name: str, result: Tensor) -> UnitAxis | None:
    """Return the axis that a norm works along; None for any other function."""
    if name in CHANNEL_NORMS and result.dim() > 1:
        return UnitAxis(dim=1 - result.dim(), width=result.shape[1])
    if name in LAST_DIMENSION_NORMS and result.dim():
        return _last(result)
    return None


def _reduced(
    inputs: Sequence[tuple[Tensor, UnitAxis, torch.Size]],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    result: Tensor,
) -> UnitAxis | None:
    """Return the axis after a sum, mean or maximum over some dimensions."""
    if not inputs:
        return None
    _, axis, shape = inputs[0]
    given = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
    dims = [given] if isinstance(given, int) else given
    if not isinstance(dims, (list, tuple)) or not all(isinstance(dim, int) for dim in dims):
        return None
    removed = {dim % len(shape) - len(shape) for dim in dims}
    if axis.dim in removed:
        return None
    if result.dim() == len(shape):
        return axis
    moved = replace(axis, dim=axis.dim + sum(dim > axis.dim for dim in removed))
    return moved if _fits(moved, result) else None
