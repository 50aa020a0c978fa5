"""Arguments of a call of a training function, bound by the names of its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from actlab.errors import TaskError
from actlab.system.name_list import listed

__all__ = ["FORM", "bound_arguments", "takes"]

FORM: Final = "train(model, seed, trial) -> {'accuracy': ...}"
_ROLES: Final = ("model", "seed", "trial")
_Parameter = inspect.Parameter


def bound_arguments(
    function: Callable[..., Any], given: Mapping[str, Any], *, of: str = "train"
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and keyword arguments for a training function.

    Parameters called ``model``, ``seed`` and ``trial`` get what they are called, in any order. Where none is called ``model``, the first
    one is the model. Others need a default.

    Args:
        function: the training function.
        given: values of ``model``, ``seed`` and ``trial``.
        of: names the function in a message.

    Raises:
        TaskError: it takes no model, or has another parameter without a default.

    Example:
        >>> given = {"model": "net", "seed": 3, "trial": None}
        >>> bound_arguments(lambda seed, *, model: 0, given), bound_arguments(lambda net, trial, epochs=2: 0, given)
        (((), {'seed': 3, 'model': 'net'}), (('net',), {'trial': None}))
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # without a signature
        return tuple(given[role] for role in _ROLES), {}
    if parameters and parameters[0].kind is _Parameter.VAR_POSITIONAL:
        return tuple(given[role] for role in _ROLES), {}
    roles = _roles(parameters)
    has_rest = any(parameter.kind is _Parameter.VAR_KEYWORD for parameter in parameters)
    _check(parameters, roles, has_rest=has_rest, of=of)
    by_place = [
        p.name for p in parameters if p.name in roles and (p.kind is p.POSITIONAL_ONLY or roles[p.name] != p.name)
    ]
    keywords = {name: given[name] for name in roles if name not in by_place}
    if has_rest:
        keywords |= {role: given[role] for role in _ROLES if role not in roles.values()}
    return tuple(given[roles[name]] for name in by_place), keywords


def _roles(parameters: Sequence[_Parameter]) -> dict[str, str]:
    """Return what each parameter gets that gets anything."""
    places = (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
    named = {p.name: p.name for p in parameters if p.name in _ROLES and p.kind in (*places, _Parameter.KEYWORD_ONLY)}
    if "model" not in named and parameters and parameters[0].kind in places and parameters[0].name not in named:
        return {parameters[0].name: "model", **named}
    return named


def _check(parameters: Sequence[_Parameter], roles: Mapping[str, str], *, has_rest: bool, of: str) -> None:
    if "model" not in roles.values() and not has_rest:
        raise TaskError(f"{of} takes no model; ActLab passes it the model with the activations of the arm: {FORM}.")
    variadic = (_Parameter.VAR_POSITIONAL, _Parameter.VAR_KEYWORD)
    unknown = [p.name for p in parameters if p.name not in roles and p.default is p.empty and p.kind not in variadic]
    if unknown:
        raise TaskError(
            f"{of} takes {listed(unknown)}, which ActLab does not have: it passes model, seed and trial, by these names. Give "
            f"{'it a default' if len(unknown) == 1 else 'them defaults'}, or fix the value with functools.partial."
        )


def takes(function: Callable[..., Any], role: str) -> bool:
    """Return whether a training function is given a model, seed or trial.

    Example:
        >>> takes(lambda model, seed: 0, "trial"), takes(lambda model, **rest: 0, "trial")
        (False, True)
    """
    marks = {name: object() for name in _ROLES}
    try:
        positional, keywords = bound_arguments(function, marks)
    except TaskError:
        return False
    return marks[role] in (*positional, *keywords.values())
