"""Training of a model on fresh tasks one after another, each with the features in another order."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.data import Split
from actlab.tasks.task import Task
from actlab.tasks.training.batches import step_count
from actlab.tasks.training.loop import DivergedError, TrainingSettings, train
from actlab.tasks.training.recorder import Recorder

__all__ = ["NOTHING_TRAINED", "TASKS", "fresh_task_losses", "reordered"]

#: Number of fresh tasks.
TASKS: Final = 6
#: Reason of an axis that needs gradients of parameters.
NOTHING_TRAINED: Final = "the model has no parameters that are trained"
_SHARE: Final = 0.1  # of the steps of a training, for each task
_FEWEST_STEPS: Final = 20


def reordered(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return inputs whose features are in another order, the same for every example; of integers, tokens with other numbers.

    Args:
        x: shape (n, ...).
        generator: of the order.

    Example:
        >>> reordered(torch.arange(8).reshape(2, 4), torch.Generator().manual_seed(0)).flatten().sort().values.tolist()
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    if not x.is_floating_point():
        return torch.randperm(int(x.max()) + 1, generator=generator)[x]
    flat = x.reshape(len(x), -1)
    return flat[:, torch.randperm(flat.shape[1], generator=generator)].reshape(x.shape)


def fresh_task_losses(data: EvaluationData) -> list[float]:
    """Train the model of an evaluation on fresh tasks one after another, and return the mean training loss of each.

    Each task has the training inputs with features in another order, a new optimizer, and a tenth of the steps of a training. The model
    keeps its weights from one to the next; a model that keeps its plasticity learns the last one as fast as the first.

    Source: the permuted tasks of Dohare et al. 2024, Loss of Plasticity in Deep Continual Learning (doi:10.1038/s41586-024-07711-7).

    Raises:
        UndefinedAxisError: the training split is no pair of tensors, the task trains by itself, no parameter is trained, or a training
            diverged.
    """
    split = data.splits.train
    if not isinstance(split, Split) or data.task.door != "loop":
        raise UndefinedAxisError("fresh tasks need a training split of two tensors, and the loop of ActLab")
    if not any(weight.requires_grad for weight in data.model.parameters()):
        raise UndefinedAxisError(NOTHING_TRAINED)
    task = _shortened(data.task, split)
    return [_loss(task, data, split, number) for number in range(TASKS)]


def _shortened(task: Task, split: Split) -> Task:
    steps = max(_FEWEST_STEPS, round(_SHARE * step_count(task, split)))
    plain: dict[str, Any] = {"scheduler": None, "ema": None, "patience": None, "validate_every": None, "compile": False}
    return replace(task, steps=steps, epochs=steps, **plain)


def _loss(task: Task, data: EvaluationData, split: Split, number: int) -> float:
    inputs = reordered(split.x, data.generator(f"fresh task {number}"))
    recorder = Recorder()
    settings = TrainingSettings(lr=data.learning_rate, device=data.device)
    model = data.model.train()
    try:
        train(
            task,
            model,
            Split(x=inputs, y=split.y),
            data.seed + number,
            settings=settings,
            recorder=recorder,
            held_out=None,
        )
    except DivergedError as error:
        raise UndefinedAxisError(f"the training on fresh task {number + 1} diverged: {error}") from error
    return statistics.fmean(recorder.losses)
