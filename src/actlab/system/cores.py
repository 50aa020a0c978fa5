"""Number of CPU cores that this process may use, by affinity and cgroup quota."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["available"]


def available(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of cores this process may use, at least 1.

    Args:
        cgroup: folder in which the kernel shows the container's limits.

    Example:
        >>> available() >= 1
        True
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(affinity, math.ceil(quota)) if quota else affinity)


def _quota(cgroup: Path) -> float | None:
    """Return the CPU quota in cores, by version 2 of cgroups, else version 1; None without a limit."""
    v2 = _fields(cgroup / "cpu.max")
    if len(v2) == 2 and v2[0] != "max":
        return float(v2[0]) / float(v2[1])
    v1 = _fields(cgroup / "cpu" / "cpu.cfs_quota_us") + _fields(cgroup / "cpu" / "cpu.cfs_period_us")
    return float(v1[0]) / float(v1[1]) if len(v1) == 2 and float(v1[0]) > 0 else None


def _fields(path: Path) -> list[str]:
    """Return the fields of a file, separated by white space; none if it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []
