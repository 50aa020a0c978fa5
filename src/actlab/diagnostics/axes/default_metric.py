"""Loss and metric of a trained model for which none is given, by its targets or its loss."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from actlab.errors import TaskError
from actlab.evaluate.output_kind import IGNORED, OutputKind, class_logits, kind_of_loss, takes_distributions
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.data import Data, Split
from actlab.tasks.loading.nested import leaves

__all__ = ["default_settings"]


def default_settings(data: Data, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return loss, metric with its direction, and kind of outputs, where they are not known.

    What a known loss takes says whether there are classes, or else the targets: integers are classes, all else values.

    Args:
        data: whose targets are looked at.
        known: settings of a task that are given.

    Example:
        >>> import torch
        >>> part = Split(x=torch.zeros(4, 2), y=torch.tensor([0, 1, 1, 0]))
        >>> default_settings(Data(train=part, validation=None, test=part), {})["metric_name"]
        'accuracy'
    """
    kind = known.get("output_kind") or kind_of_loss(known.get("loss"))
    is_class = _has_classes(data) if kind is None else kind != "values"
    of_classes = kind or "logits"
    found: dict[str, Any] = {}
    if "loss" not in known and "step" not in known:
        found |= (
            {"loss": _CrossEntropy(of_classes), "output_kind": of_classes}
            if is_class
            else {"loss": _squared_error, "output_kind": "values"}
        )
    if "metric" not in known and "metrics" not in known:
        found |= (
            {
                "metric": _Accuracy(of_classes, takes_distributions(known.get("loss"))),
                "metric_name": "accuracy",
                "direction": "max",
            }
            if is_class
            else {"metric": _mean_squared_error, "metric_name": "mean_squared_error", "direction": "min"}
        )
    return found


@dataclass(frozen=True)
class _CrossEntropy:
    """Cross-entropy of outputs of a kind, of which one for each example is that of the second of two classes."""

    kind: OutputKind

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        if self.kind == "logits" and output.ndim == target.ndim + 1 and output.numel() != target.numel():
            return functional.cross_entropy(output, target)
        return functional.cross_entropy(*_classes(output, target, self.kind))


@dataclass(frozen=True)
class _Accuracy:
    """Share of the places of the targets, one or more for each example, whose class is the most probable one."""

    kind: OutputKind
    has_distributions: bool

    def __call__(self, output: Tensor, target: Tensor) -> float:
        logits, labels = _classes(output, target, self.kind, has_distributions=self.has_distributions)
        counted = labels != IGNORED
        return int((logits.argmax(1) == labels)[counted].sum()) / max(int(counted.sum()), 1)


def _classes(output: Any, target: Any, kind: OutputKind, *, has_distributions: bool = False) -> tuple[Tensor, Tensor]:
    try:
        return class_logits(output, target, kind, has_distributions=has_distributions)
    except UndefinedAxisError as error:
        raise TaskError(f"There is no accuracy: {error}. Give metric= with direction=, and loss=.") from error


def _squared_error(output: Tensor, target: Tensor) -> Tensor:
    return functional.mse_loss(_of_shape(output, target), target)


def _mean_squared_error(output: Tensor, target: Tensor) -> float:
    return float(_squared_error(output, target))


def _of_shape(output: Tensor, target: Tensor) -> Tensor:
    """Return an output of shape (n, 1) as (n,), and the other way round; torch would take each with each.

    Raises:
        TaskError: they do not have as many numbers.
    """
    if output.numel() != target.numel():
        raise TaskError(
            f"The outputs have shape {tuple(output.shape)} and the targets {tuple(target.shape)}, between which there is no squared error. "
            "Give loss= and metric= with direction=."
        )
    return output.reshape(target.shape)


def _has_classes(data: Data) -> bool:
    """Return whether the targets are classes, by their dtype."""
    if isinstance(data.test, Split):
        return not data.test.y.is_floating_point()
    targets: list[Any] = []
    with suppress(Exception):  # batches without a target need predict, whose targets are not known here
        targets = list(leaves(data.test.first()[-1]))
    return bool(targets) and isinstance(targets[-1], Tensor) and not targets[-1].is_floating_point()
