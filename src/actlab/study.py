"""Comparison of activation functions on a task, with stored and resumable studies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from actlab.errors import StoreError
from actlab.functions.own_modules import own_modules
from actlab.studies.arm import ArmLike
from actlab.studies.execution.checkpoint_folder import study_folder
from actlab.studies.execution.job import Job
from actlab.studies.execution.progress import Progress
from actlab.studies.execution.run import ProgressCallback, StudyInterrupted, run
from actlab.studies.plan import Plan, task_digest
from actlab.studies.prepare import CompareOptions, Draft, draft
from actlab.studies.settings import StudySettings
from actlab.studies.stacked.trainer_choice import in_words
from actlab.studies.store.fixed_target import fix_target
from actlab.studies.store.location import store_file
from actlab.studies.store.store import Store, StoredStudy
from actlab.studies.target import TargetChoice
from actlab.studies.trial_inputs import changed_inputs
from actlab.studies.trials.tuning import tunings
from actlab.studies.verdict.reproduction import StudyOrigin, reproduction
from actlab.studies.verdict.verdict import StudyFacts, Verdict, make_verdict
from actlab.studies.verdict.words import all_named
from actlab.system import collector
from actlab.system.display import Displayed
from actlab.system.native_threads import blas_on_one_thread
from actlab.system.network_file_system import network_file_system
from actlab.system.plural import plural
from actlab.tasks.registry import TaskSource
from actlab.tasks.scripts.script import given_rate, script_fact
from actlab.tasks.task import Task
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training_function.function_task import task_and_options

__all__ = [
    "Draft",
    "Progress",
    "Study",
    "StudyInterrupted",
    "StudySettings",
    "compare",
    "draft",
    "latest_study",
    "list_studies",
    "load_study",
]


_log = logging.getLogger(__name__)


class Study:
    """A study in a store.

    Args:
        store: the store.
        stored: the study's row in it.
    """

    def __init__(self, store: Store, stored: StoredStudy) -> None:
        self._store, self._stored = store, stored

    def __repr__(self) -> str:
        return f"Study({self.name!r}, store={self.store!r}, {plural(self._store.count(self._stored.id), 'trial')})"

    @property
    def name(self) -> str:
        """Name of the study, unique in its store."""
        return self._stored.name

    @property
    def plan(self) -> Plan:
        """Plan of the study."""
        return self._stored.plan

    @property
    def store(self) -> str:
        """URL of the store."""
        return self._store.url

    def rows(self) -> list[dict[str, Any]]:
        """Return every trial as a dict, in the order in which they ended, by the fields of :class:`~actlab.studies.trials.trial.Trial`.

        The learning rate of a training that has its own, which ActLab does not know, is None; its column in the store is 0.
        """
        return [{**row, "lr": given_rate(row["lr"])} for row in self._store.rows(self._stored.id)]

    def costs(self) -> dict[str, dict[str, Any]]:
        """Return the cost of each arm; see :func:`actlab.studies.arm_cost.measure_costs`."""
        return self._store.costs(self._stored.id)

    def verdict(self) -> Verdict:
        """Return the verdict on the trials so far, whether the study is finished or not."""
        facts = self._store.facts(self._stored.id)
        verdict = make_verdict(self.rows(), self._study_facts(facts), self.costs())
        return replace(
            verdict,
            warnings=(*verdict.warnings, *self._grid_edge_warnings(facts)),
            command=reproduction(self.plan, self._origin(facts)),
            trainer=in_words(facts.get("trainer")),
        )

    def _origin(self, facts: Mapping[str, Any]) -> StudyOrigin:
        sites, imports = facts.get("sites", ()), facts.get("imports", ())
        return StudyOrigin(name=self.name, store=self.store, sites=sites, imports=imports, script=facts.get("script"))

    def _study_facts(self, facts: Mapping[str, Any]) -> StudyFacts:
        plan, hygiene = self.plan, dict(facts.get("hygiene", {}))
        choice = TargetChoice.from_fact(facts.get("target"))
        is_copy = hygiene.get("test_in_validation", 0) > 0.5 * hygiene.get("test_examples", 1)
        return StudyFacts(
            name=self.name,
            **plan.summary(),
            fingerprint=plan.fingerprint,
            store=self.store,
            budget_hit=bool(facts.get("budget_hit", False)),
            sites=tuple(facts.get("sites", ())),
            script=(facts.get("script") or {}).get("command"),
            hygiene={**hygiene, "selected_on_test": plan.tune is not None and is_copy},
            target=choice.target,
            target_note=choice.reason,
            steps_per_epoch=facts.get("steps_per_epoch"),
            axes=tuple(facts.get("axes", ())),
        )

    def _grid_edge_warnings(self, facts: Mapping[str, Any]) -> list[str]:
        if self.plan.tune is None or "learning_rate" not in facts:
            return []
        tuned = tunings(self.plan, facts["learning_rate"], self._store.results(self._stored.id))
        edges = [f"{arm} ({tuning.rate:.2g})" for arm, tuning in tuned.items() if tuning.is_at_edge]
        if not edges:
            return []
        middle = f"{facts['learning_rate']:.2g}"
        text = f"The best learning rate of {all_named(edges)} is at the edge of the grid around {middle}: a better one may lie beyond it."
        return [f"{text} Change the middle, which is the learning rate of the task (of a script: --lr)."]

    def report(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the report of the study, one HTML file that loads nothing from the network, and return its path.

        Args:
            path: of the file; an earlier page is replaced.
            force: whether any other file is replaced, too.

        Raises:
            ActlabError: the file cannot be written, or is another one than a page.
        """
        from actlab.report.html import study  # noqa: PLC0415 # the drawing library takes a second to import

        return study.write(self.verdict(), self.rows(), path, force=force)

    def figure(self, path: str | Path, kind: str = "differences", *, force: bool = False) -> Path:
        """Write a chart of the report as an SVG, PDF or PNG file, by the path's ending, and return its path.

        Args:
            path: file that ends in .svg, .pdf or .png.
            kind: "curves" (training loss), "differences" (to the baseline), "cost" (metric over step time), "held-out" (metric over
                steps), "reached" (share of trials that have reached the target), "reliability" (accuracy over confidence), "severity" (the
                first curve of an axis) or another curve as "AXIS:CURVE".
            force: whether a file that ActLab did not write is replaced.

        Raises:
            UnknownNameError: there is no such figure.
            ActlabError: the study has no data for it, the ending is unknown, or the file cannot be written or replaced.
        """
        from actlab.report.charts import figure_file  # noqa: PLC0415 # as above

        return figure_file.write_study_figure(self.verdict(), self.rows(), path, kind, force=force)


