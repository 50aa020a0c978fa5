"""End of a process together with the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

from actlab.studies.store.lease_owner import Owner

__all__ = ["end_with"]

_leave = os._exit  # taken here: while user code runs, its calls of os._exit raise an exception
_PR_SET_PDEATHSIG = 1
_POLL = 0.5  # seconds between two looks where the kernel does not tell


def end_with(parent: Owner) -> None:
    """Have this process end when its parent ends, also after a SIGKILL, and at once if the parent has ended already.

    On Linux the kernel kills it, whatever its code is doing; elsewhere a thread watches the parent.

    Args:
        parent: the process that started this one, as seen by itself: its number alone could be another process by now.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if _has_ended(parent):
        _leave(1)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _has_ended(parent: Owner) -> bool:
    return os.getppid() != parent.pid or parent.is_dead()


def _watch(parent: Owner) -> None:
    while not _has_ended(parent):
        time.sleep(_POLL)
    _leave(1)
