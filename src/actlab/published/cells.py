"""Cells of a published table as numbers, with the unit of their last digit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from actlab.errors import TableError
from actlab.stats.published.figure_range import Range, printed

__all__ = [
    "Cell",
    "Figure",
    "clean",
    "figure",
    "has_two_numbers",
    "interval_cell",
    "is_missing",
    "is_number",
    "mean_cell",
    "p_cell",
]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE](?:-\d{1,3}|\+?\d{1,2}))?"
_PLAIN = re.compile(rf"({_NUMBER})\s*%?")
_PLUS_MINUS = re.compile(rf"\(?\s*({_NUMBER})\s*%?\s*±\s*({_NUMBER})\s*%?\s*\)?\s*%?")
_BRACKET = re.compile(rf"({_NUMBER})\s*%?\s*\(\s*±?\s*({_NUMBER})\s*%?\s*\)\s*%?")
_BETWEEN = r"\s*(?:,|;|to\b|–|—|\.\.\.?|(?<=[\d%\s])-(?=[\s\d.]))\s*"  # noqa: RUF001 dashes are what tables have
_ENDS = re.compile(rf"[\[(]?\s*({_NUMBER})\s*%?{_BETWEEN}({_NUMBER})\s*%?\s*[\])]?")
_WITH_ENDS = re.compile(rf"({_NUMBER})\s*%?\s*[\[(]\s*({_NUMBER})\s*%?{_BETWEEN}({_NUMBER})\s*%?\s*[\])]\s*%?")
_P = re.compile(
    rf"(?:p[\s-]*(?:value)?)?\s*(<=|>=|[<>=≤≥≈~])?\s*({_NUMBER})\s*(?:\(\s*(?:p\s*=\s*)?({_NUMBER})\s*\))?",
    re.IGNORECASE,
)
_WITH_COMMA = re.compile(r"[-+]?\d{1,3}(?:[.,]\d+)*,\d+\s*%?(?:\s*[±(].*)?")
_MISSING = {"", "-", "--", "---", "–", "—", "/", "?", "n/a", "na", "nan", "none", "null", "n.a."}  # noqa: RUF001 as above
_NOT_SIGNIFICANT = {"ns", "n.s.", "n.s", "not significant"}
_LATEX = (
    (r"\\(?:textbf|mathbf|underline|textit|bm|boldsymbol)\b|\\(?:bf|,|;|!| )", ""),
    (r"\\pm\b|&plusmn;|\+/-|\+-", "±"),
    (r"\\%", "%"),
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A printed number.

    Attributes:
        value: the number.
        unit: of its last digit, such as 0.01 for 87.48; 0 for a number that was not printed.
        percent: whether a per cent sign stands with it.
    """

    value: float
    unit: float
    percent: bool = False

    @property
    def range(self) -> Range:
        """What the figure may stand for."""
        return printed(self.value, self.unit)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A mean with what stands in the same cell.

    Attributes:
        mean: the first number.
        spread: the number after ± or in brackets, if any.
        interval: ends of the interval in brackets, if any.
    """

    mean: Figure
    spread: Figure | None = None
    interval: tuple[Figure, Figure] | None = None


def clean(text: str) -> str:
    r"""Return the text of a cell without marks of Markdown and LaTeX.

    Example:
        >>> clean(r"$\mathbf{87.48}_{\pm 0.39}$"), clean("**87.49%**"), clean("1.2 x 10^-3")
        ('87.48 ± 0.39', '87.49%', '1.2e-3')
    """
    for pattern, plain in _LATEX:
        text = re.sub(pattern, plain, text)
    text = re.sub(r"_\s*\{?\s*±", " ±", text)
    text = re.sub(r"[*$`{}]", "", text).replace("\u2212", "-").replace("\u00a0", " ").replace("\u2009", " ")
    text = re.sub(r"\s*(?:×|x|\\times|\\cdot)\s*10\s*\^?\s*([-+]?\d+)", r"e\1", text)  # noqa: RUF001 the sign of multiplication
    return " ".join(text.split())


def is_missing(text: str) -> bool:
    """Return whether a cell says that there is no number."""
    return clean(text).lower() in _MISSING


def is_number(text: str) -> bool:
    """Return whether a cell holds nothing but numbers and their marks, or a number with a comma, which is refused later."""
    text = clean(text)
    return any(pattern.fullmatch(text) for pattern in (_PLAIN, _PLUS_MINUS, _BRACKET, _WITH_ENDS, _WITH_COMMA))


def has_two_numbers(text: str) -> bool:
    """Return whether a cell holds a number with a spread or an interval beside it."""
    return any(pattern.fullmatch(clean(text)) for pattern in (_PLUS_MINUS, _BRACKET, _WITH_ENDS))


def figure(text: str, what: str, line: int) -> Figure:
    """Return the number of a cell.

    Args:
        text: of the cell.
        what: name of the column, for the message.
        line: of the file, for the message.

    Raises:
        TableError: the cell holds anything but one number.

    Example:
        >>> figure("87.48%", "accuracy", 2)
        Figure(value=87.48, unit=0.01, percent=True)
    """
    found = _PLAIN.fullmatch(clean(text))
    if found is None:
        raise _no_number(text, what, line, "one number, such as 0.397")
    return _figure(found[1], "%" in text)


def mean_cell(text: str, what: str, line: int) -> Cell:
    """Return the mean in a cell, and the spread or interval beside it.

    Raises:
        TableError: the cell is not of one of these forms.

    Example:
        >>> cell = mean_cell("87.48 ± 0.39", "accuracy", 2)
        >>> cell.mean.value, cell.spread.value
        (87.48, 0.39)
    """
    shown = clean(text)
    percent = "%" in shown
    if found := _PLAIN.fullmatch(shown):
        return Cell(mean=_figure(found[1], percent))
    if found := _PLUS_MINUS.fullmatch(shown) or _BRACKET.fullmatch(shown):
        if "." in found[1] and "±" not in shown and not re.search(r"[.eE]", found[2]):
            raise TableError(
                f"Line {line}: {text.strip()!r} in the column {what!r} may mean {found[1]} with a spread of {found[2]}, with one of "
                f"{found[2]} units of the last digit, or of {found[2]} runs. Write it as {found[1]} ± 0.39, or in columns of their own."
            )
        return Cell(mean=_figure(found[1], percent), spread=_figure(found[2], percent))
    if found := _WITH_ENDS.fullmatch(shown):
        return Cell(mean=_figure(found[1], percent), interval=(_figure(found[2], percent), _figure(found[3], percent)))
    raise _no_number(text, what, line, "87.48, 87.48 ± 0.39, 87.48 (0.39) or 87.48 [87.31, 87.65]")


def interval_cell(text: str, what: str, line: int) -> Figure | tuple[Range, Range]:
    """Return the ends of an interval, or its half width where the cell holds one number.

    Raises:
        TableError: the cell holds neither.

    Example:
        >>> interval_cell("-0.3975 to 0.0844", "95% CI", 3)[1].high
        0.0845
        >>> interval_cell("0.1716", "95% CI", 3).value
        0.1716
    """
    shown = clean(text)
    if found := _PLAIN.fullmatch(shown):
        return _figure(found[1])
    if found := _PLUS_MINUS.fullmatch(shown):
        centre, half = _figure(found[1]).range, _figure(found[2]).range
        return centre - half, centre + half
    if found := _ENDS.fullmatch(shown):
        return _figure(found[1]).range, _figure(found[2]).range
    raise _no_number(text, what, line, "[87.31, 87.65], 87.31 to 87.65, 87.48 ± 0.17 or 0.17")


def p_cell(text: str, what: str, line: int) -> Range:
    """Return what a printed p-value may stand for.

    Raises:
        TableError: the cell holds no p-value.

    Example:
        >>> p_cell("P < 0.0001", "p", 2), p_cell("P < 5e-2 (0.0475)", "p", 2).low
        (Range(low=0.0, high=0.0001), 0.0474)
    """
    shown = clean(text)
    if shown.lower() in _NOT_SIGNIFICANT:
        return Range(low=0.05, high=1.0)
    found = _P.fullmatch(shown)
    if found is None:
        raise _no_number(text, what, line, "0.03, p = 0.03, p < 0.001 or n.s.")
    relation, number = ("=", found[3]) if found[3] else (found[1] or "=", found[2])
    value = _figure(number)
    if not 0 <= value.value <= 1:
        raise TableError(
            f"Line {line}: the p-value in the column {what!r} is {text.strip()!r}; a number from 0 to 1 is needed."
        )
    low = 0.0 if relation in {"<", "<=", "≤"} else max(0.0, value.range.low)
    high = 1.0 if relation in {">", ">=", "≥"} else min(1.0, value.range.high)
    if relation in {"<", "<=", "≤"}:
        high = value.value
    return Range(low=low, high=high)


def _figure(text: str, percent: bool = False) -> Figure:
    exponent = Decimal(text).as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 # the pattern has no infinities
    return Figure(value=float(text), unit=10.0**exponent, percent=percent)


def _no_number(text: str, what: str, line: int, forms: str) -> TableError:
    shown = clean(text)
    hint = ""
    if _WITH_COMMA.fullmatch(shown):
        hint = " Write decimals with a point and thousands without a comma."
    return TableError(f"Line {line}: {text.strip()!r} in the column {what!r} is no number; write it as {forms}.{hint}")
