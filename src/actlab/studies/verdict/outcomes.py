"""Trial outcomes by arm and seed, paired differences of two arms, and replay of the race."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from actlab.stats.e_process import Floats
from actlab.stats.racing import Direction, Race, RaceState, Table, paired_gains
from actlab.studies.target import Target

__all__ = ["Costs", "Outcome", "Row", "StudyFacts", "differences", "gains", "read_outcomes", "replay_race"]

Row: TypeAlias = Mapping[str, Any]
Costs: TypeAlias = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """Facts of a study's plan and its run.

    Attributes:
        name: of the study.
        task: name of the task.
        metric: name of the metric.
        direction: "max" when larger is better, "min" when smaller is.
        arms: labels of all arms, with the baseline, in the order of the plan.
        baseline: label of the arm with which the others are compared.
        seeds: all seeds of the plan, in the order in which they run.
        alpha: error rate of the best set.
        rope: half width of the region of practical equivalence, in units of the metric; 0 for none; None for the one that follows from
            the metric, see :func:`actlab.studies.verdict.region.find_region`.
        init: "fixed" or "matched".
        tune: None, or "lr" when the learning rate is tuned per arm.
        fingerprint: of the plan; it also seeds the bootstrap.
        store: URL of the store.
        budget_hit: whether the time budget ended the study before all seeds were run.
        hygiene: facts about the data, ``test_examples``, ``test_in_train`` and ``test_in_validation`` (numbers
            of test examples that are also in these splits), ``findings`` (sentences of the fast audit), and ``selected_on_test`` (a choice
            was made by test results).
        site_patterns: of the sites that arms of a single spec swap; none for those of the model's main function.
        sites: every activation site of the model as a mapping with the fields of :class:`actlab.studies.site_list.StudySite`; empty
            where they are not known.
        target: of convergence; None where there is none.
        target_note: why there is none, for people.
        steps_per_epoch: training steps of an epoch; None where it is not known.
        script: command of the script that trains; None where another task does.
        axes: on which trained models are judged beside the metric, as from :meth:`actlab.evaluate.axis.Axis.to_dict`.

    Example:
        >>> StudyFacts(name="s", task="t", metric="accuracy", arms=("relu",), baseline="relu", seeds=(0, 1)).sign
        1.0
    """

    name: str
    task: str
    metric: str
    arms: tuple[str, ...]
    baseline: str
    seeds: tuple[int, ...]
    direction: Direction = "max"
    alpha: float = 0.05
    rope: float | None = 0.0
    init: str = "fixed"
    tune: str | None = None
    fingerprint: str = ""
    store: str = ""
    budget_hit: bool = False
    hygiene: Mapping[str, Any] = field(default_factory=dict)
    site_patterns: tuple[str, ...] = ("*",)
    sites: tuple[Mapping[str, Any], ...] = ()
    target: Target | None = None
    target_note: str = ""
    steps_per_epoch: float | None = None
    script: str | None = None
    axes: tuple[Mapping[str, Any], ...] = ()

    @property
    def sign(self) -> float:
        """1 when larger is better, else -1."""
        return 1.0 if self.direction == "max" else -1.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of the trials of one arm.

    Attributes:
        arm: its label.
        metrics: finite results by seed, in the order of the plan's seeds.
        diverged: seeds on which training gave no finite result.
        failed: seeds on which the trial ended for another reason (an exception, no memory).
        provisional: those of them that will be tried again when the study is run again.
        troubles: recorded reason of each diverged or failed trial, by seed.
        lr: learning rate of its trials; None when unknown or not the same for all.
        parameters: number of trained parameters of its model; None when unknown.
    """

    arm: str
    metrics: Mapping[int, float]
    diverged: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    provisional: tuple[int, ...] = ()
    troubles: Mapping[int, str] = field(default_factory=dict)
    lr: float | None = None
    parameters: int | None = None

    @property
    def trials(self) -> int:
        """Number of trials that ended, however they ended."""
        return len(self.metrics) + len(self.diverged) + len(self.failed)

    def on(self, seeds: Iterable[int]) -> Floats:
        """Return the results on some seeds, NaN where there is none."""
        return np.array([self.metrics.get(seed, math.nan) for seed in seeds], dtype=np.float64)


