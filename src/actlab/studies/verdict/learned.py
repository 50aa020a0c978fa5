"""Whether the arms learned anything, differ in any result, and had come to the end of their training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from actlab.stats.e_process import Floats
from actlab.studies.learning_curve import held_out_curve
from actlab.studies.verdict.finding import Findings
from actlab.studies.verdict.outcomes import Outcome, Row, StudyFacts

__all__ = ["Improvement", "Learned", "find_learned"]

# With fewer shared seeds, equal results may be a coincidence: an accuracy on 360 examples moves in steps of 1/360.
_FEWEST_IDENTICAL = 3
# With fewer seeds, an arm that learned on half of them only could be within its standard error.
_FEWEST_NOISY = 5
# Evaluations of the held-out metric from which its last two quarters can be compared. Single ones jump where the learning rate stays
# large: on digits by up to twice the region of practical equivalence, also where twice the training gains nothing.
_FEWEST_EVALUATIONS = 8
# A training loss that falls in the second half by more than this share of its whole fall is still falling.
_STILL_FALLING = 0.05


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """What an arm still gained at the end of its training.

    Attributes:
        arm: its label.
        gain: mean improvement over seeds, positive; of the held-out metric in its unit, or of the training loss.
        is_loss: whether it is the training loss, because there is no held-out metric.
        part: in which part of the training: "last quarter" (the mean of its evaluations against that of the quarter before) or "second
            half", where there were few or none.
    """

    arm: str
    gain: float
    is_loss: bool
    part: Literal["last quarter", "second half"] = "second half"


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Whether the arms that were compared learned anything.

    Attributes:
        unlearned: arms whose results are not clearly better than those of a constant prediction.
        constant: mean result of a constant prediction over these arms; None where it is not known.
        nothing: whether that holds for all arms that were compared.
        identical: groups of arms with equal results, to the bit, on all seeds that they share (at least three); none diverged alone.
        all_identical: whether that holds for all arms that were compared.
        improving: arms that still improved at the end of their training.
    """

    unlearned: tuple[str, ...]
    constant: float | None
    nothing: bool
    identical: tuple[tuple[str, ...], ...]
    all_identical: bool
    improving: tuple[Improvement, ...]


def find_learned(
    rows: Iterable[Row], outcomes: Mapping[str, Outcome], findings: Findings, facts: StudyFacts
) -> Learned:
    """Return what can be said of the learning of the arms that were compared.

    Args:
        rows: trials; ``controls`` of :class:`actlab.studies.trials.trial.Trial` may be missing.
        outcomes: of every arm.
        findings: about them.
        facts: of the study, with the region of practical equivalence resolved.
    """
    compared = findings.compared
    own: dict[str, list[Row]] = {arm: [] for arm in compared}
    for row in rows:
        if row.get("stage", "main") == "main" and row["arm"] in own and row["seed"] in outcomes[row["arm"]].metrics:
            own[row["arm"]].append(row)
    constants = {arm: _constants(own[arm]) for arm in compared}
    unlearned = tuple(arm for arm in compared if _is_unlearned(constants[arm], outcomes[arm], facts))
    known = [value for arm in unlearned for value in constants[arm].values()]
    identical = _identical(compared, outcomes)
    return Learned(
        unlearned=unlearned,
        constant=math.fsum(known) / len(known) if known else None,
        nothing=bool(compared) and unlearned == compared,
        identical=identical,
        all_identical=len(compared) > 1 and identical == (compared,),
        improving=tuple(found for arm in compared if (found := _improvement(arm, own[arm], facts)) is not None),
    )


def _control(row: Row, name: str) -> float | None:
    value = (row.get("controls") or {}).get(name)
    return value if value is not None and math.isfinite(value) else None


def _constants(rows: Sequence[Row]) -> dict[int, float]:
    """Return the metric of a constant prediction by seed, where it is known."""
    return {row["seed"]: value for row in rows if (value := _control(row, "constant")) is not None}


