"""Economy: a formula rewritten to the fewest transcendentals, for every target."""

from __future__ import annotations

from actlab.functions.formula import Expr

__all__ = ["economical"]


def economical(expression: Expr) -> Expr:
    """Return the expression."""
    return expression
