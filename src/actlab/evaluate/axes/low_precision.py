"""Axis of low precision, the metric of a training under autocast from the same weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from torch import nn

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.isolation import seed_all
from actlab.tasks.training.batches import step_count
from actlab.tasks.training.evaluation import evaluate_model
from actlab.tasks.training.held_out import HeldOut
from actlab.tasks.training.loop import DivergedError, TrainingSettings, train
from actlab.tasks.training.recorder import Recorder

__all__ = ["LOW_PRECISION"]

_PRECISIONS: Final[tuple[Literal["bf16", "fp16"], ...]] = ("bf16", "fp16")


def _measure_low_precision(_model: nn.Module, data: EvaluationData) -> Measured:
    if data.task.door != "loop":
        raise UndefinedAxisError("the task trains by itself, in a precision that it chooses")
    numbers: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for precision in _PRECISIONS:
        try:
            numbers[precision] = _metric_of_training(data, precision)
        except UndefinedAxisError:
            raise
        except DivergedError as error:
            undefined[precision] = f"the training diverged: {error}"
        except RuntimeError as error:  # an operation without a kernel for the dtype
            undefined[precision] = str(error).partition("\n")[0][:200]
    return Measured(numbers=numbers, undefined=undefined)


def _metric_of_training(data: EvaluationData, precision: Literal["bf16", "fp16"]) -> float:
    """Return the metric on the test split after a whole training, whose data, order, weights and dropout are those of the trial."""
    task, splits = replace(data.task, precision=precision, compile=False), data.splits
    model = data.untrained().to(data.device)
    recorder = Recorder()
    held_out = None
    if splits.validation is not None:
        held_out = HeldOut(task, splits.validation, total=step_count(task, splits.train), recorder=recorder)
    seed_all(data.seed)  # as in the trial, before the first step
    settings = TrainingSettings(lr=data.learning_rate, device=data.device)
    train(task, model, splits.train, data.seed, settings=settings, recorder=recorder, held_out=held_out)
    return evaluate_model(task, model.eval(), splits.test)


LOW_PRECISION: Final = Axis(
    name="low_precision",
    measure=_measure_low_precision,
    columns={
        "bf16": Column(direction="metric", description="metric after a training in mixed precision with bfloat16"),
        "fp16": Column(direction="metric", description="metric after a training in mixed precision with float16"),
    },
    description="Whether the training reaches its metric in mixed precision; it trains twice more.",
    trains=True,
)
