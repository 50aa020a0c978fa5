"""Torch's own activations: which registered activation a call or a module of torch is, and with which parameters.

Two spellings are known: calls (``F.leaky_relu(x, 0.2)``, ``torch.relu(x)``, ``x.relu_()``) and modules (``nn.LeakyReLU(0.2)``). Which
module is which activation is read off the registry (:attr:`Activation.module`), so an activation that is added there is found in models.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any, Final

import torch
from torch import nn

from actlab.errors import SpecError, UnknownNameError
from actlab.functions.activation import Activation, get, names
from actlab.functions.grammar import parse
from actlab.nn.layers.activation_layer import ActivationLayer

__all__ = [
    "FUSED",
    "METHODS",
    "UNKNOWN",
    "Native",
    "Running",
    "by_name",
    "describe_call",
    "describe_module",
    "name_of_class",
    "recognise",
]

UNKNOWN: Final = object()  # an argument whose value only a run can tell

# Torch's functions by their bare name, with their arguments after the input, in order.
_ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "celu": ("alpha", "inplace"),
    "elu": ("alpha", "inplace"),
    "gelu": ("approximate",),
    "glu": ("dim",),
    "hardshrink": ("lambd",),
    "hardsigmoid": ("inplace",),
    "hardswish": ("inplace",),
    "hardtanh": ("min_val", "max_val", "inplace"),
    "leaky_relu": ("negative_slope", "inplace"),
    "log_softmax": ("dim",),
    "logsigmoid": (),
    "mish": ("inplace",),
    "prelu": ("weight",),
    "relu": ("inplace",),
    "relu6": ("inplace",),
    "rrelu": ("lower", "upper", "training", "inplace"),
    "selu": ("inplace",),
    "sigmoid": (),
    "silu": ("inplace",),
    "softmax": ("dim",),
    "softmin": ("dim",),
    "softplus": ("beta", "threshold"),
    "softshrink": ("lambd",),
    "softsign": (),
    "tanh": (),
    "tanhshrink": (),
    "threshold": ("threshold", "value", "inplace"),
}
_SPELLINGS: Final[Mapping[str, str]] = {
    "log_sigmoid": "logsigmoid",
    "special_expit": "sigmoid",
    "special_log_softmax": "log_softmax",
    "special_softmax": "softmax",
}
_HOMES: Final = frozenset({"torch", "torch.nn.functional", "torch._C._nn", "torch._C._special"})
_ANY_DIMENSION: Final[Mapping[type[nn.Module], str]] = {
    nn.LogSoftmax: "log_softmax",
    nn.Softmax: "softmax",
    nn.Softmax2d: "softmax",
    nn.Softmin: "softmin",
}

FUSED: Final[Mapping[str, tuple[str, ...]]] = {
    "gru": ("sigmoid", "tanh"),
    "gru_cell": ("sigmoid", "tanh"),
    "lstm": ("sigmoid", "tanh"),
    "lstm_cell": ("sigmoid", "tanh"),
    "multi_head_attention_forward": ("softmax",),
    "rnn_relu": ("relu",),
    "rnn_relu_cell": ("relu",),
    "rnn_tanh": ("tanh",),
    "rnn_tanh_cell": ("tanh",),
    "scaled_dot_product_attention": ("softmax",),
}
"""What torch computes inside one call of its own, by the name of the function."""

METHODS: Final[Mapping[str, int]] = {
    method: 1 if name in {"hardshrink", "log_softmax", "prelu", "softmax"} else 0
    for name in _ARGUMENTS
    for method in (name, f"{name}_")
    if hasattr(torch.Tensor, method)
}
"""Names of the tensor methods that are activations (``relu``, ``relu_``, ``sigmoid``, ...), with the number of arguments they may have."""


@dataclass(frozen=True, kw_only=True)
class Native:
    """A function of torch that is an activation.

    Attributes:
        name: bare name in torch, without a trailing underscore; for ``gelu`` the arguments decide which one it is.
        inplace: whether its name says that it overwrites its input.
        keywords: arguments a ``functools.partial`` has bound.
        homemade: whether it is no function of torch but a user's, that computes the registered function ``name``.
    """

    name: str
    inplace: bool = False
    keywords: tuple[tuple[str, Any], ...] = ()
    homemade: bool = False


@dataclass(frozen=True, kw_only=True)
class Running:
    """What runs at a site.

    Attributes:
        name: registered name, or None where it is not registered.
        spec: canonical spec with the parameters; None where they are not known before a run or do not fit the grammar.
        inplace: whether the input is overwritten.
        dim: the dimension a vector or gated function works along, None where it has none.
    """

    name: str | None
    spec: str | None
    inplace: bool = False
    dim: Any = None

    @property
    def kind(self) -> str:
        """Kind of the activation, "elementwise" where it is not registered."""
        return get(self.name).kind if self.name else "elementwise"


def recognise(function: object) -> Native | None:
    """Return the activation that a Python object is, or None.

    Example:
        >>> recognise(torch.nn.functional.silu).name, recognise(torch.relu_).inplace, recognise(torch.add)
        ('silu', True, None)
    """
    if isinstance(function, partial):
        inner = recognise(function.func)
        bound = tuple(sorted(function.keywords.items()))
        return Native(name=inner.name, inplace=inner.inplace, keywords=bound) if inner and not function.args else None
    if isinstance(function, MethodDescriptorType):
        return by_name(function.__name__) if issubclass(torch.Tensor, function.__objclass__) else None
    if isinstance(function, (FunctionType, BuiltinFunctionType)) and function.__module__ in _HOMES:
        return by_name(function.__name__)
    return None


def by_name(name: str) -> Native | None:
    """Return the activation of that name in torch: ``relu``, ``relu_``, ``log_sigmoid``."""
    bare = name.strip("_")
    bare = _SPELLINGS.get(bare, bare)
    return Native(name=bare, inplace=name.endswith("_")) if bare in _ARGUMENTS else None


def describe_call(native: Native, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Running:
    """Describe a call of torch.

    Args:
        native: what is called.
        arguments: positional arguments after the input; :data:`UNKNOWN` where only a run can tell.
        keywords: keyword arguments, likewise.

    Example:
        >>> describe_call(recognise(torch.nn.functional.leaky_relu), [0.2], {}).spec
        'leaky_relu(negative_slope=0.2)'
    """
    if native.homemade:
        return Running(name=native.name, spec=native.name, inplace=keywords.get("inplace") is True)
    bound = dict(native.keywords) | dict(zip(_ARGUMENTS[native.name], arguments, strict=False)) | dict(keywords)
    name = "gelu_tanh" if native.name == "gelu" and bound.get("approximate") == "tanh" else native.name
    inplace = native.inplace or bound.get("inplace") is True
    return _running(name, bound, inplace=inplace)


def describe_module(module: nn.Module) -> Running | None:
    """Describe a module that is an activation, torch's or ours; None where it is none.

    A subclass counts as long as it keeps the ``forward`` of the class it comes from.

    Example:
        >>> describe_module(nn.ELU(0.5)).spec, describe_module(nn.Linear(1, 1))
        ('elu(alpha=0.5)', None)
    """
    if isinstance(module, ActivationLayer):
        return Running(name=module.spec.activation.name, spec=str(module.spec), dim=-1)
    lineage = type(module).__mro__
    fits = [
        (lineage.index(cls), name) for cls, fixed, name in _templates() if cls in lineage and _is(module, cls, fixed)
    ]
    if not fits:
        return None
    _, name = min(fits)  # the nearest class: ReLU6 is a Hardtanh as well
    channels = {"dim": -3} if isinstance(module, nn.Softmax2d) else {}  # written into its forward, not held
    return _running(
        name,
        vars(module) | channels | dict(module.named_parameters(recurse=False)),
        inplace=getattr(module, "inplace", False) is True,
    )


def name_of_class(name: str) -> str | None:
    """Return the registered name of a class of ``torch.nn`` by the class's bare name: "LeakyReLU" is "leaky_relu"; None if it is none."""
    return next((registered for cls, _, registered in _templates() if cls.__name__ == name), None)


