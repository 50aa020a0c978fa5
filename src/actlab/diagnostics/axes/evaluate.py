"""Measure one trained model on axes, by a task that trains it, a file, or the module itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

from torch import nn

from actlab.diagnostics.axes.default_metric import default_settings
from actlab.diagnostics.axes.evaluation import Evaluation
from actlab.errors import ActlabError, PlanError, TaskError
from actlab.evaluate.audit.finding import data_warnings
from actlab.evaluate.audit.study_check import check_for_study
from actlab.evaluate.axis import Axis
from actlab.evaluate.axis_registry import AxisLike, axes_named
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.studies.arm import MAIN_FUNCTION, UNCHANGED, ArmLike, parse_arm
from actlab.studies.trials.function_trial import train_by_function
from actlab.studies.trials.loop_trial import train_model, untrained_model
from actlab.studies.trials.measurements import TrialSettings
from actlab.system.display import shown_count
from actlab.system.options import from_options
from actlab.tasks.checks.check import check_axis_settings, check_settings
from actlab.tasks.data import Data, as_data
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.loading.nested import row_count
from actlab.tasks.task import Task
from actlab.tasks.trained_model_source import load_model_or_task
from actlab.tasks.user_code import one_line, user_line

__all__ = ["EvaluateOptions", "EvaluateSettings", "evaluate"]


class EvaluateOptions(TypedDict, total=False):
    """Keyword options of :func:`evaluate`; see :class:`EvaluateSettings`."""

    data: Any
    act: ArmLike | None
    seed: int
    loss: Callable[..., Any] | None
    metric: Callable[..., Any] | None
    direction: str | None
    predict: Callable[..., Any] | None
    output_kind: str | None
    input_kind: str | None
    groups: Any
    out_of_distribution: Callable[[int], Any] | None


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Settings of :func:`evaluate`. All but ``act`` and ``seed`` go with a module, or replace what a file with a trained model defines.

    Attributes:
        data: splits of the module's data, in a form that ``data(seed)`` of a task may return.
        act: activation for the sites of a task's model before training, as in :func:`actlab.compare`.
        seed: of data, training, and everything that an axis draws.
        loss: of (output, target); by default cross-entropy for integer targets and the squared error otherwise.
        metric: of (output, target) of the whole test split; by default accuracy, or the mean squared error.
        direction: "max" where a larger metric is better, "min" where a smaller one is.
        predict: as of a task.
        output_kind: as of a task.
        input_kind: as of a task.
        groups: as of a task.
        out_of_distribution: as of a task.
    """

    data: Any = None
    act: ArmLike | None = None
    seed: int = 0
    loss: Callable[..., Any] | None = None
    metric: Callable[..., Any] | None = None
    direction: str | None = None
    predict: Callable[..., Any] | None = None
    output_kind: str | None = None
    input_kind: str | None = None
    groups: Any = None
    out_of_distribution: Callable[[int], Any] | None = None


