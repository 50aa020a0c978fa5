"""Settings of gradual replacement and fine-tuning (``Morph``, ``morph_`` and ``relufy_``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import torch

from actlab.errors import LayerError
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.training.early_stopping import Direction, EarlyStopping
from actlab.nn.training.rule_schedule import Curve

__all__ = ["BlendOptions", "BlendSettings", "MorphOptions", "MorphSettings"]


@dataclass(frozen=True, kw_only=True)
class BlendSettings:
    """How old functions are blended into new ones.

    Attributes:
        anneal: share of the steps over which the old functions fade out, from 0 to 1; 0 swaps at once.
        learned: whether each site learns its pace.
        curve: maps the share of the ``anneal`` steps that is done to the weight of the new function, both from 0 to 1. Default:
            ``s (2 - s)``, fast at first, slow at the end, where a straight line removes the last of the old function too fast.
        generator: as for :func:`actlab.swap_`.
        fast: as for :func:`actlab.swap_`.

    Raises:
        LayerError: ``anneal`` is outside [0, 1].

    Example:
        >>> BlendSettings(anneal=0.5).anneal
        0.5
    """

    anneal: float = 0.2
    learned: bool = False
    curve: Curve | None = None
    generator: torch.Generator | None = None
    fast: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.anneal <= 1:
            raise LayerError(
                f"anneal is the share of the steps over which the old functions fade out, from 0 to 1; got {self.anneal!r}."
            )


class BlendOptions(TypedDict, total=False):
    """Fields of :class:`BlendSettings` as keyword arguments."""

    anneal: float
    learned: bool
    curve: Curve | None
    generator: torch.Generator | None
    fast: bool


@dataclass(frozen=True, kw_only=True)
class MorphSettings(BlendSettings):
    """How a model is morphed and fine-tuned; the fields of :class:`BlendSettings` are part of it.

    Attributes:
        steps: training steps at most.
        match: scale the new functions' outputs to the second moments of the old ones', and fit the first weights of gated blocks.
        learning_rate: highest rate of the built-in training step.
        step: training step of your own, called with a batch instead of using ``loss``: forward, backward and optimizer.
        optimizer: the one that ``step`` uses; new parameters of the model are added to it.
        tolerance: see :class:`EarlyStopping`.
        patience: see :class:`EarlyStopping`.
        direction: see :class:`EarlyStopping`.
        every: steps between two evaluations; None for a tenth of ``steps``. Those during the blend only enter the history.
        calibration: number of batches on which scales and BatchNorm statistics are measured.
        inputs: picks the model's input from a batch, as for :func:`actlab.probe`; None for the batch or its first element.
        example_inputs: as for :func:`actlab.swap_`; None for the input of the first batch.

    Raises:
        LayerError: a number is out of range.

    Example:
        >>> MorphSettings(steps=200).checks_every
        20
    """

    steps: int = 500
    match: bool = True
    learning_rate: float = 3e-4
    step: Callable[[Any], Any] | None = None
    optimizer: torch.optim.Optimizer | None = None
    tolerance: float | None = 0.005
    patience: int | None = 5
    direction: Direction = "max"
    every: int | None = None
    calibration: int = 8
    inputs: Callable[[Any], Inputs] | None = None
    example_inputs: Inputs | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise LayerError(f"steps is the number of training steps, from 1 up; got {self.steps!r}.")
        _ = self.stopping  # raises on values out of range
        if self.checks_every < 1 or self.calibration < 1:
            raise LayerError(
                f"every and calibration are numbers from 1 up; got every={self.every!r}, calibration={self.calibration!r}."
            )

    @property
    def stopping(self) -> EarlyStopping:
        """When the fine-tuning ends."""
        return EarlyStopping(tolerance=self.tolerance, patience=self.patience, direction=self.direction)

    @property
    def checks_every(self) -> int:
        """Steps between two evaluations."""
        return max(self.steps // 10, 1) if self.every is None else self.every


class MorphOptions(BlendOptions, total=False):
    """Fields of :class:`MorphSettings` as keyword arguments."""

    steps: int
    match: bool
    learning_rate: float
    step: Callable[[Any], Any] | None
    optimizer: torch.optim.Optimizer | None
    tolerance: float | None
    patience: int | None
    direction: Direction
    every: int | None
    calibration: int
    inputs: Callable[[Any], Inputs] | None
    example_inputs: Inputs | None
