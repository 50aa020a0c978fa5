"""Verdict with the best set, ties, arm summaries, warnings and a recommendation.

The best set is the set of arms that the race (`actlab.stats.racing`) has not eliminated, a single anytime-valid test
at the error rate of the plan. Ties are the pairs that the evidence does not separate, because the two are practically
equivalent or because more seeds are needed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from actlab.errors import PlanError, did_you_mean
from actlab.stats.racing import Direction
from actlab.studies.verdict.arm_summary import ArmSummary, Difference, summarize_arms
from actlab.studies.verdict.axes.axes_study import AxesStudy
from actlab.studies.verdict.axes.axes_verdict import AxesVerdict, find_axes
from actlab.studies.verdict.axes.axis_numbers import read_axis_rows
from actlab.studies.verdict.axes.sentences import axes_cautions, axes_sentences, recommendation_caution
from actlab.studies.verdict.cautions import Evidence, find_warnings
from actlab.studies.verdict.convergence.convergence import ArmConvergence, Convergence, find_convergence
from actlab.studies.verdict.convergence.sentences import convergence_sentences
from actlab.studies.verdict.finding import ArmFinding, Findings, PairFinding, make_findings
from actlab.studies.verdict.learned import Learned, find_learned
from actlab.studies.verdict.measured_on import repeats, times_on, trials_on
from actlab.studies.verdict.outcomes import Costs, Outcome, Row, StudyFacts, read_outcomes, replay_race
from actlab.studies.verdict.recommendation import Basis, recommend
from actlab.studies.verdict.region import Region, find_region
from actlab.studies.verdict.ties import Tie, closest, find_ties
from actlab.system.display import Tabular

__all__ = [
    "ArmConvergence",
    "ArmFinding",
    "ArmSummary",
    "AxesVerdict",
    "Convergence",
    "Difference",
    "Findings",
    "Learned",
    "PairFinding",
    "Region",
    "StudyFacts",
    "Tie",
    "Verdict",
    "make_verdict",
]


@dataclass(frozen=True, kw_only=True)
class Verdict(Tabular):
    """Result of a study.

    Attributes:
        study, task, metric, direction, baseline, seeds, store, fingerprint, rope, alpha, init, tune, site_patterns, sites: as in
            `StudyFacts`.
        arms: summary of every arm, the best set first, then the others, each by paired difference to the baseline.
        best_set: labels of the arms that may be the best, best first; empty when no arm has a result.
        ties: pairs that the evidence does not separate, within the best set and between the baseline and any other
            arm.
        recommendation: one sentence.
        recommended: the arm to use; None where nothing can be recommended.
        reason: why it is not the arm with the best mean, in one sentence; None where it is.
        warnings: sentences, the most serious first.
        trials_run: number of finished trials without those of tuning.
        trials_full_grid: number of arms times number of seeds.
        closest: the undecided tie that needs the fewest seeds.
        findings: what was found about each arm and each pair, from which best set, ties and sentences are made.
        learned: whether anything was learned, and which arms gave identical results.
        region: the region of practical equivalence, and how it was chosen; ``rope`` is its width.
        command: what resumes or repeats the study, see :func:`actlab.studies.verdict.reproduction.reproduction`.
        trainer: whether the trials were trained one by one or as stacks, and why.
        trials_on: devices and threads of the trials; None for those of earlier builds.
        times_on: the same of the times of training steps.
        repeats: what holds of a trial that runs again on these devices.
        convergence: how fast the arms reach a target, beside how they end; None where the trials have no series.
        axes: how the arms compare on axes beyond the metric; None where the study has none.
    """

    _in_repr: ClassVar = ("study", "metric", "arms", "best_set", "seeds")

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
    findings: Findings
    learned: Learned
    region: Region
    recommended: str | None = None
    reason: str | None = None
    init: str = "fixed"
    tune: str | None = None
    site_patterns: tuple[str, ...] = ("*",)
    sites: tuple[Mapping[str, Any], ...] = ()
    command: str = ""
    trainer: str = ""
    trials_on: str | None = None
    times_on: str | None = None
    repeats: str = ""
    convergence: Convergence | None = None
    axes: AxesVerdict | None = None

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
    region = find_region(outcomes, facts)
    return _verdict(rows, outcomes, dataclasses.replace(facts, rope=region.width), region, costs)


def _verdict(
    rows: Sequence[Row], outcomes: Mapping[str, Outcome], facts: StudyFacts, region: Region, costs: Costs
) -> Verdict:
    state = replay_race(outcomes, facts)
    findings = make_findings(outcomes, state, facts)
    learned = find_learned(rows, outcomes, findings, facts)
    summaries = summarize_arms(outcomes, findings, state, facts, costs)
    baseline = summaries[facts.arms.index(facts.baseline)]
    arms = tuple(sorted(summaries, key=lambda arm: _rank(arm, findings, baseline, facts)))
    ties = find_ties(arms, outcomes, findings, state, facts)
    evidence = Evidence(arms=arms, outcomes=outcomes, findings=findings, learned=learned, rows=rows, facts=facts)
    advice = recommend(Basis(arms=arms, findings=findings, ties=ties, learned=learned, facts=facts, costs=costs))
    best_set, axes = (
        tuple(arm.spec for arm in arms if arm.spec in findings.best),
        _axes(rows, outcomes, arms, facts, costs),
    )
    return Verdict(
        study=facts.name,
        task=facts.task,
        metric=facts.metric,
        direction=facts.direction,
        baseline=facts.baseline,
        seeds=facts.seeds,
        arms=arms,
        best_set=best_set,
        ties=ties,
        recommendation=f"{advice.sentence} {recommendation_caution(axes, advice.arm, best_set)}".rstrip(),
        recommended=advice.arm,
        reason=advice.reason,
        warnings=(*find_warnings(evidence), *(axes.cautions if axes is not None else ())),
        store=facts.store,
        fingerprint=facts.fingerprint,
        rope=region.width,
        alpha=facts.alpha,
        trials_run=sum(outcome.trials for outcome in outcomes.values()),
        trials_full_grid=len(facts.arms) * len(facts.seeds),
        closest=closest(ties, findings),
        findings=findings,
        learned=learned,
        region=region,
        init=facts.init,
        tune=facts.tune,
        site_patterns=facts.site_patterns,
        sites=facts.sites,
        trials_on=trials_on(rows),
        times_on=times_on(costs),
        repeats=repeats(rows),
        convergence=_convergence(rows, outcomes, findings, arms, facts=facts, costs=costs),
        axes=axes,
    )


def _axes(
    rows: Sequence[Row], outcomes: Mapping[str, Outcome], arms: Sequence[ArmSummary], facts: StudyFacts, costs: Costs
) -> AxesVerdict | None:
    measured = read_axis_rows(rows, outcomes, facts)
    found = find_axes(AxesStudy(rows=measured, outcomes=outcomes, facts=facts, costs=costs))
    if found is None:
        return None
    sentences = axes_sentences(found, [arm.spec for arm in arms])
    return dataclasses.replace(found, sentences=sentences, cautions=axes_cautions(found, measured, facts.axes))


def _convergence(
    rows: Sequence[Row],
    outcomes: Mapping[str, Outcome],
    findings: Findings,
    arms: Sequence[ArmSummary],
    *,
    facts: StudyFacts,
    costs: Costs,
) -> Convergence | None:
    found = find_convergence(rows, outcomes, findings, facts, costs)
    if found is None:
        return None
    return dataclasses.replace(found, sentences=convergence_sentences(found, arms, facts))


def _rank(
    arm: ArmSummary, findings: Findings, baseline: ArmSummary, facts: StudyFacts
) -> tuple[bool, bool, bool, float]:
    """Return the sort key: best set, other compared arms, the rest; in each by the gain over the baseline, as seeds may differ."""
    found = findings.of(arm.spec)
    gain = arm.diff.mean if arm.diff is not None else (arm.mean or 0.0) - (baseline.mean or 0.0)
    return found.standing != "best", not found.is_compared, arm.mean is None, -facts.sign * gain
