"""Deferred activations, computed inside the layer after them and recomputed in the backward pass.

For ``linear(act(x))`` autograd saves ``x`` and ``act(x)``, though the second can be computed from the first. A deferred activation lets the
layer save ``x`` only. The protocol between the two:

1. **Defer.** :meth:`Deferred.forward` returns a :class:`Pending` value: a recipe (a function) and the tensors it is to be applied to.
   Nothing is computed yet. This happens in plain eager mode with gradients only; elsewhere (``torch.compile``, export, ``torch.func``,
   forward-mode AD, ``no_grad``) it returns the activation's tensor.
2. **Pass on.** A pending value stays pending where that loses nothing: reshapes of an elementwise function are applied to its input,
   dropout in eval mode returns it, ``act(gate) * value`` is a pending product, and another deferred activation is composed with it.
3. **Consume.** ``F.linear`` and ``F.conv1d/2d/3d`` reach :meth:`Pending.__torch_function__`, which calls
   :func:`~actlab.nn.layers.recompute.apply_with_recompute`: it computes the value, applies the layer, and saves the recipe's tensors only.
   The backward pass computes the value once more.
4. **Materialize.** Any other operation, operator or attribute calls :meth:`Pending.compute` and goes on with an ordinary tensor. So a model
   is correct whatever it does with the value; it saves no memory there. Once a materialized value is part of the graph it may have hooks or
   a ``grad``, so that later consumers use it as well.

Three guards keep this exact. The version counters of the inputs are compared before each use: an input that was overwritten raises. The
autocast state is recorded with the value and restored when the recipe runs; a consumer under another state gets the materialized value.
And recipes hold no tensors: these go through ``save_for_backward``, which frees them step by step.

:class:`Deferred` looks like the module it wraps. It shares the dicts of parameters, buffers and submodules with it, so that ``state_dict``,
``load_state_dict``, ``to`` and in-place replacement of a parameter act on both; and it holds the module in a tuple, so that it is no child.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actlab.codegen.eager_mode import is_eager_with_grad
from actlab.nn.layers.learned_numbers import unsqueeze_numbers
from actlab.nn.layers.recompute import (
    AutocastState,
    Consumer,
    ConvolutionConsumer,
    LinearConsumer,
    TensorFunction,
    apply_with_recompute,
)

__all__ = ["Deferred", "Pending", "computed_at_once"]

_COMPUTED_AT_ONCE: Final = ContextVar("computed_at_once", default=False)

_PRODUCTS: Final = frozenset({torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.__mul__, Tensor.__rmul__})
_RESHAPES: Final = frozenset(
    {"flatten", "movedim", "permute", "reshape", "squeeze", "transpose", "unflatten", "unsqueeze", "view"}
)
_METADATA: Final = frozenset({"device", "dim", "is_cuda", "ndim", "numel", "shape", "size"})


@contextmanager
def computed_at_once() -> Iterator[None]:
    """Have deferred activations return tensors inside the block, for what observes them; autograd saves what the originals save."""
    token = _COMPUTED_AT_ONCE.set(True)
    try:
        yield
    finally:
        _COMPUTED_AT_ONCE.reset(token)


# ----------------------------------------------------------------------------------------------- recipes


@dataclass(frozen=True, kw_only=True)
class _UnderAutocast:
    """A recipe, run under the autocast state in which it was created."""

    recipe: TensorFunction
    autocast: AutocastState

    def __call__(self, *tensors: Tensor) -> Tensor:
        with self.autocast.restored():
            return self.recipe(*tensors)


@dataclass(frozen=True, kw_only=True)
class _Product:
    """The product of two recipes; the first takes ``count`` tensors."""

    left: TensorFunction
    right: TensorFunction
    count: int

    def __call__(self, *tensors: Tensor) -> Tensor:
        return self.left(*tensors[: self.count]) * self.right(*tensors[self.count :])


@dataclass(frozen=True, kw_only=True)
class _Composition:
    """A recipe with one input, applied to the result of another, which takes ``count`` tensors."""

    first: TensorFunction
    then: TensorFunction
    count: int

    def __call__(self, *tensors: Tensor) -> Tensor:
        return self.then(self.first(*tensors[: self.count]), *tensors[self.count :])


@dataclass(frozen=True, kw_only=True)
class _ModuleFunction:
    """A module as a function of its inputs (the first ``inputs`` tensors) and of its learned parameters ``names``."""

    module: nn.Module
    names: tuple[str, ...]
    inputs: int

    def __call__(self, *tensors: Tensor) -> Tensor:
        learned = dict(zip(self.names, tensors[self.inputs :], strict=True))
        result: Tensor = torch.func.functional_call(self.module, learned, tensors[: self.inputs])
        return result


def _identity(x: Tensor) -> Tensor:
    return x


# --------------------------------------------------------------------------------------------- the value


class Pending:
    """A value that is not computed yet. It acts as the tensor it stands for, and is computed when an operation needs its numbers.

    Args:
        recipe: computes the value from ``tensors``.
        tensors: inputs and learned parameters.
        pointwise: whether the recipe has one input and works element by element, so that reshaping the input reshapes the value.
    """

    def __init__(self, recipe: TensorFunction, tensors: Sequence[Tensor], *, pointwise: bool = False) -> None:
        self._tensors = tuple(tensors)
        self._versions = [tensor._version for tensor in tensors]
        self._pointwise = pointwise
        self._autocast = AutocastState.current(self._tensors[0].device.type)
        self._recipe: TensorFunction = _UnderAutocast(recipe=recipe, autocast=self._autocast)
        self._value: Tensor | None = None

    def compute(self) -> Tensor:
        """Compute the value with plain tensor code; from then on it is used by all consumers, as it may have hooks or a ``grad``.

        Raises:
            RuntimeError: an input was overwritten since the activation ran.
        """
        self._check_versions()
        if self._value is None or (torch.is_grad_enabled() and not self._is_in_graph()):
            self._value = self._recipe(*self._tensors)
        return self._value

    def _is_in_graph(self) -> bool:
        """Whether the computed value is part of the graph, so that its gradient may be needed."""
        return self._value is not None and self._value.requires_grad

    def _check_versions(self) -> None:
        if [tensor._version for tensor in self._tensors] != self._versions:
            raise RuntimeError(
                "The input of a deferred activation was overwritten before the next layer used its output. Write that operation out of "
                "place, or exclude this activation from slim_ (changes.undo(), then slim_ with the model as it is trained)."
            )

    # ------------------------------------------------------------------------------------- as a tensor

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _CONSUMERS and args and isinstance(args[0], cls):
            result = _CONSUMERS[func](args[0], args[1:], kwargs)
            if result is not None:
                return result
        if func in _PRODUCTS and len(args) == 2 and not kwargs:
            return _product(*args)
        return func(*map(_materialize, args), **{key: _materialize(value) for key, value in kwargs.items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and not name.startswith("__"):  # its own attributes, missing while it is copied
            raise AttributeError(name)
        if name in _METADATA and self._pointwise:
            return getattr(self._tensors[0], name)
        if name in _RESHAPES and self._pointwise and not self._is_in_graph():
            return lambda *args, **kwargs: self._reshape(name, args, kwargs)
        return getattr(self.compute(), name)

    def _reshape(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Pending:
        self._check_versions()
        x, *learned = self._tensors
        return Pending(self._recipe, (getattr(x, name)(*args, **kwargs), *learned), pointwise=True)

    def __mul__(self, other: Any) -> Any:
        return _product(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _product(other, self)

    def __repr__(self) -> str:
        return f"Pending({self.compute()!r})"


def _operator(name: str) -> Callable[..., Any]:
    def apply(self: Pending, *others: Any) -> Any:
        return getattr(self.compute(), name)(*map(_materialize, others))

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
Pending.__hash__ = object.__hash__  # type: ignore[method-assign]  # __eq__ removes it, and tensors have it


def _materialize(value: Any) -> Any:
    """Compute a pending value, also inside lists, as ``torch.cat`` gets them."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_materialize, value)) if any(isinstance(item, Pending) for item in value) else value
    return value.compute() if isinstance(value, Pending) else value


