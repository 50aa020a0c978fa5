"""Axes of training dynamics (dormant units, gradient noise, sharpness) and of plasticity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.dynamics.dormant_units import THRESHOLD, unit_shares
from actlab.evaluate.dynamics.fresh_tasks import NOTHING_TRAINED, TASKS, fresh_task_losses
from actlab.evaluate.dynamics.gradient_noise import gradient_noise
from actlab.evaluate.dynamics.sharpness import sharpness
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.data import Split
from actlab.tasks.training.evaluation import loss_function
from actlab.tasks.training.placement import placed
from actlab.tasks.user_code import one_line

__all__ = ["DYNAMICS", "PLASTICITY"]

_BATCHES: Final = 16  # for the gradient noise
_EXAMPLES: Final = 512  # for the sharpness
_INACTIVE: Final = "the model has no activation with units"


def _measure_dynamics(model: nn.Module, data: EvaluationData) -> Measured:
    numbers: dict[str, float] = {}
    undefined: dict[str, str] = {}
    record: dict[str, Any] = {}
    try:
        shares = unit_shares(model, data.train[0].to(data.device))
    except UndefinedAxisError as error:
        shares, undefined = None, dict.fromkeys(("dormant", "inactive"), str(error))
    if shares is None:
        undefined = dict.fromkeys(("dormant", "inactive"), _INACTIVE) | undefined
    else:
        numbers |= {"dormant": shares.dormant, "inactive": shares.inactive}
        record = {"units": shares.units, "dormant_by_site": shares.by_site}
    for name, measure in {"gradient_noise": _noise, "sharpness": _sharpness}.items():
        try:
            numbers[name] = measure(model, data)
        except UndefinedAxisError as error:
            undefined[name] = str(error)
        except Exception as error:  # the loss is user code, and torch has no second derivative of some functions
            undefined[name] = one_line(error)[:200]
    return Measured(numbers=numbers, undefined=undefined, record=record)


def _pairs(data: EvaluationData) -> tuple[Split, Callable[[nn.Module, Any], Tensor]]:
    """Return the training split and the loss of a batch of it."""
    split = data.splits.train
    if not isinstance(split, Split) or not (data.task.has_loss or data.task.step):
        raise UndefinedAxisError("this needs a training split of two tensors and a loss")
    if not any(weight.requires_grad for weight in data.model.parameters()):
        raise UndefinedAxisError(NOTHING_TRAINED)
    return split, loss_function(data.task, split)


def _noise(model: nn.Module, data: EvaluationData) -> float:
    split, loss_of = _pairs(data)
    size = min(data.task.batch_size, len(split) // 2)
    rows = torch.randint(len(split), (_BATCHES, max(size, 1)), generator=data.generator("gradient noise"))
    return gradient_noise(
        model, [placed((split.x[part], split.y[part]), data.device) for part in rows], max(size, 1), loss_of
    ).scale


def _sharpness(model: nn.Module, data: EvaluationData) -> float:
    split, loss_of = _pairs(data)
    rows = torch.randperm(len(split), generator=data.generator("sharpness"))[:_EXAMPLES]
    batch = placed((split.x[rows], split.y[rows]), data.device)
    return sharpness(model, lambda net: loss_of(net, batch), generator=data.generator("direction"))


def _measure_plasticity(model: nn.Module, data: EvaluationData) -> Measured:
    losses = fresh_task_losses(data)
    shares = unit_shares(model.eval(), data.train[0].to(data.device))
    numbers: dict[str, float] = {"loss_growth": losses[-1] - losses[0], "last_loss": losses[-1]}
    undefined: dict[str, str] = {}
    if shares is None:
        undefined["dormant_after"] = _INACTIVE
    else:
        numbers["dormant_after"] = shares.dormant
    curve = {"x": list(range(1, len(losses) + 1)), "y": losses, "x_name": "fresh task", "y_name": "mean training loss"}
    return Measured(numbers=numbers, undefined=undefined, curves={"fresh_tasks": curve})


DYNAMICS: Final = Axis(
    name="dynamics",
    measure=_measure_dynamics,
    columns={
        "dormant": Column(
            direction="min", unit="share", description=f"units whose mean size is at most {THRESHOLD} of their layer's"
        ),
        "inactive": Column(
            direction="min", unit="share", description="units that are zero on every example", headline=False
        ),
        "gradient_noise": Column(
            direction=None,
            unit="examples",
            description="batch size at which noise and gradient are equally large",
            headline=False,
        ),
        "sharpness": Column(direction=None, description="largest eigenvalue of the Hessian of the training loss"),
    },
    description="Dormant units, gradient noise and sharpness at the end of the training.",
)
PLASTICITY: Final = Axis(
    name="plasticity",
    measure=_measure_plasticity,
    columns={
        "loss_growth": Column(
            direction="min",
            description=f"mean training loss on the last of {TASKS} fresh tasks minus that on the first",
            rope=0.01,
        ),
        "last_loss": Column(direction="min", description="mean training loss on the last fresh task"),
        "dormant_after": Column(direction="min", unit="share", description="dormant units after the fresh tasks"),
    },
    description="Whether the model learns fresh tasks after others; it trains for 0.6 of a training.",
    trains=True,
)
