"""Registration of a user's module class, module or function as an activation.

It gets a name made from its own, and is known in this process and in those that are forked from it, as the definitions of a notebook are.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import sympy
import torch
from torch import Tensor, nn

from actlab.errors import SpecError, UnknownNameError
from actlab.functions.activation import Activation, get, register
from actlab.nn.layers.own_layer import OwnCode

__all__ = ["own_spec"]

_PROBE = torch.linspace(-3, 3, 32).reshape(4, 8)


class _Function(nn.Module):
    """A function of a tensor as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def __deepcopy__(self, memo: Any) -> _Function:
        return _Function(self.function)


def own_spec(value: Any) -> str:
    """Register an object as an activation, and return its name; the same object with the same code has the same name.

    Args:
        value: a class of modules that is built without arguments, a module, of which every site gets a copy, or a function of a tensor.

    Raises:
        SpecError: it cannot be built, has no name or no code to identify it by, or returns something else than a tensor of the shape of
            its input.

    Example:
        >>> class HalvedRelu(nn.Module):
        ...     def forward(self, x):
        ...         return x.relu() / 2
        >>> own_spec(HalvedRelu)
        'halved_relu'
        >>> from actlab.functions.activation import forget
        >>> forget("halved_relu")
    """
    build = _builder(value)
    shown = f"{'the class ' if isinstance(value, type) else ''}{_qualified_name(value)}"
    made = _tried(build, shown)
    definition = f"own {_digest(value, made)}"
    name = _name(value, made)
    code = OwnCode(build=build, definition=definition)
    record = Activation(
        name=name,
        kind="stochastic",  # the kind of elementwise functions that are tensor code and know whether the model trains
        family=_type_of(value).__module__.rpartition(".")[2],
        doc=inspect.getdoc(value) or f"Your own {shown}.",
        expression=None,
        tensor_code=code,
        inputs=(sympy.Symbol("x", real=True),),
        paper="your own",
    )
    register(record, _origin(value))
    return name


def _builder(value: Any) -> Callable[[], nn.Module]:
    if isinstance(value, type):
        return value
    if isinstance(value, nn.Module):
        kept = copy.deepcopy(value)  # what becomes of the user's own module does not matter here
        return lambda: copy.deepcopy(kept)
    return lambda: _Function(value)


def _type_of(value: Any) -> Any:
    return value if isinstance(value, type) or not isinstance(value, nn.Module) else type(value)


def _qualified_name(value: Any) -> str:
    of = _type_of(value)
    name = getattr(of, "__name__", type(of).__name__)
    if name == "<lambda>":
        raise SpecError(
            "A lambda has no name by which an arm could be called. Write a function: def my_act(x): return ..., and give my_act."
        )
    return f"{getattr(of, '__module__', '')}.{name}"


def _origin(value: Any) -> str:
    return str(getattr(_type_of(value), "__module__", "") or "__main__")


def _tried(build: Callable[[], nn.Module], shown: str) -> nn.Module:
    """Return a built module that keeps the shape of its input, in training and in evaluation."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            module = build()
            outputs = [module.train(training)(_PROBE.clone()) for training in (True, False)]
    except Exception as error:  # user code may raise anything
        hint = " Give an instance of a class that needs arguments: MyAct(0.5)." if shown.startswith("the class") else ""
        raise SpecError(
            f"{shown} cannot be used as an activation: given a tensor of shape (4, 8) it raises {type(error).__name__}: {error}.{hint}"
        ) from error
    for output in outputs:
        if not isinstance(output, Tensor) or output.shape != _PROBE.shape:
            got = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
            raise SpecError(
                f"{shown} cannot be used as an activation: it returns {got} for a tensor of shape (4, 8); the shape must stay."
            )
    return module


def _digest(value: Any, made: nn.Module) -> str:
    """Return a digest of code, numbers and settings; initial weights that are drawn at random are not part of it."""
    of = _type_of(value)
    try:
        code = inspect.getsource(of)
    except (OSError, TypeError):
        function = getattr(of, "forward", of)
        compiled = getattr(function, "__code__", None)
        if compiled is None:
            raise SpecError(
                f"The code of {_qualified_name(value)} cannot be read, so that a study could not tell when it changes. "
                "Define a function that calls it: def my_act(x): return ..., and give my_act."
            ) from None
        code = f"{compiled.co_code.hex()} {compiled.co_consts!r} {compiled.co_names!r}"
    closed = [cell.cell_contents for cell in getattr(of, "__closure__", None) or ()]
    weights = [] if isinstance(value, type) else [(name, tensor.tolist()) for name, tensor in made.state_dict().items()]
    numbers = [entry for entry in closed if _is_plain(entry)], getattr(of, "__defaults__", None)
    text = f"{code}\n{made!r}\n{_settings(made)}\n{weights}\n{numbers}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | None | tuple)


def _settings(module: nn.Module) -> list[tuple[str, Any]]:
    """Return the plain values that a module holds, such as MyAct(0.5).alpha, without those that every module has."""
    ordinary = {*vars(nn.Module()), "training"}
    return [(name, value) for name, value in sorted(vars(module).items()) if name not in ordinary and _is_plain(value)]


def _name(value: Any, made: nn.Module) -> str:
    """Return the name in the style of the registry; with its settings for a module that differs from one without arguments."""
    plain = _qualified_name(value).rpartition(".")[2]
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower().strip("_")
    if not isinstance(value, type) and isinstance(value, nn.Module):
        numbers = [(key, tensor.item()) for key, tensor in made.state_dict().items() if tensor.numel() == 1]
        settings = [(key, entry) for key, entry in [*_settings(made), *numbers] if not key.startswith("_")]
        name = "_".join([name, *(f"{key}_{_as_word(entry)}" for key, entry in settings)])
        if list(made.children()):  # what they hold is not in the settings
            name += f"_{hashlib.sha256(repr(made).encode()).hexdigest()[:4]}"
    name = re.sub(r"\W+", "_", name)
    try:
        taken = get(name)
    except UnknownNameError:
        return name
    if isinstance(taken.tensor_code, OwnCode) and taken.family == _type_of(value).__module__.rpartition(".")[2]:
        return name
    return f"own_{name}"


def _as_word(value: Any) -> str:
    return str(value).replace("-", "minus_").replace(".", "p")
