"""Measure importance and learned shapes of the activations of a trained model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from actlab.diagnostics.importance import ImportanceSettings, importance
from actlab.diagnostics.importance_result import Importance
from actlab.errors import PlanError, TaskError, did_you_mean
from actlab.nn.probes.learned_curves import Shape, Shapes, shapes
from actlab.studies.arm import MAIN_FUNCTION, Arm, ArmLike, parse_arm
from actlab.studies.trials.function_trial import train_by_function
from actlab.studies.trials.loop_trial import train_model
from actlab.system.display import Displayed
from actlab.tasks.data import Split
from actlab.tasks.loading.batch_parts import inputs_of_call, parts_of
from actlab.tasks.loading.loader import Loader
from actlab.tasks.loading.nested import description, row_count
from actlab.tasks.metrics.per_sample import MEASURES, Measure, one_by_one
from actlab.tasks.task import Task
from actlab.tasks.trained_model_source import ModelOrTask, load_model_or_task
from actlab.tasks.training.batches import step_count
from actlab.tasks.user_code import user_code

__all__ = ["Appraisal", "appraise"]

# error rate of the table of importances
ALPHA = 0.05
# samples in a forward pass
_BATCH = 256
# approximate number of recordings of adaptive activations during training
_STATES = 32
# forward passes between two recordings where the number of steps is not known
_EVERY = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Appraisal(Displayed):
    """Importance and learned shapes of the activations of one trained model.

    Attributes:
        name: of the task or file.
        act: activation put at sites of the model before training; None if they were not changed.
        seed: of data and training.
        was_trained: whether the model was trained here; False for one that came with its weights.
        split: the model was evaluated on.
        importance: of each site.
        shapes: curves of adaptive activations over the range of their inputs.
        history: those curves during training, by path, on the same grid; empty if nothing was trained.
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
        """Return all fields as data for JSON; of the curves during training only distances and parameters."""
        history = {
            path: [
                {
                    "step": shape.step,
                    "distance": shape.distance.tolist(),
                    "parameters": {name: values.tolist() for name, values in shape.parameters.items()},
                }
                for shape in recorded
            ]
            for path, recorded in self.history.items()
        }
        return {
            "name": self.name,
            "act": self.act,
            "seed": self.seed,
            "trained": self.was_trained,
            "split": self.split,
            "importance": self.importance.to_dict(),
            "shapes": [shape.to_dict() for shape in self.shapes],
            "history": history,
        }


