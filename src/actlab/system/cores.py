"""How many cores this process may really use: its affinity and its container's quota count."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["available"]


def available(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of cores to use, at least 1.

    Args:
        cgroup: where the kernel shows the container's limits.

    Example:
        >>> available() >= 1
        True
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(affinity, math.ceil(quota)) if quota else affinity)


def _quota(cgroup: Path) -> float | None:
    """Return the CPU quota in cores (version 2, then version 1 of the kernel's interface); None without a limit."""
    two = _words(cgroup / "cpu.max")
    if len(two) == 2 and two[0] != "max":
        return float(two[0]) / float(two[1])
    one = _words(cgroup / "cpu" / "cpu.cfs_quota_us") + _words(cgroup / "cpu" / "cpu.cfs_period_us")
    return float(one[0]) / float(one[1]) if len(one) == 2 and float(one[0]) > 0 else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
