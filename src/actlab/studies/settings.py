"""Settings of a study (seeds, baseline, error rate, ROPE), and parsing of seeds and sites."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from actlab.errors import PlanError, did_you_mean
from actlab.evaluate.axis_registry import AxisLike
from actlab.studies.arm import ArmLike
from actlab.studies.target import TargetLike
from actlab.system.duration import parse_budget
from actlab.tasks.training.devices import DeviceLike

__all__ = [
    "CHECKPOINT_EVERY",
    "HALVING_FACTORS",
    "LR_FACTORS",
    "TUNING_SEEDS",
    "StudyOptions",
    "StudySettings",
    "check_choice",
    "number_between",
    "parse_budget",
    "parse_seeds",
    "parse_sites",
]

#: Time between two checkpoints of a running trial, so that a short one never writes.
CHECKPOINT_EVERY = "1m"
# Seeds from here on are reserved for tuning, so that no main trial repeats one.
_FIRST_TUNING_SEED = 1_000_000
#: Seeds of the tuning trials.
TUNING_SEEDS = (_FIRST_TUNING_SEED, _FIRST_TUNING_SEED + 1)
#: Factors of the task's learning rate on the full grid, the same for every arm.
LR_FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)
#: The same for successive halving, whose first rung is cheap: from 1/27 to 27.
HALVING_FACTORS = tuple(3 ** (exponent / 2) for exponent in range(-6, 7))


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Settings of a study's plan, checked by :func:`actlab.studies.plan.make_plan`.

    Attributes:
        seeds: number of seeds of every arm, or the seeds themselves; more can be added later.
        baseline: the arm with which the others are compared; added to the arms if it is not among them. By default the model as it is:
            the first arm that leaves it unchanged, to the bit, or else the arm "unchanged", which is then added.
        sites: the sites that an arm of a single spec swaps, as one or more patterns of :func:`actlab.swap_`; by default those of the
            model's main function, see :func:`actlab.studies.site_roles.find_roles`.
        init: "fixed" keeps the model's own initialisation, "matched" uses the gain of each activation.
        tune: None, or "lr" to tune the learning rate of every arm on the same grid, without the test split, by successive halving;
            "lr-grid" trains all rates of a smaller grid to the end.
        alpha: error rate of the whole study.
        rope: region of practical equivalence, in the metric's units; the task's own by default.
        eliminate: whether arms are eliminated as soon as the evidence allows.
        decay_learned: whether the weight decay of the task's optimizer acts on the learned numbers of activations as well; False takes
            them out of it, see :func:`actlab.parameter_groups`.
        trial_limit: time after which a trial is taken to hang and ended, as "10m" or in seconds; by default 20 times the longest trial so
            far, at least a minute. Not part of the plan: it changes no number.
        target: of convergence: a value of the held-out metric or of the training loss, as "accuracy=0.95", "loss=0.1" or
            ``{"accuracy": 0.95}``; "none" for none. By default it follows from a trial of the baseline before the study, see
            :func:`actlab.studies.target.pilot_target`. Not part of the plan: it changes no number of a trial.
        checkpoint_every: time between two checkpoints of a running trial, as "10m" or in seconds, from which it goes on after a kill; 0,
            "none" or None for no checkpoints. Not part of the plan: a trial that goes on has the same numbers.
        stack: whether trials of models that differ only in activations and weights are trained as one computation, where that is possible;
            by default where it is faster, see :mod:`actlab.studies.stackable`. Not part of the plan.
        accept_changes: whether a study goes on although modules that the task imports, or its data, have changed since it began. Not part
            of the plan; the verdict says that the rows were not computed alike.
        device: where trials run: "auto", "cpu", "cuda", "cuda:1", several cards as "cuda:0,cuda:1" or as a list, or "mps"; by default the
            task's own device, else the CPU. Not part of the plan, as the next two; rows say where they were computed.
        jobs_per_device: trials at the same time on each device; by default one on an accelerator.
        threads: threads of torch in each trial, 1 by default; the trials then share the cores.
        evaluate: axes on which the trained models are judged beside the metric: names, "all", Python files with axes of one's own, or
            these axes, see :func:`actlab.evaluate.axis_registry.axes_named`. A study with other axes is another study.
    """

    seeds: int | Sequence[int] = 10
    baseline: ArmLike | None = None
    init: str = "fixed"
    tune: str | None = None
    alpha: float = 0.05
    rope: float | None = None
    eliminate: bool = True
    decay_learned: bool = True
    sites: str | Sequence[str] | None = None
    trial_limit: str | float | None = None
    checkpoint_every: str | float | None = CHECKPOINT_EVERY
    target: TargetLike | None = None
    stack: bool | None = None
    accept_changes: bool = False
    device: DeviceLike | None = None
    jobs_per_device: int | None = None
    threads: int | None = None
    evaluate: str | AxisLike | Sequence[AxisLike] | None = None


