"""Cells of a LaTeX table as plain text."""

from __future__ import annotations

import re

from actlab.errors import TableError

__all__ = ["is_latex", "latex_rows"]

_CELL_END = re.compile(r"(?<!\\)&")
_COMMENT = re.compile(r"(?<!\\)%.*")
_ROW_END = re.compile(r"\\\\(\*|\s*\[[^]]*\])?|\\(tabularnewline|cr)\b")
_RULES = re.compile(
    r"\\(hline|toprule|midrule|bottomrule|addlinespace|centering|small|footnotesize|scriptsize|tiny)\b(\[[^]]*\])?"
    r"|\\(cline|cmidrule)(\([^)]*\))?(\[[^]]*\])?\{[^}]*\}|\\(caption|label)\{.*\}"
)
_ENVIRONMENT = re.compile(r"\\(begin|end)\{[^}]*\}.*")
_SIGNS = {r"\pm": "±", r"\%": "%", r"\_": "_", r"\&": "&", r"\#": "#", r"\,": " ", "~": " ", r"\times": "x", "--": "-"}
_SPAN = re.compile(r"\\multi(column|row)\b")
_COMMAND = re.compile(r"\\[A-Za-z]+\*?|\\[!;: ]")


def is_latex(text: str) -> bool:
    r"""Whether a text is a LaTeX table: cells end with & and rows with a double backslash.

    Example:
        >>> is_latex("Method & Error \\\\ \n ReLU & 5.1 \\\\"), is_latex("Method,Error\nR&D,5.1")
        (True, False)
    """
    return any(_CELL_END.search(line) and _ROW_END.search(line) for line in text.splitlines())


def latex_rows(text: str, source: str) -> list[tuple[int, tuple[str, ...]]]:
    r"""Return the rows of a LaTeX table with the numbers of the lines on which they begin.

    Rules, captions, comments and the lines of environments are left out; markup such as bold type is removed from cells.

    Args:
        text: with one table.
        source: name of the file, for messages.

    Raises:
        TableError: a cell spans several columns or rows.

    Example:
        >>> latex_rows("\\toprule Method & Error \\\\ \n \\textbf{ReLU} & $5.1_{\\pm 0.2}$ \\\\", "t.tex")
        [(1, ('Method', 'Error')), (2, ('ReLU', '5.1±0.2'))]
    """
    rows: list[tuple[int, tuple[str, ...]]] = []
    row, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        rest = _RULES.sub(" ", _ENVIRONMENT.sub("", _COMMENT.sub("", line)))
        while rest.strip():
            first = first if row.strip() else number
            end = _ROW_END.search(rest)
            row += " " + (rest if end is None else rest[: end.start()])
            if end is None:
                break
            rest = rest[end.end() :]
            if _CELL_END.search(row):
                rows.append((first, _cells(row, f"Line {first} of {source}")))
            row = ""
    if _CELL_END.search(row):
        rows.append((first, _cells(row, f"Line {first} of {source}")))
    return rows


def _cells(row: str, place: str) -> tuple[str, ...]:
    span = _SPAN.search(row)
    if span:
        raise TableError(f"{place} has {span.group()}; write each cell of the table, in one header line, without it.")
    return tuple(_plain(cell) for cell in _CELL_END.split(row))


def _plain(cell: str) -> str:
    for sign, text in _SIGNS.items():
        cell = cell.replace(sign, text)
    cell = re.sub(r"(?<!\\)[{}$]", "", _COMMAND.sub("", cell))
    return re.sub(r"\s*[_^]?\s*±\s*", "±", re.sub(r"\s+", " ", cell)).strip()
