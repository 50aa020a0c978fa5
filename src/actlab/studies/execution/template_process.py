"""Start of the template process as a new interpreter or a fork, and requests to it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

import torch

from actlab.errors import StoreError, TaskError
from actlab.studies.execution.job import Job
from actlab.studies.execution.runner import Answer, Order
from actlab.studies.execution.template import HAS_THREADS, REQUEST, WRONG_DEFINITIONS, Request, serve
from actlab.studies.store.lease_owner import Owner
from actlab.system import native_threads
from actlab.system.processes.process_tree import end_session, signal_session
from actlab.system.signal_name import signal_name
from actlab.system.standard_streams import open_missing_streams
from actlab.tasks.registry import is_registered
from actlab.tasks.task import Task

__all__ = [
    "CannotForkError",
    "TemplateError",
    "TemplateProcess",
    "TemplateStart",
    "can_run_in_processes",
    "needs_new_interpreter",
]

_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_REPLY_LIMIT = 60.0  # seconds for a reply that takes milliseconds
_ENDING_LIMIT = 5.0  # seconds in which it ends what it has started
_LOADING_LIMIT = 600.0  # seconds for loading the task and running its functions once


class TemplateError(Exception):
    """The template process has ended, or does not answer."""

    @property
    def given_up(self) -> StoreError:
        """The error that ends the study where it cannot be kept alive."""
        return StoreError(
            f"The processes that run the trials could not be kept alive: {self}. Is there enough memory, and does the task's file close "
            "files that it has not opened? Finished trials are not lost; run the same command again."
        )


class CannotForkError(Exception):
    """No process can be forked for the trials, as was found when the task was loaded."""


def _can_fork() -> bool:
    """Return whether trials can run in processes of their own that start as forks of this one."""
    return hasattr(os, "fork") and not torch.cuda.is_initialized()  # type: ignore[no-untyped-call] # an accelerator in use does not survive a fork


def needs_new_interpreter(job: Job) -> bool:
    """Return whether the template process is to be a new interpreter.

    One has no threads and no locks, and does not run the user's script again, but takes three seconds to start and its own memory for
    all libraries, so that a process is forked instead whose only other threads are those of pools that end theirs before a fork, as is
    any for a single job. What exists in this process only needs a fork: closures, a notebook's activations.
    """
    if isinstance(job.task, Task) and job.task.door == "script":
        return False  # a fork only starts the script, and leaves the environment as it is
    is_alone = job.jobs == 1 and job.hardware.threads == 1
    is_safe_fork = sys.platform == "linux" and _can_fork() and (is_alone or native_threads.count_after_pools() == 1)
    return hasattr(os, "fork") and not is_safe_fork and _is_importable(job)


def can_run_in_processes(job: Job) -> bool:
    """Return whether the trials of a study can run in processes of their own. Metal cannot be used in a fork."""
    if job.hardware.devices == ("mps",):
        return False
    return needs_new_interpreter(job) or _can_run_in_forks(job)


def _can_run_in_forks(job: Job) -> bool:
    """Return whether the trials of a study can run in forks of this process.

    Several threads of torch cannot be used in a fork of a process that has threads: if these are torch's own, which a fork has not got, it
    would wait for them without end.
    """
    return _can_fork() and (job.hardware.threads == 1 or native_threads.count_after_pools() == 1)


def _search_path() -> str:
    """Return ``sys.path`` with Python's own folders first, as files beside a script or a notebook must not shadow its modules there.

    In this process, Python's modules were loaded before; the new interpreter (with ``-P``) looks for all of them.
    """
    library = Path(sysconfig.get_path("stdlib")).resolve()
    entries = [Path(entry or ".").resolve() for entry in sys.path]
    own = [entry for entry in entries if entry in {library, library / "lib-dynload"} or entry.suffix == ".zip"]
    return os.pathsep.join(map(str, dict.fromkeys([*own, *entries])))


def _is_importable(job: Job) -> bool:
    is_named = isinstance(job.task, str)
    if is_named and not (is_registered(str(job.task)) or str(job.task).endswith(".py")):
        return False
    try:  # definitions of a script or a notebook cannot be imported, nor axes of a user's file
        pickled = pickle.dumps((None if is_named else job.task, job.conditions.axes))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return b"__main__" not in pickled and b"actlab_task_" not in pickled


class TemplateProcess:
    """Handle of the template process in the first process.

    Args:
        job: the study.
        task: its task, which a fork runs; None to start a new interpreter, which loads it.
        warm: whether it runs the task's functions once before it forks.
    """

    def __init__(self, job: Job, task: Task | None, *, warm: bool) -> None:
        open_missing_streams()  # the processes have standard streams, whose numbers no socket may have
        self._control, theirs = socket.socketpair()
        self._received, self._has_answered = b"", False
        self._next = 0
        self._process: subprocess.Popen[bytes] | None = None
        with theirs, _sigint_blocked():
            if task is None:
                self._spawn(job, theirs, warm=warm)
            else:
                self._fork(job, task, theirs, warm=warm)

    def _spawn(self, job: Job, theirs: socket.socket, *, warm: bool) -> None:
        me = Owner.of()
        code = (
            "from actlab.studies.execution.parent_process import Owner, end_with; "  # first: the rest takes seconds to import
            f"end_with(Owner({me.host!r}, {me.pid}, {me.start!r})); "
            "from actlab.studies.execution.template import main; main()"
        )
        self._process = subprocess.Popen(  # noqa: S603 # our own interpreter
            [sys.executable, "-P", "-c", code, str(theirs.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **_SINGLE_THREADED, "PYTHONPATH": _search_path()},
            pass_fds=[theirs.fileno()],
        )
        self._pid = self._process.pid
        with suppress(BrokenPipeError), self._process.stdin as stdin:  # type: ignore[union-attr] # a pipe was requested
            pickle.dump((job, me, warm), stdin)

    def _fork(self, job: Job, task: Task, theirs: socket.socket, *, warm: bool) -> None:
        me = Owner.of()
        native_threads.end_openmp_pools()
        with warnings.catch_warnings():
            # Python 3.12 warns about threads; the fork uses none of their locks.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            self._control.close()
            serve(job, theirs, me, warm=warm, task=task)

    def greeting(self, limit: float) -> dict[str, Any]:
        """Wait until the task is loaded, and return the first message, such as the number of steps or what is wrong.

        Raises:
            TemplateError: it ended, or took longer than ``limit`` seconds.
        """
        message: dict[str, Any] = self._reply(limit)
        self._has_answered = True
        return message

    def start_runner(self, slot: int) -> tuple[int, Connection[Order, Answer]]:
        """Fork a runner for a place of the study's hardware; return its number and the connection to it."""
        return self._start(Request.START, slot)

    def start_cost_process(self, slot: int) -> tuple[int, Connection[Any, Any]]:
        """Fork a process that sends the costs of the arms and ends; return its number and the connection to it."""
        return self._start(Request.COSTS, slot)

    def _start(self, letter: bytes, slot: int) -> tuple[int, Connection[Any, Any]]:
        ours, theirs = socket.socketpair()
        self._next += 1
        try:
            with theirs:
                self._send(letter, self._next, theirs.fileno(), slot=slot)
                self._reply(_REPLY_LIMIT)
        except TemplateError:
            ours.close()
            raise
        return self._next, Connection(ours.detach())

    def end_runner(self, number: int, *, kill: bool) -> int | None:
        """Wait for a runner whose connection has ended, or kill it; return its exit code, None if it had to be killed."""
        self._send(Request.KILL if kill else Request.END, number)
        code: int | None = self._reply(_REPLY_LIMIT)
        return code

    def ended_runners(self) -> dict[int, int]:
        """Return the exit codes of runners that have ended by themselves since the last call, by number."""
        self._send(Request.POLL, 0)
        return dict(self._reply(_REPLY_LIMIT))

    def _send(self, letter: bytes, number: int, *descriptors: int, slot: int = 0) -> None:
        try:
            socket.send_fds(self._control, [REQUEST.pack(letter, number, slot)], list(descriptors))
        except OSError as error:
            raise TemplateError(self._ending()) from error

    def _reply(self, limit: float) -> Any:
        while b"\n" not in self._received:
            ready = wait([self._control], limit)
            try:
                part = self._control.recv(65536) if ready else b""
            except OSError:
                part = b""
            if not part:
                raise TemplateError(self._ending() if ready else f"it did not answer for {limit:.0f} s")
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        return json.loads(line)

    def _ending(self) -> str:
        """Return how the process ended; it is killed if it runs."""
        code = self.kill()
        return f"it was ended by {signal_name(-code)}" if code < 0 else f"it ended with exit code {code}"

    def kill(self) -> int:
        """Kill it, and with it the runners; return its exit code, which may be of before."""
        with suppress(OSError):
            self._control.close()
        patience = _ENDING_LIMIT if self._has_answered else 0.1  # user code runs in it before, which may hang
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience if self._process.poll() is None else 0)
            self._process.kill()
            code = self._process.wait()
        else:
            code = _end_fork(self._pid, patience)
        if code:  # it has not ended its descendants, or not by itself
            end_session(self._pid)
        return code

    def signal(self, number: int) -> None:
        """Send a signal to it and to what it has started, such as that to stop."""
        signal_session(self._pid, number)


