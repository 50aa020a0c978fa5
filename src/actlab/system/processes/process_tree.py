"""Descendants of this process, and members of a session, with their end.

On Linux a process that adopts orphans (``PR_SET_CHILD_SUBREAPER``) finds all of its descendants, also those that have left its group or
session and those whose own parents have ended. Elsewhere the group of a process stands for its descendants. The file needs the standard
library only, as the supervisor of scripts imports it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "IS_LINUX",
    "State",
    "adopt_orphans",
    "children",
    "descendants",
    "end_descendants",
    "end_session",
    "has_children",
    "killed_with_parent",
    "members",
    "send",
    "signal_session",
    "state",
]

IS_LINUX: Final = sys.platform == "linux"
_PDEATHSIG, _SUBREAPER = 1, 36  # of prctl
_PATIENCE = 10.0  # seconds for processes to end that were killed; one may hang in the kernel
_TICK = 0.001


class State(NamedTuple):
    """State of a process as one letter, its parent and its session; "" for one that has ended."""

    letter: str
    parent: int
    session: int


def adopt_orphans() -> None:
    """Have descendants whose parent ends become children of this process, on Linux."""
    if IS_LINUX:
        ctypes.CDLL(None).prctl(_SUBREAPER, 1)


def killed_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the thread that started it ends, on Linux."""
    if IS_LINUX:
        ctypes.CDLL(None).prctl(_PDEATHSIG, number)


def state(pid: int) -> State:
    """Return the state of a process.

    Example:
        >>> state(os.getpid()).parent == os.getppid() or not IS_LINUX
        True
    """
    try:
        text = Path("/proc", str(pid), "stat").read_text(errors="replace")
        letter, parent, _group, session = text.rpartition(")")[2].split()[:4]
    except (OSError, ValueError):  # it has ended
        return State("", 0, 0)
    return State(letter, int(parent), int(session))


def descendants(pid: int, *, spared: Collection[int] = ()) -> Iterator[int]:
    """Yield the descendants of a process, without some and the descendants of these; none where the system does not list them."""
    children: dict[int, list[int]] = {}
    for found in _processes():
        children.setdefault(state(found).parent, []).append(found)
    waiting = list(children.get(pid, ()))
    while waiting:
        found = waiting.pop()
        if found not in spared:
            waiting += children.get(found, ())
            yield found


def children() -> list[int]:
    """Return the children of this process; none where the system does not list them."""
    if not has_children():
        return []
    with suppress(OSError):  # a kernel may leave it out
        tasks = Path("/proc/self/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text(encoding="ascii").split()]
    return [pid for pid in _processes() if state(pid).parent == os.getpid()]


def members(session: int) -> list[int]:
    """Return the processes of a session; none where the system does not list them."""
    return [pid for pid in _processes() if state(pid).session == session]


def _processes() -> list[int]:
    with suppress(OSError):
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return []


def has_children() -> bool:
    """Return whether this process has children, also ones that have ended and were not waited for.

    Example:
        >>> import subprocess
        >>> with subprocess.Popen(["sleep", "9"]) as process:
        ...     print(has_children() or not hasattr(os, "waitid"))
        ...     process.kill()
        True
    """
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to processes, of which some may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_descendants(*, spared: Collection[int] = (), grace: float = 0.0) -> None:
    """Kill the descendants of this process until there are none; new ones may come while they are looked for.

    Args:
        spared: children that live on, with their own descendants.
        grace: seconds between a request to end (SIGTERM) and the kill.
    """
    if IS_LINUX and not has_children():
        return
    begin = time.monotonic()
    if grace:
        send(descendants(os.getpid(), spared=spared), signal.SIGTERM)
    while time.monotonic() < begin + grace + _PATIENCE:
        found = list(descendants(os.getpid(), spared=spared))
        if time.monotonic() >= begin + grace:
            send(found, signal.SIGKILL)
        for pid in found:
            with suppress(ChildProcessError):  # it is no child, or was waited for
                os.waitpid(pid, os.WNOHANG)
        if not found:
            return
        time.sleep(_TICK)


def signal_session(session: int, number: int) -> None:
    """Send a signal to the processes of a session, whose leader may have ended; elsewhere than on Linux to those of its group."""
    if IS_LINUX:
        send(members(session), number)
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, number)


def end_session(session: int) -> None:
    """Kill the processes of a session until there are none, see :func:`signal_session`."""
    signal_session(session, signal.SIGKILL)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        found = [pid for pid in members(session) if state(pid).letter not in {"", "Z", "X"}]
        if not found:
            return
        send(found, signal.SIGKILL)
        time.sleep(_TICK)
