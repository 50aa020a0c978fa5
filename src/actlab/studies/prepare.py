"""Dry run of a study, which checks the plan, the task and every arm, and trains nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from actlab.errors import ActlabError, PlanError
from actlab.evaluate.audit.study_check import check_for_study
from actlab.evaluate.axis import Axis
from actlab.evaluate.axis_registry import axes_named
from actlab.evaluate.axis_run import try_own_axes
from actlab.nn.sites.dry_run import Inputs
from actlab.studies.arm import MAIN_FUNCTION, UNCHANGED, Arm, ArmLike, arm_to_dict
from actlab.studies.arm_model import TriedModel, build_model, swap_of
from actlab.studies.plan import Plan, make_plan, parse_arms
from actlab.studies.repeated_swap import RepeatedSwap
from actlab.studies.settings import StudyOptions, StudySettings, parse_budget, parse_sites
from actlab.studies.site_list import StudySite, list_sites
from actlab.studies.source_files import source_files
from actlab.studies.stackable import outline
from actlab.studies.target import TargetChoice, choose_target, parse_target
from actlab.studies.trial_inputs import study_inputs
from actlab.studies.tried_arms import SwapOutline, TriedArms, outline_arms
from actlab.system.display import Displayed
from actlab.system.duration import parse_interval
from actlab.system.name_list import listed
from actlab.system.options import from_options
from actlab.tasks import resolve
from actlab.tasks.checks.check import check
from actlab.tasks.checks.function_check import check_function, check_takes_rate
from actlab.tasks.checks.loop_settings import check_rate_matters
from actlab.tasks.data import Data
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.registry import TaskSource
from actlab.tasks.scripts.rehearsal import rehearse
from actlab.tasks.scripts.saved_files import warn_of_saved_files
from actlab.tasks.scripts.script import check_rate_given, warn_of_seed
from actlab.tasks.task import Task
from actlab.tasks.training.batches import first_inputs, step_count, steps_per_epoch
from actlab.tasks.training.devices import Hardware, choose_hardware, has_unused_card
from actlab.tasks.training.recorder import LOSS
from actlab.tasks.training_function.function_task import FunctionOptions, task_and_options

__all__ = ["CompareOptions", "Draft", "draft"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Draft(Displayed):
    """A study that is checked and not started.

    Attributes:
        name: of the study.
        plan: its plan.
        task: its task.
        trials: largest number of trials.
        jobs: number of trials that run at the same time.
        budget: seconds, or None.
        hygiene: what a fast audit of the data found, see :func:`actlab.evaluate.audit.study_check.check_for_study`.
        sites: every activation site of the model, with what the arms do to it.
        trial_limit: seconds after which a trial is ended, or None for a limit derived from the other trials.
        checkpoint_every: seconds between two checkpoints of a trial, or None for none.
        inputs: digests of the modules that the task imports and of the first seed's data.
        stack: as asked for.
        stacking: whether trials are trained as stacks, in words.
        accept_changes: whether a stored study goes on although these have changed.
        target: how the study comes to its target of convergence, if it is a new one.
        steps_per_epoch: training steps of an epoch; None where the task trains by itself.
        hardware: where the trials run.
        axes: on which the trained models are judged beside the metric.
    """

    name: str
    plan: Plan
    task: Task
    trials: int
    jobs: int
    budget: float | None
    hygiene: Mapping[str, Any]
    sites: tuple[StudySite, ...] = ()
    trial_limit: float | None = None
    checkpoint_every: float | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    stack: bool | None = None
    stacking: str = ""
    accept_changes: bool = False
    target: TargetChoice = field(default_factory=TargetChoice)
    steps_per_epoch: int | None = None
    hardware: Hardware = field(default_factory=Hardware)
    axes: tuple[Axis, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the draft as plain values, ready for JSON."""
        return {
            "study": self.name,
            **({"script": self.task.script} if self.task.script else {}),
            **{name: list(value) if isinstance(value, tuple) else value for name, value in self.plan.summary().items()},
            "trials": self.trials,
            "jobs": self.jobs,
            "devices": list(self.hardware.devices),
            "threads": self.hardware.threads,
            "stacks": self.stacking,
            "budget": self.budget,
            "fingerprint": self.plan.fingerprint,
            "target": self.target.to_fact(),
            **({"axes": [axis.name for axis in self.axes]} if self.axes else {}),
            "sites": [site.to_dict() for site in self.sites],
        }


