"""The study: compare arms on a task, keep every trial, and say what it came to. The front door of this room."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from actlab.studies import arm_cost as cost
from actlab.studies.execution.progress import Progress
from actlab.studies.execution.run import StudyInterrupted, run
from actlab.studies.execution.scheduler import tuned_lr
from actlab.studies.execution.worker import Job
from actlab.studies.plan import LR_FACTORS, Plan
from actlab.studies.prepare import ArmLike, Draft, draft
from actlab.studies.store.store import Store, StoredStudy
from actlab.studies.trial import Row
from actlab.studies.verdict.verdict import StudyFacts, Verdict, judge
from actlab.tasks.task import Task

__all__ = ["Draft", "Progress", "Study", "StudyInterrupted", "compare", "draft", "list_studies", "load_study"]


class Study:
    """A study in a store.

    Args:
        store: where it is.
        stored: what the store knows of it.
    """

    def __init__(self, store: Store, stored: StoredStudy) -> None:
        self._store, self._stored = store, stored

    def __repr__(self) -> str:
        return f"Study({self.name!r}, store={self.store!r}, {self._store.count(self._stored.id)} trials)"

    @property
    def name(self) -> str:
        """Name of the study, unique in its store."""
        return self._stored.name

    @property
    def plan(self) -> Plan:
        """Its plan."""
        return self._stored.plan

    @property
    def store(self) -> str:
        """URL of its store."""
        return self._store.url

    def rows(self) -> list[Row]:
        """Return every trial, in the order in which they ended; see :func:`actlab.studies.trial.run_trial`."""
        return self._store.rows(self._stored.id)

    def costs(self) -> dict[str, dict[str, Any]]:
        """Return what each arm costs; see :func:`actlab.studies.arm_cost.measure`."""
        return self._store.costs(self._stored.id)

    def verdict(self) -> Verdict:
        """Judge the rows that are there, finished or not."""
        known = self._store.facts(self._stored.id)
        verdict = judge(self.rows(), self._facts(known), self.costs())
        return replace(verdict, warnings=(*verdict.warnings, *self._edge_warnings(known)))

    def _facts(self, known: Mapping[str, Any]) -> StudyFacts:
        plan, found = self.plan, dict(known.get("hygiene", {}))
        copied = found.get("test_in_validation", 0) > 0.5 * found.get("test_examples", 1)
        return StudyFacts(
            name=self.name,
            task=plan.task,
            metric=plan.metric,
            arms=plan.labels,
            baseline=plan.baseline,
            seeds=plan.seeds,
            direction=plan.direction,
            alpha=plan.alpha,
            rope=plan.rope,
            init=plan.init,
            tune=plan.tune,
            fingerprint=plan.fingerprint,
            store=self.store,
            budget_hit=bool(known.get("budget_hit", False)),
            hygiene={**found, "selected_on_test": plan.tune is not None and copied},
        )

    def _edge_warnings(self, known: Mapping[str, Any]) -> list[str]:
        if self.plan.tune is None or "learning_rate" not in known:
            return []
        default = known["learning_rate"]
        edges = {default * factor for factor in (LR_FACTORS[0], LR_FACTORS[-1])}
        tuning = [result for result in self._store.results(self._stored.id) if result.key.stage == "tune"]
        chosen = tuned_lr(self.plan, default, tuning) if tuning else {}
        return [
            f"The best learning rate of {arm}, {lr:.2g}, is at the edge of the grid: a better one may lie beyond it."
            for arm, lr in chosen.items()
            if lr in edges
        ]

    def report(self, path: str | Path) -> Path:
        """Write the page of the study, one HTML file that needs no network, and return its path."""
        from actlab.report.html import study as page  # noqa: PLC0415 # the drawing library takes a second to import

        return page.write(self.verdict(), self.rows(), path)


def compare(
    task: str | Path | Task,
    arms: Iterable[ArmLike],
    *,
    seeds: int | Sequence[int] = 10,
    budget: str | float | None = None,
    jobs: int | None = None,
    baseline: ArmLike | None = None,
    init: str = "fixed",
    tune: str | None = None,
    store: str | Path | None = None,
    name: str | None = None,
    rope: float | None = None,
    alpha: float = 0.05,
    eliminate: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Compare activations on a task. The same call again goes on where an earlier one was stopped.

    Everything is checked before the first trial: task, arms, settings, store. What goes wrong in a trial is a result.

    Args:
        task: registered name, path of a Python file, or a Task.
        arms: specs, or maps from site patterns to specs.
        seeds: how many every arm gets, or which; more of them may be asked for later.
        budget: time after which no trial is begun, as "10m" or in seconds; None for no limit.
        jobs: worker processes, one thread each; by default one per core. One job runs in this process.
        baseline: what the others are held against; the first arm by default.
        init: "fixed" keeps the model's own, "matched" gives every function its own gain.
        tune: "lr" tunes the learning rate of every arm on the same grid, without the test split.
        store: URL or path of the store; by default the variable ACTLAB_STORE, else ``actlab.db`` in this folder.
        name: of the study in the store; by default made from the task and the plan's fingerprint.
        rope: region of practical equivalence, in the metric's units; by default the task's.
        alpha: error rate of the whole study.
        eliminate: whether arms leave as soon as the evidence allows.
        progress: called with news, in this process.

    Returns:
        The study; ask it for its ``verdict()``.

    Raises:
        UnknownNameError, SpecError, PlanError, TaskError, StoreError: what to put right, before any training.
        StudyInterrupted: Ctrl-C. Nothing that finished is lost.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> study = compare("digits", ["relu", "tanh"], seeds=2, jobs=1, store=f"{folder}/actlab.db")
        >>> [(row["arm"], row["seed"], row["status"]) for row in study.rows()][:2]
        [('relu', 0, 'completed'), ('tanh', 0, 'completed')]
    """
    drafted = draft(
        task,
        arms,
        seeds=seeds,
        budget=budget,
        jobs=jobs,
        baseline=baseline,
        init=init,
        tune=tune,
        name=name,
        rope=rope,
        alpha=alpha,
        eliminate=eliminate,
    )
    opened = Store(store)
    stored = opened.begin_study(drafted.name, drafted.plan)
    _work_off(drafted, opened, stored, task, progress)
    return Study(opened, stored)


