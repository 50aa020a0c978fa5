"""Base class of formula primitives, with a stable derivative and a spelling per target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import sympy

__all__ = ["CAPS", "PRIMITIVES", "Expr", "Primitive"]

# sympy.Expr; SymPy is untyped, and its methods return several types.
Expr: TypeAlias = Any
PRIMITIVES: dict[str, type[Primitive]] = {}
# Largest exponent whose exponential, to the power of the key, does not overflow.
CAPS = {
    "float32": {1: 87.0, 2: 43.0},
    "float64": {1: 708.0, 2: 354.0},
}


class Primitive(sympy.Function):  # type: ignore[misc] # SymPy has no types
    """A function with a stable derivative and a spelling per target.

    SymPy sorts terms and factors by class name, so renaming a primitive reorders printed formulas and changes their last bits.

    Class attributes:
        spelling: template per target; ``{0}``, ``{1}``, ... stand for the printed arguments. In C ("c99") a primitive without a
            template is a call of the function of its name in ``actlab/codegen/c99/elementary.c``.
    """

    nargs = 1
    # SymPy derives this from the arguments, and a condition among them (of where) has none; it then refuses comparisons.
    is_commutative = True
    spelling: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        PRIMITIVES[cls.__name__] = cls

    def _eval_is_commutative(self) -> bool:
        return True  # see is_commutative

    @classmethod
    def slope(cls, *args: Expr) -> tuple[Any, ...]:
        """Return the partial derivative in each argument, in a form that neither overflows nor cancels."""
        raise NotImplementedError(cls.__name__)  # abstract: every primitive defines it

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return the partial derivative in argument ``argindex`` (counted from 1), for SymPy's chain rule."""
        return sympy.sympify(self.slope(*self.args)[argindex - 1])

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        text = self.spelling["latex"].format(*(printer.doprint(argument) for argument in self.args))
        return rf"\left({text}\right)^{{{exp}}}" if exp else text