class CompareOptions(StudyOptions, FunctionOptions, total=False):
    """Keyword options of :func:`draft` and :func:`actlab.compare`."""


def draft(
    task: str | Path | Task | TaskSource | Callable[..., Any],
    arms: Iterable[ArmLike],
    *,
    budget: str | float | None = None,
    jobs: int | None = None,
    name: str | None = None,
    settings: StudySettings | None = None,
    **options: Unpack[CompareOptions],
) -> Draft:
    """Make all checks of :func:`actlab.compare`, and train nothing.

    Args:
        task: as for :func:`actlab.compare`, like all other arguments.
        arms: the arms to compare.
        budget: time after which no trial is started.
        jobs: number of worker processes.
        name: of the study.
        settings: settings of the plan.
        options: fields of :class:`~actlab.studies.settings.StudySettings`, and what goes with a training function.

    Raises:
        UnknownNameError, SpecError, PlanError, TaskError: an argument is wrong; the message says what to change.

    Example:
        >>> draft("digits", ["relu", "gelu"], seeds=6).trials  # with the pilot trial of the baseline
        13
    """
    source, asked = task_and_options(task, options)
    resolved = resolve(source)
    chosen = from_options(StudySettings, settings, asked)
    parsed = parse_arms(arms, MAIN_FUNCTION if chosen.sites is None else chosen.sites)
    checked = _checked_plan(resolved, parsed, chosen)
    seconds, limit = parse_budget(budget), parse_budget(chosen.trial_limit, "trial_limit")
    target, hardware = _target(checked, chosen), _hardware(resolved, jobs, chosen)
    named = parsed if chosen.baseline is None else checked.arms
    data, tried = _data_and_arms(resolved, named, chosen, seed=checked.seeds[0], limit=limit, jobs=hardware.jobs)
    _check_target(target, resolved, data)
    plan, sites = _plan_for(resolved, tried, chosen)
    _check_tuning(plan, resolved, data)
    return Draft(
        name=_check_name(name) or f"{resolved.name.replace(':', '-')}-{plan.fingerprint[:8]}",
        plan=plan,
        task=resolved,
        trials=plan.tuning_trials + int(target.by_pilot and plan.tune is None) + len(plan.arms) * len(plan.seeds),
        jobs=hardware.jobs,
        budget=seconds,
        hygiene={} if data is None else check_for_study(resolved, data),
        sites=sites,
        trial_limit=limit,
        checkpoint_every=parse_interval(chosen.checkpoint_every, "checkpoint_every"),
        inputs=study_inputs(resolved, data, plan.seeds[0]),
        stack=chosen.stack,
        stacking=outline(resolved, plan.arms, data, hardware, stack=chosen.stack),
        accept_changes=chosen.accept_changes,
        target=target,
        steps_per_epoch=None if data is None else steps_per_epoch(resolved, data.train),
        hardware=hardware,
        axes=_axes(resolved, chosen, data, plan.seeds[0]),
    )


def _data_and_arms(
    task: Task, arms: Sequence[Arm], chosen: StudySettings, *, seed: int, limit: float | None, jobs: int
) -> tuple[Data | None, TriedArms]:
    """Check the task and try every arm; return the data, where they are known, and what the arms do."""
    if task.door == "script":
        return None, _rehearsed_arms(task, arms, chosen, seed=seed, limit=limit, jobs=jobs)
    if task.door == "function":
        warn_of_saved_files(task, _texts(task), jobs=jobs)
        return None, _tried_arms(task, arms, chosen, batch=check_function(task, seed=seed), seed=seed)
    data = check(task, seed=seed)
    return data, _tried_arms(task, arms, chosen, batch=first_inputs(task, data.train, seed), seed=seed)


