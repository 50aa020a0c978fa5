"""Expiry of leases whose owner has ended, is stopped or silent, by one machine's clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from actlab.studies.store.lease_owner import Owner

__all__ = ["EXPIRY", "HEARTBEAT", "STOPPED_EXPIRY", "Holder", "LeaseWatch", "OpenLease"]

HEARTBEAT = 10.0  # seconds between two renewals of a lease
EXPIRY = 120.0  # seconds without a renewal after which a lease expires
STOPPED_EXPIRY = 30.0  # the same for a process that is known to be stopped
_LONGEST_LOOK = 5.0  # seconds between two looks that count at most: this process may have been stopped itself


class OpenLease(NamedTuple):
    """Columns of an open lease that decide whether it has expired.

    Attributes:
        id: of the lease.
        owner: its process.
        heartbeat: seconds since 1970 at the last renewal, on the owner's clock.
        uptime: of the owner's machine at the last renewal, on a clock that no change of the date alters; None in older stores.
    """

    id: int
    owner: Owner
    heartbeat: float
    uptime: float | None


class Holder(NamedTuple):
    """A process that holds trials.

    Attributes:
        owner: the process.
        trials: number of trials that it holds.
        is_stopped: whether it is known to be stopped.
        heartbeat: seconds since 1970 at its last renewal.
        left: seconds until its leases expire if it does not renew them.
        is_local: whether it is a process of this machine.
    """

    owner: Owner
    trials: int
    is_stopped: bool
    heartbeat: float
    left: float
    is_local: bool


@dataclass
class _Look:
    heartbeat: float
    last: float
    silent: float = 0.0


class LeaseWatch:
    """Time without renewal of leases, as this process sees it.

    On the same machine the uptimes of two processes compare. On another one the lease must stay unchanged while this process watches, so
    that neither a difference nor a change of the clocks matters.
    """

    def __init__(self) -> None:
        self._looks: dict[int, _Look] = {}

    def has_expired(self, lease: OpenLease) -> bool:
        """Return whether another process may take the trial."""
        return lease.owner.is_dead() or self.left(lease) <= 0

    def left(self, lease: OpenLease) -> float:
        """Return the seconds until the lease of a living owner expires if it is not renewed."""
        return (STOPPED_EXPIRY if lease.owner.is_stopped() else EXPIRY) - self._silence(lease)

    def _silence(self, lease: OpenLease) -> float:
        now = time.monotonic()
        if lease.owner.is_local() and lease.uptime is not None:
            return now - lease.uptime
        look = self._looks.get(lease.id)
        if look is None or look.heartbeat != lease.heartbeat:
            look = self._looks[lease.id] = _Look(lease.heartbeat, now)
        look.silent += min(now - look.last, _LONGEST_LOOK)
        look.last = now
        return look.silent