def _product(first: Any, second: Any) -> Any:
    """Return a pending product of tensors or pending values; an ordinary product otherwise."""
    if not all(isinstance(factor, (Tensor, Pending)) for factor in (first, second)):
        return _materialize(first) * _materialize(second)
    if any(isinstance(factor, Pending) and factor._is_in_graph() for factor in (first, second)):
        return _materialize(first) * _materialize(second)
    left, right = (
        factor if isinstance(factor, Pending) else Pending(_identity, [factor]) for factor in (first, second)
    )
    for side in (left, right):
        side._check_versions()
    recipe = _Product(left=left._recipe, right=right._recipe, count=len(left._tensors))
    return Pending(recipe, (*left._tensors, *right._tensors))


# --------------------------------------------------------------------------------------------- consumers


def _linear(pending: Pending, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    arguments = {**dict(zip(("weight", "bias"), args, strict=False)), **kwargs}
    return _consume(pending, arguments["weight"], arguments.get("bias"), LinearConsumer())


def _convolution(pending: Pending, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    names = ("weight", "bias", "stride", "padding", "dilation", "groups")
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    arguments = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
    weight, dimensions = arguments["weight"], arguments["weight"].dim() - 2
    if (
        isinstance(arguments["padding"], str) or pending.ndim != dimensions + 2
    ):  # "same" and single images: left to torch
        return None

    def per_dimension(name: str) -> tuple[int, ...]:
        value: Any = arguments[name]
        values: list[int] = [value] if isinstance(value, int) else list(value)
        return tuple(values * (dimensions // len(values)))

    sizes = {name: per_dimension(name) for name in ("stride", "padding", "dilation")}
    return _consume(pending, weight, arguments.get("bias"), ConvolutionConsumer(**sizes, groups=arguments["groups"]))


def _consume(pending: Pending, weight: Tensor, bias: Tensor | None, consumer: Consumer) -> Tensor | None:
    """Apply a layer to a pending value; None where the value must be materialized first."""
    if pending._is_in_graph():
        return None
    tensors = (*pending._tensors, weight, *([] if bias is None else [bias]))
    is_other_precision = AutocastState.current(pending._autocast.device) != pending._autocast or (
        pending._autocast.dtype is not None and any(tensor.dtype == torch.float64 for tensor in tensors)
    )
    if is_other_precision or not is_eager_with_grad(*tensors):
        return None
    pending._check_versions()
    return apply_with_recompute(pending._recipe, pending._tensors, consumer, weight, bias)


def _dropout(pending: Pending, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    arguments = {"p": 0.5, "training": True, **dict(zip(("p", "training", "inplace"), args, strict=False)), **kwargs}
    return None if arguments["training"] and arguments["p"] > 0.0 else pending


_CONSUMERS: Final[Mapping[Any, Callable[[Pending, Sequence[Any], Mapping[str, Any]], Any]]] = {
    F.linear: _linear,
    F.dropout: _dropout,
    torch.conv1d: _convolution,
    torch.conv2d: _convolution,
    torch.conv3d: _convolution,
}


# ------------------------------------------------------------------------------------------ the module


class Deferred(nn.Module):
    """An activation that the layer after it computes. Parameters and buffers are those of ``activation``, under the same names.

    Args:
        activation: a module of an elementwise or gated function, deterministic and out of place.
        pointwise: whether it works element by element with parameters of one element, so that it may be computed after a reshape.
    """

    def __init__(self, activation: nn.Module, *, pointwise: bool) -> None:
        super().__init__()
        self._wrapped = (activation,)  # in a tuple, so that it is no child: its parameters are those of this module
        self._pointwise = pointwise
        self._parameters = activation._parameters  # the same dicts, so that to() and load_state_dict() act on both
        self._buffers = activation._buffers
        self._modules = activation._modules
        self._non_persistent_buffers_set = activation._non_persistent_buffers_set
        self.training = activation.training

    @property
    def activation(self) -> nn.Module:
        """The wrapped module."""
        return self._wrapped[0]

    def forward(self, *inputs: Any) -> Any:
        """Return a :class:`Pending` value in plain eager mode with gradients, the activation's tensor elsewhere."""
        learned = dict(self.named_parameters())
        first = inputs[0]
        if isinstance(first, Pending) and len(inputs) == 1 and is_eager_with_grad(*first._tensors):
            recipe = self._function(1, list(learned))
            both = _Composition(first=first._recipe, then=recipe, count=len(first._tensors))
            return Pending(both, (*first._tensors, *learned.values()))
        inputs = tuple(map(_materialize, inputs))
        if not is_eager_with_grad(*inputs, *learned.values()) or _COMPUTED_AT_ONCE.get():
            return self.activation(*inputs)
        recipe = self._function(len(inputs), list(learned))
        return Pending(recipe, (*inputs, *learned.values()), pointwise=self._pointwise and len(inputs) == 1)

    def _function(self, inputs: int, names: Sequence[str]) -> TensorFunction:
        """Return the activation as a function of its inputs and its learned parameters."""
        return _ModuleFunction(module=self.activation, names=tuple(names), inputs=inputs) if names else self.activation

    def train(self, mode: bool = True) -> Deferred:
        """Set the training flag, also of the wrapped module."""
        self.activation.train(mode)
        return super().train(mode)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any, **options: Any) -> None:
        unsqueeze_numbers(self._parameters, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments, **options)

    def extra_repr(self) -> str:
        """Return the wrapped module's text."""
        return repr(self.activation)
