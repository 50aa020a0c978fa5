"""Numbers with their nouns in singular or plural."""

from __future__ import annotations

__all__ = ["plural"]


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s in the plural.

    Example:
        >>> plural(1, "seed"), plural(6, "seed"), plural(0, "batch")
        ('1 seed', '6 seeds', '0 batches')
    """
    ending = "" if number == 1 else "es" if noun.endswith(("ch", "sh", "s", "x")) else "s"
    return f"{number} {noun}{ending}"
