"""The verdict of a study: the best set with its ties named, every arm in numbers, warnings and one plain sentence.

The best set is the set of arms still in the race (`actlab.stats.racing`): one test, valid however often one looked,
at the error rate of the plan. Ties say which pairs the evidence does not separate, and whether that is because the two
are practically the same or because more seeds are needed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from actlab.errors import PlanError, did_you_mean
from actlab.stats.racing import Direction
from actlab.studies.verdict import recommendation as advice
from actlab.studies.verdict.arm_summary import ArmSummary, Difference, is_over, summarise
from actlab.studies.verdict.outcomes import Costs, Row, StudyFacts, raced, read
from actlab.studies.verdict.ties import Tie, closest, find_ties

__all__ = ["ArmSummary", "Difference", "StudyFacts", "Tie", "Verdict", "judge"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer of a study.

    Attributes:
        study, task, metric, direction, baseline, seeds, store, fingerprint, rope, alpha, init, tune: as in
        `StudyFacts`.
        arms: every arm in numbers, best first (best set, then the rest; by paired difference to the baseline).
        best_set: arms that may be the best, best first; empty when no arm has a result.
        ties: pairs that the evidence does not separate: within the best set, and between the baseline and any other
            arm.
        recommendation: one plain sentence.
        warnings: sentences, the most serious first.
        trials_run: trials that ended, tuning left out.
        trials_full_grid: arms times seeds.
        closest: of the undecided ties the one that needs the fewest seeds.
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
        """Return the verdict as plain dicts, lists, texts and numbers, ready for JSON (None for NaN and infinity)."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def judge(rows: Iterable[Row], facts: StudyFacts, costs: Costs) -> Verdict:
    """Return the verdict on a study, finished or not. A pure function: the same rows give the same verdict.

    Args:
        rows: trials as ``study.rows()`` returns them; read are ``stage, arm, seed, lr, status, metric, parameters,
            error``.
        facts: of the plan and of how the study went.
        costs: per arm a mapping with ``step_time_ratio``, ``parameters`` and ``peak_memory``; arms and entries may be
            missing.

    Returns:
        The verdict. It exists for any rows: with arms that have no result, fewer seeds than others, one arm, or no
        baseline.

    Raises:
        PlanError: the baseline is not among the arms, or arms are named twice.

    Example:
        >>> facts = StudyFacts(name="s", task="t", metric="accuracy", arms=("relu",), baseline="relu", seeds=(0,))
        >>> judge([{"arm": "relu", "seed": 0, "status": "completed", "metric": 0.5}], facts, {}).best_set
        ('relu',)
    """
    if facts.baseline not in facts.arms:
        known = did_you_mean(facts.baseline, facts.arms) or f" The arms are {', '.join(facts.arms)}."
        raise PlanError(f"The baseline {facts.baseline!r} is not among the arms.{known}")
    rows = list(rows)
    outcomes = read(rows, facts)
    state = raced(outcomes, facts)
    active = {arm for arm in state.active if outcomes[arm].metrics}
    found = summarise(outcomes, state, facts, costs)
    baseline = found[facts.arms.index(facts.baseline)]
    arms = sorted(found, key=lambda arm: _rank(arm, active, baseline, facts))
    best = tuple(arm.spec for arm in arms if arm.spec in active)
    ties = find_ties(arms, best, outcomes, state, facts)
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
        recommendation=advice.recommendation(arms, best, ties, facts),
        warnings=advice.warnings(arms, outcomes, facts, tuned=advice.tuned_arms(rows), over=is_over(state, facts)),
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
    """Best set first, then by how much better than the baseline: paired, as arms that left early saw fewer seeds."""
    gain = arm.diff.mean if arm.diff is not None else (arm.mean or 0.0) - (baseline.mean or 0.0)
    return arm.spec not in active, arm.mean is None, -facts.sign * gain
