"""How the foreman of a study's workers comes to life: as a new interpreter, or as a copy of this process."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, Protocol

from actlab.studies.execution.worker import BROKEN, Job, foreman
from actlab.tasks.registry import names

__all__ = ["Foreman", "fork", "start"]

_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Foreman(Protocol):
    """A foreman process, seen from the process that started it."""

    def poll(self) -> int | None:
        """Return its exit code, negative after a signal, or None while it runs."""

    def kill(self) -> None:
        """End it; its workers end with it."""

    def news(self) -> list[str]:
        """Return the lines it told, once it has ended."""


def start(job: Job) -> Foreman:
    """Start a foreman: a new interpreter where that can make the task, else a copy of this process.

    A new interpreter inherits no threads and no locks, and does not run the user's script again.
    """
    return _Interpreter(job) if _can_be_named(job) else _Copy(job)


def fork(job: Job) -> Foreman:
    """Start a foreman as a copy of this process, which knows what exists only here: closures, a notebook's activations."""
    return _Copy(job)


def _can_be_named(job: Job) -> bool:
    if isinstance(job.task, str):
        return job.task in names() or job.task.endswith(".py")
    try:
        return b"__main__" not in pickle.dumps(job.task)  # what a script or a notebook defines cannot be imported
    except (pickle.PicklingError, AttributeError, TypeError):
        return False


class _Interpreter:
    def __init__(self, job: Job) -> None:
        path = os.pathsep.join(str(Path(entry or ".").resolve()) for entry in sys.path)
        environment = {**os.environ, **_SINGLE_THREADED, "PYTHONPATH": path}
        command = [sys.executable, "-c", "from actlab.studies.execution.worker import main; main()"]
        pipe = subprocess.PIPE
        with _deaf_to_interrupts():
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment)  # noqa: S603 # our own interpreter
        with suppress(BrokenPipeError), self._process.stdin as stdin:  # type: ignore[union-attr] # a pipe was asked for
            pickle.dump(job, stdin)

    def poll(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.news()

    def news(self) -> list[str]:
        with self._process.stdout as stdout:  # type: ignore[union-attr] # a pipe was asked for
            return stdout.read().decode().splitlines()


class _Copy:
    def __init__(self, job: Job) -> None:
        self._reading, writing = os.pipe()
        self._code: int | None = None
        parent = os.getpid()
        with warnings.catch_warnings(), _deaf_to_interrupts():
            # Python 3.12 warns of threads; the copy takes none of their locks: it trains, and talks through its own pipe.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
            if self._pid == 0:
                os.close(self._reading)
                _be_foreman(job, writing, parent)
        os.close(writing)

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._reading)

    def news(self) -> list[str]:
        with os.fdopen(self._reading) as pipe:
            return pipe.read().splitlines()


def _be_foreman(job: Job, writing: int, parent: int) -> NoReturn:
    code = BROKEN
    try:
        code = foreman(job, writing, parent)
    finally:
        os._exit(code)  # nothing of the copied process may run: no exit handlers, no test runner


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while a child is made; the child inherits that, and ignores it from then on."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
