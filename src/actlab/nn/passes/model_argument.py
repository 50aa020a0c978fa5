"""Check of the argument that is a model, with a hint for what is given in its place."""

from __future__ import annotations

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
        SiteError: it is a class, a name, a model's weights, or anything else.

    Example:
        >>> check_model(nn.ReLU, "find")
        Traceback (most recent call last):
        actlab.errors.SiteError: find takes a model, and ReLU is a class. Build one: ReLU(...).
    """
    if isinstance(model, nn.Module):
        return
    if isinstance(model, type):
        what = f"and {model.__name__} is a class. Build one: {model.__name__}(...)."
    elif isinstance(model, str):
        what = f"and {model!r} is a text. Give the torch.nn.Module itself; `actlab sites` and `actlab doctor` read a file or a task."
    elif isinstance(model, dict):
        what = "and this is a dict. Load weights into a model first: model.load_state_dict(weights)."
    elif isinstance(model, list | tuple):
        what = f"and this is a {type(model).__name__}. Put the modules into one: torch.nn.Sequential(*modules)."
    else:
        what = f"a torch.nn.Module; got {type(model).__name__}: {str(model)[:80]}."
    raise SiteError(f"{function} takes a model, {what}")


def takes_model(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function whose first parameter is ``model``, so that it checks that."""

    @wraps(function)
    def checked(*args: P.args, **options: P.kwargs) -> R:
        if args or "model" in options:
            check_model(args[0] if args else options["model"], function.__name__)
        return function(*args, **options)

    return checked