def compare(
    task: str | Path | Task | TaskSource | Callable[..., Any],
    arms: Iterable[ArmLike],
    *,
    budget: str | float | None = None,
    jobs: int | None = None,
    store: str | Path | None = None,
    name: str | None = None,
    progress: ProgressCallback | bool | None = None,
    settings: StudySettings | None = None,
    **options: Unpack[CompareOptions],
) -> Study:
    """Compare activation functions on a task. The same call again resumes a study that was stopped.

    Task, arms, settings and store are checked before the first trial. An error in a trial is a result, and the study goes on.

    Args:
        task: registered name, path of a Python file, :class:`~actlab.Script`, Task, or training function with ``model=build`` beside it.
        arms: specs, maps from site patterns to specs, or "unchanged", which is the model as it is.
        budget: time after which no trial is started, as "10m" or in seconds. Trials that run then get a tenth of it more, at most 30 s.
        jobs: processes that run trials, with one thread each; by default one per core. What trials print goes to the standard error stream.
        store: URL or path of the store; by default ``$ACTLAB_STORE``, else ``actlab.db`` in this folder.
        name: of the study in the store; by default made from the task and the plan's fingerprint.
        progress: called with :class:`Progress` whenever a trial has finished; True for a display on stderr, False for none. By default a
            display on a terminal or in a notebook.
        settings: settings of the plan; the defaults if not given.
        options: fields of :class:`~actlab.studies.settings.StudySettings`, such as ``seeds``, ``baseline``, ``tune`` and ``rope``, in the
            place of those of ``settings``; beside a training function also those of
            :class:`~actlab.tasks.training_function.function_task.FunctionOptions`, of which ``model`` is needed.

    Returns:
        The study, whose ``verdict()`` is the result.

    Raises:
        UnknownNameError, SpecError, PlanError, TaskError, StoreError: an argument is wrong; raised before any training.
        StudyInterrupted: Ctrl-C. Finished trials are not lost.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> study = compare("digits", ["relu", "tanh"], seeds=2, jobs=1, store=f"{folder}/actlab.db")
        >>> [(row["arm"], row["seed"], row["status"]) for row in study.rows()][:2]
        [('relu', 0, 'completed'), ('tanh', 0, 'completed')]
    """
    task, asked = task_and_options(task, options)
    with (
        collector.paused(),
        blas_on_one_thread(),
    ):  # optimizers, scikit-learn and others are imported when the task's functions first run
        drafted = draft(task, arms, budget=budget, jobs=jobs, name=name, settings=settings, **asked)
    from actlab.report.terminal.progress import chosen_progress  # noqa: PLC0415 # rich takes 0.05 s to import

    with chosen_progress(progress, drafted.task.name) as callback:
        opened = Store(store)
        drafted = _as_begun(drafted, opened)
        stored = opened.begin_study(drafted.name, drafted.plan)
        _warn_of_network(opened)
        _record_inputs(drafted, opened, stored)
        _run_study(drafted, opened, stored, task, callback)
    return Study(opened, stored)


