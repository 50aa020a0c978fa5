"""The deferred activation: one that waits for the layer after it, which computes it, and computes it again in the backward pass.

Where torch runs plainly and gradients are wanted, :class:`Deferred` does not answer with a tensor but with a :class:`Pending` value: the
function and what it is to be applied to. ``F.linear`` and ``F.conv1d/2d/3d`` take it as it is and keep its input only
(:mod:`actlab.nn.layers.recompute`); a product with it, ``act(gate) * value``, is pending again. Whatever else meets it computes it then and
there, so that a model is right whatever it does; it only saves nothing there. In every other mode of torch the activation answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actlab.codegen.eager_mode import is_eager_with_grad
from actlab.nn.layers.recompute import (
    AutocastState,
    Consumer,
    ConvolutionConsumer,
    LinearConsumer,
    Recipe,
    apply_with_recompute,
)

__all__ = ["Deferred", "Pending"]

_PRODUCTS: Final = frozenset({torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.__mul__, Tensor.__rmul__})
_RESHAPES: Final = frozenset(
    {"flatten", "movedim", "permute", "reshape", "squeeze", "transpose", "unflatten", "unsqueeze", "view"}
)
_LOOKS: Final = frozenset({"device", "dim", "is_cuda", "ndim", "numel", "shape", "size"})


# ----------------------------------------------------------------------------------------------- recipes
# They hold no tensors: the graph holds a recipe until it is gone itself, and gives its tensors back step by step during the backward pass.


@dataclass(frozen=True, kw_only=True)
class _AsThen:
    """A recipe, run as autocast would have run it when it was made."""

    recipe: Recipe
    autocast: AutocastState

    def __call__(self, *tensors: Tensor) -> Tensor:
        with self.autocast.again():
            return self.recipe(*tensors)


@dataclass(frozen=True, kw_only=True)
class _Times:
    """The product of two recipes; the first takes ``count`` tensors."""

    left: Recipe
    right: Recipe
    count: int

    def __call__(self, *tensors: Tensor) -> Tensor:
        return self.left(*tensors[: self.count]) * self.right(*tensors[self.count :])


@dataclass(frozen=True, kw_only=True)
class _After:
    """A recipe of one input on the result of another, which takes ``count`` tensors."""

    first: Recipe
    then: Recipe
    count: int

    def __call__(self, *tensors: Tensor) -> Tensor:
        return self.then(self.first(*tensors[: self.count]), *tensors[self.count :])


@dataclass(frozen=True, kw_only=True)
class _With:
    """A module as a function of its ``inputs`` first tensors and of the learned parameters ``names``."""

    module: nn.Module
    names: tuple[str, ...]
    inputs: int

    def __call__(self, *tensors: Tensor) -> Tensor:
        learned = dict(zip(self.names, tensors[self.inputs :], strict=True))
        made: Tensor = torch.func.functional_call(self.module, learned, tensors[: self.inputs])
        return made


def _as_it_is(x: Tensor) -> Tensor:
    return x


# --------------------------------------------------------------------------------------------- the value


class Pending:
    """A value that is not computed yet. It behaves as the tensor it blend_sites for, and becomes one when somebody looks inside.

    Args:
        recipe: computes it from ``tensors``.
        tensors: inputs and learned parameters.
        pointwise: whether the recipe takes one input and works element by element, so that reshaping the input reshapes the value.
    """

    def __init__(self, recipe: Recipe, tensors: Sequence[Tensor], *, pointwise: bool = False) -> None:
        self._tensors = tuple(tensors)
        self._versions = [tensor._version for tensor in tensors]
        self._pointwise = pointwise
        self._autocast = AutocastState.now(self._tensors[0].device.type)
        self._compute: Recipe = _AsThen(recipe=recipe, autocast=self._autocast)
        self._value: Tensor | None = None

    def now(self) -> Tensor:
        """Compute the value with plain tensor code. Layers take that value from then on: its hooks and its ``grad`` are somebody's.

        Raises:
            RuntimeError: an input was overwritten meanwhile.
        """
        self._check()
        if self._value is None or (torch.is_grad_enabled() and not self._is_watched()):
            self._value = self._compute(*self._tensors)
        return self._value

    def _is_watched(self) -> bool:
        """Tell whether somebody has the value as a part of the graph, and may wait for its gradient."""
        return self._value is not None and self._value.requires_grad

    def _check(self) -> None:
        if [tensor._version for tensor in self._tensors] != self._versions:
            raise RuntimeError(
                "The input of a deferred activation was overwritten before a layer took its output. Write that operation out of place, "
                "or take this activation out of slim_ (changes.undo(), then slim_ with the model as it is trained)."
            )

    # ------------------------------------------------------------------------------------- as a tensor

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _TAKERS and args and isinstance(args[0], cls):
            made = _TAKERS[func](args[0], args[1:], kwargs)
            if made is not None:
                return made
        if func in _PRODUCTS and len(args) == 2 and not kwargs:
            return _product(*args)
        return func(*map(_settled, args), **{key: _settled(value) for key, value in kwargs.items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and not name.startswith("__"):  # ours, while a copy is being made
            raise AttributeError(name)
        if name in _LOOKS and self._pointwise:
            return getattr(self._tensors[0], name)
        if name in _RESHAPES and self._pointwise and not self._is_watched():
            return lambda *args, **kwargs: self._reshaped(name, args, kwargs)
        return getattr(self.now(), name)

    def _reshaped(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Pending:
        self._check()
        x, *learned = self._tensors
        return Pending(self._compute, (getattr(x, name)(*args, **kwargs), *learned), pointwise=True)

    def __mul__(self, other: Any) -> Any:
        return _product(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _product(other, self)

    def __repr__(self) -> str:
        return f"Pending({self.now()!r})"


def _operator(name: str) -> Callable[..., Any]:
    def apply(self: Pending, *others: Any) -> Any:
        return getattr(self.now(), name)(*map(_settled, others))

    return apply


# Python looks operators up on the class, past __getattr__.
for _name in (
    *("add", "radd", "sub", "rsub", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod", "pow", "rpow"),
    *("matmul", "rmatmul", "neg", "pos", "abs", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "invert"),
    *(
        "getitem",
        "setitem",
        "len",
        "iter",
        "bool",
        "float",
        "int",
        "contains",
        "iadd",
        "isub",
        "imul",
        "itruediv",
        "array",
    ),
):
    setattr(Pending, f"__{_name}__", _operator(f"__{_name}__"))
Pending.__hash__ = object.__hash__  # type: ignore[method-assign]  # __eq__ takes it away, and tensors have it


def _settled(value: Any) -> Any:
    """Compute what is pending, also inside the lists that ``torch.cat`` takes."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_settled, value)) if any(isinstance(item, Pending) for item in value) else value
    return value.now() if isinstance(value, Pending) else value