class StudyOptions(TypedDict, total=False):
    """Keyword options of functions that take :class:`StudySettings`, with the same names and types."""

    seeds: int | Sequence[int]
    baseline: ArmLike | None
    init: str
    tune: str | None
    alpha: float
    rope: float | None
    eliminate: bool
    decay_learned: bool
    sites: str | Sequence[str] | None
    trial_limit: str | float | None
    checkpoint_every: str | float | None
    target: TargetLike | None
    stack: bool | None
    accept_changes: bool
    device: DeviceLike | None
    jobs_per_device: int | None
    threads: int | None
    evaluate: str | AxisLike | Sequence[AxisLike] | None


def parse_sites(sites: str | Sequence[str]) -> tuple[str, ...]:
    """Return patterns of sites.

    Raises:
        PlanError: a pattern is empty or no text.

    Example:
        >>> parse_sites("encoder.*"), parse_sites(["relu", "@-1"])
        (('encoder.*',), ('relu', '@-1'))
    """
    patterns = (sites,) if isinstance(sites, str) else tuple(sites) if isinstance(sites, Iterable) else (sites,)
    if not all(isinstance(pattern, str) and pattern.strip() for pattern in patterns):
        raise PlanError(
            f"sites is {sites!r}; needed are paths, functions or patterns of sites, such as 'encoder.*', 'relu' or '@:4'; '*' is for all."
        )
    return tuple(dict.fromkeys(patterns))


def parse_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds, which are 0, 1, 2, ... for a number of them.

    Raises:
        PlanError: no seed, duplicate seeds, values that are no integers, or integers in the range reserved for tuning.

    Example:
        >>> parse_seeds(3), parse_seeds([7, 8])
        ((0, 1, 2), (7, 8))
    """
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= _FIRST_TUNING_SEED:
            raise PlanError(f"seeds is {seeds}; a whole number from 1 up is needed (10 is a good start).")
        return tuple(range(seeds))
    if isinstance(seeds, str | bool) or not isinstance(seeds, Iterable):
        raise PlanError(f"seeds is {seeds!r}; give a number of seeds, like 10, or a list of them, like [0, 1, 2].")
    chosen = tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen) or not all(map(_is_seed, chosen)):
        raise PlanError(
            f"seeds is {list(chosen)!r}; needed are different whole numbers from 0 to {_FIRST_TUNING_SEED - 1:,}."
        )
    return chosen


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _FIRST_TUNING_SEED


def check_choice(name: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    """Refuse a value that is none of those allowed.

    Raises:
        PlanError: it is not allowed.
    """
    if value not in allowed:
        near = did_you_mean(str(value), [str(choice) for choice in allowed if choice is not None])
        raise PlanError(f"{name} is {value!r}; allowed: {', '.join(map(repr, allowed))}.{near}")


def number_between(value: Any, low: float, high: float, name: str, meaning: str) -> float:
    """Return a number between two bounds.

    Args:
        value: the setting.
        low: it is larger.
        high: it is smaller.
        name: of the setting.
        meaning: in words.

    Raises:
        PlanError: the value is no number between the bounds.

    Example:
        >>> number_between(0.05, 0, 1, "alpha", "the error rate")
        0.05
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        bounds = "a number from 0 up" if high == math.inf else f"a number between {low} and {high}"
        raise PlanError(f"{name} is {value!r}; allowed is {bounds} ({meaning}).")
    return float(value)
