"""The draft: a study that has been checked in every respect and not begun."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from actlab.errors import ActlabError, PlanError
from actlab.evaluate.data_audit import count_duplicates
from actlab.functions.spec import Spec
from actlab.nn.transforms.changes import Changes
from actlab.studies.plan import LR_FACTORS, TUNING_SEEDS, Arm, Plan, make_plan, parse_budget
from actlab.studies.trial import build_model
from actlab.tasks.isolation import one_thread
from actlab.system import cores
from actlab.tasks import check, resolve
from actlab.tasks.isolation import isolated
from actlab.tasks.task import Data, Task

__all__ = ["ArmLike", "Draft", "draft"]

ArmLike: TypeAlias = str | Spec | Mapping[str, str | Spec] | Arm


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A study that has been checked and not begun.

    Attributes:
        name: it would have.
        plan: its plan.
        task: its task.
        trials: the most it would run.
        jobs: worker processes.
        budget: seconds, or None.
        hygiene: what was found about the data.
    """

    name: str
    plan: Plan
    task: Task
    trials: int
    jobs: int
    budget: float | None
    hygiene: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return what a person or a program wants to read of it."""
        plan = self.plan
        return {
            "study": self.name,
            "task": plan.task,
            "metric": plan.metric,
            "direction": plan.direction,
            "arms": list(plan.labels),
            "baseline": plan.baseline,
            "seeds": list(plan.seeds),
            "init": plan.init,
            "tune": plan.tune,
            "alpha": plan.alpha,
            "rope": plan.rope,
            "trials": self.trials,
            "jobs": self.jobs,
            "budget": self.budget,
            "fingerprint": plan.fingerprint,
        }


def draft(
    task: str | Path | Task,
    arms: Iterable[ArmLike],
    *,
    budget: str | float | None = None,
    jobs: int | None = None,
    name: str | None = None,
    **settings: Any,
) -> Draft:
    """Check all that :func:`actlab.compare` would check, and train nothing.

    Args:
        task: as for :func:`actlab.compare`, like all the others.
        arms: what is compared.
        budget: time after which no trial is begun.
        jobs: worker processes.
        name: of the study.
        settings: of the plan, see :func:`actlab.studies.plan.make_plan`.

    Raises:
        UnknownNameError, SpecError, PlanError, TaskError: what to put right.

    Example:
        >>> draft("digits", ["relu", "gelu"], seeds=6).trials
        12
    """
    resolved = resolve(task)
    plan = make_plan(resolved, arms, **settings)
    seconds, workers = parse_budget(budget), _read_jobs(jobs)
    data = check(resolved, seed=plan.seeds[0])
    _check_tuning(plan, resolved, data)
    _check_arms_fit(plan, resolved, data)
    grid = len(plan.arms) * len(LR_FACTORS) * len(TUNING_SEEDS) if plan.tune else 0
    return Draft(
        name=_read_name(name) or f"{resolved.name.replace(':', '-')}-{plan.fingerprint[:8]}",
        plan=plan,
        task=resolved,
        trials=grid + len(plan.arms) * len(plan.seeds),
        jobs=workers,
        budget=seconds,
        hygiene=count_duplicates(data),
    )


def _read_jobs(jobs: int | None) -> int:
    if jobs is None:
        return cores.available()
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise PlanError(
            f"jobs is {jobs!r}; a whole number from 1 up is needed (this machine has {cores.available()} cores)."
        )
    return jobs


def _read_name(name: str | None) -> str | None:
    if name is not None and not (isinstance(name, str) and 0 < len(name.strip()) <= 200 and name.isprintable()):
        raise PlanError(f"The name {name!r} cannot be used; a line of 1 to 200 characters is needed.")
    return None if name is None else name.strip()


def _check_tuning(plan: Plan, task: Task, data: Data) -> None:
    if plan.tune and data.validation is None and task.curve_metric is None:
        raise PlanError(
            f"tune='lr' needs a validation split, and {task.name} has none: choosing on the test split would flatter every arm. "
            "Return one from data(seed), or leave tuning out."
        )


def _check_arms_fit(plan: Plan, task: Task, data: Data) -> None:
    """Swap every arm into a model that is thrown away.

    Raises:
        PlanError: an arm does not fit, or leaves a site as it is that another arm replaces.
    """
    batch = data.train.x[: task.batch_size]
    left: dict[str, Mapping[str, str]] = {}
    with one_thread(), isolated(plan.seeds[0]):
        for arm in plan.arms:
            try:
                _, changes = build_model(task, arm, plan.seeds[0], init=plan.init, batch=batch)
            except ActlabError as error:
                raise PlanError(f"The arm {arm.label} does not fit the model of {task.name}. {error}") from error
            left[arm.label] = _left_alone(changes)
    for label, own in left.items():
        for other in left.values():
            for site in own.keys() - other.keys():
                raise PlanError(
                    f"The arm {label} leaves the site {site} as it is ({own[site]}), which other arms replace: that is no comparison "
                    "of like with like. Leave the arm out, or name the sites in a map."
                )


def _left_alone(changes: Changes) -> dict[str, str]:
    return {skipped.site.path: skipped.reason for skipped in changes.skipped}
