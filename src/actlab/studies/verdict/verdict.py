"""Verdict with the best set, ties, arm summaries, warnings and a recommendation.

The best set is the set of arms that the race (`actlab.stats.racing`) has not eliminated, a single anytime-valid test
at the error rate of the plan. Ties are the pairs that the evidence does not separate, because the two are practically
equivalent or because more seeds are needed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from actlab.errors import PlanError, did_you_mean
from actlab.stats.racing import Direction
from actlab.studies.verdict.arm_summary import ArmSummary, Difference, is_decided, summarize_arms
from actlab.studies.verdict.outcomes import Costs, Row, StudyFacts, read_outcomes, replay_race
from actlab.studies.verdict.recommendation import find_warnings, recommend, tuned_arms
from actlab.studies.verdict.ties import Tie, closest, find_ties
from actlab.system.display import Tabular

__all__ = ["ArmSummary", "Difference", "StudyFacts", "Tie", "Verdict", "make_verdict"]


@dataclass(frozen=True, kw_only=True)
class Verdict(Tabular):
    """Result of a study.

    Attributes:
        study, task, metric, direction, baseline, seeds, store, fingerprint, rope, alpha, init, tune: as in
        `StudyFacts`.
        arms: summary of every arm, the best set first, then the others, each by paired difference to the baseline.
        best_set: labels of the arms that may be the best, best first; empty when no arm has a result.
        ties: pairs that the evidence does not separate, within the best set and between the baseline and any other
            arm.
        recommendation: one sentence.
        warnings: sentences, the most serious first.
        trials_run: number of finished trials without those of tuning.
        trials_full_grid: number of arms times number of seeds.
        closest: the undecided tie that needs the fewest seeds.
    """

    study: str
    task: str
    metric: str
    direction: Direction
    baseline: str
    seeds: tuple[int, ...]
    arms: tuple[ArmSummary, ...]
    best_set: tuple[str, ...]
    ties: tuple[Tie, ...]
    recommendation: str
    warnings: tuple[str, ...]
    store: str
    fingerprint: str
    rope: float
    alpha: float
    trials_run: int
    trials_full_grid: int
    closest: Tie | None
    init: str = "fixed"
    tune: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as dicts, lists, texts and numbers, ready for JSON; NaN and infinity become None."""
        values: dict[str, Any] = _to_json(dataclasses.asdict(self))
        return values


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _to_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_verdict(rows: Iterable[Row], facts: StudyFacts, costs: Costs) -> Verdict:
    """Return the verdict of a study, finished or not, as a pure function of its rows.

    Args:
        rows: trials as ``study.rows()`` returns them, with the columns ``stage, arm, seed, lr, status, metric, parameters,
            error``.
        facts: of the plan and its run.
        costs: per arm a mapping with ``step_time_ratio``, ``parameters`` and ``peak_memory``; arms and entries may be
            missing.

    Returns:
        The verdict. Arms may have no result or fewer seeds than others, there may be one arm only, and the baseline may have
        no result.

    Raises:
        PlanError: the baseline is not among the arms, or an arm is named twice.

    Example:
        >>> facts = StudyFacts(name="s", task="t", metric="accuracy", arms=("relu",), baseline="relu", seeds=(0,))
        >>> make_verdict([{"arm": "relu", "seed": 0, "status": "completed", "metric": 0.5}], facts, {}).best_set
        ('relu',)
    """
    if facts.baseline not in facts.arms:
        known = did_you_mean(facts.baseline, facts.arms) or f" The arms are {', '.join(facts.arms)}."
        raise PlanError(f"The baseline {facts.baseline!r} is not among the arms.{known}")
    rows = list(rows)
    outcomes = read_outcomes(rows, facts)
    state = replay_race(outcomes, facts)
    active = {arm for arm in state.active if outcomes[arm].metrics}
    summaries = summarize_arms(outcomes, state, facts, costs)
    baseline = summaries[facts.arms.index(facts.baseline)]
    arms = sorted(summaries, key=lambda arm: _rank(arm, active, baseline, facts))
    best = tuple(arm.spec for arm in arms if arm.spec in active)
    ties = find_ties(arms, best, outcomes, state, facts)
    warnings = find_warnings(arms, outcomes, facts, tuned=tuned_arms(rows), decided=is_decided(state, facts))
    return Verdict(
        study=facts.name,
        task=facts.task,
        metric=facts.metric,
        direction=facts.direction,
        baseline=facts.baseline,
        seeds=facts.seeds,
        arms=tuple(arms),
        best_set=best,
        ties=ties,
        recommendation=recommend(arms, best, ties, facts),
        warnings=warnings,
        store=facts.store,
        fingerprint=facts.fingerprint,
        rope=facts.rope,
        alpha=facts.alpha,
        trials_run=sum(outcome.trials for outcome in outcomes.values()),
        trials_full_grid=len(facts.arms) * len(facts.seeds),
        closest=closest(ties),
        init=facts.init,
        tune=facts.tune,
    )


def _rank(arm: ArmSummary, active: set[str], baseline: ArmSummary, facts: StudyFacts) -> tuple[bool, bool, float]:
    """Return the sort key: the best set first, then by the paired gain over the baseline, as eliminated arms have fewer seeds."""
    gain = arm.diff.mean if arm.diff is not None else (arm.mean or 0.0) - (baseline.mean or 0.0)
    return arm.spec not in active, arm.mean is None, -facts.sign * gain
