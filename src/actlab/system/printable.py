"""Text without characters that cannot be seen, which could hide or reorder what stands beside them."""

from __future__ import annotations

import unicodedata

__all__ = ["escape_unprintable", "is_printable", "printable"]

# Control characters (with ESC, which begins commands to a terminal), formats (bidirectional marks, zero-width characters), surrogates,
# private and unassigned ones, and separators of lines and paragraphs.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def is_printable(char: str) -> bool:
    r"""Return whether a character can be seen, or separates words and lines.

    Example:
        >>> is_printable("x"), is_printable("\n"), is_printable("\u200b")
        (True, True, False)
    """
    return char in "\n\t" or unicodedata.category(char) not in _UNPRINTABLE


def printable(text: str) -> str:
    r"""Return a text without unprintable characters; lines and tabs are kept.

    Example:
        >>> printable("re\u200blu\x1b[31m \u202eevil\nnext line")
        'relu[31m evil\nnext line'
    """
    return text if text.isprintable() else "".join(filter(is_printable, text))


def escape_unprintable(text: str) -> str:
    r"""Return a JSON text with escapes in the place of unprintable characters, which can only be inside its strings.

    Example:
        >>> escape_unprintable('{"name": "a\u202eb"}')
        '{"name": "a\\u202eb"}'
    """
    if text.isascii():
        return text  # the JSON encoder has escaped control characters
    return "".join(char if is_printable(char) else _json_escape(char) for char in text)


def _json_escape(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + ((code - 0x10000) >> 10):04x}\\u{0xDC00 + ((code - 0x10000) & 0x3FF):04x}"
