"""Ball around the test examples of a task, in units of its inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from actlab.evaluate.attacks.ball import Ball
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.input_kind import InputKind
from actlab.evaluate.undefined_axis import UndefinedAxisError

__all__ = ["perturbation_ball", "unit_of"]


def perturbation_ball(data: EvaluationData, rows: Tensor, radius: float) -> Ball:
    """Return the L-inf ball around test examples.

    One unit is the range of a channel for images, and the standard deviation of an entry for all else, both of training examples; an entry
    that is constant there never moves. No input leaves the range of the training examples further than the clean one does.

    Args:
        data: of the task.
        rows: indices of test examples, shape (n,).
        radius: eps, in these units.

    Raises:
        UndefinedAxisError: the inputs are no real numbers, or none of them varies.
    """
    inputs = data.inputs
    if not inputs.is_floating_point():
        what = "integers, such as tokens" if not inputs.is_complex() else f"of dtype {inputs.dtype}"
        raise UndefinedAxisError(f"the inputs are {what}, and an attack moves real numbers by a little")
    train = data.train[0].detach().double()
    low, high = _range(train, data.input_kind)
    scale = high - low if data.input_kind == "image" else _deviation(train)
    if not bool((scale > 0).any()):
        raise UndefinedAxisError("the inputs of the training examples are all the same, which leaves no unit for eps")
    return Ball.around(inputs[rows].detach(), scale=scale, radius=radius, norm="linf", low=low, high=high)


def unit_of(kind: InputKind) -> str:
    """Return what one unit of eps is, in words."""
    return "range of a channel" if kind == "image" else "standard deviation of an entry"


def _range(train: Tensor, kind: InputKind) -> tuple[Tensor, Tensor]:
    """Return the smallest and largest value of each channel of images, of each entry of all else, shape (1, ...)."""
    dims = [0, *range(2 if train.ndim == 4 else 1, train.ndim)] if kind == "image" else [0]
    is_number = train.isfinite()
    low = torch.where(is_number, train, torch.inf).amin(dims, keepdim=True)
    high = torch.where(is_number, train, -torch.inf).amax(dims, keepdim=True)
    known = low <= high
    return torch.where(known, low, -torch.inf), torch.where(known, high, torch.inf)


def _deviation(train: Tensor) -> Tensor:
    """Return the standard deviation of each entry over the examples where it is a number, shape (1, ...)."""
    known = torch.where(train.isfinite(), train, torch.nan)
    spread = (known - known.nanmean(0, keepdim=True)).square().nanmean(0, keepdim=True).sqrt()
    return spread.nan_to_num(0.0)
