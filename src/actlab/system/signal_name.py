"""Names of signals by their number."""

from __future__ import annotations

import signal

__all__ = ["signal_name"]


def signal_name(number: int) -> str:
    """Return the name of a signal, or its number where the system has no name for it.

    Example:
        >>> signal_name(9), signal_name(1000)
        ('SIGKILL', 'signal 1000')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