def _product(first: Any, second: Any) -> Any:
    """Return a product that is pending again, if both are tensors."""
    if not all(isinstance(factor, (Tensor, Pending)) for factor in (first, second)):
        return _settled(first) * _settled(second)
    if any(isinstance(factor, Pending) and factor._is_watched() for factor in (first, second)):
        return _settled(first) * _settled(second)
    left, right = (
        factor if isinstance(factor, Pending) else Pending(_as_it_is, [factor]) for factor in (first, second)
    )
    for side in (left, right):
        side._check()
    recipe = _Times(left=left._compute, right=right._compute, count=len(left._tensors))
    return Pending(recipe, (*left._tensors, *right._tensors))


# ----------------------------------------------------------------------------------------------- takers


def _mapped(pending: Pending, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    given = {**dict(zip(("weight", "bias"), args, strict=False)), **kwargs}
    return _taken(pending, given["weight"], given.get("bias"), LinearConsumer())


def _convolved(pending: Pending, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    names = ("weight", "bias", "stride", "padding", "dilation", "groups")
    given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **dict(zip(names, args, strict=False)), **kwargs}
    weight, dimensions = given["weight"], given["weight"].dim() - 2
    if isinstance(given["padding"], str) or pending.ndim != dimensions + 2:  # torch works "same" and single images out
        return None

    def each(name: str) -> tuple[int, ...]:
        value: Any = given[name]
        several: list[int] = [value] if isinstance(value, int) else list(value)
        return tuple(several * (dimensions // len(several)))

    sizes = {name: each(name) for name in ("stride", "padding", "dilation")}
    return _taken(pending, weight, given.get("bias"), ConvolutionConsumer(**sizes, groups=given["groups"]))


def _taken(pending: Pending, weight: Tensor, bias: Tensor | None, consumer: Consumer) -> Tensor | None:
    """Let a consumer take a pending value; None where it must be computed first."""
    if pending._is_watched():
        return None
    tensors = (*pending._tensors, weight, *([] if bias is None else [bias]))
    mixed = AutocastState.now(pending._autocast.device) != pending._autocast or (
        pending._autocast.dtype is not None and any(tensor.dtype == torch.float64 for tensor in tensors)
    )
    if mixed or not is_eager_with_grad(*tensors):
        return None
    pending._check()
    return apply_with_recompute(pending._compute, pending._tensors, consumer, weight, bias)


def _passed(pending: Pending, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    given = {"p": 0.5, "training": True, **dict(zip(("p", "training", "inplace"), args, strict=False)), **kwargs}
    return None if given["training"] and given["p"] > 0.0 else pending


_TAKERS: Final[Mapping[Any, Callable[[Pending, Sequence[Any], Mapping[str, Any]], Any]]] = {
    F.linear: _mapped,
    F.dropout: _passed,
    torch.conv1d: _convolved,
    torch.conv2d: _convolved,
    torch.conv3d: _convolved,
}


# ------------------------------------------------------------------------------------------ the module


class Deferred(nn.Module):
    """An activation that waits for the layer after it. Parameters and buffers are those of ``activation``, under the same names.

    Args:
        activation: a module that computes an elementwise or gated function, deterministic and out of place.
        pointwise: whether it works element by element with parameters of one element, so that it may be computed after a reshape.
    """

    def __init__(self, activation: nn.Module, *, pointwise: bool) -> None:
        super().__init__()
        self._held = (activation,)  # in a tuple, so that it is no child: its parameters are ours, not below ours
        self._pointwise = pointwise
        self._parameters = activation._parameters  # the very dicts: what moves, loads or replaces ours does so for it
        self._buffers = activation._buffers
        self._modules = activation._modules
        self._non_persistent_buffers_set = activation._non_persistent_buffers_set
        self.training = activation.training

    @property
    def activation(self) -> nn.Module:
        """What is deferred."""
        return self._held[0]

    def forward(self, *inputs: Any) -> Any:
        """Return a :class:`Pending` value where torch runs plainly and gradients are wanted, the activation's tensor elsewhere."""
        learned = dict(self.named_parameters())
        first = inputs[0]
        if isinstance(first, Pending) and len(inputs) == 1 and is_eager_with_grad(*first._tensors):
            recipe = self._recipe(1, list(learned))
            both = _After(first=first._compute, then=recipe, count=len(first._tensors))
            return Pending(both, (*first._tensors, *learned.values()))
        inputs = tuple(map(_settled, inputs))
        if not is_eager_with_grad(*inputs, *learned.values()):
            return self.activation(*inputs)
        recipe = self._recipe(len(inputs), list(learned))
        return Pending(recipe, (*inputs, *learned.values()), pointwise=self._pointwise and len(inputs) == 1)

    def _recipe(self, inputs: int, names: Sequence[str]) -> Recipe:
        """Return the activation as a function of its inputs and its learned parameters."""
        return _With(module=self.activation, names=tuple(names), inputs=inputs) if names else self.activation

    def train(self, mode: bool = True) -> Deferred:
        """Set the training flag, of the activation too."""
        self.activation.train(mode)
        return super().train(mode)

    def extra_repr(self) -> str:
        """Return what is deferred."""
        return repr(self.activation)
