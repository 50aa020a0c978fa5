"""Exception in a worker process of a DataLoader, read from the text that torch makes of it."""

from __future__ import annotations

import re
from traceback import FrameSummary
from typing import Final, NamedTuple

__all__ = ["WorkerError", "worker_error"]

_FIRST: Final = re.compile(
    r"Caught \w+ in DataLoader worker process \d+\.\s+Original Traceback \(most recent call last\):\n"
)
_FRAME: Final = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+), in (?P<name>.*)$')


class WorkerError(NamedTuple):
    """What an exception in a worker process says.

    Attributes:
        line: type and first line of the exception.
        frames: of its traceback, the innermost last.
    """

    line: str
    frames: list[FrameSummary]


def worker_error(text: str) -> WorkerError | None:
    """Return what the text of an exception says of one in a worker process of a DataLoader; None for any other text.

    Example:
        >>> text = '''Caught ValueError in DataLoader worker process 0.
        ... Original Traceback (most recent call last):
        ...   File "/home/me/rows.py", line 3, in __getitem__
        ...     raise ValueError("no row")
        ... ValueError: no row
        ... '''
        >>> found = worker_error(text)
        >>> found.line, found.frames[-1].lineno
        ('ValueError: no row', 3)
    """
    begin = _FIRST.search(text)
    if begin is None:
        return None
    lines = text[begin.end() :].splitlines()
    frames = [
        FrameSummary(match["file"], int(match["line"]), match["name"], line=_code(lines, number + 1))
        for number, line in enumerate(lines)
        if (match := _FRAME.match(line))
    ]
    last = next((line for line in lines if line and not line.startswith(" ")), "")
    return WorkerError(last.strip(), frames)


def _code(lines: list[str], number: int) -> str:
    return lines[number].strip() if number < len(lines) and lines[number].startswith("    ") else ""
