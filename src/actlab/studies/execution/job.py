"""Job of a study, what its processes are told to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from actlab.studies.plan import Plan
from actlab.tasks.task import Task
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.devices import Hardware

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
        hardware: devices and threads of the trials.
        conditions: of every trial but for its device and threads, which are those of the hardware.
        stack: whether trials are trained as stacks where that is possible; None for where it is faster.
        pilot: whether the target of convergence is to follow from a pilot trial of the baseline, or from its tuning.
    """

    store: str
    study: int
    plan: Plan
    task: str | Task
    jobs: int
    budget: float | None = None
    trial_limit: float | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
    hardware: Hardware = field(default_factory=Hardware)
    conditions: Conditions = field(default_factory=Conditions)
    pilot: bool = False
    stack: bool | None = None

    def conditions_at(self, slot: int) -> Conditions:
        """Return the conditions of a trial at one of the hardware's places."""
        return replace(self.conditions, device=self.hardware.device_of(slot), threads=self.hardware.threads)

    def cost_settings(self, slot: int) -> dict[str, Any]:
        """Return the keyword arguments of :func:`actlab.studies.arm_cost.measure_costs` at one of the hardware's places."""
        plan, conditions = self.plan, self.conditions_at(slot)
        return {"baseline": plan.baseline, "init": plan.init, "seed": plan.seeds[0], "conditions": conditions}