def appraise(
    source: str | Path | Task,
    *,
    act: ArmLike | None = None,
    seed: int = 0,
    samples: int = 1000,
    measure: str = "loss",
    tolerance: float | None = None,
    per_channel: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Appraisal:
    """Train a task's model as in a trial, or load a trained model from a file, and measure importance and learned shapes.

    Lines are fitted to samples of the training split. The model is evaluated on the validation split or, without one, on the test split;
    choices made from that must be confirmed on other data.

    Args:
        source: name of a task, a task, or path of a Python file; see :mod:`actlab.tasks.trained_model_source`.
        act: activation for the sites of the model's main function before training, as in :func:`actlab.compare`; or ``"*=gelu"``, a map.
        seed: of data, weights, order and samples.
        samples: maximum number of samples for the fit, and for the evaluation.
        measure: "loss" (the task's), "metric" (the task's, of single samples), or as in :func:`actlab.importance`.
        tolerance: as in :func:`actlab.importance`.
        per_channel: as in :func:`actlab.importance`.
        progress: called with a description of the current work.

    Raises:
        TaskError: the task cannot be used, or its training diverged.
        PlanError: ``act`` is given for a model that is already trained, or ``measure``, ``samples`` or ``tolerance`` is out of range.
        SiteError: no site can be replaced.

    Example:
        >>> found = appraise("digits", samples=100)
        >>> found.split, len(found.importance)
        ('validation', 4)
    """
    if samples < 2:
        raise PlanError(f"samples is the number of samples the model is evaluated on, 2 or more; got {samples!r}.")
    settings = ImportanceSettings(tolerance=tolerance, alpha=ALPHA, per_channel=per_channel)
    loaded = load_model_or_task(source, seed)
    settings = replace(settings, measure=_measure(loaded, measure))
    progress("training")
    arm = None if act is None else parse_arm(act, MAIN_FUNCTION)
    model, recorder = _trained_model(loaded, arm, seed)
    calibration = _batches(loaded.data.train, samples, seed, parts=_parts_of_training(loaded, model))
    held_out = loaded.data.test if loaded.data.validation is None else loaded.data.validation
    evaluation = _batches(held_out, samples, seed, parts=_parts_of_evaluation(loaded))
    found = importance(model, evaluation, calibration=calibration, progress=progress, settings=settings)
    curves = shapes(model, calibration)
    return Appraisal(
        name=loaded.name,
        act=None if arm is None else arm.label,
        seed=seed,
        was_trained=loaded.task is not None,
        split="test" if loaded.data.validation is None else "validation",
        importance=found,
        shapes=tuple(curves),
        history={curve.path: recorder.history(curve.path, curve.x) for curve in curves} if recorder is not None else {},
    )


def _trained_model(loaded: ModelOrTask, arm: Arm | None, seed: int) -> tuple[nn.Module, Shapes | None]:
    """Return the trained model, and the recorder of its learned shapes if it was trained here and has any."""
    if loaded.model is not None:
        if arm is not None:
            raise PlanError(
                f"{loaded.name} contains a trained model, and another activation in it needs training. Swap it there with "
                "actlab.swap_ and train, or write a task: docs/how_to/own_task.md."
            )
        return loaded.model, None
    task = loaded.task
    assert task is not None  # noqa: S101 # exactly one of model and task is given
    recorders: list[Shapes] = []

    def watch(model: nn.Module) -> AbstractContextManager[Any]:
        if not shapes(model, points=2):
            return nullcontext()
        every = _EVERY if task.door == "function" else max(1, step_count(task, loaded.data.train) // _STATES)
        recorders.append(Shapes(model, every=every))
        return recorders[0]

    trained = train_by_function if task.door == "function" else train_model
    with user_code(f"training {loaded.name}"):
        model = trained(task, seed, arm=arm, watch=watch)
    return model, recorders[0] if recorders else None


def _parts_of_training(loaded: ModelOrTask, model: nn.Module) -> Callable[[Any, str], tuple[Any, Any]]:
    """Return what gives inputs and target of a batch of the training split, of which only the inputs are read."""
    step = None if loaded.task is None else loaded.task.step
    if step is None:
        return _inputs_and_target

    def of_step(batch: Any, of: str) -> tuple[Any, Any]:
        inputs = inputs_of_call(model, lambda: step(model, batch))
        return _inputs_and_target(batch, of) if inputs is None else (inputs, None)

    return of_step


def _parts_of_evaluation(loaded: ModelOrTask) -> Callable[[Any, str], tuple[Any, Any]]:
    """Return what gives inputs and target of a batch of the held-out split."""
    has_predict = loaded.task is not None and loaded.task.predict is not None

    def of_evaluation(batch: Any, of: str) -> tuple[Any, Any]:
        try:
            return _inputs_and_target(batch, of)
        except TaskError as error:
            if not has_predict:
                raise
            raise TaskError(
                f"Importance compares model(inputs) with a target, sample by sample, and does not call predict. A batch of {of} is "
                f"{description(batch)}, of which it does not know the target. After your training call "
                "actlab.importance(model, [(inputs, target), ...])."
            ) from error

    return of_evaluation


def _inputs_and_target(batch: Any, of: str) -> tuple[Any, Any]:
    parts = parts_of(batch, of)
    return parts.inputs, parts.target


def _batches(
    split: Split | Loader,
    samples: int,
    seed: int,
    *,
    parts: Callable[[Any, str], tuple[Any, Any]] = _inputs_and_target,
) -> list[tuple[Any, Any]]:
    """Return randomly drawn samples in batches of inputs and target; of a loader its first batches."""
    if isinstance(split, Loader):
        with user_code(f"Reading {split.of}"):
            return _first_batches(split, samples, parts)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:samples]
    return [(split.x[index], split.y[index]) for index in order.split(_BATCH)]  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _first_batches(split: Loader, samples: int, parts: Callable[[Any, str], tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    left = samples
    for batch in split.evaluation():
        found.append(parts(batch, split.of))
        left -= row_count(batch)
        if left <= 0:
            break
    return found


def _measure(loaded: ModelOrTask, name: str) -> Measure | None:
    """Return the measure of that name; None if it follows from the targets."""
    if name == "metric":
        if loaded.task is None:
            raise PlanError(
                f"{loaded.name} is not a task and has no metric. Allowed measures: {', '.join(('loss', *MEASURES))}."
            )
        if not loaded.task.has_metric:
            raise PlanError(
                f"{loaded.name} trains by its own function, which brings no metric of single samples. Allowed measures: "
                f"{', '.join(MEASURES)}."
            )
        metric = _with_user_errors(one_by_one(loaded.task.result_metric), f"metric of {loaded.name}, on single samples")
        return Measure(name=loaded.task.metric_name, of=metric, direction=loaded.task.direction)
    allowed = ("loss", "metric", *MEASURES)
    if name not in allowed:
        raise PlanError(f"There is no measure {name!r}.{did_you_mean(name, allowed)} Allowed: {', '.join(allowed)}.")
    if name != "loss":
        return MEASURES[name]
    if loaded.loss is None and loaded.task is not None and loaded.task.door == "loop":
        raise PlanError(
            f"{loaded.name} has step(model, batch) and no loss(output, target), so that the loss of single samples is not known. Choose "
            f"another measure: {', '.join(('metric', *MEASURES))}."
        )
    if loaded.loss is None:
        return None
    loss = _with_user_errors(one_by_one(loaded.loss), f"loss of {loaded.name}, on single samples")
    return Measure(name="loss", of=loss)


def _with_user_errors(function: Callable[[Any, Any], Tensor], what: str) -> Callable[[Any, Any], Tensor]:
    """Report exceptions of a user's function with the line where they were raised."""

    def run(output: Any, target: Any) -> Tensor:
        with user_code(what):
            return function(output, target)

    return run
