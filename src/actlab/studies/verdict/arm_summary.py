"""Summary of each arm with results, paired difference to the baseline, cost and status."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from actlab.stats.bootstrap import bootstrap_interval, iqm
from actlab.stats.e_process import anytime_p
from actlab.stats.equivalence import probability_superior
from actlab.stats.racing import RaceState
from actlab.studies.arm import named
from actlab.studies.verdict.finding import ArmFinding, Findings
from actlab.studies.verdict.outcomes import Costs, Outcome, StudyFacts, differences, gains
from actlab.studies.verdict.step_time import compare_times
from actlab.system.plural import plural

__all__ = ["ArmSummary", "Difference", "Interval", "Status", "summarize_arms"]

Interval: TypeAlias = tuple[float | None, float | None]
Status: TypeAlias = Literal["completed", "diverged", "failed", "interrupted", "not_run", "eliminated"]


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
        step_time_interval: its 95 % interval; (None, None) where it was not measured in blocks.
        parameters: number of trained parameters.
        peak_memory: of a training step, in bytes.
        status: "eliminated" (by the evidence), "failed" (withdrawn, because a trial raised, was killed or ran out of memory),
            "interrupted" (withdrawn until the study is run again, which repeats the failed trial), "not_run" (no trial has ended),
            "diverged" (on at least one seed) or "completed".
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
    step_time_interval: Interval = (None, None)


def summarize_arms(
    outcomes: Mapping[str, Outcome], findings: Findings, state: RaceState, facts: StudyFacts, costs: Costs
) -> list[ArmSummary]:
    """Return the summary of every arm, in the order of the plan.

    Args:
        outcomes: of every arm of the plan.
        findings: about them.
        state: of the race over them.
        facts: of the study.
        costs: per arm ``step_time_ratio``, ``step_time_ratios``, ``parameters`` and ``peak_memory``; any may be missing.
    """
    to_baseline = _differences(outcomes, findings, facts)
    return [
        _summary(outcomes[arm], to_baseline.get(arm), findings, state.e_values.get(arm), facts=facts, costs=costs)
        for arm in facts.arms
    ]


def _summary(
    outcome: Outcome,
    diff: Difference | None,
    findings: Findings,
    e_value: float | None,
    *,
    facts: StudyFacts,
    costs: Costs,
) -> ArmSummary:
    values = np.array(list(outcome.metrics.values()), dtype=np.float64)
    cost: Mapping[str, Any] = costs.get(outcome.arm, {})
    times = compare_times(costs, outcome.arm, facts.baseline)
    status, reason = _status(outcome, findings, facts)
    return ArmSummary(
        spec=outcome.arm,
        n=values.size,
        mean=float(values.mean()) if values.size else None,
        iqm=iqm(values),
        ci=_interval(values, facts, outcome.arm),
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
        diff=diff,
        step_time_ratio=cost.get("step_time_ratio"),
        step_time_interval=(None, None) if times is None or outcome.arm == facts.baseline else (times.low, times.high),
        parameters=cost.get("parameters") if cost.get("parameters") is not None else outcome.parameters,
        peak_memory=cost.get("peak_memory"),
        status=status,
        e_value=e_value,
        reason=reason,
        lr=outcome.lr,
    )


def _interval(values: Any, facts: StudyFacts, label: str) -> Interval:
    # The seed follows from the plan, so that the same study has the same interval in every process.
    seed = zlib.crc32(f"{facts.fingerprint} {label}".encode())
    return bootstrap_interval(values, seed=seed) or (None, None)


def _differences(outcomes: Mapping[str, Outcome], findings: Findings, facts: StudyFacts) -> dict[str, Difference]:
    baseline = outcomes[facts.baseline]
    by_arm: dict[str, Difference] = {}
    for arm, outcome in outcomes.items():
        pair = findings.pair(arm, facts.baseline)
        sample = differences(outcome, baseline, facts)
        if arm == facts.baseline or pair is None or not sample.size:
            continue
        own = gains(outcome, baseline, facts)
        by_arm[arm] = Difference(
            mean=float(sample.mean()),
            ci=_interval(sample, facts, f"{arm} - {baseline.arm}"),
            p=anytime_p(own) or 1.0,
            p_corrected=min(pair.p_first, pair.p_second),
            prob_superior=probability_superior(own) or 0.0,
            prob_equivalent=pair.prob_equivalent,
        )
    return by_arm


def _status(outcome: Outcome, findings: Findings, facts: StudyFacts) -> tuple[Status, str | None]:
    found = findings.of(outcome.arm)
    if found.standing == "ruled out":
        better = f"{named(found.beaten_by[0], short=True)} is better (evidence {found.e_value:.3g})"
        return "eliminated", f"ruled out after {plural(found.after or 0, 'seed')}: {better}"
    if found.standing == "not run":
        return "not_run", "no trial has been run"
    if found.standing == "withdrawn":
        return ("failed", found.cause) if found.is_final else ("interrupted", f"{found.cause}; will be run again")
    if outcome.diverged:
        seeds = f"diverged on {len(outcome.diverged)} of {plural(outcome.trials, 'seed')}"
        return "diverged", f"{seeds}: {outcome.troubles[outcome.diverged[0]]}"
    return "completed", _unfinished(outcome, found, findings, facts)


def _unfinished(outcome: Outcome, found: ArmFinding, findings: Findings, facts: StudyFacts) -> str | None:
    if found.cause is not None:
        return f"{found.cause}; a failure after the end of the comparison or ahead of its round does not count"
    is_short = outcome.trials < len(facts.seeds) and not findings.decided
    return f"{outcome.trials} of {plural(len(facts.seeds), 'seed')} done" if is_short else None
