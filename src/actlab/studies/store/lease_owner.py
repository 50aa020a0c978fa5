"""The owner of a lease: one process on one host, told apart from a later one of the same number."""

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
    """A process.

    Attributes:
        host: the machine, its boot and its process namespace; only where all agree do numbers mean the same.
        pid: process number.
        start: when the process started, as the kernel counts; empty where that cannot be known.
    """

    host: str
    pid: int
    start: str

    @classmethod
    def of(cls, pid: int | None = None) -> Owner:
        """Return the owner that a process of this host is; this process by default.

        Example:
            >>> Owner.of().is_dead()
            False
        """
        number = os.getpid() if pid is None else pid
        return cls(_host(), number, _start(number))

    def is_dead(self) -> bool:
        """Whether the process has certainly ended; a process of another host cannot be known to."""
        if self.host != _host():
            return False
        if _PROC.joinpath("self").exists():
            return _start(self.pid) != self.start
        return not _exists(self.pid)

    def is_unreaped_child_of(self, parent: int) -> bool:
        """Whether the process has ended and its parent has not taken note of it yet; False where that cannot be known."""
        fields = _stat(self.pid)
        return self.host == _host() and fields[:1] == ["Z"] and fields[1:2] == [str(parent)]


@lru_cache(maxsize=1)
def _host() -> str:
    boot = _read("sys/kernel/random/boot_id")[:8]
    try:
        namespace = (_PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        namespace = ""
    return "/".join(part for part in (platform.node(), boot, namespace) if part)


def _read(name: str) -> str:
    try:
        return (_PROC / name).read_text().strip()
    except OSError:
        return ""


def _start(pid: int) -> str:
    """Return the start of a running process in clock ticks since boot; empty when it has ended or is a zombie."""
    fields = _stat(pid)
    return "" if len(fields) < 20 or fields[0] in {"Z", "X"} else fields[19]


def _stat(pid: int) -> list[str]:
    """Return what the kernel tells of a process, from its state and its parent on; empty when there is none."""
    return _read(f"{pid}/stat").rpartition(")")[2].split()  # the command's name before it may hold spaces


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