def _as_begun(drafted: Draft, store: Store) -> Draft:
    """Return the draft as the stored study that it resumes was begun: with the full grid, or without the values of functions."""
    plan, before = drafted.plan, task_digest(drafted.task, values=False)
    changed = [replace(plan, tuning="grid"), replace(plan, task_source=before)]
    forms = [form for form in (*changed, replace(changed[0], task_source=before)) if form != plan]
    stored = {study.name: study.plan for study in store.studies()} if forms else {}
    for earlier in forms:
        for name in (drafted.name, drafted.name.replace(plan.fingerprint[:8], earlier.fingerprint[:8])):
            if name not in stored or stored[name].tuning != earlier.tuning or earlier.differences(stored[name]):
                continue
            trials = drafted.trials - plan.tuning_trials + earlier.tuning_trials
            return replace(drafted, name=name, plan=earlier, trials=trials)
    return drafted


def _warn_of_network(store: Store) -> None:
    file = store_file(store.absolute_url)
    kind = None if file is None else network_file_system(file)
    if kind is not None:
        _log.warning(
            "The store %s is on a network file system (%s), where SQLite's locks and its write-ahead log are not safe when several "
            "machines use it, or the connection is lost. Choose a file on a local disk with --store, or a PostgreSQL URL.",
            store.url, kind,
        )  # fmt: skip


def _record_inputs(drafted: Draft, store: Store, stored: StoredStudy) -> None:
    """Store what the study reads, or compare it with what was stored when it began.

    Raises:
        StoreError: it has changed, and the settings do not accept that.
    """
    before = store.facts(stored.id).get("inputs")
    changes = [] if before is None else changed_inputs(before, drafted.inputs)
    if changes and not drafted.accept_changes:
        raise StoreError(
            f"What the study {stored.name!r} reads has changed since it began: {'; '.join(changes)}. Its rows would not be comparable. "
            "Choose another --name for a new study, undo the change, or add --accept-changes (accept_changes=True), which goes on and has "
            "the verdict say so."
        )
    if before is None or changes:
        store.set_fact(stored.id, "inputs", dict(drafted.inputs))