def _target(plan: Plan, chosen: StudySettings) -> TargetChoice:
    given = parse_target(chosen.target, plan.metric, plan.direction)
    return choose_target(chosen.target, given, seeds=len(plan.seeds), alpha=plan.alpha, tuned=plan.tune is not None)


def _axes(task: Task, chosen: StudySettings, data: Data | None, seed: int) -> tuple[Axis, ...]:
    """Return the axes that are asked for, after a try of the user's own.

    Raises:
        PlanError: the task's models are not built here, there are no data to judge them on, or an own axis raises.
    """
    axes = tuple(axis.of_task(task) for axis in axes_named(chosen.evaluate))
    if axes and not task.has_data:
        remedy = (
            "judge the models that the script saves with actlab evaluate, and compare without --evaluate"
            if task.door == "script"
            else "define data(seed) beside the training function, which returns the splits as for a task of ActLab"
        )
        raise PlanError(
            f"The axes {listed(axis.name for axis in axes)} need data, and {task.name} brings none: {remedy}."
        )
    if data is not None:
        try_own_axes(axes, task, data, seed)
    return axes


def _check_target(choice: TargetChoice, task: Task, data: Data | None) -> None:
    if choice.target is None or choice.target.is_loss:
        return
    if task.train is not None and task.metric_name == LOSS:
        why = f"what the training function {task.name} reports as {LOSS} is the training loss"
    elif data is None:
        return
    elif task.curve_metric is not None:
        why = f"the {task.metric_name} of {task.name} is one number for a whole training"
    elif data.validation is None:
        why = f"{task.name} has no validation split on which it could be evaluated during the training"
    else:
        return
    raise PlanError(
        f"The target is {choice.target}, and {why}. Give a target of the training loss, as in --target {LOSS}=0.1, or none."
    )


def _checked_plan(task: Task, arms: Sequence[Arm], chosen: StudySettings) -> Plan:
    """Check the settings before the task's code runs, and return the plan as far as it is known without a model."""
    baseline = UNCHANGED if chosen.baseline is None else chosen.baseline
    return make_plan(task, arms, settings=replace(chosen, baseline=baseline))


def _hardware(task: Task, jobs: int | None, chosen: StudySettings) -> Hardware:
    """Return where the trials run; say so if that is the CPU although nobody has chosen it and there is a card."""
    settings: dict[str, Any] = {"jobs": jobs, "jobs_per_device": chosen.jobs_per_device, "threads": chosen.threads}
    hardware = choose_hardware(chosen.device, default=task.device, **settings)
    if chosen.device is None and task.device is None and has_unused_card(hardware):
        where = "share the card, where the script uses it" if task.door == "script" else "run on the CPU"
        gain = "gives it to one trial at a time" if task.door == "script" else "uses it"
        _log.warning("The trials %s. This machine has a card: --device auto (device='auto') %s.", where, gain)
    return hardware


def _check_name(name: str | None) -> str | None:
    if name is not None and not (isinstance(name, str) and 0 < len(name.strip()) <= 200 and name.isprintable()):
        raise PlanError(f"The name {name!r} cannot be used; a line of 1 to 200 characters is needed.")
    return None if name is None else name.strip()


def _check_tuning(plan: Plan, task: Task, data: Data | None) -> None:
    if plan.tune and task.door == "function":
        check_takes_rate(task)
    elif plan.tune and data is None:
        check_rate_given(task)
    elif plan.tune and data is not None and data.validation is None and task.curve_metric is None:
        raise PlanError(
            f"tune='lr' needs a validation split, and {task.name} has none: learning rates chosen on the test split would bias every "
            "result. Return a validation split from data(seed), or omit tune."
        )
    elif plan.tune and data is not None:
        with isolated(plan.seeds[0]):
            check_rate_matters(task, task.model(plan.seeds[0]), step_count(task, data.train))