def _work_off(
    drafted: Draft,
    store: Store,
    stored: StoredStudy,
    given: str | Path | Task,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Measure costs once, run the trials, and keep what is known of the study beside its rows."""
    plan, task = drafted.plan, drafted.task
    missing = [arm for arm in plan.arms if arm.label not in store.costs(stored.id)]
    if missing:
        store.add_costs(
            stored.id, cost.measure(task, plan.arms, baseline=plan.baseline, init=plan.init, seed=plan.seeds[0])
        )
    store.set_fact(stored.id, "hygiene", dict(drafted.hygiene))
    store.set_fact(stored.id, "learning_rate", task.learning_rate)
    job = Job(
        store=store.url,
        study=stored.id,
        plan=plan,
        task=given if isinstance(given, Task) else task.file or str(given),
        jobs=drafted.jobs,
        deadline=None if drafted.budget is None else time.time() + drafted.budget,
    )
    finished = run(job, task, progress)
    store.set_fact(stored.id, "budget_hit", not finished)


def load_study(store: str | Path | None, name: str) -> Study:
    """Return a study from a store.

    Raises:
        StoreError: there is no such store, or no such study in it.

    Example:
        >>> load_study("nowhere.db", "mine")
        Traceback (most recent call last):
        actlab.errors.StoreError: There is no store nowhere.db. ...
    """
    opened = Store(store, create=False)
    return Study(opened, opened.study(name))


def list_studies(store: str | Path | None = None) -> list[dict[str, Any]]:
    """Return a summary of each study in a store, oldest first.

    Returns:
        Dicts with ``study, task, metric, arms, baseline, seeds, trials, fingerprint, created`` (seconds since 1970).

    Raises:
        StoreError: there is no such store.
    """
    opened = Store(store, create=False)
    return [_summary(opened, stored) for stored in opened.studies()]


def _summary(store: Store, stored: StoredStudy) -> dict[str, Any]:
    plan = stored.plan
    return {
        "study": stored.name,
        "task": plan.task,
        "metric": plan.metric,
        "arms": list(plan.labels),
        "baseline": plan.baseline,
        "seeds": len(plan.seeds),
        "trials": store.count(stored.id),
        "fingerprint": plan.fingerprint,
        "created": stored.created,
    }
