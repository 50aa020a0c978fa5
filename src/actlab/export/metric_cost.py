"""Cost of an export in the model's metric, or in predicted classes where it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor

from actlab.errors import ExportError

__all__ = ["Cost", "Metric", "costs", "lacks_targets"]

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
Metric = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the engine costs in a metric.

    Attributes:
        metric: its name.
        model: value of the model's outputs.
        engine: of the engine's.
        found: of the model with the functions that were found; None where none were.
    """

    metric: str
    model: float
    engine: float
    found: float | None = None


def costs(
    model: Sequence[Tensor],
    engine: Sequence[Tensor],
    found: Sequence[Tensor] | None,
    targets: Any,
    metric: Metric | None,
) -> tuple[Cost, ...]:
    """Return what the engine costs: in the metric, in accuracy or error where there are targets, and in predicted classes.

    Args:
        model: outputs of the model as it was trained.
        engine: of the engine.
        found: of the model with the functions that were found; None where none were.
        targets: of the example inputs, or None.
        metric: of outputs, or of outputs and targets; returns a number.

    Raises:
        ExportError: the metric raises, or returns no number.
    """
    listed = []
    if metric is not None and not lacks_targets(metric, targets):
        name = getattr(metric, "__name__", "metric")
        listed.append(_cost(name, lambda outputs: _called(metric, outputs, targets), model, engine, found))
    elif targets is not None:
        listed += _with_targets(model, engine, found, torch.as_tensor(targets))
    first = model[0]
    if first.dim() == 2 and first.shape[1] > 1:
        classes = first.argmax(1)
        listed.append(
            _cost(
                "same class as the model", lambda outputs: _share(outputs[0].argmax(1) == classes), model, engine, found
            )
        )
    return tuple(listed)


def lacks_targets(metric: Metric | None, targets: Any) -> bool:
    """Whether a metric takes targets, and there are none."""
    return metric is not None and targets is None and _arguments(metric) > 1


def _arguments(metric: Metric) -> int:
    taken = signature(metric).parameters.values()
    return sum(each.kind in POSITIONAL and each.default is Parameter.empty for each in taken)


def _cost(
    name: str,
    of: Callable[[Sequence[Tensor]], float],
    model: Sequence[Tensor],
    engine: Sequence[Tensor],
    found: Sequence[Tensor] | None,
) -> Cost:
    return Cost(metric=name, model=of(model), engine=of(engine), found=None if found is None else of(found))


def _called(metric: Metric, outputs: Sequence[Tensor], targets: Any) -> float:
    given = outputs[0] if len(outputs) == 1 else tuple(outputs)
    try:
        return float(metric(given, targets) if _arguments(metric) > 1 else metric(given))
    except Exception as error:  # a user's function may raise anything
        raise ExportError(f"The metric raised: {type(error).__name__}: {error}") from error


def _with_targets(
    model: Sequence[Tensor], engine: Sequence[Tensor], found: Sequence[Tensor] | None, targets: Tensor
) -> list[Cost]:
    first = model[0]
    if not targets.is_floating_point() and first.dim() == 2 and targets.shape == first.shape[:1]:
        return [_cost("accuracy", lambda outputs: _share(outputs[0].argmax(1) == targets), model, engine, found)]
    if targets.shape == first.shape or targets.numel() == first.numel():
        wanted = targets.reshape(first.shape).double()
        return [
            _cost(
                "mean squared error", lambda outputs: float((outputs[0] - wanted).square().mean()), model, engine, found
            )
        ]
    raise ExportError(
        f"The targets have the shape {tuple(targets.shape)} and the outputs {tuple(first.shape)}; allowed are a class for each example, or "
        "numbers in the shape of the outputs. Define metric(outputs, targets) for others."
    )


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
