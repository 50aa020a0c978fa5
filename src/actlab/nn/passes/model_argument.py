"""Check of the argument that is a model, with a hint for what is given in its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from torch import nn

from actlab.errors import SiteError

__all__ = ["check_model", "takes_model"]

P = ParamSpec("P")
R = TypeVar("R")


def check_model(model: Any, function: str) -> None:
    """Check that an argument is a model.

    Raises:
        SiteError: it is a class, a name, a task, a function, a model's weights, or anything else.

    Example:
        >>> check_model(nn.ReLU, "find")
        Traceback (most recent call last):
        actlab.errors.SiteError: find takes a model, and ReLU is a class. Build one: ReLU(...).
    """
    if isinstance(model, nn.Module):
        return
    raise SiteError(f"{function} takes a model, {_instead(model, function)}")


def _instead(model: Any, function: str) -> str:
    """Return what was given in the place of a model, and what to give."""
    if isinstance(model, type):
        return f"and {model.__name__} is a class. Build one: {model.__name__}(...)."
    if isinstance(model, str | os.PathLike):
        what = f"and {str(model)!r} is a {'text' if isinstance(model, str) else 'path'}"
        return f"{what}. Give the torch.nn.Module itself; `actlab sites` and `actlab doctor` read a file or a task."
    if isinstance(model, dict):
        return "and this is a dict. Load weights into a model first: model.load_state_dict(weights)."
    if isinstance(model, list | tuple):
        return f"and this is a {type(model).__name__}. Put the modules into one: torch.nn.Sequential(*modules)."
    if callable(getattr(model, "model", None)) or hasattr(model, "to_task"):
        return _of_task(model, function)
    if callable(model):
        name = getattr(model, "__name__", type(model).__name__)
        return f"and {name} is a function. Give the torch.nn.Module that it returns or trains, such as {name}(0)."
    return f"a torch.nn.Module; got {type(model).__name__}: {str(model)[:80]}."


def _of_task(task: Any, function: str) -> str:
    """Return what to give in the place of a task, or of a script, whose model exists in its own process only."""
    kind, name = type(task).__name__, getattr(task, "name", None)
    what = f"and this is a {kind}{f', {name!r}' if name else ''}"
    if getattr(task, "script", None) is not None or hasattr(task, "to_task"):
        return f"{what}, whose model exists in its own process only. Call {function} in the script, where the model is trained."
    if function == "importance":
        return (
            f"{what}. Give a trained model and held-out batches. appraise(task), from actlab.diagnostics.appraise, trains the model as a "
            "trial does and measures it, as the command `actlab importance` does."
        )
    return f"{what}, which builds a model for each seed. Give one: {function}(task.model(0), ...); it is not trained."


def takes_model(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function whose first parameter is ``model``, so that it checks that."""

    @wraps(function)
    def checked(*args: P.args, **options: P.kwargs) -> R:
        if args or "model" in options:
            check_model(args[0] if args else options["model"], function.__name__)
        return function(*args, **options)

    return checked
