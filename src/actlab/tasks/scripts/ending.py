"""End of a script's process in words, with the last lines that it wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from actlab.system.signal_name import signal_name
from actlab.tasks.error_text import shortened
from actlab.tasks.scripts.process import Ended

__all__ = ["ending", "is_out_of_memory", "last_lines"]

_LINES = 40
_HEADING = "Traceback (most recent call last):"
_SUMMARY = 300  # characters of the last line in the summary
# An exception as Python prints it, also with a launcher's mark of the rank before it.
_EXCEPTION = re.compile(r"(?:\[\w+\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*)")
_LAUNCHER = "ChildFailedError"  # of torchrun, which stands for the error of a worker
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "memoryerror")


def ending(ended: Ended) -> str:
    r"""Return how a process ended, and below it the last lines of its standard error stream, or of its output.

    Example:
        >>> print(ending(Ended(code=3, stderr="loading\nValueError: no such column\n")))
        it ended with exit code 3: ValueError: no such column
        Last lines of its standard error stream:
          loading
          ValueError: no such column
    """
    how, name = _how(ended.code), "standard error stream"
    lines = last_lines(ended.stderr)
    if not lines and ended.code != 0:
        lines, name = last_lines(ended.stdout), "output"
    if not lines:
        return f"{how}; it wrote nothing."
    summary = f"{how}: {shortened(_reason(lines), _SUMMARY)}" if ended.code else f"{how}."
    text = "\n".join(f"  {line}" for line in lines)
    return f"{summary}\nLast lines of its {name}:\n{shortened(text)}"


def _reason(lines: Sequence[str]) -> str:
    """Return the last exception, or else the last line with a word in it."""
    found = [match[1] for line in lines if (match := _EXCEPTION.fullmatch(line.strip())) and _LAUNCHER not in line]
    words = [line.strip() for line in lines if re.search(r"\w", line)]
    return [*words[-1:], *found[-1:]][-1] if words else lines[-1].strip()


def _how(code: int | None) -> str:
    if code is None:
        return "the process that watches over it was killed"
    return f"it was ended by {signal_name(-code)}" if code < 0 else f"it ended with exit code {code}"


def last_lines(text: str) -> list[str]:
    r"""Return the last lines that are not empty, each as a terminal shows it where a progress bar has written over it.

    Example:
        >>> last_lines("10 %\r20 %\r30 %\n\ndone\n")
        ['30 %', 'done']
    """
    return list(_shown(text))[-_LINES:]


def _shown(text: str) -> Iterator[str]:
    for line in text.replace("\r\n", "\n").split("\n"):
        parts = [part for part in line.split("\r") if part.strip()]
        if parts and parts[-1].strip() != _HEADING:
            yield parts[-1].rstrip()


def is_out_of_memory(ended: Ended) -> bool:
    """Return whether the last lines say that memory ran out.

    Example:
        >>> is_out_of_memory(Ended(code=1, stderr="torch.OutOfMemoryError: CUDA out of memory."))
        True
    """
    text = "\n".join(last_lines(ended.stderr)).lower()
    return bool(ended.code) and any(phrase in text for phrase in _OUT_OF_MEMORY)
