"""Convergence of arms, with times to a target, areas under the curves and best steps.

The test of "trains faster" is of the same kind as the study's own (`actlab.stats.e_process`): on every seed the difference of
min(steps to the target, steps of a trial) to the baseline, one one-sided process for each arm and each direction, and the closed test
over all of them. Its error rate is that of the study, for this question alone, covers all arms, and holds whenever somebody looks, for
independent seeds and symmetric differences. All else is an estimate, with a 95 % interval of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Literal, TypeAlias

import numpy as np

from actlab.stats.bootstrap import bootstrap_interval
from actlab.stats.closed_test import closed_evidence
from actlab.stats.e_process import Floats, exp_limited, log_e_process
from actlab.stats.survival import area_under_curve, kaplan_meier, restricted_gains, restricted_times
from actlab.studies.learning_curve import LearningCurve
from actlab.studies.target import Target
from actlab.studies.verdict.convergence.trial_times import (
    Times,
    TrialCurves,
    end_by_clock,
    read_trials,
    seconds_to_target,
    steps_to_target,
)
from actlab.studies.verdict.finding import Findings, Relation
from actlab.studies.verdict.outcomes import Costs, Outcome, Row, StudyFacts

__all__ = ["Area", "ArmConvergence", "Convergence", "Gain", "Pace", "TimeToTarget", "error_rates", "find_convergence"]

Interval: TypeAlias = tuple[float | None, float | None]
Pace: TypeAlias = Literal["faster", "slower", "undecided", "not compared"]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """An arm compared with the baseline, paired by seed; an estimate.

    Attributes:
        mean: mean difference. Of times, how much earlier the arm reaches the target, positive where it is earlier; of areas, arm minus
            baseline.
        ci: its 95 % interval; (None, None) with one seed.
        seeds: number of shared seeds.
    """

    mean: float
    ci: Interval
    seeds: int


@dataclass(frozen=True, kw_only=True)
class TimeToTarget:
    """Time to the target of the trials of one arm, in one unit.

    Attributes:
        n: number of trials.
        censored: those of them that never reached the target.
        at_once: those of them that met it at the first recorded point.
        ended_early: those of them that completed with fewer steps than others, without the target, and count as never reaching it.
        median: Kaplan-Meier median; None where less than half of the trials reach it.
        restricted_mean: mean of min(time, horizon).
        ci: its 95 % interval; (None, None) below two trials.
        horizon: up to which the mean is restricted, the same for all arms.
        curve: points of the Kaplan-Meier curve, pairs of time and share of trials that have not reached the target.
        gain: how much earlier than the baseline, as a difference of restricted times; None for the baseline.
    """

    n: int
    censored: int
    at_once: int
    ended_early: int
    median: float | None
    restricted_mean: float
    ci: Interval
    horizon: float
    curve: tuple[tuple[float, float], ...]
    gain: Gain | None


@dataclass(frozen=True, kw_only=True)
class Area:
    """Area under a curve, over the steps of a trial and divided by them; the mean height of the curve.

    Attributes:
        mean: over trials.
        ci: its 95 % interval.
        difference: to the baseline; None for the baseline.
    """

    mean: float
    ci: Interval
    difference: Gain | None


@dataclass(frozen=True, kw_only=True)
class ArmConvergence:
    """Convergence of one arm.

    Attributes:
        arm: its label.
        steps: training steps to the target; None without a target, or where nothing was recorded for it.
        epochs: the same in epochs, where a step is a known share of one.
        seconds: the same in seconds of training, where they are known.
        pace: how the steps to the target compare with the baseline's; "undecided" also where the evidence and the mean disagree.
        p: error rate at which that is decided, valid at any time and corrected for all arms; None for the baseline, or without a test.
        end: how the results at the end compare, the answer of the study.
        loss_area: of the training loss.
        metric_area: of the held-out metric.
        best_step: median over trials of the first step with the best held-out value.
        best_epoch: the same in epochs.
        best_last: number of trials that were best at their last evaluation.
        evaluated: number of trials with a held-out series that has finite values.
    """

    arm: str
    steps: TimeToTarget | None
    epochs: TimeToTarget | None
    seconds: TimeToTarget | None
    pace: Pace
    p: float | None
    end: Relation
    loss_area: Area | None
    metric_area: Area | None
    best_step: float | None
    best_epoch: float | None
    best_last: int
    evaluated: int


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """Convergence of the arms of a study.

    Attributes:
        target: the target; None where there is none.
        note: why there is none; empty where there is one.
        horizon: steps of a complete trial.
        arms: one entry for each arm with series, in the order of the plan.
        baseline: label of the baseline.
        seconds_from: "trials", or "step times" where they are steps times the step time of the arm.
        by_clock: whether trials end after a time and not after steps, so that their times to the target are in seconds only.
        sentences: what was found, in words.
    """

    target: Target | None
    note: str
    horizon: int
    arms: tuple[ArmConvergence, ...]
    baseline: str
    seconds_from: Literal["trials", "step times"]
    by_clock: bool = False
    sentences: tuple[str, ...] = ()

    def of(self, arm: str) -> ArmConvergence | None:
        """Return the convergence of an arm; None where it has no series."""
        return next((entry for entry in self.arms if entry.arm == arm), None)

    def times(self, entry: ArmConvergence) -> TimeToTarget | None:
        """Return the times to the target that are compared: in steps, or in seconds where a clock ends the trials."""
        return entry.seconds if self.by_clock else entry.steps


def find_convergence(
    rows: Iterable[Row], outcomes: Mapping[str, Outcome], findings: Findings, facts: StudyFacts, costs: Costs
) -> Convergence | None:
    """Return the convergence of the arms; None where no trial has series, as in studies of earlier builds.

    Args:
        rows: trials of the study.
        outcomes: of every arm.
        findings: about them.
        facts: of the study, with its target.
        costs: per arm, with ``step_time`` in seconds.
    """
    trials = read_trials(rows, outcomes, facts)
    if not any(trials.values()):
        return None
    study = _Study(trials, findings, facts, costs)
    return Convergence(
        target=facts.target,
        note="" if facts.target is not None else facts.target_note,
        horizon=study.horizon,
        arms=tuple(study.arm(arm) for arm in facts.arms if trials[arm]),
        baseline=facts.baseline,
        seconds_from="step times" if any(trial.stacked for own in trials.values() for trial in own) else "trials",
        by_clock=study.by_clock,
    )


class _Study:
    """Curves of all arms, and what is computed from them once."""

    def __init__(
        self, trials: Mapping[str, Sequence[TrialCurves]], findings: Findings, facts: StudyFacts, costs: Costs
    ) -> None:
        self.trials, self.findings, self.facts = trials, findings, facts
        self.horizon = max(trial.steps for own in trials.values() for trial in own)
        self.steps: dict[str, Times] = {}
        self.seconds: dict[str, Times] = {}
        self.longest = 0.0  # seconds up to which all of them are known
        self.by_clock = end_by_clock(trials)
        if facts.target is not None:
            target, horizon = facts.target, self.horizon
            if not self.by_clock:  # a slower step is no slower training then, only fewer of them
                self.steps = {arm: steps_to_target(own, target, horizon) for arm, own in trials.items() if own}
            found = seconds_to_target(trials, target, horizon, costs, by_clock=self.by_clock)
            self.seconds, self.longest = found
        self.p = error_rates(self.steps, self.horizon, facts)

    def arm(self, arm: str) -> ArmConvergence:
        trials, facts = self.trials[arm], self.facts
        held_out = [trial.held_out for trial in trials if trial.held_out is not None]
        curves = [curve for curve in held_out if np.isfinite(curve.value).any()]
        best = [(curve, curve.best(facts.sign)) for curve in curves]
        best_step = float(np.median([curve.step[at] for curve, at in best])) if best else None
        per_epoch = facts.steps_per_epoch
        epochs = {it: times.scaled(1 / per_epoch) for it, times in self.steps.items()} if per_epoch else {}
        steps = self._time(self.steps, arm, float(self.horizon), "steps")
        pace, p = self._pace(arm, None if steps is None else steps.gain)
        return ArmConvergence(
            arm=arm,
            steps=steps,
            epochs=self._time(epochs, arm, self.horizon / (per_epoch or 1.0), "steps"),
            seconds=self._time(self.seconds, arm, self.longest, "seconds"),
            pace=pace,
            p=p,
            end=self.findings.relation(arm, facts.baseline),
            loss_area=self._area(arm, lambda trial: trial.loss, "loss"),
            metric_area=self._area(arm, lambda trial: trial.held_out, "metric"),
            best_step=best_step,
            best_epoch=best_step / per_epoch if best_step is not None and per_epoch else None,
            best_last=sum(at == len(curve.value) - 1 for curve, at in best),
            evaluated=len(curves),
        )

    def _completed(self, arm: str) -> set[int]:
        return {trial.seed for trial in self.trials[arm] if not trial.diverged}

    def _pace(self, arm: str, gain: Gain | None) -> tuple[Pace, float | None]:
        """Return how the steps to the target compare with the baseline's, and the error rate at which that is decided.

        Evidence remains once it was reached; an arm whose mean points the other way since is called nothing.
        """
        if arm not in self.p or gain is None:
            return "not compared", None
        earlier, later = self.p[arm]
        is_faster, p = earlier <= later, min(earlier, later)
        if p > self.facts.alpha or (gain.mean if is_faster else -gain.mean) <= 0:
            return "undecided", p
        return "faster" if is_faster else "slower", p

    def _time(self, by_arm: Mapping[str, Times], arm: str, horizon: float, name: str) -> TimeToTarget | None:
        times = by_arm.get(arm)
        if times is None or not times.seeds:
            return None
        ends = np.where(np.isfinite(times.time), times.time, max(horizon, times.time[times.reached].max(initial=0.0)))
        curve = kaplan_meier(ends, times.reached)
        restricted = restricted_times(times.time, times.reached, horizon)
        own = dict(zip(times.seeds, restricted.tolist(), strict=True))
        return TimeToTarget(
            n=len(times.seeds),
            censored=int(np.count_nonzero(~times.reached)),
            at_once=sum(trial.meets_at_once(self.facts.target) for trial in self.trials[arm] if self.facts.target),
            ended_early=len(self._completed(arm) & {*compress(times.seeds, np.isinf(times.time))}),
            median=curve.median,
            restricted_mean=float(restricted.mean()),
            ci=self._interval(restricted, f"{arm} {name}"),
            horizon=horizon,
            curve=tuple(zip(curve.times.tolist(), curve.survival.tolist(), strict=True)),
            gain=self._earlier(by_arm, arm, own, horizon, name=name),
        )

    def _earlier(
        self, by_arm: Mapping[str, Times], arm: str, own: Mapping[int, float], horizon: float, *, name: str
    ) -> Gain | None:
        other = by_arm.get(self.facts.baseline)
        if arm == self.facts.baseline or other is None:
            return None
        theirs = dict(zip(other.seeds, restricted_times(other.time, other.reached, horizon).tolist(), strict=True))
        shared = [seed for seed in own if seed in theirs]
        return self._gain(restricted_gains([own[s] for s in shared], [theirs[s] for s in shared]), f"{arm} {name}")

    def _area(self, arm: str, read: Callable[[TrialCurves], LearningCurve | None], name: str) -> Area | None:
        own, theirs = (_areas(self.trials[it], read) for it in (arm, self.facts.baseline))
        if not own:
            return None
        shared = [seed for seed in own if seed in theirs]
        values = np.array(list(own.values()))
        apart = np.array([own[seed] - theirs[seed] for seed in shared])
        return Area(
            mean=float(values.mean()),
            ci=self._interval(values, f"{arm} {name} area"),
            difference=None if arm == self.facts.baseline else self._gain(apart, f"{arm} {name} area"),
        )

    def _gain(self, values: Floats, name: str) -> Gain | None:
        if not values.size:
            return None
        return Gain(mean=float(values.mean()), ci=self._interval(values, f"{name} - baseline"), seeds=values.size)

    def _interval(self, values: Floats, name: str) -> Interval:
        # The seed follows from the plan, so that the same study has the same interval in every process.
        seed = zlib.crc32(f"{self.facts.fingerprint} convergence {name}".encode())
        return bootstrap_interval(values, seed=seed) or (None, None)


def _areas(trials: Sequence[TrialCurves], read: Callable[[TrialCurves], LearningCurve | None]) -> dict[int, float]:
    """Return the area under the curve by seed, of trials that completed."""
    curves: list[tuple[int, Any]] = [(trial.seed, read(trial)) for trial in trials if not trial.diverged]
    areas = [(seed, area_under_curve(curve.step, curve.value)) for seed, curve in curves if curve is not None]
    return {seed: area for seed, area in areas if area is not None}


def error_rates(steps: Mapping[str, Times], horizon: int, facts: StudyFacts) -> dict[str, tuple[float, float]]:
    """Return for each arm but the baseline the error rates at which it is called faster and slower.

    Only the leading seeds count, which both arms have run, up to the first that one of the two has not.

    Args:
        steps: to the target, of every arm.
        horizon: steps of a complete trial.
        facts: of the study.
    """
    baseline = steps.get(facts.baseline)
    if baseline is None or facts.target is None or facts.target.began:
        return {}
    arms = [arm for arm in facts.arms if arm in steps and arm != facts.baseline]
    gains = {arm: _leading_gains(steps[arm], baseline, horizon, facts.seeds) for arm in arms}
    arms = [arm for arm in arms if gains[arm].size]
    if not arms:
        return {}
    rounds = max(gains[arm].size for arm in arms)
    # One that has fewer seeds keeps its evidence. Arms of the plan without a seed count as well, with an evidence of 1.
    paths = np.ones((rounds, 2 * (len(facts.arms) - 1)))
    for column, arm in enumerate(arms):
        for side, sign in enumerate((1.0, -1.0)):
            path = exp_limited(log_e_process(sign * gains[arm]))
            paths[:, 2 * column + side] = path[np.minimum(np.arange(rounds), path.size - 1)]
    largest = closed_evidence(paths).max(axis=0, initial=1.0)
    return {arm: (float(1 / largest[2 * at]), float(1 / largest[2 * at + 1])) for at, arm in enumerate(arms)}


def _leading_gains(own: Times, baseline: Times, horizon: int, seeds: Sequence[int]) -> Floats:
    mine, theirs = (
        dict(zip(it.seeds, restricted_times(it.time, it.reached, float(horizon)).tolist(), strict=True))
        for it in (own, baseline)
    )
    leading: list[int] = []
    for seed in seeds:
        if seed not in mine or seed not in theirs:
            break
        leading.append(seed)
    return restricted_gains([mine[seed] for seed in leading], [theirs[seed] for seed in leading])