class TemplateStart:
    """How the template process of a study is started: as a new interpreter or a fork, with a first run of the task's functions or without.

    Args:
        job: the study.
        task: its task.

    Attributes:
        warm: whether the task's functions are run once.
    """

    def __init__(self, job: Job, task: Task) -> None:
        self._job, self._task = job, task
        self._spawn, self.warm = needs_new_interpreter(job), True

    def begin(self) -> TemplateProcess:
        """Start the process."""
        return TemplateProcess(self._job, None if self._spawn else self._task, warm=self.warm)

    def steps(self, template: TemplateProcess) -> int | None:
        """Wait until the process has loaded the task, and return the steps of a trial if they are known.

        Raises:
            TemplateError, CannotForkError, TaskError: as :meth:`refuse`.
        """
        greeting = template.greeting(_LOADING_LIMIT)
        if "steps" not in greeting:
            self.refuse(greeting)
        known: int | None = greeting["steps"]
        return known

    def refuse(self, greeting: Mapping[str, Any]) -> NoReturn:
        """Choose another way to start the process, or raise what it says.

        Raises:
            TemplateError: it is to be started again.
            CannotForkError: the trials can run in this process only.
            TaskError: the task cannot be loaded.
        """
        problem = greeting.get("problem")
        if problem == WRONG_DEFINITIONS and self._spawn and _can_run_in_forks(self._job):
            self._spawn = False
            raise TemplateError("the task has another definition in a new interpreter")
        if problem == WRONG_DEFINITIONS or (problem == HAS_THREADS and not self.warm):
            raise CannotForkError
        if problem is not None and self.warm:
            self.warm = False
            raise TemplateError("the task uses an accelerator or starts threads when its functions are run")
        if "error" in greeting:
            raise TaskError(greeting["error"])
        raise RuntimeError(greeting.get("internal_error", f"the task cannot be loaded: {greeting}"))


def _end_fork(pid: int, patience: float) -> int:
    end = time.monotonic() + patience
    with suppress(ChildProcessError):
        ended, status = os.waitpid(pid, os.WNOHANG)
        while not ended and time.monotonic() < end:
            time.sleep(0.002)
            ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    return 0


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block Ctrl-C while a child process is started; the child inherits that until it ignores the signal."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