def read_outcomes(rows: Iterable[Row], facts: StudyFacts) -> dict[str, Outcome]:
    """Return the outcome of every arm of the plan; rows of tuning, of other arms and of other seeds are ignored.

    Example:
        >>> facts = StudyFacts(name="s", task="t", metric="loss", arms=("relu",), baseline="relu", seeds=(0, 1))
        >>> row = {"stage": "main", "arm": "relu", "seed": 1, "status": "completed", "metric": 0.5}
        >>> read_outcomes([row], facts)["relu"].metrics
        {1: 0.5}
    """
    by_arm: dict[str, dict[int, Row]] = {arm: {} for arm in facts.arms}
    for row in rows:
        if row.get("stage", "main") == "main" and row["arm"] in by_arm:
            by_arm[row["arm"]][row["seed"]] = row
    return {
        arm: _outcome(arm, [by_seed[seed] for seed in facts.seeds if seed in by_seed])
        for arm, by_seed in by_arm.items()
    }


def _outcome(arm: str, rows: Sequence[Row]) -> Outcome:
    metrics = {row["seed"]: float(row["metric"]) for row in rows if _status(row) == "completed"}
    rates = {row.get("lr") for row in rows}
    sizes = {row.get("parameters") for row in rows} - {None}
    return Outcome(
        arm=arm,
        metrics=metrics,
        diverged=tuple(row["seed"] for row in rows if _status(row) == "diverged"),
        failed=tuple(row["seed"] for row in rows if _status(row) == "failed"),
        provisional=tuple(row["seed"] for row in rows if _status(row) == "failed" and row.get("provisional")),
        troubles={row["seed"]: _trouble(row) for row in rows if _status(row) != "completed"},
        lr=rates.pop() if len(rates) == 1 else None,
        parameters=sizes.pop() if len(sizes) == 1 else None,
    )


def _status(row: Row) -> str:
    """Return "completed", "diverged" or "failed"; a completed trial without a finite metric counts as diverged."""
    if row["status"] not in ("completed", "diverged"):
        return "failed"
    metric = row.get("metric")
    finite = metric is not None and math.isfinite(metric)
    return "completed" if row["status"] == "completed" and finite else "diverged"


def _trouble(row: Row) -> str:
    first = (str(row.get("error") or "").strip().splitlines() or [""])[0]
    return first or {"out_of_memory": "out of memory", "failed": "failed"}.get(row["status"], "no finite result")


def replay_race(outcomes: Mapping[str, Outcome], facts: StudyFacts) -> RaceState:
    """Replay the race over the outcomes.

    An arm is withdrawn by a failed trial in a complete round or in the open one. A failure in a later round, or after the end of the
    race, does not count: the arm stays as the complete rounds left it. An arm without any result takes no part, so that no round waits
    for it.
    """
    table: Table = {
        arm: {**outcome.metrics, **dict.fromkeys(outcome.diverged)}
        for arm, outcome in outcomes.items()
        if outcome.trials > len(outcome.failed)
    }
    race, withdrawn = Race(facts.arms, facts.direction, facts.alpha), set[str]()
    while True:
        state = race.replay(table, facts.seeds, failed=withdrawn)
        is_open = state.rounds < len(facts.seeds) and len(state.active) > 1
        seed = facts.seeds[state.rounds] if is_open else None
        failing = {arm for arm in state.active if seed in outcomes[arm].failed}
        if not failing:
            return state
        withdrawn |= failing


def gains(one: Outcome, other: Outcome, facts: StudyFacts, *, seeds: Sequence[int] | None = None) -> Floats:
    """Return by how much ``one`` beats ``other`` on each seed on which both ended; a diverged trial loses.

    Args:
        one: outcome of an arm.
        other: that of another.
        facts: of the study.
        seeds: the seeds that count, in the order of the plan; all by default.

    Returns:
        Paired differences in the order of the seeds, positive where ``one`` is better.
    """
    ended = [{*outcome.metrics, *outcome.diverged} for outcome in (one, other)]
    both = ended[0] & ended[1]
    common = [seed for seed in (facts.seeds if seeds is None else seeds) if seed in both]
    return paired_gains(facts.sign * one.on(common), facts.sign * other.on(common))


def differences(one: Outcome, other: Outcome, facts: StudyFacts) -> Floats:
    """Return ``one`` minus ``other``, in units of the metric, on the seeds on which both have a finite result."""
    common = [seed for seed in facts.seeds if seed in one.metrics and seed in other.metrics]
    return one.on(common) - other.on(common)
