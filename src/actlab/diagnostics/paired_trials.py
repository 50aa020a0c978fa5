"""Paired trials of a remedy, by training a task's model with and without it on the same seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from actlab.diagnostics.diagnosed_model import DiagnosedModel
from actlab.diagnostics.diagnosis import PairedTrial, TrialVerdict
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.short_training import Outcome, short_trial, untrained_metric
from actlab.errors import ActlabError
from actlab.nn.probes.propagation import Propagation, propagation
from actlab.stats.bootstrap import bootstrap_interval
from actlab.studies.verdict.region import default_width
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.task import Task
from actlab.tasks.user_code import one_line

__all__ = ["PairedTrials"]

# error rate of all trials of a diagnosis together
_ERRORS: Final = 0.05


class PairedTrials:
    """Trains a task's model with and without remedies on the same seeds; the unchanged model is trained once per seed.

    Args:
        task: what to train.
        diagnosed: its untrained model with a batch.
        propagation: of that model; None if it was not measured.
        seeds: one training each, with and without the remedy.
        steps: of each training.
    """

    def __init__(
        self,
        task: Task,
        diagnosed: DiagnosedModel,
        *,
        propagation: Propagation | None,
        seeds: tuple[int, ...],
        steps: int,
    ) -> None:
        self._task, self._diagnosed, self._propagation = task, diagnosed, propagation
        self._seeds, self._steps = seeds, steps
        self._unchanged: dict[int, Outcome] = {}

    def run(
        self, remedy: Remedy, *, remedies: int, is_hint: bool, before_training: Callable[[int], None]
    ) -> PairedTrial:
        """Try a remedy.

        Args:
            remedy: what to change.
            remedies: number of remedies of the diagnosis, for which the interval is corrected.
            is_hint: whether only hints propose it; then its whole interval must lie beyond the region of practical equivalence.
            before_training: called with the number of trainings of this trial done so far.
        """
        trial = PairedTrial(prescription=remedy)
        pairs: list[tuple[Outcome, Outcome]] = []
        try:
            for number, seed in enumerate(self._seeds):
                before_training(number)
                after = short_trial(self._task, seed, remedy, steps=self._steps)
                pairs.append((self._unchanged_outcome(seed), after))
            trial = replace(trial, decades=self._decades(remedy))
        except ActlabError as error:
            return replace(trial, verdict="does not fit", reason=str(error))
        except Exception as error:  # a user's model may raise anything when it is changed or trained
            return replace(trial, verdict="does not fit", reason=one_line(error))
        return self._judged(trial, pairs, level=1 - _ERRORS / remedies, is_hint=is_hint)

    def _unchanged_outcome(self, seed: int) -> Outcome:
        if seed not in self._unchanged:
            self._unchanged[seed] = short_trial(self._task, seed, Remedy(), steps=self._steps)
        return self._unchanged[seed]

    def _decades(self, remedy: Remedy) -> tuple[float, float]:
        """Return the decades of the gradient at initialization of the first seed, without and with the remedy; NaN if unknown."""
        if self._propagation is None or not remedy.changes:
            return math.nan, math.nan
        before, inputs, seed = self._propagation.decades, self._diagnosed.inputs, self._seeds[0]
        with one_thread(), isolated(seed):
            changed = remedy.apply(self._diagnosed.model, inputs, seed)
            try:
                return before, propagation(changed, inputs).decades
            except ActlabError:
                return before, math.nan

    def _judged(
        self, trial: PairedTrial, pairs: Sequence[tuple[Outcome, Outcome]], *, level: float, is_hint: bool
    ) -> PairedTrial:
        before, after = (self._metrics([pair[side] for pair in pairs]) for side in (0, 1))
        sign = 1 if self._task.direction == "max" else -1
        differences = sign * (np.array(after) - np.array(before))
        interval = bootstrap_interval(differences, seed=0, level=level) if np.isfinite(differences).all() else None
        mean = float(differences.mean())
        rope = self._task.rope if self._task.rope is not None else default_width(self._task.metric_name, before[0])
        return replace(
            trial,
            seeds=self._seeds,
            before=before,
            after=after,
            difference=mean,
            interval=interval,
            verdict=_verdict(mean, interval, rope, is_hint=is_hint),
            diverged=(sum(pair[0].diverged for pair in pairs), sum(pair[1].diverged for pair in pairs)),
        )

    def _metrics(self, outcomes: Sequence[Outcome]) -> tuple[float, ...]:
        """Return the metrics; a training that diverged, or whose metric is not finite, counts as the untrained model."""
        return tuple(
            untrained_metric(self._task, seed)
            if outcome.diverged or not math.isfinite(outcome.value)
            else outcome.value
            for seed, outcome in zip(self._seeds, outcomes, strict=True)
        )


def _verdict(mean: float, interval: tuple[float, float] | None, rope: float, *, is_hint: bool) -> TrialVerdict:
    if interval is None:
        return "undecided"
    low, high = interval
    if (low > rope) if is_hint else (low > 0 and mean > rope):
        return "helped"
    return "did not help" if high <= rope or high <= 0 else "undecided"
