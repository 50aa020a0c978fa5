"""Lists of names in a sentence."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["listed"]


def listed(names: Iterable[str]) -> str:
    """Return names separated by commas and a final "and".

    Example:
        >>> listed(["gelu", "silu", "relu"]), listed(["gelu"]), listed([])
        ('gelu, silu and relu', 'gelu', '')
    """
    *others, last = [*names] or [""]
    return f"{', '.join(others)} and {last}" if others else last
