"""Map torch modules and functional calls to registered activations and their parameters.

Calls are ``F.leaky_relu(x, 0.2)``, ``torch.relu(x)`` and ``x.relu_()``; modules are ``nn.LeakyReLU(0.2)``. Modules are looked up in the
registry (:attr:`Activation.module`), so an activation that is added there is found in models.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any, Final

import torch
from torch import nn

from actlab.errors import SpecError, UnknownNameError
from actlab.functions.activation import Activation, get, names, registry_version
from actlab.functions.grammar import parse
from actlab.nn.layers.activation_layer import ActivationLayer

__all__ = [
    "FUSED",
    "METHODS",
    "UNKNOWN",
    "ActivationFunction",
    "Running",
    "describe_call",
    "describe_module",
    "function_named",
    "name_of_class",
    "recognise",
]

UNKNOWN: Final = object()
"""An argument whose value is not known before a run."""

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
"""Activations that torch computes inside one fused call, by the name of the function."""

METHODS: Final[Mapping[str, int]] = {
    method: 1 if name in {"hardshrink", "log_softmax", "prelu", "softmax"} else 0
    for name in _ARGUMENTS
    for method in (name, f"{name}_")
    if hasattr(torch.Tensor, method)
}
"""Tensor methods that are activations (``relu``, ``relu_``, ``sigmoid``, ...), with the largest number of arguments."""


@dataclass(frozen=True, kw_only=True)
class ActivationFunction:
    """A Python function that computes an activation.

    Attributes:
        name: name in torch, without a trailing underscore; for ``gelu`` the arguments decide between ``gelu`` and ``gelu_tanh``.
        inplace: whether its name says that it overwrites its input.
        keywords: arguments bound by a ``functools.partial``.
        user_defined: whether it is a user's function; then ``name`` is the registered function it computes.
    """

    name: str
    inplace: bool = False
    keywords: tuple[tuple[str, Any], ...] = ()
    user_defined: bool = False


@dataclass(frozen=True, kw_only=True)
class Running:
    """What runs at a site.

    Attributes:
        name: registered name; None where it is not registered.
        spec: canonical spec with the parameters; None where they are not known before a run, or cannot be written as a spec.
        inplace: whether the input is overwritten.
        dim: dimension a vector or gated function works along; None where it has none.
        by_values: whether the author's own code runs, of which the function is known by its values only.
    """

    name: str | None
    spec: str | None
    inplace: bool = False
    dim: Any = None
    by_values: bool = False

    @property
    def kind(self) -> str:
        """Kind of the activation, "elementwise" where it is not registered."""
        return get(self.name).kind if self.name else "elementwise"


def recognise(function: object) -> ActivationFunction | None:
    """Return the activation that a function of torch, a tensor method or a partial of one computes; None for any other object.

    Example:
        >>> recognise(torch.nn.functional.silu).name, recognise(torch.relu_).inplace, recognise(torch.add)
        ('silu', True, None)
    """
    if isinstance(function, partial):
        inner = recognise(function.func)
        bound = tuple(sorted(function.keywords.items()))
        return (
            ActivationFunction(name=inner.name, inplace=inner.inplace, keywords=bound)
            if inner and not function.args
            else None
        )
    if isinstance(function, MethodDescriptorType):
        return function_named(function.__name__) if issubclass(torch.Tensor, function.__objclass__) else None
    if isinstance(function, (FunctionType, BuiltinFunctionType)) and function.__module__ in _HOMES:
        return function_named(function.__name__)
    return None


def function_named(name: str) -> ActivationFunction | None:
    """Return the activation that torch has under a name (``relu``, ``relu_``, ``log_sigmoid``); None if it has none."""
    bare = name.strip("_")
    bare = _SPELLINGS.get(bare, bare)
    return ActivationFunction(name=bare, inplace=name.endswith("_")) if bare in _ARGUMENTS else None


def describe_call(function: ActivationFunction, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Running:
    """Describe a call of an activation.

    Args:
        function: what is called.
        arguments: positional arguments after the input; :data:`UNKNOWN` where the value is not known before a run.
        keywords: keyword arguments; values as in ``arguments``.

    Example:
        >>> describe_call(recognise(torch.nn.functional.leaky_relu), [0.2], {}).spec
        'leaky_relu(negative_slope=0.2)'
    """
    if function.user_defined:
        return Running(name=function.name, spec=function.name, inplace=keywords.get("inplace") is True, by_values=True)
    bound = dict(function.keywords) | dict(zip(_ARGUMENTS[function.name], arguments, strict=False)) | dict(keywords)
    name = "gelu_tanh" if function.name == "gelu" and bound.get("approximate") == "tanh" else function.name
    inplace = function.inplace or bound.get("inplace") is True
    return _running(name, bound, inplace=inplace)


def describe_module(module: nn.Module) -> Running | None:
    """Describe a module that is an activation of torch or ActLab; None for any other module.

    A subclass counts as long as it keeps the ``forward`` of the class it derives from.

    Example:
        >>> describe_module(nn.ELU(0.5)).spec, describe_module(nn.Linear(1, 1))
        ('elu(alpha=0.5)', None)
    """
    if isinstance(module, ActivationLayer):
        return Running(name=module.spec.activation.name, spec=str(module.spec), dim=-1)
    template = _template_of(module)
    if template is None:
        return None
    channels = {"dim": -3} if isinstance(module, nn.Softmax2d) else {}  # written into its forward, no attribute
    return _running(
        template.name,
        vars(module) | channels | dict(module.named_parameters(recurse=False)),
        inplace=getattr(module, "inplace", False) is True,
    )


def name_of_class(name: str) -> str | None:
    """Return the registered name of a ``torch.nn`` class ("LeakyReLU": "leaky_relu"); None if it is no activation."""
    classes = _module_templates(registry_version()).items()
    return next((templates[0].name for cls, templates in classes if cls.__name__ == name), None)


@dataclass(frozen=True, kw_only=True)
class _Template:
    """A registered activation as instances of a class that have certain attributes."""

    name: str
    attributes: Mapping[str, Any]


def _template_of(module: nn.Module) -> _Template | None:
    """Return the template that a module fits, of the nearest class: ReLU6 is a Hardtanh as well."""
    templates = _module_templates(registry_version())
    for cls in type(module).__mro__:
        for template in templates.get(cls, ()):
            keeps_forward = type(module).forward is getattr(cls, "forward", None)
            if keeps_forward and template.attributes.items() <= vars(module).items():
                return template
    return None


@lru_cache(maxsize=1)  # one version at a time: an activation that is registered or redefined later starts a new one
def _module_templates(_version: int) -> Mapping[type, Sequence[_Template]]:
    """Return the templates of all registered activations that have a module, by class, sorted by name."""
    templates: dict[type, list[_Template]] = {}
    for name in names():
        module = get(name).module
        if module and name != "identity":  # nn.Identity is a placeholder in models, not an activation
            cls, attributes = _parse_module(module)
            templates.setdefault(cls, []).append(_Template(name=name, attributes=attributes))
    for cls, name in _ANY_DIMENSION.items():
        templates.setdefault(cls, []).append(_Template(name=name, attributes={}))
    return {cls: sorted(each, key=lambda template: template.name) for cls, each in templates.items()}


@cache
def _parse_module(text: str) -> tuple[type[nn.Module], Mapping[str, Any]]:
    """Return class and attributes of ``torch.nn.GELU(approximate='tanh')``."""
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
    values = {parameter.name: bound[parameter.name] for parameter in record.parameters if parameter.name in bound}
    if any(value is UNKNOWN for value in values.values()):
        return None
    try:
        return str(
            parse(f"{record.name}({', '.join(f'{name}={_value_text(value)}' for name, value in values.items())})")
        )
    except (SpecError, TypeError, ValueError):  # no spec can say the value: the name is known, the parameters are not
        return None


def _value_text(value: Any) -> str:
    """Return the value of a parameter as text in a spec; a tensor is a learned parameter."""
    if not isinstance(value, torch.Tensor):
        return repr(float(value))
    learned = "learned" if value.numel() == 1 else "learned_per_channel"
    if value.is_meta:  # it has no value yet
        return learned
    return f"{learned}({value.detach().float().mean().item()!r})"
