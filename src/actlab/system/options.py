"""Settings dataclass updated from keyword options, with an error for unknown names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from actlab.errors import did_you_mean

__all__ = ["from_options"]

S = TypeVar("S")


def from_options(kind: type[S], settings: S | None, options: Mapping[str, Any]) -> S:
    """Return ``settings`` with the given keyword options in the place of its own values.

    Args:
        kind: a frozen dataclass of settings.
        settings: an instance of it, or None for its defaults.
        options: names and values, as the keyword arguments of a public function.

    Raises:
        TypeError: an option has no field of its name, or ``settings`` is not of that class.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Training:
        ...     steps: int = 100
        ...     seed: int = 0
        >>> from_options(Training, None, {"steps": 5})
        Training(steps=5, seed=0)
        >>> from_options(Training, Training(seed=1), {"step": 5})
        Traceback (most recent call last):
        TypeError: unknown option 'step'. Did you mean 'steps'? Allowed: steps, seed.
    """
    if settings is not None and not isinstance(settings, kind):
        raise TypeError(f"settings must be {kind.__name__}, got {type(settings).__name__}.")
    allowed = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type] # a dataclass, by contract
    for name in options:
        if name not in allowed:
            raise TypeError(f"unknown option {name!r}.{did_you_mean(name, allowed)} Allowed: {', '.join(allowed)}.")
    if settings is None:
        return kind(**options)
    return dataclasses.replace(settings, **options)  # type: ignore[type-var] # a dataclass, by contract
