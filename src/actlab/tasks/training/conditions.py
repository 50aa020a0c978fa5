"""Conditions under which trials are executed, none of which changes the numbers of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Conditions"]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Device, threads and checkpoints of a trial, and what is measured of its trained model.

    Attributes:
        device: torch device on which the trial runs.
        threads: threads of torch on the CPU; another number changes the order of sums, and with it the last bits.
        checkpoints: folder in which a trial stores its state, or None for no checkpoints.
        checkpoint_every: seconds between two checkpoints.
        axes: axes (:class:`actlab.evaluate.axis.Axis`) on which the model of a main trial is judged after its metric.

    Example:
        >>> Conditions().device
        'cpu'
    """

    device: str = "cpu"
    threads: int = 1
    checkpoints: str | None = None
    checkpoint_every: float = 60.0
    axes: tuple[Callable[..., Any], ...] = ()