def evaluate(
    model: str | Path | Task | nn.Module,
    axes: AxisLike | Sequence[AxisLike] = "all",
    *,
    progress: Callable[..., Any] | bool | None = None,
    settings: EvaluateSettings | None = None,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Measure one trained model on its metric and on axes, such as calibration and robustness. The model is as before afterwards.

    Args:
        model: name of a task or path of its file, whose model is trained first; path of a file with a trained ``model`` and ``data``; or a
            trained module, with ``data=``.
        axes: names, "all", Python files with axes of one's own, or these axes; see :func:`actlab.evaluate.axis_registry.axes_named`.
        progress: called with the number of axes done, of all, and the current one; True for a display on stderr, False for none. By
            default a display on a terminal or in a notebook.
        settings: data, activation, seed and what outputs and inputs are; see :class:`EvaluateSettings`.
        options: single settings.

    Returns:
        The numbers by axis and column, with reasons for those that are undefined.

    Raises:
        UnknownNameError: there is no such task or axis.
        TaskError: the model or its data cannot be used.
        PlanError: a setting goes with another kind of model.

    Example:
        >>> import torch
        >>> net = nn.Linear(4, 3)
        >>> part = torch.randn(50, 4), torch.randint(3, (50,))
        >>> found = evaluate(net, "calibration,groups", data={"train": part, "test": part})
        >>> found.metric, 0 <= found["groups", "worst_group"] <= 1
        ('accuracy', True)
    """
    chosen = from_options(EvaluateSettings, settings, options)
    named = _axes_of_one_model(axes)
    with shown_count(progress, "axes") as show:
        tell = show or (lambda *_: None)
        tell(0, len(named), "training")
        subject = _subject(model, chosen)
        return _measured(subject, named, chosen.seed, tell)


def _axes_of_one_model(wanted: AxisLike | Sequence[AxisLike]) -> tuple[Axis, ...]:
    """Return the axes that are wanted; "all" is without those of several trainings.

    Raises:
        PlanError: one of several trainings is named, or there are none.
    """
    named = axes_named(wanted)
    found = tuple(axis for axis in named if axis.level != "study")
    of_all = {axis.name for axis in axes_named("all")} if _names_all(wanted) else set()
    if others := [axis.name for axis in named if axis.level == "study" and axis.name not in of_all]:
        names = ", ".join(others)
        raise PlanError(f"{names} is of several trainings: actlab compare TASK ... --evaluate {names}.")
    if not found:
        raise PlanError("There are no axes to evaluate; name some, such as calibration,robustness, or all.")
    return found


def _names_all(wanted: Any) -> bool:
    """Return whether "all" is among names, of which those of several trainings are then left out."""
    if isinstance(wanted, str):
        return "all" in [part.strip() for part in wanted.split(",")]
    return isinstance(wanted, Sequence) and any(map(_names_all, wanted))


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """A trained model, with a task that says how it is judged."""

    task: Task
    model: nn.Module
    data: Data
    act: str | None = None
    was_trained: bool = False
    seconds: float = 0.0
    build: Callable[[], nn.Module] | None = None


def _measured(subject: _Subject, named: tuple[Axis, ...], seed: int, tell: Callable[..., Any]) -> Evaluation:
    task, model = subject.task, subject.model
    axes = tuple(axis.of_task(task) for axis in named)
    training = [module.training for module in model.modules()]
    results: dict[str, dict[str, Any]] = {}
    try:
        with one_thread(), isolated(seed):
            model.eval()
            data = EvaluationData(task, model, subject.data, seed=seed, build=subject.build)
            value = _metric(task, data)
            for done, axis in enumerate(axes):
                tell(done, len(axes), axis.name)
                results[axis.name] = run_axis(axis, model, data)
    finally:
        for module, mode in zip(model.modules(), training, strict=True):
            module.training = mode
    tell(len(axes), len(axes), "")
    return Evaluation(
        name=task.name,
        act=subject.act,
        seed=seed,
        was_trained=subject.was_trained,
        metric=task.evaluated_name,
        value=value,
        test_examples=None if value is None else row_count(data.targets),
        axes=axes,
        results=results,
        forward_examples=data.forward_examples,
        seconds={"training": subject.seconds} | {name: result["seconds"] for name, result in results.items()},
        warnings=tuple(data_warnings(check_for_study(task, subject.data))),
    )


def _metric(task: Task, data: EvaluationData) -> float | None:
    if not task.has_metric:
        return None
    try:
        value = data.metric(data.outputs)
    except ActlabError:
        raise
    except Exception as error:  # user code may raise anything
        raise TaskError(
            f"The model of {task.name}, or its metric, raised on the test split in evaluation mode: {one_line(error)}{user_line(error)}"
        ) from error
    return value if math.isfinite(value) else None


def _subject(source: str | Path | Task | nn.Module, chosen: EvaluateSettings) -> _Subject:
    given = {field.name for field in fields(chosen) if getattr(chosen, field.name) is not None} - {"seed", "act"}
    if isinstance(source, nn.Module):
        if chosen.act is not None:
            raise PlanError("act is the activation with which a task is trained; this model is trained already.")
        if chosen.data is None:
            raise TaskError(
                "A module is evaluated on data: actlab.evaluate(model, data={'train': (x, y), 'test': (x, y)}). Datasets and loaders may "
                "stand in the place of (x, y)."
            )
        data = as_data(chosen.data, of=type(source).__name__, seed=chosen.seed)
        return _Subject(task=_judge(type(source).__name__, source, data, chosen, {}), model=source, data=data)
    loaded = load_model_or_task(source, chosen.seed)
    if loaded.model is not None:
        if chosen.act is not None:
            raise PlanError(
                f"act is the activation with which a task is trained; {source} has a model that is trained already."
            )
        data = loaded.data if chosen.data is None else as_data(chosen.data, of=loaded.name, seed=chosen.seed)
        task = _judge(loaded.name, loaded.model, data, chosen, loaded.settings)
        return _Subject(task=task, model=loaded.model, data=data)
    if given:
        raise PlanError(f"{', '.join(sorted(given))} goes with a trained model; a task says these itself.")
    return _trained(loaded.task, loaded.data, chosen)


def _trained(task: Task | None, data: Data, chosen: EvaluateSettings) -> _Subject:
    if task is None:
        raise TaskError("There is neither a task nor a model.")
    check_settings(task)
    arm = None if chosen.act is None else parse_arm(chosen.act, MAIN_FUNCTION)
    started = time.perf_counter()
    train = train_by_function if task.door == "function" else train_model
    model = train(task, chosen.seed, arm=arm)
    spent = time.perf_counter() - started
    label = None if arm is None else arm.label
    build = None
    if task.door == "loop":
        build = partial(
            untrained_model,
            task,
            arm or parse_arm(UNCHANGED),
            data,
            TrialSettings(seed=chosen.seed, lr=task.learning_rate),
        )
    return _Subject(task=task, model=model, data=data, act=label, was_trained=True, seconds=spent, build=build)


def _judge(name: str, model: nn.Module, data: Data, chosen: EvaluateSettings, of_file: Mapping[str, Any]) -> Task:
    """Return a task that judges a trained model by what is given, what its file defines, or defaults by the targets' dtype."""
    own = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    known = dict(of_file) | {
        name: value for name, value in own.items() if value is not None and name not in {"data", "act", "seed"}
    }
    if ("metric" in known or "metrics" in known) and "direction" not in known:
        raise PlanError(
            "A metric of one's own needs direction='max' or 'min': whether a larger or a smaller one is better."
        )
    if known.get("direction") not in {None, "max", "min"}:
        raise PlanError(f"direction is {known['direction']!r}; allowed are 'max' (larger is better) and 'min'.")
    task = Task(name=name, model=lambda _: model, data=lambda _: data, **(default_settings(data, known) | known))
    check_axis_settings(task)
    return task
