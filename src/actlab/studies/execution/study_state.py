"""Results and schedule of a running study, kept in step with the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from actlab.studies.execution.checkpoint_folder import CheckpointFolder
from actlab.studies.execution.job import Job
from actlab.studies.execution.progress import Progress, summarize_progress
from actlab.studies.execution.scheduler import Schedule, Scheduler
from actlab.studies.plan import Plan
from actlab.studies.store.store import Store, TrialKey, TrialSummary
from actlab.studies.target import FEWEST_POINTS, TargetChoice, pilot_target
from actlab.studies.trials.stage import MAIN, PILOT, is_tuning, share_of

__all__ = ["ProgressCallback", "StudyState"]

ProgressCallback: TypeAlias = Callable[[Progress], None]


class StudyState:
    """State of a study as this run sees it: a provisional row of an earlier run counts as no row, so that its trial runs again.

    Args:
        job: the study.
        learning_rate: the task's own.
        store: from which the rows are read.
        progress: called whenever there are new rows.
    """

    def __init__(self, job: Job, learning_rate: float, store: Store, progress: ProgressCallback | None) -> None:
        self._job, self._store, self._progress = job, store, progress
        self.checkpoints = CheckpointFolder(job.conditions.checkpoints)
        self.checkpoints.remove_unknown(store)
        self._scheduler = Scheduler(job.plan, learning_rate, pilot=job.pilot)
        self._target_open = job.pilot
        self._results: dict[TrialKey, TrialSummary] = {}
        self._last = 0
        self.longest: float | None = None  # seconds of the longest trial that ended by itself, if it had run all steps
        self.schedule: Schedule = self._scheduler.update(self._read(earlier=True))
        self._fix_target()
        self._report()

    @property
    def results(self) -> list[TrialSummary]:
        """Results of the study so far."""
        return list(self._results.values())

    def refresh(self) -> None:
        """Read the rows that are new in the store, of this process and of others."""
        if new := self._read(earlier=False):
            self.schedule = self._scheduler.update(new)
            self._fix_target()
            self._report()

    def _read(self, *, earlier: bool) -> list[TrialSummary]:
        new = self._store.results(self._job.study, after=self._last)
        if new:
            self._last = max(result.row for result in new)
        counted = [result for result in new if not (earlier and result.provisional)]
        self._results |= {result.key: result for result in counted}
        self.checkpoints.remove(result.key for result in counted if not result.provisional)
        seconds = [result.seconds / share_of(result.key.stage) for result in counted if not result.provisional]
        self.longest = max([*seconds, *([] if self.longest is None else [self.longest])], default=None)
        return counted

    def _fix_target(self) -> None:
        """Store the target of convergence when the baseline's trials for it have ended, before the first main trial is handed out."""
        main = [key for key in self.schedule.runnable if key.stage == MAIN]
        if not self._target_open or not main:
            return
        self._target_open = False
        study, plan = self._job.study, self._job.plan
        if TargetChoice.from_fact(self._store.facts(study).get("target")).by_pilot:  # no other process was faster
            rate = next((key.lr for key in main if key.arm == plan.baseline), None)
            own = [row for row in self._store.rows(study) if row["arm"] == plan.baseline]
            self._store.set_fact(study, "target", _choice(own, plan, rate).to_fact())

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(summarize_progress(self._job.plan, self.schedule, self.results, workers=self._job.jobs))


def _choice(rows: Sequence[Mapping[str, Any]], plan: Plan, rate: float | None) -> TargetChoice:
    """Return the target that follows from the pilot trial of the baseline, or from its longest tuning trial with the chosen rate."""
    pilots = [row for row in rows if row["stage"] == PILOT]
    tuned = [row for row in rows if is_tuning(row["stage"]) and row["lr"] == rate]
    longest = sorted(tuned, key=lambda row: (-share_of(row["stage"]), row["seed"]))
    for row in (*pilots, *longest)[:1]:
        target = pilot_target(row["series"], plan.metric, plan.direction)
        if target is not None and row["status"] == "completed":
            return TargetChoice(target=target)
        few = f"recorded fewer than {FEWEST_POINTS} values, or no progress"
        end = few if row["status"] == "completed" else f"ended as {row['status'].replace('_', ' ')}"
        return TargetChoice(note=f"the trial of the baseline from which it would follow {end}")
    return TargetChoice(note="the baseline has no trial from which it could follow")
