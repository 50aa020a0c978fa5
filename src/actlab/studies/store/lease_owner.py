"""Process that owns a lease, identified by host, process id and start time."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["Owner"]

_PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """A process on a host.

    Attributes:
        host: the machine, its boot and its process namespace; process ids are only comparable where all three are equal.
        pid: process id.
        start: start time in the kernel's clock ticks, which differs for a later process with the same id; empty where unknown.
    """

    host: str
    pid: int
    start: str

    @classmethod
    def of(cls, pid: int | None = None) -> Owner:
        """Return the owner for a process of this host, by default the current one.

        Example:
            >>> Owner.of().is_dead()
            False
        """
        pid = os.getpid() if pid is None else pid
        return cls(_host(), pid, _start_time(pid))

    def is_dead(self) -> bool:
        """Whether the process is known to have ended; always False for a process of another host."""
        if self.host != _host():
            return False
        if _PROC.joinpath("self").exists():
            return _start_time(self.pid) != self.start
        return not _exists(self.pid)

    def is_local(self) -> bool:
        """Whether it is a process of this machine, since its last start."""
        return self.host == _host()

    def is_stopped(self) -> bool:
        """Whether the process is known to be stopped by a signal or a debugger, and renews nothing."""
        return self.is_local() and not self.is_dead() and _process_status(self.pid)[:1] in (["T"], ["t"])


@lru_cache(maxsize=1)
def _host() -> str:
    boot = _read_proc("sys/kernel/random/boot_id")[:8]
    try:
        namespace = (_PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        namespace = ""
    return "/".join(part for part in (platform.node(), boot, namespace) if part)


def _read_proc(name: str) -> str:
    try:
        return (_PROC / name).read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Return the start of a running process in clock ticks since boot; empty when it has ended or is a zombie."""
    fields = _process_status(pid)
    return "" if len(fields) < 20 or fields[0] in {"Z", "X"} else fields[19]


def _process_status(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from state and parent on; empty when there is no such process."""
    return _read_proc(f"{pid}/stat").rpartition(")")[2].split()  # the command's name before it may contain spaces


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
