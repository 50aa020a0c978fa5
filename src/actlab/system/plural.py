"""Numbers with their nouns in singular or plural."""

from __future__ import annotations

__all__ = ["plural"]


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s in the plural.

    Example:
        >>> plural(1, "seed"), plural(6, "epoch"), plural(0, "batch")
        ('1 seed', '6 epochs', '0 batches')
    """
    hisses = noun.endswith(("ch", "sh", "s", "x")) and noun != "epoch"
    ending = "" if number == 1 else "es" if hisses else "s"
    return f"{number} {noun}{ending}"
