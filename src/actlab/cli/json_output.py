"""Standard output that contains one JSON document, whatever user code prints."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

__all__ = ["only_results_on_stdout", "print_result", "reserve_stdout"]

_results: TextIO | None = None


def print_result(text: str) -> None:
    """Print a line on the standard output stream, also while that is reserved."""
    stream = sys.stdout if _results is None else _results
    stream.write(f"{text}\n")
    stream.flush()


def reserve_stdout() -> None:
    """Send what is written to the standard output stream to the standard error stream from now on, except by :func:`print_result`.

    That includes output by file descriptor, as of C code and of child processes, and output when the interpreter ends.
    """
    global _results  # noqa: PLW0603 # one standard output in a process
    if _results is not None:
        return
    kept = sys.stdout
    with suppress(OSError, ValueError):
        kept.flush()
    _results = _real_stdout(kept)
    sys.stdout = sys.stderr


def _real_stdout(stream: TextIO) -> TextIO:
    """Return a stream for results; descriptor 1 becomes another name of descriptor 2."""
    try:
        if stream.fileno() != 1:
            return stream
    except (io.UnsupportedOperation, ValueError):  # a stream in memory, as in tests
        return stream
    real = os.dup(1)
    try:
        os.dup2(2, 1)
    except OSError:  # the standard error stream is closed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    return os.fdopen(real, "w", encoding=stream.encoding, errors="backslashreplace")


@contextmanager
def only_results_on_stdout() -> Iterator[None]:
    """Reserve the standard output stream inside the block."""
    if _results is not None:  # reserved for good
        yield
        return
    kept = sys.stdout
    reserve_stdout()
    try:
        yield
    finally:
        _give_back(kept)


def _give_back(stdout: TextIO) -> None:
    global _results  # see above
    real, _results, sys.stdout = _results, None, stdout
    if real is not None and real is not stdout:
        real.flush()
        os.dup2(real.fileno(), 1)
        real.close()
