"""Who is to blame: turns an exception of a user's code into a message that shows the user's own line."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actlab.errors import ActlabError, TaskError

__all__ = ["one_line", "user_code", "user_line"]

_OURS = str(Path(__file__).parents[1])
_NOT_THE_USERS = tuple(
    {_OURS, "<frozen", *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))}
)


def one_line(error: BaseException) -> str:
    """Return type and first line of an exception.

    Example:
        >>> one_line(ValueError("no such column"))
        'ValueError: no such column'
    """
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def user_line(error: BaseException) -> str:
    """Return file, line number and text of the user's line that raised, indented; empty if there is none.

    The last frame outside the standard library, the installed packages and ActLab is taken for the user's.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"\n  {error.filename}, line {error.lineno}:\n    {(error.text or '').strip()}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_NOT_THE_USERS)
    ]
    if not frames:
        return ""
    frame = frames[-1]
    return f"\n  {frame.filename}, line {frame.lineno}, in {frame.name}:\n    {frame.line or ''}".rstrip()


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Run a user's code; what it raises becomes a :class:`TaskError` that names ``what`` and shows the line.

    Raises:
        TaskError: the code raised; errors of ActLab pass through as they are.
    """
    try:
        yield
    except ActlabError:
        raise
    except (
        Exception,
        SystemExit,
    ) as error:  # a user's code may raise anything, and `sys.exit()` in it must not end the study
        raise TaskError(f"{what} raised {one_line(error)}{user_line(error)}") from error
