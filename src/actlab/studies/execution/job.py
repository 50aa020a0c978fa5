"""Job of a study, what its processes are told to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actlab.studies.plan import Plan
from actlab.tasks.task import Task

__all__ = ["Job"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A study to run.

    Attributes:
        store: URL of the store.
        study: id of the study in the store.
        plan: its plan.
        task: name of the task, path of its file, or the task itself.
        jobs: number of processes that run trials at the same time.
        budget: seconds after which the study ends, or None.
        trial_limit: seconds after which a trial is ended; None for a limit derived from the other trials.
        modules: digests of the modules that the task imports, see :func:`actlab.studies.source_files.source_digests`.
    """

    store: str
    study: int
    plan: Plan
    task: str | Task
    jobs: int
    budget: float | None = None
    trial_limit: float | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
