"""Process of a command, under a supervisor that ends it with this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType

from actlab.errors import TaskError
from actlab.system.processes.process_tree import end_session

__all__ = ["CommandProcess", "Ended"]

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_PATIENCE = 15.0  # seconds in which the supervisor ends the command


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code, negative for a signal; None where its supervisor was killed.
        stdout: last 16 KB of its output.
        stderr: last 16 KB of its standard error stream.
        seconds: wall clock time.
        cpu_seconds: CPU time of all its processes.
    """

    code: int | None
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class CommandProcess:
    """A running command. At the end of the context, and when this process ends, it is killed with all of its descendants.

    Args:
        arguments: program and arguments.
        environment: its environment variables, all of them.

    Raises:
        TaskError: this system has no processes of this kind.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        if os.name != "posix":
            raise TaskError("Scripts can be run on Linux and macOS only; use a task file or a training function here.")
        self._began, self._received = time.monotonic(), b""
        self._supervisor = subprocess.Popen(  # noqa: S603 # our own program
            [sys.executable, "-I", "-S", str(_SUPERVISOR), *arguments],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a signal to the group of this process must not end it before the command
        )

    def __enter__(self) -> CommandProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def wait(self, seconds: float) -> Ended | None:
        """Return how the command has ended, or None when it runs after some seconds.

        Raises:
            TaskError: it could not be started.
        """
        pipe = self._supervisor.stdout
        assert pipe is not None  # noqa: S101 # it was asked for
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and wait([pipe.fileno()], left):
            part = os.read(pipe.fileno(), 65536)
            self._received += part
            if not part:
                return self._answer()
        return None

    def _answer(self) -> Ended:
        *_, last = [{}, *map(json.loads, self._received.splitlines())]
        if "problem" in last:
            raise TaskError(f"The command of the script cannot be started: {last['problem']}.")
        if "code" not in last:  # the supervisor was killed
            self._end_session()
            return Ended(code=None, seconds=time.monotonic() - self._began)
        return Ended(**last)

    def _end_session(self) -> None:
        """Kill the command and the descendants that have not left its session, without the supervisor."""
        first = self._received.partition(b"\n")[0]
        session = json.loads(first).get("session") if first.endswith(b"}") else None
        if session is not None:
            end_session(session)

    def end(self) -> None:
        """Kill the command and its descendants if they run."""
        supervisor = self._supervisor
        assert supervisor.stdin is not None  # noqa: S101 # they were asked for
        assert supervisor.stdout is not None  # noqa: S101
        with suppress(OSError):
            supervisor.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            supervisor.wait(_PATIENCE)
        if supervisor.poll() != 0:  # it hangs, or was killed
            supervisor.kill()
            supervisor.wait()
            with suppress(OSError):
                self._received += supervisor.stdout.read()
            self._end_session()
        supervisor.stdout.close()
