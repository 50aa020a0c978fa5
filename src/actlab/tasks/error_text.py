"""Text of exceptions from user code, shortened and printable."""

from __future__ import annotations

from actlab.system.printable import is_printable

__all__ = ["shortened", "text_of"]

_LONGEST = 4000  # characters of a stored text: enough for the innermost frames of a traceback


def text_of(error: BaseException) -> str:
    """Return the text of an exception, also where its own ``__str__`` raises.

    Example:
        >>> text_of(ValueError("no such column"))
        'no such column'
    """
    try:
        return str(error)
    except BaseException as problem:  # user code may raise anything
        return f"(its text cannot be had: {type(problem).__name__})"


def shortened(text: str, longest: int = _LONGEST) -> str:
    r"""Return a text with escapes in the place of what cannot be printed or stored, and without its middle if it is long.

    Lines and tabs are kept; control characters, lone surrogates and the like become escapes.

    Args:
        text: of any length, with any characters.
        longest: number of characters that are kept, a quarter of them from the end.

    Example:
        >>> print(shortened("a\x00b\ud800c"), shortened("x" * 10_000, 40))
        a\x00b\ud800c xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ... (9,960 characters left out) ... xxxxxxxxxx
    """
    if len(text) > longest:
        tail = longest // 4
        left_out = f" ... ({len(text) - longest:,} characters left out) ... "
        return f"{_escaped(text[: longest - tail])}{left_out}{_escaped(text[len(text) - tail :])}"
    return _escaped(text)


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if is_printable(char) else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
