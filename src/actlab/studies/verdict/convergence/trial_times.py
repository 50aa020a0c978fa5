"""Times to a target of the trials of a study, censored where a trial never reaches it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actlab.stats.e_process import Floats
from actlab.stats.survival import common_horizon
from actlab.studies.learning_curve import LearningCurve, held_out_curve, loss_curve
from actlab.studies.target import Target
from actlab.studies.verdict.outcomes import Costs, Outcome, Row, StudyFacts

__all__ = ["Times", "TrialCurves", "end_by_clock", "read_trials", "seconds_to_target", "steps_to_target"]

_FEWEST = 4  # trials from which their lengths tell whether a clock ends them
_SPREAD = 0.02  # of the logarithms of their steps: shorter and longer trials than that are told apart
_RATIO = 0.5  # of the spread of their seconds to that of their steps, below which a clock ends them


@dataclass(frozen=True, kw_only=True)
class TrialCurves:
    """Curves of one trial that completed or diverged.

    Attributes:
        seed: of the trial.
        steps: number of training steps.
        diverged: whether it gave no finite result.
        stacked: whether it was trained in one computation with others, so that its seconds are not its own.
        loss: training loss, smoothed.
        held_out: metric on held-out data.
    """

    seed: int
    steps: int
    diverged: bool
    stacked: bool
    loss: LearningCurve | None
    held_out: LearningCurve | None

    def of(self, target: Target) -> LearningCurve | None:
        """Return the curve that a target is for."""
        return self.loss if target.is_loss else self.held_out

    def meets_at_once(self, target: Target) -> bool:
        """Return whether a target is met at the first recorded point."""
        curve = self.of(target)
        return curve is not None and bool(target.is_met(curve.value[:1])[0])

    @property
    def length(self) -> tuple[float, float]:
        """Steps and seconds from the first recorded point to the last; from the start where there is one point."""
        curves = [curve for curve in (self.loss, self.held_out) if curve is not None]
        if not curves:
            return math.nan, math.nan
        curve = max(curves, key=lambda it: float(it.step[-1]))
        first = (float(curve.step[0]), float(curve.seconds[0])) if len(curve.step) > 1 else (0.0, 0.0)
        return float(curve.step[-1]) - first[0], float(curve.seconds[-1]) - first[1]

    @property
    def seconds(self) -> float:
        """Seconds of training up to the last recorded point; NaN where there is none."""
        return max((float(curve.seconds[-1]) for curve in (self.loss, self.held_out) if curve), default=math.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Times:
    """Times of the trials of one arm, in the order of the plan's seeds.

    Attributes:
        seeds: shape (n,).
        time: of the target, or of the end of the trial; infinite for a trial that ended early, which would never reach it. Shape (n,).
        reached: whether the target was reached, shape (n,).
    """

    seeds: tuple[int, ...]
    time: Floats
    reached: NDArray[np.bool_]

    def scaled(self, factor: float) -> Times:
        """Return the times in another unit."""
        return Times(seeds=self.seeds, time=self.time * factor, reached=self.reached)


def read_trials(
    rows: Iterable[Row], outcomes: Mapping[str, Outcome], facts: StudyFacts
) -> dict[str, list[TrialCurves]]:
    """Return the curves of every arm's trials, in the order of the plan's seeds; trials without series are left out, and failed ones.

    Args:
        rows: trials of the study.
        outcomes: of every arm.
        facts: of the study.
    """
    found: dict[str, dict[int, TrialCurves]] = {arm: {} for arm in facts.arms}
    for row in rows:
        arm, seed = row["arm"], row["seed"]
        if row.get("stage", "main") != "main" or arm not in found or row.get("series") is None:
            continue
        outcome = outcomes[arm]
        if seed in outcome.metrics or seed in outcome.diverged:
            loss, held_out = loss_curve(row), held_out_curve(row, facts.metric)
            last = max((float(curve.step[-1]) for curve in (loss, held_out) if curve is not None), default=0.0)
            found[arm][seed] = TrialCurves(
                seed=seed,
                steps=int(row.get("steps") or last),
                diverged=seed in outcome.diverged,
                stacked=(row.get("versions") or {}).get("trainer") == "stacked",
                loss=loss,
                held_out=held_out,
            )
    return {arm: [by_seed[seed] for seed in facts.seeds if seed in by_seed] for arm, by_seed in found.items()}


def end_by_clock(by_arm: Mapping[str, Sequence[TrialCurves]]) -> bool:
    """Return whether trials end after a time rather than after steps: these differ, and their seconds differ much less.

    Where trials end early by what they have learned, their seconds differ as their steps do. What is done before the first report,
    such as loading data, does not count.

    Args:
        by_arm: trials of every arm.
    """
    ended = [trial.length for trials in by_arm.values() for trial in trials if not trial.diverged and not trial.stacked]
    known = [(steps, seconds) for steps, seconds in ended if steps > 0 and seconds > 0]
    if len(known) < _FEWEST:
        return False
    steps, seconds = np.log(np.array(known)).std(axis=0)
    return bool(steps > _SPREAD and seconds < _RATIO * steps)


def steps_to_target(trials: Sequence[TrialCurves], target: Target, horizon: int) -> Times:
    """Return the steps to a target of an arm's trials.

    A trial that reaches it is observed; one that trains to the end without it is censored there; one that ended earlier without it,
    because it diverged or was stopped early, never reaches it. A completed trial in which the series was not recorded is left out.

    Args:
        trials: of the arm.
        target: the target.
        horizon: steps of a complete trial.
    """
    return _times(trials, target, [math.inf if trial.steps < horizon else float(trial.steps) for trial in trials])


def seconds_to_target(
    by_arm: Mapping[str, Sequence[TrialCurves]], target: Target, horizon: int, costs: Costs, *, by_clock: bool = False
) -> tuple[dict[str, Times], float]:
    """Return the seconds of training to a target of the trials of all arms, and the horizon up to which all of them are known.

    They are those of no arm where they were not measured for every one. The horizon is the first censored time, or else the longest
    trial, so that a trial that ended early without the target counts with as much.

    They are measured in the trials. Where trials were trained in one computation, they are the steps times the step time of
    the arm alone, as it was measured for the study.

    Args:
        by_arm: trials of every arm.
        target: the target.
        horizon: steps of a complete trial.
        costs: per arm, with ``step_time`` in seconds.
        by_clock: whether the trials end after a time, so that one with fewer steps than others has not ended early.
    """
    used = {arm: trials for arm, trials in by_arm.items() if trials}
    if any(trial.stacked for trials in used.values() for trial in trials):
        step_times = {arm: float(costs.get(arm, {}).get("step_time") or 0.0) for arm in used}
        if not all(step_times.values()):
            return {}, 0.0
        found = {arm: steps_to_target(used[arm], target, horizon).scaled(step_times[arm]) for arm in used}
        return found, _shared_horizon(found, horizon * max(step_times.values(), default=0.0))
    found = {}
    for arm, trials in used.items():
        ends = [math.inf if _ended_early(trial, horizon, by_clock=by_clock) else trial.seconds for trial in trials]
        found[arm] = _times(trials, target, ends, in_seconds=True)
    if any(np.isnan(times.time).any() for times in found.values()):
        return {}, 0.0
    seconds = [trial.seconds for trials in used.values() for trial in trials if math.isfinite(trial.seconds)]
    return found, _shared_horizon(found, max(seconds, default=0.0))


def _ended_early(trial: TrialCurves, horizon: int, *, by_clock: bool) -> bool:
    return trial.diverged if by_clock else trial.steps < horizon


def _shared_horizon(by_arm: Mapping[str, Times], longest: float) -> float:
    """Return the horizon up to which the time of every trial of all arms is known, at most the longest trial."""
    if not by_arm:
        return 0.0
    times, reached = (np.concatenate([getattr(of, name) for of in by_arm.values()]) for name in ("time", "reached"))
    is_censored = bool((~reached & np.isfinite(times)).any())
    return common_horizon(times, reached) if is_censored else max(longest, common_horizon(times, reached))


def _times(trials: Sequence[TrialCurves], target: Target, ends: Sequence[float], *, in_seconds: bool = False) -> Times:
    seeds, times, reached = [], [], []
    for trial, end in zip(trials, ends, strict=True):
        curve = trial.of(target)
        if curve is None and not trial.diverged:
            continue
        reach = None if curve is None else curve.first(target.is_met(curve.value))
        seeds.append(trial.seed)
        reached.append(reach is not None)
        times.append(end if reach is None else reach.seconds if in_seconds else reach.step)
    return Times(seeds=tuple(seeds), time=np.array(times, dtype=np.float64), reached=np.array(reached, dtype=np.bool_))
