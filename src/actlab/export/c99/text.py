"""C99 text of arrays, numbers, names and comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = ["array", "array_rows", "comment", "dimensions", "identifier", "literal"]

LINE = 110  # characters

_KEYWORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long register restrict
return short signed sizeof static struct switch typedef union unsigned void volatile while"""
KEYWORDS = frozenset(_KEYWORDS.split())


def literal(value: float) -> str:
    """Return a float32 number in C, exact when it is read again.

    Example:
        >>> literal(0.1), literal(2), literal(float("-inf"))
        ('0.1f', '2.0f', '(-1.0f / 0.0f)')
    """
    number = np.float32(value)
    if np.isnan(number):
        return "(0.0f / 0.0f)"
    if np.isinf(number):
        return "(1.0f / 0.0f)" if number > 0 else "(-1.0f / 0.0f)"
    text = repr(float(str(number)))
    return f"{text}f"


def array(name: str, values: Any, *, kind: str = "float") -> str:
    r"""Return the definition of a constant array.

    Args:
        name: of the array.
        values: numbers of any shape, written in row-major order.
        kind: type of its elements.

    Example:
        >>> array("bias", np.float32([1, 2]))
        'static const float bias[2] = {\n    1.0f, 2.0f\n};'
    """
    flat = np.asarray(values).reshape(-1)
    texts = map(literal, flat) if kind == "float" else map(str, flat.tolist())
    return f"static const {kind} {name}[{flat.size}] = {{\n{_lines(texts)}\n}};"


def array_rows(name: str, rows: Any, *, kind: str = "float") -> str:
    """Return the definition of a constant array of rows, of shape (rows, elements)."""
    table = np.asarray(rows).reshape(len(rows), -1)
    parts = []
    for row in table:
        texts = map(literal, row) if kind == "float" else map(str, row.tolist())
        parts.append(f"    {{\n{_lines(texts, indent=8)}\n    }}")
    body = ",\n".join(parts)
    return f"static const {kind} {name}[{table.shape[0]}][{table.shape[1]}] = {{\n{body}\n}};"


def _lines(texts: Iterable[str], indent: int = 4) -> str:
    space = " " * indent
    lines: list[str] = []
    line = space
    for text in texts:
        if len(line) + len(text) + 2 > LINE:
            lines.append(line.rstrip())
            line = space
        line += f"{text}, "
    lines.append(line.rstrip().rstrip(","))
    return "\n".join(lines)


def identifier(text: str) -> str:
    """Return a C identifier that is near a text.

    Example:
        >>> identifier("my-net.v2"), identifier("2nd"), identifier("float")
        ('my_net_v2', 'net_2nd', 'net_float')
    """
    name = re.sub(r"[^0-9a-zA-Z_]+", "_", text).strip("_") or "net"
    return f"net_{name}" if name[0].isdigit() or name in KEYWORDS else name


def dimensions(shape: Sequence[int]) -> str:
    """Return a shape in words.

    Example:
        >>> dimensions((6, 28, 28)), dimensions(())
        ('6 x 28 x 28', '1')
    """
    return " x ".join(map(str, shape)) or "1"


def comment(text: str) -> str:
    """Return a C comment of lines that are not too long."""
    safe = text.replace("*/", "* /").replace("/*", "/ *")
    return "/* " + textwrap.fill(safe, LINE, subsequent_indent="   ") + " */"
