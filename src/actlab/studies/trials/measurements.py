"""Values of a running trial, which are stored however it ends."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from actlab.tasks.training.checkpoint import Checkpoint
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.recorder import LOSS, Recorder

__all__ = ["Measurements", "TrialSettings", "versions"]

_CURVE_POINTS = 100


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("actlab", "torch", "numpy")}
    return {**packages, "python": platform.python_version(), "machine": platform.machine(), "cpu": _processor()}


def _processor() -> str:
    """Return the processor's name and the instructions that torch uses on it; both decide the last bits."""
    name = platform.processor()
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        name = next(
            (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), name
        )
    return f"{name} {torch.backends.cpu.get_cpu_capability()}".strip()


def versions() -> dict[str, str]:
    """Return the versions of the software and the machine type on which the numbers depend.

    Example:
        >>> sorted(versions())
        ['actlab', 'cpu', 'machine', 'numpy', 'python', 'torch']
    """
    return dict(_versions())


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """What tells one trial of an arm from another.

    Attributes:
        seed: fixes data, order, initial weights and dropout, whatever the arm.
        lr: learning rate.
        stage: "main" reads the test split, once, at the end; all others never do.
        init: "fixed" or "matched".
        decay_learned: whether weight decay acts on the learned numbers of activations as well.
        conditions: under which the trial is executed.
    """

    seed: int
    lr: float
    stage: str = "main"
    init: str = "fixed"
    decay_learned: bool = True
    conditions: Conditions = field(default_factory=Conditions)


@dataclass(kw_only=True)
class Measurements:
    """Values of a running trial; they are stored also when it fails later."""

    recorder: Recorder = field(default_factory=Recorder)
    checkpoint: Checkpoint | None = None
    steps: int | None = None  # None for those of the recorder's losses
    cpu_seconds: float = 0.0  # of other processes than this one
    parameters: int | None = None
    validation: float | None = None
    metric: float | None = None
    controls: dict[str, float] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    axes: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of the trial that are recorded however it ends."""
        losses, series = self.recorder.losses, self.recorder.to_series()
        reported = [] if losses else _reported(series)
        return {
            "curve": _curve(losses) or reported[:: -(-len(reported) // _CURVE_POINTS) or 1],
            "train_loss": _mean(losses or [point["loss"] for point in reported]),
            "validation": self.validation,
            "parameters": self.parameters,
            "steps": len(losses) if self.steps is None else self.steps,
            "controls": self.controls,
            "metrics": self.metrics or None,
            "axes": self.axes or None,
            "series": series or None,
            "inputs": self.inputs or None,
            "versions": self.versions,
        }


def _reported(series: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return the training losses that were reported now and then, rather than at every step."""
    points = series.get(LOSS, {"step": (), "value": ()})
    pairs = zip(points["step"], points["value"], strict=True)
    return [{"step": step, "loss": value} for step, value in pairs if value is not None]


def _mean(losses: Sequence[float]) -> float | None:
    return math.fsum(losses) / len(losses) if losses else None


def _curve(losses: Sequence[float]) -> list[dict[str, float]]:
    """Return at most 100 points, each the mean of consecutive losses at the last step of these."""
    count = len(losses)
    points = min(count, _CURVE_POINTS)
    edges = [round(point * count / points) for point in range(points + 1)] if points else []
    return [{"step": end, "loss": math.fsum(losses[start:end]) / (end - start)} for start, end in pairwise(edges)]
