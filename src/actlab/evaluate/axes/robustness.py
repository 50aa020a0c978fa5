"""Axis of robustness to noise and other corruptions of the inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from torch import Tensor, nn

from actlab.errors import ActlabError, UnknownNameError
from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.corruptions.by_kind import CORRUPTIONS
from actlab.evaluate.corruptions.corruption import Corruption, Reference
from actlab.evaluate.corruptions.severity_curve import SeverityCurve, kept_share
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.input_kind import InputKind
from actlab.evaluate.judged_examples import JudgedExamples
from actlab.evaluate.metric_direction import metric_direction
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.task import Direction, Task

__all__ = ["ROBUSTNESS", "RobustnessSettings", "robustness_axis"]

_MOST: Final = 20_000  # examples
_TOKEN: Final = 25  # what a token costs a model, in numbers of an image


@dataclass(frozen=True, kw_only=True)
class RobustnessSettings:
    """How inputs are corrupted.

    Attributes:
        severities: above 0, up to 1; 0 is always measured.
        corruptions: names of those that are measured; None for all of the kind of inputs.
        numbers: about how many numbers the corrupted inputs have together, a token counting as 25, within 200 to 20,000 examples; it bounds
            the cost.

    Raises:
        ActlabError: a severity is not above 0 and up to 1.

    Example:
        >>> RobustnessSettings().examples("image", 784), RobustnessSettings().examples("text", 64)
        (1000, 490)
    """

    severities: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    corruptions: tuple[str, ...] | None = None
    numbers: int = 784_000

    def __post_init__(self) -> None:
        if not self.severities or any(not 0 < severity <= 1 for severity in self.severities):
            raise ActlabError(
                f"The severities are {self.severities!r}; numbers above 0 and up to 1 are needed, such as (0.2, 0.4, 0.6, 0.8, 1.0)."
            )

    def examples(self, kind: InputKind, entries: int) -> int:
        """Return how many examples of so many entries are corrupted."""
        cost = max(entries, 1) * (_TOKEN if kind == "text" else 1)
        return min(_MOST, max(200, self.numbers // cost))

    def chosen(self, kind: InputKind) -> dict[str, Corruption]:
        """Return the corruptions of a kind of inputs by name.

        Raises:
            UnknownNameError: there is no such corruption of this kind.
        """
        known = CORRUPTIONS[kind]
        for name in self.corruptions or ():
            if name not in known:
                raise UnknownNameError("corruption", name, known, f"Those of {kind} inputs are {', '.join(known)}.")
        return {name: corruption for name, corruption in known.items() if name in (self.corruptions or known)}


def _robustness(model: nn.Module, data: EvaluationData, *, settings: RobustnessSettings) -> Measured:
    kind, inputs = data.input_kind, data.inputs
    if inputs.is_complex():
        raise UndefinedAxisError(f"the inputs are of dtype {inputs.dtype}")
    rows = data.some(settings.examples(kind, inputs[0].numel()), "corrupted examples")
    examples = JudgedExamples(data, rows)
    reference = Reference(data.train[0], kind, by_token=_is_by_token(kind, inputs, data.targets))
    severities = (0.0, *sorted(settings.severities))

    def metric(changed: Tensor) -> float:
        return examples.metric(changed.clone(), model)  # a model may change its inputs

    clean = metric(examples.inputs)
    curves, left_out = {}, {}
    for name, corruption in settings.chosen(kind).items():
        if corruption.moves and reference.by_token:
            left_out[name] = "every token has its own target, and this moves tokens to other places"
            continue
        changed = (corruption(examples.inputs, severity, reference, data.seed) for severity in severities[1:])
        curves[name] = SeverityCurve(severities=severities, values=(clean, *map(metric, changed)))
    if not curves:
        raise UndefinedAxisError("no corruption fits these inputs and targets")
    return _summary(data, curves, left_out, {"examples": len(rows), "kind": kind, "metric": clean})


def _direction(task: Task) -> Direction:
    direction = metric_direction(task)
    if direction is None:
        raise UndefinedAxisError(
            f"the result of {task.name} is made of its training losses, and nothing says whether a larger {task.evaluated_name} is better"
        )
    return direction


def _is_by_token(kind: InputKind, inputs: Tensor, targets: Any) -> bool:
    return kind == "text" and isinstance(targets, Tensor) and targets.ndim > 1 and targets.shape[1] == inputs.shape[1]


def _summary(
    data: EvaluationData, curves: Mapping[str, SeverityCurve], left_out: Mapping[str, str], record: Mapping[str, Any]
) -> Measured:
    direction, metric = _direction(data.task), data.task.evaluated_name
    areas = {name: curve.area for name, curve in curves.items()}
    area = sum(areas.values()) / len(areas)
    kept = {name: curve.kept(direction) for name, curve in curves.items()}
    numbers = {
        "area": area,
        "kept": kept_share(record["metric"], area, direction),
        "worst": min(kept.values(), key=lambda share: -math.inf if math.isnan(share) else share),
    }
    undefined = dict(left_out)
    broken = [name for name, value in areas.items() if math.isnan(value)]
    for name, value in numbers.items():
        if math.isnan(value):
            why = (
                f"{metric} is no finite number under {', '.join(broken)}" if broken else f"{metric} is no positive size"
            )
            undefined[name] = why
    return Measured(
        numbers={name: value for name, value in numbers.items() if not math.isnan(value)},
        curves={
            name: {"x": list(curve.severities), "y": list(curve.values), "x_label": "severity", "y_label": metric}
            for name, curve in curves.items()
        },
        undefined=undefined,
        record={
            **record,
            "direction": direction,
            "areas": {name: value for name, value in areas.items() if math.isfinite(value)},
            "kept": {name: share for name, share in kept.items() if math.isfinite(share)},
            "strengths": {name: CORRUPTIONS[record["kind"]][name].description for name in curves},
        },
    )


def robustness_axis(settings: RobustnessSettings | None = None, *, name: str = "robustness") -> Axis:
    """Return the axis with settings of one's own, for ``evaluate=[robustness_axis(RobustnessSettings(...))]``.

    Args:
        settings: how inputs are corrupted; None for the defaults.
        name: of the axis; one of its own where a file defines it, or where the built-in one is measured as well.

    Example:
        >>> robustness_axis(RobustnessSettings(severities=(0.5, 1.0))).name
        'robustness'
    """
    own = settings or RobustnessSettings()
    area = "mean of the metric over severities 0 to 1 and over corruptions"
    return Axis(
        name=name,
        measure=partial(_robustness, settings=own),
        columns={
            "area": Column(direction="metric", description=area),
            "kept": Column(direction="max", unit="share", description="share of the clean metric that this mean keeps"),
            "worst": Column(
                direction="max", unit="share", headline=False, description="the same for the worst corruption"
            ),
        },
        description="How much of the metric is left when inputs are noisy, blurred, incomplete or misspelt.",
        source=f"{name} {own}",
    )


ROBUSTNESS = robustness_axis()
