"""Re-raise exceptions from user code as TaskError with the offending source line."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from actlab.errors import ActlabError, TaskError
from actlab.system.interrupts import may_raise
from actlab.tasks.error_text import shortened, text_of
from actlab.tasks.loading.worker_error import worker_error

__all__ = ["call_with_seed", "check_takes_seed", "is_user_code", "one_line", "takes_seed", "user_code", "user_line"]

_LONGEST_LINE = 1000  # characters of an exception's line in a message
_PACKAGE = str(Path(__file__).parents[1])
_NOT_USER_CODE = tuple(
    {_PACKAGE, "<frozen", *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))}
)


def one_line(error: BaseException) -> str:
    """Return type and first line of an exception.

    Example:
        >>> one_line(ValueError("no such column"))
        'ValueError: no such column'
    """
    text = text_of(error)
    if (worker := worker_error(text)) is not None:
        return f"{shortened(worker.line, _LONGEST_LINE)} (in a worker process of a DataLoader)"
    lines = text.strip().splitlines()
    return f"{type(error).__name__}: {shortened(lines[0], _LONGEST_LINE)}" if lines else type(error).__name__


def is_user_code(file: str) -> bool:
    """Return whether a file is neither of the standard library, nor of an installed package, nor of ActLab.

    Example:
        >>> is_user_code(inspect.__file__), is_user_code("/home/me/train.py")
        (False, True)
    """
    return not file.startswith(_NOT_USER_CODE)


def user_line(error: BaseException) -> str:
    """Return file, line number and text of the user's line that raised, indented; empty if there is none.

    This is the last frame outside the standard library, the installed packages and ActLab.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"\n  {error.filename}, line {error.lineno}:\n    {(error.text or '').strip()}"
    worker = worker_error(text_of(error))
    raised = traceback.extract_tb(error.__traceback__) if worker is None else worker.frames
    frames = [frame for frame in raised if is_user_code(frame.filename)]
    if not frames:
        return ""
    frame = frames[-1]
    return f"\n  {frame.filename}, line {frame.lineno}, in {frame.name}:\n    {frame.line or ''}".rstrip()


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Run user code in the block and re-raise its exceptions as :class:`TaskError`, with ``what`` and the source line.

    Raises:
        TaskError: the code raised; errors of ActLab pass through unchanged.
    """
    try:
        yield
    except ActlabError:
        raise
    except BaseException as error:  # user code may raise anything, and a `sys.exit()` in it must not end the study
        if isinstance(error, KeyboardInterrupt) and may_raise():
            raise
        raise TaskError(f"{what} raised {one_line(error)}{user_line(error)}") from error


def call_with_seed(function: Any, what: str, seed: int) -> Any:
    """Call a function of a user's file: with the seed if it requires an argument or has one named ``seed``, else without.

    Args:
        function: what to call.
        what: names it in the error message.
        seed: passed as the first argument.

    Raises:
        TaskError: the function raised.

    Example:
        >>> call_with_seed(lambda seed: seed + 1, "model", 2), call_with_seed(lambda width=8: width, "model", 2)
        (3, 8)
    """
    with user_code(what):
        return function(seed) if takes_seed(function) else function()


def takes_seed(function: Any) -> bool:
    """Return whether a function requires an argument, or has a first one named ``seed``.

    Example:
        >>> takes_seed(lambda seed=0: seed), takes_seed(lambda width=8: width)
        (True, False)
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a built-in without a signature
        return False
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    return any(p.default is p.empty for p in positional) or [p.name for p in positional[:1]] == ["seed"]


def check_takes_seed(name: str, function: Any, file: Path, expected: str) -> None:
    """Check that a name in a user's file is a function of one argument, the seed.

    Args:
        name: in the file.
        function: its value.
        file: for the message.
        expected: what it must be, for the message.

    Raises:
        TaskError: it is a module, no function, or takes other arguments.
    """
    if isinstance(function, nn.Module):
        raise TaskError(
            f"{name} in {file} is a Module, but every trial needs a new one. "
            f"Write a function: def {name}(seed): return {type(function).__name__}(...)"
        )
    if not callable(function):
        raise TaskError(f"{name} in {file} is a {type(function).__name__}; it must be {expected}.")
    try:
        inspect.signature(function).bind(0)
    except TypeError:
        raise TaskError(
            f"{name} in {file} does not take exactly one argument, the seed; write def {name}(seed): ..."
        ) from None
    except ValueError:
        return  # a built-in without a signature; it is called when the task is checked, which reports an error
