"""Summary of each arm with results, paired difference to the baseline, cost and status."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from actlab.stats.bootstrap import bootstrap_interval, iqm
from actlab.stats.e_process import anytime_p
from actlab.stats.equivalence import probability_equivalent, probability_superior
from actlab.stats.racing import RaceState
from actlab.studies.verdict.outcomes import Costs, Outcome, StudyFacts, differences, gains

__all__ = ["ArmSummary", "Difference", "Interval", "Status", "is_decided", "summarize_arms"]

Interval: TypeAlias = tuple[float | None, float | None]
Status: TypeAlias = Literal["completed", "diverged", "failed", "eliminated"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An arm minus the baseline, paired by seed.

    Attributes:
        mean: mean difference in units of the metric.
        ci: its 95 % interval; (None, None) with one seed.
        p: anytime-valid two-sided p-value of "no difference"; a diverged trial counts as a loss.
        p_corrected: error rate of the whole study at which the evidence between the two eliminates one of them. It is the test of
            the race: for two arms of the best set it is never below alpha.
        prob_superior: share of seeds on which the arm beats the baseline, with ties counted half.
        prob_equivalent: posterior probability that the true difference is within the region of practical equivalence;
            None with one seed.
    """

    mean: float
    ci: Interval
    p: float
    p_corrected: float
    prob_superior: float
    prob_equivalent: float | None


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """Summary of one arm.

    Attributes:
        spec: label of the arm.
        n: number of seeds with a finite result.
        mean: mean of the metric over these seeds; None without any.
        iqm: interquartile mean; None without any seed.
        ci: 95 % interval of the mean; (None, None) below two seeds.
        sd: standard deviation over seeds; None below two.
        diff: paired difference to the baseline; None for the baseline itself, or where no seed is shared.
        step_time_ratio: time of a training step over that of the baseline.
        parameters: number of trained parameters.
        peak_memory: of a training step, in bytes.
        status: "failed" (a trial raised or ran out of memory, or none was run), else "eliminated" (by the evidence), else
            "diverged" (on at least one seed), else "completed".
        e_value: evidence against the arm being a best one.
        reason: explanation of a status that is not "completed", or of missing seeds.
        lr: learning rate of its trials, if it is the same for all.
    """

    spec: str
    n: int
    mean: float | None
    iqm: float | None
    ci: Interval
    sd: float | None
    diff: Difference | None
    step_time_ratio: float | None
    parameters: int | None
    peak_memory: int | None
    status: Status
    e_value: float | None
    reason: str | None
    lr: float | None


def summarize_arms(
    outcomes: Mapping[str, Outcome], state: RaceState, facts: StudyFacts, costs: Costs
) -> list[ArmSummary]:
    """Return the summary of every arm, in the order of the plan.

    Args:
        outcomes: of every arm of the plan.
        state: of the race over them.
        facts: of the study.
        costs: per arm ``step_time_ratio``, ``parameters`` and ``peak_memory``; any may be missing.
    """
    to_baseline = _differences(outcomes, state, facts)
    return [_summary(outcomes[arm], to_baseline.get(arm), state, facts, costs.get(arm, {})) for arm in facts.arms]


def _summary(
    outcome: Outcome, diff: Difference | None, state: RaceState, facts: StudyFacts, cost: Mapping[str, Any]
) -> ArmSummary:
    values = np.array(list(outcome.metrics.values()), dtype=np.float64)
    status, reason = _status(outcome, state, facts)
    return ArmSummary(
        spec=outcome.arm,
        n=values.size,
        mean=float(values.mean()) if values.size else None,
        iqm=iqm(values),
        ci=_interval(values, facts, outcome.arm),
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
        diff=diff,
        step_time_ratio=cost.get("step_time_ratio"),
        parameters=cost.get("parameters") if cost.get("parameters") is not None else outcome.parameters,
        peak_memory=cost.get("peak_memory"),
        status=status,
        e_value=state.e_values.get(outcome.arm),
        reason=reason,
        lr=outcome.lr,
    )


def _interval(values: Any, facts: StudyFacts, label: str) -> Interval:
    # The seed follows from the plan, so that the same study has the same interval in every process.
    seed = zlib.crc32(f"{facts.fingerprint} {label}".encode())
    return bootstrap_interval(values, seed=seed) or (None, None)


def _differences(outcomes: Mapping[str, Outcome], state: RaceState, facts: StudyFacts) -> dict[str, Difference]:
    baseline = outcomes[facts.baseline]
    by_arm: dict[str, Difference] = {}
    for arm, outcome in outcomes.items():
        raw = anytime_p(gains(outcome, baseline, facts)) if arm != facts.baseline else None
        if raw is not None and differences(outcome, baseline, facts).size:
            corrected = min(_corrected(outcome, baseline, state, facts), _corrected(baseline, outcome, state, facts))
            by_arm[arm] = _difference(outcome, baseline, facts, raw, corrected)
    return by_arm


def _corrected(arm: Outcome, rival: Outcome, state: RaceState, facts: StudyFacts) -> float:
    """Return the error rate at which the evidence of one rival alone eliminates the arm (Holm's adjusted p).

    All seeds that the two share count, also those from after the end of the race: the bound holds for their infinite sequence.
    """
    count, eliminated = len(facts.arms), list(state.eliminated)
    before = eliminated[: eliminated.index(arm.arm)] if arm.arm in eliminated else eliminated
    p = anytime_p(gains(rival, arm, facts), two_sided=False)
    largest = max(((count - rank) / state.eliminated[other].e_value for rank, other in enumerate(before)), default=0.0)
    return min(1.0, max((count - len(before)) * (count - 1) * (1.0 if p is None else p), largest))


def _difference(outcome: Outcome, baseline: Outcome, facts: StudyFacts, p: float, p_corrected: float) -> Difference:
    sample = differences(outcome, baseline, facts)
    superior = probability_superior(gains(outcome, baseline, facts))
    return Difference(
        mean=float(sample.mean()),
        ci=_interval(sample, facts, f"{outcome.arm} - {baseline.arm}"),
        p=p,
        p_corrected=p_corrected,
        prob_superior=0.5 if superior is None else superior,
        prob_equivalent=probability_equivalent(sample, facts.rope),
    )


def _status(outcome: Outcome, state: RaceState, facts: StudyFacts) -> tuple[Status, str | None]:
    if outcome.failed:
        return "failed", f"seed {outcome.failed[0]}: {outcome.troubles[outcome.failed[0]]}"
    if not outcome.trials:
        return "failed", "no trial has been run"
    if outcome.arm in state.eliminated:
        after, rival, e_value = state.eliminated[outcome.arm]
        return "eliminated", f"ruled out after {after} seeds: {rival} is better (evidence {e_value:.3g})"
    if outcome.diverged:
        seeds = f"diverged on {len(outcome.diverged)} of {outcome.trials} seeds"
        return "diverged", f"{seeds}: {outcome.troubles[outcome.diverged[0]]}"
    is_short = outcome.trials < len(facts.seeds) and not is_decided(state, facts)
    return "completed", f"{outcome.trials} of {len(facts.seeds)} seeds done" if is_short else None


def is_decided(state: RaceState, facts: StudyFacts) -> bool:
    """Return whether one arm, or none, is left. The study then ends before all seeds are run, and none is missing."""
    return len(facts.arms) > 1 and len(state.active) <= 1