def _tried_arms(
    task: Task, arms: Sequence[Arm], chosen: StudySettings, *, batch: Inputs | None, seed: int
) -> TriedArms:
    """Try every arm on a model of the task.

    Raises:
        PlanError: an arm does not fit.
    """
    patterns = None if chosen.sites is None else parse_sites(chosen.sites)
    with one_thread(), isolated(seed):
        tried = _tried_model(task, seed, batch)
        found = outline_arms(tried, arms, patterns, lambda arm: _swap(task, arm, tried))
        if chosen.init == "matched":  # draws weights by what it finds in the model, which may be impossible
            for arm in found.arms:
                with _fitting(task, arm):
                    build_model(task, arm, seed, init=chosen.init, batch=batch)
    return found


def _texts(task: Task) -> dict[Path, str]:
    """Return the texts of the user's files behind a task."""
    return {file: file.read_text(encoding="utf-8", errors="replace") for file in source_files(task)}


def _rehearsed_arms(
    task: Task, arms: Sequence[Arm], chosen: StudySettings, *, seed: int, limit: float | None, jobs: int
) -> TriedArms:
    """Try every arm on the model of a script, in the script's process.

    Raises:
        TaskError: the script does not get to its model, or an arm does not fit.
    """
    texts = _texts(task)
    warn_of_seed(task, texts.values())
    warn_of_saved_files(task, texts, jobs=jobs)
    sites = None if chosen.sites is None else list(parse_sites(chosen.sites))
    request = {"arms": [arm_to_dict(arm) for arm in arms], "sites": sites, "seed": seed, "init": chosen.init}
    return TriedArms.from_dict(rehearse(task, request, limit=limit), arms)


def _plan_for(task: Task, tried: TriedArms, chosen: StudySettings) -> tuple[Plan, tuple[StudySite, ...]]:
    """Choose the baseline, and return the plan and all sites of the model.

    Raises:
        PlanError: an arm does not replace a site that another arm replaces.
    """
    settings = replace(chosen, sites=tried.patterns)
    if chosen.baseline is None:
        as_it_is = (arm.label for arm in tried.arms if arm.is_unchanged or tried.swaps[arm.label].is_empty)
        settings = replace(settings, baseline=next(as_it_is, UNCHANGED))
    plan = make_plan(task, tried.arms, settings=settings)
    _check_same_sites(tried.swaps)
    return plan, list_sites(tried)


def _tried_model(task: Task, seed: int, batch: Inputs | None) -> TriedModel:
    tried = TriedModel.of(task, seed, batch)
    try:
        _ = tried.roles
    except ActlabError as error:
        raise PlanError(f"The activations in the model of {task.name} cannot be looked up. {error}") from error
    return tried


@contextmanager
def _fitting(task: Task, arm: Arm) -> Iterator[None]:
    """Say which arm does not fit."""
    try:
        yield
    except ActlabError as error:
        raise PlanError(f"The arm {arm.label} does not fit the model of {task.name}. {error}") from error


def _swap(task: Task, arm: Arm, tried: TriedModel) -> RepeatedSwap:
    with _fitting(task, arm):
        return swap_of(task, arm, tried.seed, batch=tried.batch, like=tried.model, tried=tried)


def _check_same_sites(swaps: Mapping[str, SwapOutline]) -> None:
    """Raise if an arm cannot replace a site that another arm replaces."""
    replaced = {path for swap in swaps.values() for path in swap.changed}
    for label, swap in swaps.items():
        for path, reason in swap.skipped.items():
            if path in replaced:
                raise PlanError(
                    f"The arm {label} does not replace the site {path} ({reason}), which other arms replace, so the "
                    "arms are not comparable. Omit the arm, or name the sites in a map."
                )