def _is_unlearned(constants: Mapping[int, float], outcome: Outcome, facts: StudyFacts) -> bool:
    """Return whether the gain over a constant prediction is smaller than matters and as good as none on most seeds, or within the noise."""
    if not constants:
        return False
    gains = np.array([facts.sign * (outcome.metrics[seed] - value) for seed, value in constants.items()])
    rope, rounding = facts.rope or 0.0, 1e-9 * max(1.0, *map(abs, constants.values()))
    is_small = gains.mean() <= rope + rounding and np.median(gains) <= rope / 10 + rounding
    is_noise = gains.size >= _FEWEST_NOISY and gains.mean() <= gains.std(ddof=1) / math.sqrt(gains.size)
    return bool(is_small or is_noise)


def _identical(arms: Sequence[str], outcomes: Mapping[str, Outcome]) -> tuple[tuple[str, ...], ...]:
    groups: list[list[str]] = []
    for arm in arms:
        group = next((group for group in groups if all(_are_equal(outcomes[arm], outcomes[it]) for it in group)), None)
        if group is None:
            groups.append([arm])
        else:
            group.append(arm)
    return tuple(tuple(group) for group in groups if len(group) > 1)


def _are_equal(one: Outcome, other: Outcome) -> bool:
    shared = one.metrics.keys() & other.metrics.keys()
    if {*one.diverged} & other.metrics.keys() or {*other.diverged} & one.metrics.keys():
        return False
    return len(shared) >= _FEWEST_IDENTICAL and all(one.metrics[seed] == other.metrics[seed] for seed in shared)


def _improvement(arm: str, rows: Sequence[Row], facts: StudyFacts) -> Improvement | None:
    late = [gain for row in rows if (gain := _late_gain(row, facts)) is not None]
    if late:
        least = facts.rope or 0.005 * float(np.mean([abs(size) for _, size in late]))
        gains = np.array([gain for gain, _ in late])
        is_clear = _is_clear(gains, least)
        return Improvement(arm=arm, gain=float(gains.mean()), is_loss=False, part="last quarter") if is_clear else None
    halves = [(row, half) for row in rows if (half := _control(row, "half_validation")) is not None]
    if halves:
        gains = np.array([facts.sign * (row["validation"] - half) for row, half in halves])
        sizes = [abs(row["validation"]) for row, _ in halves]
        least = facts.rope or 0.005 * float(np.mean(sizes))
        return Improvement(arm=arm, gain=float(gains.mean()), is_loss=False) if _is_clear(gains, least) else None
    falls = np.array([fall for row in rows if (fall := _late_fall(row.get("curve") or ())) is not None])
    clear = falls.size > 0 and _is_clear(falls[:, 0] / falls[:, 1], _STILL_FALLING)
    return Improvement(arm=arm, gain=float(falls[:, 0].mean()), is_loss=True) if clear else None


def _late_gain(row: Row, facts: StudyFacts) -> tuple[float, float] | None:
    """Return by how much the held-out metric is better in the last quarter than in the one before, and its size; None with few values."""
    curve = held_out_curve(row, facts.metric)
    if curve is None or len(curve.value) < _FEWEST_EVALUATIONS or not np.isfinite(curve.value).all():
        return None
    end = curve.step[-1]
    before = curve.value[(curve.step > end / 2) & (curve.step <= 3 * end / 4)]
    last = curve.value[curve.step > 3 * end / 4]
    if not before.size or not last.size:
        return None
    return float(facts.sign * (last.mean() - before.mean())), float(last.mean())


def _is_clear(gains: Floats, least: float) -> bool:
    """Return whether the mean gain is at least ``least``, and more than two standard errors above zero."""
    if gains.size < 2:
        return False
    return bool(gains.mean() >= least and gains.mean() > 2 * gains.std(ddof=1) / math.sqrt(gains.size))


def _late_fall(curve: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Return by how much the training loss fell in the second half, and in all; None for a short curve or a loss that did not fall."""
    losses = [point["loss"] for point in curve]
    tenth = len(losses) // 10
    if not tenth:
        return None
    half = len(losses) // 2
    first, middle, last = (
        math.fsum(part) / len(part) for part in (losses[:1], losses[half - tenth : half], losses[-tenth:])
    )
    return (middle - last, first - last) if first > last else None
