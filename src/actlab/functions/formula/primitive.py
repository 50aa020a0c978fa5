"""The primitive: a function that owns its stable derivative and its spelling in every target; formulas are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import sympy

__all__ = ["CAPS", "PRIMITIVES", "Expr", "Primitive"]

Expr: TypeAlias = Any  # sympy.Expr; SymPy is untyped, and its methods answer with whatever fits
PRIMITIVES: dict[str, type[Primitive]] = {}
CAPS = {  # of an exponent, by how often its exponential is multiplied by itself before it must not overflow
    "float32": {1: 87.0, 2: 43.0},
    "float64": {1: 708.0, 2: 354.0},
}


class Primitive(sympy.Function):  # type: ignore[misc]  # SymPy has no types
    """A function that owns its stable derivative and its spelling per target.

    Class attributes:
        spelling: template per target; ``{0}``, ``{1}``, ... stand for the printed arguments.
    """

    nargs = 1
    is_commutative = True  # a condition among the arguments makes SymPy doubt it, and then refuse comparisons
    spelling: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        PRIMITIVES[cls.__name__] = cls

    def _eval_is_commutative(self) -> bool:
        return True  # all are numbers; SymPy doubts it of where, whose condition is none

    @classmethod
    def slope(cls, *args: Expr) -> tuple[Any, ...]:
        """Return the partial derivative in each argument, in a form that neither overflows nor cancels."""
        raise NotImplementedError(cls.__name__)  # abstract: every primitive below defines it

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return the partial derivative in argument ``argindex`` (counted from 1), as SymPy's chain rule asks for it."""
        return sympy.sympify(self.slope(*self.args)[argindex - 1])

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        text = self.spelling["latex"].format(*(printer.doprint(argument) for argument in self.args))
        return rf"\left({text}\right)^{{{exp}}}" if exp else text
