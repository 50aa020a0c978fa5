"""Commands of compilers and emulators, with a time limit."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from actlab.errors import ExportError

__all__ = ["run"]

SHOWN = 1500  # characters of an error


def run(command: Sequence[str], folder: Path, seconds: float, allowed: Sequence[int] = (0,)) -> str:
    """Run a command without a shell, and return what it printed.

    Args:
        command: program and arguments.
        folder: in which it runs.
        seconds: time limit.
        allowed: exit codes; None of the others is.

    Raises:
        ExportError: it cannot be run, takes too long, or ends with another code.
    """
    program = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603 our own files; no shell
            list(command), cwd=folder, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{program} took more than {seconds:g} seconds and was stopped.") from error
    except OSError as error:
        raise ExportError(f"{program} cannot be run: {error}") from error
    if done.returncode not in allowed:
        raise ExportError(f"{program} failed with {done.returncode}:\n{(done.stderr or done.stdout)[:SHOWN]}")
    return done.stdout + done.stderr
