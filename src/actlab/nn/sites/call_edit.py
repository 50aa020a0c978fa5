"""The record of one rewritten call, and which class a rewritten class was made from."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

__all__ = ["Edit", "edits_of", "original_class"]

_EDITS: Final = "_actlab_edits"


@dataclass(frozen=True, kw_only=True, order=True)
class Edit:
    """One call that is replaced.

    Attributes:
        method: name of the method.
        end: where the call ends: lines after the method's first line, and column.
        style: "function" where the input is the first argument, "method" where it is what stands before the dot.
        submodule: name of the submodule that is called instead.
        digest: fingerprint of the method's text.
    """

    method: str
    end: tuple[int, int]
    style: str
    submodule: str
    digest: str


def edits_of(cls: type) -> tuple[Edit, ...]:
    """Return the edits by which a class differs from the one it was made of; none for a class as its author wrote it."""
    edits: tuple[Edit, ...] = vars(cls).get(_EDITS, ())
    return edits


def original_class(cls: type) -> type:
    """Return the class as its author wrote it."""
    return cls.__bases__[0] if edits_of(cls) else cls


def input_of(call: ast.Call, style: str) -> ast.expr | None:
    """Return the expression that is the input of an activation's call; None where none can be singled out.

    Example:
        >>> ast.unparse(input_of(ast.parse("F.elu(x + 1, 0.5)", mode="eval").body, "function"))
        'x + 1'
    """
    if style == "method":
        return call.func.value if isinstance(call.func, ast.Attribute) else None
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    return next((keyword.value for keyword in call.keywords if keyword.arg == "input"), None)
