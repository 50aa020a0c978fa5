"""The appraisal: a trained model looked into: what each activation is worth, which could be lines, what adaptive ones learned."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from actlab.diagnostics.importance import Importance, check_settings, importance
from actlab.errors import PlanError, did_you_mean
from actlab.functions.spec import Spec
from actlab.nn.probes.learned_curves import Shape, Shapes, shapes
from actlab.studies.plan import arm_of
from actlab.studies.trial import trained
from actlab.tasks.metrics.per_sample import MEASURES, Measure, one_by_one
from actlab.tasks.task import Split, Task
from actlab.tasks.trained_model_source import Material, material
from actlab.tasks.user_code import user_code

__all__ = ["Appraisal", "appraise"]

ALPHA = 0.05  # error rate of the table
_BATCH = 256  # samples in a forward pass
_STATES = 32  # of the adaptive activations that a training notes, about


@dataclass(frozen=True, kw_only=True, eq=False)
class Appraisal:
    """What was found.

    Attributes:
        name: of the task or file.
        act: what was put at the model's sites; None where it was left as it is.
        seed: of data and training.
        was_trained: whether the model was trained here; False for one that came with its weights.
        split: which one the model was judged on.
        importance: what each site is worth.
        shapes: the curves of adaptive activations, over what they see.
        history: by path, their curves over training, on the same grid; empty where nothing was trained.
    """

    name: str
    act: str | None
    seed: int
    was_trained: bool
    split: Literal["validation", "test"]
    importance: Importance
    shapes: tuple[Shape, ...]
    history: dict[str, list[Shape]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as data for JSON; of the curves over training only the distances and the numbers."""
        states = {
            path: [
                {
                    "step": shape.step,
                    "distance": shape.distance.tolist(),
                    "parameters": {name: values.tolist() for name, values in shape.parameters.items()},
                }
                for shape in found
            ]
            for path, found in self.history.items()
        }
        told = {"name": self.name, "act": self.act, "seed": self.seed, "trained": self.was_trained, "split": self.split}
        return {
            **told,
            "importance": self.importance.to_dict(),
            "shapes": [shape.to_dict() for shape in self.shapes],
            "history": states,
        }


def appraise(
    source: str | Path | Task,
    *,
    act: str | Spec | None = None,
    seed: int = 0,
    samples: int = 1000,
    measure: str = "loss",
    tolerance: float | None = None,
    per_channel: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Appraisal:
    """Train a task's model as a trial does, or take a file's model as it is, and measure what its activations are worth.

    Lines are fitted to samples of the training split; the model is judged on the validation split, or on the test split where there is
    no other: then what is chosen here must be confirmed on other data.

    Args:
        source: name of a task, a task, or path of a Python file; see :mod:`actlab.tasks.trained_model_source`.
        act: an activation to put at the model's sites before it is trained.
        seed: of data, weights and order.
        samples: at most so many for the fit, and so many for the judgement, drawn with the seed.
        measure: "loss" (of the task), "metric" (of the task, of single samples), or as in :func:`actlab.importance`.
        tolerance: as in :func:`actlab.importance`.
        per_channel: as in :func:`actlab.importance`.
        progress: called with a word on what is done now.

    Raises:
        TaskError: the task cannot be used, or its training diverged.
        PlanError: ``act`` is given for a model that is trained already, or ``measure``, ``samples`` or ``tolerance``
            make no sense.
        SiteError: no site can be exchanged.

    Example:
        >>> found = appraise("digits", samples=100)
        >>> found.split, len(found.importance)
        ('validation', 4)
    """
    if samples < 2:
        raise PlanError(f"samples is how many the model is judged on, 2 or more; got {samples!r}.")
    check_settings(ALPHA, tolerance)
    given = material(source, seed)
    wanted = _measure(given, measure)
    split: Literal["validation", "test"] = "validation" if given.data.validation is not None else "test"
    held = given.data.validation if given.data.validation is not None else given.data.test
    progress("training")
    model, record = _model(given, act, seed)
    fit, judge = (_batches(part, samples, seed) for part in (given.data.train, held))
    found = importance(
        model,
        judge,
        calibration=fit,
        measure=wanted,
        tolerance=tolerance,
        alpha=ALPHA,
        per_channel=per_channel,
        progress=progress,
    )
    curves = shapes(model, fit)
    history = {} if record is None else {curve.path: record.history(curve.path, curve.x) for curve in curves}
    return Appraisal(
        name=given.name,
        act=None if act is None else arm_of(act).label,
        seed=seed,
        was_trained=given.task is not None,
        split=split,
        importance=found,
        shapes=tuple(curves),
        history=history,
    )


def _model(given: Material, act: str | Spec | None, seed: int) -> tuple[nn.Module, Shapes | None]:
    """Return the model, trained, and what was recorded of its shapes."""
    if given.model is not None:
        if act is not None:
            raise PlanError(
                f"{given.name} comes with a model that is trained; another activation in it needs training. Swap it there with "
                "actlab.swap_ and train, or write a task: docs/how_to/own_task.md."
            )
        return given.model, None
    task = given.task
    assert task is not None  # noqa: S101 # the material has one of the two
    records: list[Shapes] = []

    def watch(model: nn.Module) -> AbstractContextManager[Any]:
        if not shapes(model, points=2):
            return nullcontext()
        records.append(Shapes(model, every=max(1, _steps(task, len(given.data.train)) // _STATES)))
        return records[0]

    arm = None if act is None else arm_of(act)
    with user_code(f"training {given.name}"):
        model = trained(task, seed, arm=arm, watch=watch)
    return model, records[0] if records else None


def _steps(task: Task, examples: int) -> int:
    """Return about how many steps a training has."""
    planned = task.epochs * math.ceil(examples / task.batch_size)
    return planned if task.steps is None else min(planned, task.steps)


def _batches(split: Split, samples: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Return samples that a seed draws, in batches."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:samples]
    return [(split.x[index], split.y[index]) for index in order.split(_BATCH)]  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _measure(given: Material, wanted: str) -> Measure | None:
    """Return the measure that is meant; None where the targets decide."""
    if wanted == "metric":
        if given.task is None:
            raise PlanError(f"{given.name} is no task and has no metric; measure 'loss', or by a name: cross_entropy.")
        metric = _guarded(one_by_one(given.task.metric), f"metric of {given.name}, on single samples")
        return Measure(name=given.task.metric_name, of=metric, direction=given.task.direction)
    allowed = ("loss", "metric", *MEASURES)
    if wanted not in allowed:
        raise PlanError(
            f"There is no measure {wanted!r}.{did_you_mean(wanted, allowed)} Allowed: {', '.join(allowed)}."
        )
    if wanted != "loss":
        return MEASURES[wanted]
    if given.loss is None:
        return None
    return Measure(name="loss", of=_guarded(one_by_one(given.loss), f"loss of {given.name}, on single samples"))


def _guarded(function: Callable[[Any, Any], Tensor], what: str) -> Callable[[Any, Any], Tensor]:
    def run(output: Any, target: Any) -> Tensor:
        with user_code(what):
            return function(output, target)

    return run
