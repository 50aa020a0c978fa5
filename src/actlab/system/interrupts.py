"""Stop of a program by Ctrl-C, SIGTERM or SIGHUP, with one message and the signal's exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["exit_code", "install", "may_raise", "raised_as_exception"]

_leave = os._exit  # taken here: while user code runs, its calls of os._exit raise an exception
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_SHOW_CURSOR = b"\r\x1b[K\x1b[?25h"  # a live display hides it

_received: int | None = None
_raising = False
_message: Callable[[], str] = str


def install(message: Callable[[], str]) -> None:
    """Have the three signals end this process from now on, wherever it is; ignored ones stay ignored, as under ``nohup``.

    Outside of :func:`raised_as_exception` the process ends at once: an exception in the middle of an import, a destructor or user code may
    be lost, or come out as another one. What has to survive a stop must survive a SIGKILL as well.

    Args:
        message: returns what is written to the standard error stream.
    """
    global _message  # noqa: PLW0603 # one program in a process
    _message = message
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


@contextmanager
def raised_as_exception() -> Iterator[None]:
    """Let the first of the signals raise ``KeyboardInterrupt`` inside the block, for a loop that has something to say when it stops."""
    global _raising  # noqa: PLW0603 # see above
    before, _raising = _raising, True
    try:
        yield
    finally:
        _raising = before


def may_raise() -> bool:
    """Return whether a ``KeyboardInterrupt`` may come from Ctrl-C; if not, the code that runs has raised it itself."""
    handler = signal.getsignal(signal.SIGINT)
    return handler is not signal.SIG_IGN and (handler is not _handle or _raising)


def exit_code() -> int:
    """Return 128 plus the number of the signal that was received, as a shell does; 130, that of Ctrl-C, before any.

    Example:
        >>> exit_code()
        130
    """
    return 128 + (signal.SIGINT if _received is None else _received)


def _handle(number: int, _frame: FrameType | None) -> None:
    global _received  # see above
    first, _received = _received is None, number
    if first and _raising:
        raise KeyboardInterrupt
    with suppress(Exception):
        text = f"{_message()}\n".encode(errors="backslashreplace")
        os.write(2, _SHOW_CURSOR + text if sys.stderr.isatty() else text)
    _leave(exit_code())
