"""Program that runs one command, and ends it with its descendants when the asking process ends.

It is run by its path, with the standard library only, so that it starts in a few hundredths of a second. Its arguments are the command.
Standard input stays open; its end means that the asking process has ended. It writes two lines of JSON: the session of the command when it
has begun, by which the asking process ends it where this process was killed; and how it ended.

It has a session of its own, which no signal to the group of the asking process reaches. On Linux the descendants are found even where they
have left the group of the command, as the workers of torchrun do, since orphans become children of this process; and they are stopped
while the asking process is stopped (Ctrl-Z). Elsewhere the group of the command is ended.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[3]))  # of the package; `-I` leaves only the standard library

from actlab.system.processes.process_tree import (
    IS_LINUX,
    adopt_orphans,
    descendants,
    end_descendants,
    killed_with_parent,
    send,
    state,
)

_TAIL = 16384  # bytes kept of each output stream
_PART = 65536  # bytes that a pipe holds
_TICK = 0.02  # seconds between two looks at the command's process
_LOOK = 0.25  # seconds between two looks at whether the asking process is stopped
_DRAIN = 0.3  # seconds that output is read for after the command has ended, if a descendant keeps the stream open
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP)


class Tail:
    """The last bytes of an output stream.

    Args:
        file: descriptor of the stream.
    """

    def __init__(self, file: int) -> None:
        self.file, self._bytes = file, bytearray()
        os.set_blocking(file, False)

    def read(self) -> bool:
        """Read what is there; return False at the end of the stream."""
        with suppress(BlockingIOError):
            part = os.read(self.file, _PART)
            self._bytes += part
            del self._bytes[:-_TAIL]
            return bool(part)
        return True

    def text(self) -> str:
        """Return the text."""
        return self._bytes.decode("utf-8", errors="replace")


class Stops:
    """Stops of the command while the asking process is stopped."""

    def __init__(self) -> None:
        self._looked, self._is_stopped = time.monotonic(), False

    def look(self) -> None:
        """Stop the descendants, or let them go on, as the asking process does."""
        if not IS_LINUX or time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        is_stopped = state(os.getppid()).letter == "T"
        if is_stopped != self._is_stopped:
            self._is_stopped = is_stopped
            send(descendants(os.getpid()), signal.SIGSTOP if is_stopped else signal.SIGCONT)


def main(arguments: list[str]) -> None:
    """Run a command, and answer how it ended."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)  # the asking process decides
    adopt_orphans()
    began = time.monotonic()
    try:
        process = subprocess.Popen(  # noqa: S603 # the user's command
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_prepare,  # noqa: PLW1509 # there are no threads here
        )
    except OSError as error:
        _answer({"problem": str(error)})
        return
    _answer({"session": process.pid})  # to be ended without this process
    streams = [Tail(pipe.fileno()) for pipe in (process.stdout, process.stderr) if pipe is not None]
    try:
        is_wanted = _watch(process, streams)
    finally:
        seconds = time.monotonic() - began
        _end(process)
    if is_wanted:
        output, errors = (stream.text() for stream in streams)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        times = {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime}
        _answer({"code": process.returncode, "stdout": output, "stderr": errors, **times})


def _prepare() -> None:
    """Give the command's process default signals, and have it end with this one."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    killed_with_parent()


def _watch(process: subprocess.Popen[bytes], streams: list[Tail]) -> bool:
    """Read the output until the command ends; return False if the asking process has ended before."""
    stops, end, tick = Stops(), None, 0.001
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        for stream in streams:
            selector.register(stream.file, selectors.EVENT_READ, stream)
        while True:
            events = selector.select(tick)
            tick = 0.001 if events else min(2 * tick, _TICK)
            for key, _ in events:
                if key.data is None:
                    return False
                if not key.data.read():
                    selector.unregister(key.data.file)
            stops.look()
            if process.poll() is not None:
                end = end or time.monotonic() + _DRAIN
                if len(selector.get_map()) == 1 or time.monotonic() > end:
                    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the command and its descendants."""
    if process.poll() is None:
        if not IS_LINUX:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
    end_descendants()


def _answer(answer: dict[str, Any]) -> None:
    with suppress(OSError):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
