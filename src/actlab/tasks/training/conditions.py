"""Conditions under which trials are executed, which are not part of a plan."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Conditions"]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Device, threads and checkpoints of a trial.

    Attributes:
        device: torch device on which the trial runs.
        threads: threads of torch on the CPU; another number changes the order of sums, and with it the last bits.
        checkpoints: folder in which a trial stores its state, or None for no checkpoints.
        checkpoint_every: seconds between two checkpoints.

    Example:
        >>> Conditions().device
        'cpu'
    """

    device: str = "cpu"
    threads: int = 1
    checkpoints: str | None = None
    checkpoint_every: float = 60.0
