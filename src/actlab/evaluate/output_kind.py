"""Meaning of a model's outputs (logits, probabilities or values), and their probabilities by class."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.task import Task

__all__ = [
    "IGNORED",
    "OUTPUT_KINDS",
    "OutputKind",
    "class_logits",
    "counted_classes",
    "kind_of_loss",
    "output_kind",
    "takes_distributions",
]

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


#: Class of a place that is not counted, as of padding; the default of torch's cross-entropy.
IGNORED: Final = -100


def kind_of_loss(loss: Any) -> OutputKind | None:
    """Return what a loss takes, or None where that is not known.

    Example:
        >>> kind_of_loss(nn.BCEWithLogitsLoss()), kind_of_loss(print)
        ('logits', None)
    """
    plain = getattr(loss, "func", loss)  # functools.partial
    found = _BY_LOSS.get(type(plain)) if isinstance(plain, nn.Module) else None
    return found or (_BY_LOSS.get(plain) if isinstance(plain, Hashable) else None)


def takes_distributions(loss: Any) -> bool:
    """Return whether targets of the shape of the outputs are probabilities by class for a loss, as for cross-entropy.

    Example:
        >>> takes_distributions(functional.cross_entropy), takes_distributions(functional.binary_cross_entropy_with_logits)
        (True, False)
    """
    plain = getattr(loss, "func", loss)
    return plain is functional.cross_entropy or isinstance(plain, nn.CrossEntropyLoss)


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
    kind = kind_of_loss(task.loss)
    if kind is None:
        raise UndefinedAxisError(
            f"what the outputs of {task.name} are does not follow from its loss; set output_kind of the task to one of "
            f"{', '.join(OUTPUT_KINDS)}"
        )
    return kind


def class_logits(
    outputs: Any, targets: Any, kind: OutputKind, *, has_distributions: bool = False
) -> tuple[Tensor, Tensor]:
    """Return unnormalised log-probabilities by class, float64, shape (m, classes), and the class of each row, int64, shape (m,).

    Outputs have shape (n, classes), or (n, classes, ...) with targets (n, ...), whose places become rows; or one logit or probability of
    the second of two classes for each target, such as of shape (n,) or (n, 1), or (n, labels) where an example may have several.

    Args:
        outputs: of a model.
        targets: classes; or probabilities by class, shape (n, classes), of which the largest is the class.
        kind: of the outputs.
        has_distributions: whether targets of the shape of the outputs are probabilities by class, see :func:`takes_distributions`.

    Raises:
        UndefinedAxisError: these are no outputs of a classifier.
    """
    if kind == "values":
        raise UndefinedAxisError("the model gives values and no classes")
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        raise UndefinedAxisError("outputs and targets are no tensors of a classifier")
    if has_distributions and outputs.ndim == 2 and outputs.shape == targets.shape and outputs.shape[1] > 1:
        rows, classes = outputs.double(), targets.argmax(1)
    elif outputs.numel() == targets.numel():
        return _binary(outputs.double().flatten(), kind), targets.flatten().long()
    elif outputs.ndim == targets.ndim + 1 and outputs.shape[:1] + outputs.shape[2:] == targets.shape:
        rows = outputs.double().movedim(1, -1).reshape(-1, outputs.shape[1])
        classes = targets.flatten().long()
    else:
        raise UndefinedAxisError(
            f"outputs of shape {tuple(outputs.shape)} with targets of shape {tuple(targets.shape)} are not those of a classifier"
        )
    return (rows.clamp_min(0).log() if kind == "probabilities" else rows), classes


def counted_classes(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return what :func:`class_logits` gave without the places that cross-entropy ignores, whose class is -100, as of padding.

    Args:
        logits: shape (m, classes).
        classes: shape (m,).

    Raises:
        UndefinedAxisError: a logit is NaN, a class is none of the model's, or nothing is left.

    Example:
        >>> counted_classes(torch.zeros(3, 2), torch.tensor([1, -100, 0]))[1].tolist()
        [1, 0]
    """
    counted = classes != IGNORED
    if not bool(counted.all()):
        logits, classes = logits[counted], classes[counted]
    if not len(classes):
        raise UndefinedAxisError("no example has a class")
    if (lost := int(logits.isnan().any(1).sum())) > 0:
        raise UndefinedAxisError(f"the model gives NaN for {lost} of {len(logits)} outputs")
    low, high = int(classes.min()), int(classes.max())
    if low < 0 or high >= logits.shape[1]:
        raise UndefinedAxisError(
            f"the targets have classes from {low} to {high}, and the model tells {logits.shape[1]} apart"
        )
    return logits, classes


def _binary(values: Tensor, kind: OutputKind) -> Tensor:
    if kind == "logits":
        return torch.stack((torch.zeros_like(values), values), dim=1)
    probability = values.exp() if kind == "log_probabilities" else values
    return torch.stack(((1 - probability).clamp_min(0).log(), probability.clamp_min(0).log()), dim=1)
