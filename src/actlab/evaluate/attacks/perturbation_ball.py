"""Ball around the test examples of a task, in units of its inputs."""

from __future__ import annotations

from torch import Tensor

from actlab.evaluate.attacks.ball import Ball
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.input_kind import InputKind
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.evaluate.value_range import deviation, value_range

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
        what = f"of dtype {inputs.dtype}" if inputs.is_complex() else f"integers ({inputs.dtype})"
        raise UndefinedAxisError(f"the inputs are {what}, and an attack moves real numbers by a little")
    train = data.train[0]
    low, high = value_range(train, data.input_kind)
    scale = high - low if data.input_kind == "image" else deviation(train)
    if not bool((scale > 0).any()):
        raise UndefinedAxisError("the inputs of the training examples are all the same, which leaves no unit for eps")
    return Ball.around(inputs[rows].detach(), scale=scale, radius=radius, norm="linf", low=low, high=high)


def unit_of(kind: InputKind) -> str:
    """Return what one unit of eps is, in words."""
    return "range of a channel" if kind == "image" else "standard deviation of an entry"
