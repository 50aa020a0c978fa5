"""Start of the coordinator process, as a new interpreter or a fork of this process."""

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

from actlab.studies.execution.coordinator import INTERNAL_ERROR, coordinate
from actlab.studies.execution.worker import Job
from actlab.tasks.registry import names

__all__ = ["CoordinatorProcess", "fork_coordinator", "start_coordinator"]

_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class CoordinatorProcess(Protocol):
    """Handle of a coordinator process."""

    def poll(self) -> int | None:
        """Return its exit code, negative after a signal, or None while it runs."""

    def kill(self) -> None:
        """Kill it; its workers end with it."""

    def messages(self) -> list[str]:
        """Return the lines it wrote; call it once, after it has ended."""


def start_coordinator(job: Job) -> CoordinatorProcess:
    """Start a coordinator in a new interpreter if that can import the task, else as a fork of this process.

    A new interpreter inherits no threads and no locks. It does not run the user's script again.
    """
    return _Spawned(job) if _is_importable(job) else _Forked(job)


def fork_coordinator(job: Job) -> CoordinatorProcess:
    """Start a coordinator as a fork, which has what exists in this process only: closures, a notebook's activations."""
    return _Forked(job)


def _is_importable(job: Job) -> bool:
    if isinstance(job.task, str):
        return job.task in names() or job.task.endswith(".py")
    try:
        return b"__main__" not in pickle.dumps(job.task)  # definitions of a script or a notebook cannot be imported
    except (pickle.PicklingError, AttributeError, TypeError):
        return False


class _Spawned:
    def __init__(self, job: Job) -> None:
        path = os.pathsep.join(str(Path(entry or ".").resolve()) for entry in sys.path)
        environment = {**os.environ, **_SINGLE_THREADED, "PYTHONPATH": path}
        command = [sys.executable, "-c", "from actlab.studies.execution.coordinator import main; main()"]
        pipe = subprocess.PIPE
        with _sigint_blocked():
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment)  # noqa: S603 # our own interpreter
        with suppress(BrokenPipeError), self._process.stdin as stdin:  # type: ignore[union-attr] # a pipe was requested
            pickle.dump(job, stdin)

    def poll(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.messages()

    def messages(self) -> list[str]:
        with self._process.stdout as stdout:  # type: ignore[union-attr] # a pipe was requested
            return stdout.read().decode().splitlines()


class _Forked:
    def __init__(self, job: Job) -> None:
        self._reading, writing = os.pipe()
        self._code: int | None = None
        parent = os.getpid()
        with warnings.catch_warnings(), _sigint_blocked():
            # Python 3.12 warns about threads; the fork uses none of their locks, and writes to a pipe of its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
            if self._pid == 0:
                os.close(self._reading)
                _coordinate_and_exit(job, writing, parent)
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

    def messages(self) -> list[str]:
        with os.fdopen(self._reading) as pipe:
            return pipe.read().splitlines()


def _coordinate_and_exit(job: Job, writing: int, parent: int) -> NoReturn:
    code = INTERNAL_ERROR
    try:
        code = coordinate(job, writing, parent)
    finally:
        os._exit(code)  # no exit handler or test runner of the forked process may run


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block Ctrl-C while a child process is started; the child inherits that until it ignores the signal."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
