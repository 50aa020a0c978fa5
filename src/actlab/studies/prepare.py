"""Dry run of a study, which checks the plan, the task and every arm, and trains nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from actlab.errors import ActlabError, PlanError
from actlab.evaluate.data_audit import count_duplicates
from actlab.nn.transforms.changes import Changes
from actlab.studies.arm import ArmLike
from actlab.studies.plan import Plan, make_plan
from actlab.studies.settings import LR_FACTORS, TUNING_SEEDS, StudyOptions, StudySettings, parse_budget
from actlab.studies.trial import build_model
from actlab.system import cores
from actlab.system.display import Displayed
from actlab.tasks import check, resolve
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.task import Data, Task

__all__ = ["Draft", "draft"]


@dataclass(frozen=True, kw_only=True)
class Draft(Displayed):
    """A study that is checked and not started.

    Attributes:
        name: of the study.
        plan: its plan.
        task: its task.
        trials: largest number of trials.
        jobs: number of worker processes.
        budget: seconds, or None.
        hygiene: numbers of duplicates between the data's splits, see :func:`actlab.evaluate.data_audit.count_duplicates`.
    """

    name: str
    plan: Plan
    task: Task
    trials: int
    jobs: int
    budget: float | None
    hygiene: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the draft as plain values, ready for JSON."""
        return {
            "study": self.name,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in self.plan.summary().items()},
            "trials": self.trials,
            "jobs": self.jobs,
            "budget": self.budget,
            "fingerprint": self.plan.fingerprint,
        }


def draft(
    task: str | Path | Task,
    arms: Iterable[ArmLike],
    *,
    budget: str | float | None = None,
    jobs: int | None = None,
    name: str | None = None,
    settings: StudySettings | None = None,
    **options: Unpack[StudyOptions],
) -> Draft:
    """Make all checks of :func:`actlab.compare`, and train nothing.

    Args:
        task: as for :func:`actlab.compare`, like all other arguments.
        arms: the arms to compare.
        budget: time after which no trial is started.
        jobs: number of worker processes.
        name: of the study.
        settings: settings of the plan.
        options: fields of :class:`~actlab.studies.settings.StudySettings`.

    Raises:
        UnknownNameError, SpecError, PlanError, TaskError: an argument is wrong; the message says what to change.

    Example:
        >>> draft("digits", ["relu", "gelu"], seeds=6).trials
        12
    """
    resolved = resolve(task)
    plan = make_plan(resolved, arms, settings=settings, **options)
    seconds, workers = parse_budget(budget), _check_jobs(jobs)
    data = check(resolved, seed=plan.seeds[0])
    _check_tuning(plan, resolved, data)
    _check_arms_fit(plan, resolved, data)
    tuning_trials = len(plan.arms) * len(LR_FACTORS) * len(TUNING_SEEDS) if plan.tune else 0
    return Draft(
        name=_check_name(name) or f"{resolved.name.replace(':', '-')}-{plan.fingerprint[:8]}",
        plan=plan,
        task=resolved,
        trials=tuning_trials + len(plan.arms) * len(plan.seeds),
        jobs=workers,
        budget=seconds,
        hygiene=count_duplicates(data),
    )


def _check_jobs(jobs: int | None) -> int:
    if jobs is None:
        return cores.available()
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise PlanError(
            f"jobs is {jobs!r}; a whole number from 1 up is needed (this machine has {cores.available()} cores)."
        )
    return jobs


def _check_name(name: str | None) -> str | None:
    if name is not None and not (isinstance(name, str) and 0 < len(name.strip()) <= 200 and name.isprintable()):
        raise PlanError(f"The name {name!r} cannot be used; a line of 1 to 200 characters is needed.")
    return None if name is None else name.strip()


def _check_tuning(plan: Plan, task: Task, data: Data) -> None:
    if plan.tune and data.validation is None and task.curve_metric is None:
        raise PlanError(
            f"tune='lr' needs a validation split, and {task.name} has none: learning rates chosen on the test split would bias every "
            "result. Return a validation split from data(seed), or omit tune."
        )


def _check_arms_fit(plan: Plan, task: Task, data: Data) -> None:
    """Swap every arm into a model that is discarded.

    Raises:
        PlanError: an arm does not fit, or does not replace a site that another arm replaces.
    """
    batch = data.train.x[: task.batch_size]
    skipped: dict[str, Mapping[str, str]] = {}
    with one_thread(), isolated(plan.seeds[0]):
        for arm in plan.arms:
            try:
                _, changes = build_model(task, arm, plan.seeds[0], init=plan.init, batch=batch)
            except ActlabError as error:
                raise PlanError(f"The arm {arm.label} does not fit the model of {task.name}. {error}") from error
            skipped[arm.label] = _skipped_sites(changes)
    for label, sites in skipped.items():
        for others in skipped.values():
            for site in sites.keys() - others.keys():
                raise PlanError(
                    f"The arm {label} does not replace the site {site} ({sites[site]}), which other arms replace, so the arms are not "
                    "comparable. Omit the arm, or name the sites in a map."
                )


def _skipped_sites(changes: Changes) -> dict[str, str]:
    return {skipped.site.path: skipped.reason for skipped in changes.skipped}