def _is(module: nn.Module, cls: type[nn.Module], fixed: Mapping[str, Any]) -> bool:
    return type(module).forward is cls.forward and fixed.items() <= vars(module).items()


def _templates() -> Iterator[tuple[type[nn.Module], Mapping[str, Any], str]]:
    """Yield class, attributes that must be equal, and name, for every registered activation torch has a module for."""
    for name in names():
        template = get(name).module
        if template and name != "identity":  # nn.Identity is a placeholder in models, not an activation
            yield *_template(template), name
    for cls, name in _ANY_DIMENSION.items():
        yield cls, {}, name


@cache
def _template(text: str) -> tuple[type[nn.Module], Mapping[str, Any]]:
    call = ast.parse(text, mode="eval").body
    keywords = call.keywords if isinstance(call, ast.Call) else []
    path, _, attribute = ast.unparse(call.func if isinstance(call, ast.Call) else call).rpartition(".")
    return getattr(import_module(path), attribute), {k.arg: ast.literal_eval(k.value) for k in keywords if k.arg}


def _running(name: str, bound: Mapping[str, Any], *, inplace: bool) -> Running:
    try:
        record = get(name)
    except UnknownNameError:
        return Running(name=None, spec=None, inplace=inplace)
    return Running(name=name, spec=_spec(record, bound), inplace=inplace, dim=bound.get("dim"))


def _spec(record: Activation, bound: Mapping[str, Any]) -> str | None:
    given = {parameter.name: bound[parameter.name] for parameter in record.parameters if parameter.name in bound}
    if any(value is UNKNOWN for value in given.values()):
        return None
    try:
        return str(parse(f"{record.name}({', '.join(f'{name}={_word(value)}' for name, value in given.items())})"))
    except (
        SpecError,
        TypeError,
        ValueError,
    ):  # a value outside the grammar: the function is known, its parameters are not
        return None


def _word(value: Any) -> str:
    """Write the value of a parameter as a spec does; a tensor is a learned one."""
    if not isinstance(value, torch.Tensor):
        return repr(float(value))
    initial = value.detach().float().mean().item()
    return f"{'learned' if value.numel() == 1 else 'learned_per_channel'}({initial!r})"