def _run_study(
    drafted: Draft,
    store: Store,
    stored: StoredStudy,
    source: Any,
    progress: ProgressCallback | None,
) -> None:
    """Store facts of the study, and run its trials."""
    plan, task = drafted.plan, drafted.task
    store.set_fact(stored.id, "hygiene", dict(drafted.hygiene))
    store.set_fact(stored.id, "learning_rate", task.learning_rate)
    if task.script is not None:
        store.set_fact(stored.id, "script", script_fact(task))
    store.set_fact(stored.id, "imports", list(own_modules()))
    store.set_fact(stored.id, "sites", [site.to_dict() for site in drafted.sites])
    if drafted.steps_per_epoch is not None:
        store.set_fact(stored.id, "steps_per_epoch", drafted.steps_per_epoch)
    if drafted.axes:
        store.set_fact(stored.id, "axes", [axis.to_dict() for axis in drafted.axes])
    choice = fix_target(store, stored, drafted.target)
    job = Job(
        store=store.absolute_url,
        study=stored.id,
        plan=plan,
        task=task if isinstance(source, Task) or task.door == "script" else task.file or str(source),
        jobs=drafted.jobs,
        budget=drafted.budget,
        trial_limit=drafted.trial_limit,
        modules=drafted.inputs["modules"],
        hardware=drafted.hardware,
        conditions=_conditions(drafted, store, stored),
        pilot=choice.by_pilot,
        stack=drafted.stack,
    )
    with collector.frozen():
        finished = run(job, task, progress)
    store.set_fact(stored.id, "budget_hit", not finished)


def _conditions(drafted: Draft, store: Store, stored: StoredStudy) -> Conditions:
    """Return the conditions of trials: where and how often they store their state."""
    every, axes = drafted.checkpoint_every, drafted.axes
    if every is None:
        return Conditions(axes=axes)
    folder = study_folder(store.absolute_url, stored.id, drafted.plan)
    return Conditions(checkpoints=str(folder), checkpoint_every=every, axes=axes)


def load_study(store: str | Path | None, name: str) -> Study:
    """Return a study from a store.

    Raises:
        StoreError: the store does not exist, or has no study of this name.

    Example:
        >>> load_study("nowhere.db", "mine")
        Traceback (most recent call last):
        actlab.errors.StoreError: There is no store nowhere.db. ...
    """
    opened = Store(store, create=False)
    return Study(opened, opened.study(name))


def latest_study(store: str | Path | None = None) -> Study:
    """Return the study of a store that ran last: the one with the newest trial.

    Raises:
        StoreError: the store does not exist, or is empty.
    """
    opened = Store(store, create=False)
    return Study(opened, opened.latest_study())


class Studies(Displayed, list[dict[str, Any]]):
    """Summaries of the studies in a store: a list that is printed as a table."""


def list_studies(store: str | Path | None = None) -> Studies:
    """Return a summary of each study in a store, oldest first.

    Returns:
        Dicts, printed as a table, with ``study, task, metric, arms, baseline, seeds, trials, fingerprint, created`` (seconds since 1970).

    Raises:
        StoreError: the store does not exist.
    """
    opened = Store(store, create=False)
    return Studies(_summary(opened, stored) for stored in opened.studies())


def _script_entry(store: Store, stored: StoredStudy) -> dict[str, str]:
    script = store.facts(stored.id).get("script")
    return {} if script is None else {"script": script["command"]}


def _summary(store: Store, stored: StoredStudy) -> dict[str, Any]:
    plan = stored.plan
    return {
        "study": stored.name,
        "task": plan.task,
        **_script_entry(store, stored),
        "metric": plan.metric,
        "arms": list(plan.labels),
        "baseline": plan.baseline,
        "seeds": len(plan.seeds),
        "trials": store.count(stored.id),
        "fingerprint": plan.fingerprint,
        "created": stored.created,
    }
