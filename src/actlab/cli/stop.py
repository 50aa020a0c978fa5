"""Stop of the command line by a signal, from the first moments of the program on."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from actlab.system import interrupts

__all__ = ["answer_signals", "is_program"]


def is_program() -> bool:
    """Return whether this process is the command line, as ``actlab`` or ``python -m actlab``, rather than one that imports it."""
    program = Path(sys.argv[0]) if sys.argv else Path()
    return program.stem in {"actlab", "actlab-script"} or program.parts[-2:] == ("actlab", "__main__.py")


def answer_signals() -> None:
    """Answer Ctrl-C, SIGTERM and SIGHUP with one message and the exit code of the signal."""
    interrupts.install(_message)


def _message() -> str:
    words = sys.argv[1:]
    if words[:1] != ["compare"]:
        return "Stopped."
    return f"Stopped. Finished trials are stored; the same command resumes:\n  {shlex.join(['actlab', *words])}"
