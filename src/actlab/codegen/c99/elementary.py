"""Elementary functions in C99 that printed formulas call, cut out of one C file.

The functions are in ``elementary.c``, one paragraph each; the polynomials that they use are printed from the tables of
:mod:`actlab.codegen.minimax`. ``tests/codegen/c99/test_elementary.py`` asserts their error bounds over all of float32.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from actlab.codegen import minimax
from actlab.errors import ExportError, did_you_mean
from actlab.functions.formula.printer import c_number

__all__ = ["LINE", "called", "elementary_names", "elementary_source"]

PREFIX = "f32_"
FILE = Path(__file__).with_name("elementary.c")
TABLES = (
    "EXPONENTIAL",
    "LOGARITHM",
    "LOGARITHM_OF_UP_TO_TWO",
    "ARCTANGENT",
    "SINE",
    "COSINE",
    "ERROR_FUNCTION",
    "NORMAL_TAIL",
)
CALL = re.compile(rf"\b({PREFIX}\w+)\(")
LINE = 116  # characters of printed C


def elementary_source(needs: Iterable[str]) -> str:
    """Return the C99 text of elementary functions and of those that they call in turn, each once, in an order that compiles.

    All are ``static``, in float32, and call no library; the text includes ``<stdint.h>`` and ``<float.h>`` alone. It has to be compiled
    with ``-ffp-contract=off`` (or ``-std=c99``, for GCC); then it gives the same bits on every core, apart from those of a NaN,
    and of subnormal results where the compiler's own division does not round them (zig 0.17.1 for a Cortex-M3).

    Args:
        needs: names, such as ``f32_exp``: the union of :attr:`CFunction.needs` over the functions of a file.

    Raises:
        ExportError: there is no elementary function of a name.

    Example:
        >>> print(elementary_source(["f32_square"]).split("#endif")[-1].strip())
        /* The square. */
        static float f32_square(float x)
        {
            return x * x;
        }
    """
    head, functions = _functions()
    wanted, pending = set[str](), list(needs)
    while pending:
        name = pending.pop()
        if name not in functions:
            raise ExportError(f"There is no elementary function {name!r} in C.{did_you_mean(name, functions)}")
        if name not in wanted:
            wanted.add(name)
            pending.extend(called(functions[name]) - {name})
    return "\n\n".join([head, *(text for name, text in functions.items() if name in wanted)]) + "\n"


def elementary_names() -> frozenset[str]:
    """Return the names of all elementary functions."""
    return frozenset(_functions()[1])


def called(text: str) -> set[str]:
    """Return the names of the elementary functions that a C text calls."""
    return set(CALL.findall(text))


@cache
def _functions() -> tuple[str, Mapping[str, str]]:
    """Return the head of the file, and the text of each function by name, in order."""
    head, *paragraphs = FILE.read_text(encoding="utf-8").strip().split("\n\n")
    names = [CALL.search(paragraph)[1] for paragraph in paragraphs]  # type: ignore[index] # each defines one
    polynomials = {f"{PREFIX}{table.lower()}_polynomial": _polynomial(table) for table in TABLES}
    return head, polynomials | dict(zip(names, paragraphs, strict=True))


def _polynomial(table: str) -> str:
    """Return a function that computes a minimax polynomial by Horner's rule."""
    coefficients: Sequence[float] = getattr(minimax, table)["float32"]
    *others, text = map(c_number, coefficients)
    for coefficient in reversed(others):
        text = f"{coefficient} + x * {text}" if text == c_number(coefficients[-1]) else f"{coefficient} + x * ({text})"
    lines = textwrap.wrap(f"return {text};", LINE, initial_indent="    ", subsequent_indent="        ")
    title = table.lower().replace("_", " ")
    return "\n".join(
        [
            f"/* Polynomial of the {title}. */",
            f"static float {PREFIX}{table.lower()}_polynomial(float x)",
            "{",
            *lines,
            "}",
        ]
    )
