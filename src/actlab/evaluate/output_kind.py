"""Meaning of a model's outputs (logits, probabilities or values), and their probabilities by class."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.task import Task

__all__ = ["OUTPUT_KINDS", "OutputKind", "class_logits", "output_kind"]

OutputKind: TypeAlias = Literal["logits", "log_probabilities", "probabilities", "values"]
OUTPUT_KINDS: Final = ("logits", "log_probabilities", "probabilities", "values")

# What a loss takes is what the model gives: nothing is guessed from the numbers of a batch.
_BY_LOSS: Final[dict[Any, OutputKind]] = {
    functional.cross_entropy: "logits",
    nn.CrossEntropyLoss: "logits",
    functional.nll_loss: "log_probabilities",
    nn.NLLLoss: "log_probabilities",
    functional.binary_cross_entropy_with_logits: "logits",
    nn.BCEWithLogitsLoss: "logits",
    functional.multi_margin_loss: "logits",
    functional.binary_cross_entropy: "probabilities",
    nn.BCELoss: "probabilities",
    functional.mse_loss: "values",
    nn.MSELoss: "values",
    functional.l1_loss: "values",
    nn.L1Loss: "values",
    functional.smooth_l1_loss: "values",
    nn.SmoothL1Loss: "values",
    functional.huber_loss: "values",
    nn.HuberLoss: "values",
}


def output_kind(task: Task) -> OutputKind:
    """Return what the outputs of a task's model are: as the task says, or as its loss takes them.

    Raises:
        UndefinedAxisError: neither says.

    Example:
        >>> from actlab.tasks import resolve
        >>> output_kind(resolve("digits"))
        'logits'
    """
    if task.output_kind is not None:
        return task.output_kind
    loss = getattr(task.loss, "func", task.loss)  # functools.partial
    kind = _BY_LOSS.get(loss if callable(loss) and hasattr(loss, "__name__") else type(loss), None)
    if kind is None:
        raise UndefinedAxisError(
            f"what the outputs of {task.name} are does not follow from its loss; set output_kind of the task to one of "
            f"{', '.join(OUTPUT_KINDS)}"
        )
    return kind


def class_logits(outputs: Any, targets: Any, kind: OutputKind) -> tuple[Tensor, Tensor]:
    """Return unnormalised log-probabilities by class, float64, shape (m, classes), and the class of each row, int64, shape (m,).

    Outputs have shape (n, classes), or (n, classes, ...) with targets (n, ...), whose places become rows; or one logit or probability of
    the second of two classes for each row, shape (n,) or (n, 1).

    Raises:
        UndefinedAxisError: these are no outputs of a classifier.
    """
    if kind == "values":
        raise UndefinedAxisError("the model gives values and no classes")
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        raise UndefinedAxisError("outputs and targets are no tensors of a classifier")
    if outputs.numel() == targets.numel():
        return _binary(outputs.double().flatten(), kind), targets.flatten().long()
    if outputs.ndim == targets.ndim + 1 and outputs.shape[:1] + outputs.shape[2:] == targets.shape:
        rows = outputs.double().movedim(1, -1).reshape(-1, outputs.shape[1])
        classes = targets.flatten().long()
    elif outputs.ndim == 2 and outputs.shape == targets.shape:  # one-hot or soft targets
        rows, classes = outputs.double(), targets.argmax(1)
    else:
        raise UndefinedAxisError(
            f"outputs of shape {tuple(outputs.shape)} with targets of shape {tuple(targets.shape)} are not those of a classifier"
        )
    return (rows.clamp_min(0).log() if kind == "probabilities" else rows), classes


def _binary(values: Tensor, kind: OutputKind) -> Tensor:
    if kind == "logits":
        return torch.stack((torch.zeros_like(values), values), dim=1)
    probability = values.exp() if kind == "log_probabilities" else values
    return torch.stack(((1 - probability).clamp_min(0).log(), probability.clamp_min(0).log()), dim=1)
