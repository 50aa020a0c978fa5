"""Messages about trials that another process holds while this one has nothing else to run."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from actlab.studies.store.store import Holder

__all__ = ["WaitingNotice", "holder_text"]

_log = logging.getLogger(__name__)

_PATIENCE = 2.0  # seconds of waiting before it is said; between two trials of a fast study it is less


class WaitingNotice:
    """Says once for each process, and again when it is stopped, that this one waits for it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told: set[tuple[str, int, bool]] = set()

    def is_due(self, *, waiting: bool) -> bool:
        """Return whether this process has waited long enough to say so."""
        if not waiting:
            self._since = None
            return False
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since > _PATIENCE

    def tell(self, holders: Sequence[Holder]) -> None:
        """Say who holds trials."""
        for holder in holders:
            known = (holder.owner.host, holder.owner.pid, holder.is_stopped)
            if known not in self._told:
                self._told.add(known)
                _log.warning("%s", holder_text(holder))


def holder_text(holder: Holder) -> str:
    r"""Return who holds trials, in which state the process is, and what happens next.

    Example:
        >>> from actlab.studies.store.lease_owner import Owner
        >>> print(holder_text(Holder(Owner("here", 7, "1"), 2, True, 1.7e9, 12.4, is_local=True)).replace("\n", " "))
        Another process (pid 7) holds 2 trials of this study. It is stopped (Ctrl-Z or a debugger), last seen ... taken over in 12 s.
    """
    place = (
        f"pid {holder.owner.pid}"
        if holder.is_local
        else f"pid {holder.owner.pid} on {holder.owner.host.partition('/')[0]}"
    )
    trials = "1 trial" if holder.trials == 1 else f"{holder.trials} trials"
    text = f"Another process ({place}) holds {trials} of this study."
    if holder.is_stopped:
        seen = time.strftime("%H:%M:%S", time.localtime(holder.heartbeat))
        return (
            f"{text} It is stopped (Ctrl-Z or a debugger), last seen at {seen}: `kill -CONT {holder.owner.pid}` lets it go on; "
            f"otherwise its trials are taken over in {holder.left:.0f} s."
        )
    return f"{text} Waiting for it; if it does not renew its hold, its trials are taken over after {holder.left:.0f} s."
