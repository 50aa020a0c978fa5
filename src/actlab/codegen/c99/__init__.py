"""C99 functions printed from formulas, without libm and with the same bits on every core."""

from actlab.codegen.c99.elementary import elementary_source
from actlab.codegen.c99.function import CFunction, c_function

__all__ = ["CFunction", "c_function", "elementary_source"]
