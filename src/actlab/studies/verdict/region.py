"""Region of practical equivalence of a study, as given or as it follows from the metric."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from actlab.studies.arm import named
from actlab.studies.verdict.outcomes import Outcome, StudyFacts

__all__ = ["Region", "default_rule", "default_width", "find_region"]

# Metrics that are shares of examples or of a variance, or areas, overlaps and correlations that are 1 at best.
_NAME = (
    r"accuracy|acc|error rate|top ?\d+|f1|precision|recall|sensitivity|specificity|auc|auroc|auprc|average precision|map|iou|miou|jaccard|"
    r"dice|r2|r squared|explained variance|mcc|kappa"
)
_AROUND = r"balanced|macro|micro|weighted|mean|test|val|validation|roc|pr|score|accuracy|error|top|\d+"
_SHARE = re.compile(rf"(({_AROUND}) )*({_NAME})( ({_AROUND}))*")
_OF_SHARE = 0.005  # half a percentage point
_OF_SIZE = 0.01  # of the size of all other metrics


@dataclass(frozen=True, kw_only=True)
class Region:
    """Region of practical equivalence.

    Attributes:
        width: half width in units of the metric; 0 for none.
        rule: how it was chosen, for people.
        is_given: whether the plan gives it, and not the metric.
    """

    width: float
    rule: str
    is_given: bool


def find_region(outcomes: Mapping[str, Outcome], facts: StudyFacts) -> Region:
    """Return the region of the plan, or else one that follows from the metric.

    The default is half a percentage point for shares such as the accuracy, and 1 % of the size of any other metric. The size is that of
    the baseline's first result other than 0 in the order of the plan's seeds: no later result changes the region, whenever somebody
    looks.

    Example:
        >>> facts = StudyFacts(name="s", task="t", metric="loss", arms=("relu",), baseline="relu", seeds=(0, 1), rope=None)
        >>> region = find_region({"relu": Outcome(arm="relu", metrics={0: 0.002, 1: 0.004})}, facts)
        >>> region.width, region.rule
        (2e-05, "1% of relu's result on seed 0")
    """
    if facts.rope is not None:
        return Region(width=facts.rope, rule="given in the plan", is_given=True)
    first = _first_result(outcomes[facts.baseline], facts)
    width = default_width(facts.metric, None if first is None else first[1])
    if _is_share(facts.metric):
        return Region(width=width, rule="half a percentage point, the default for shares", is_given=False)
    if first is None:
        return Region(
            width=width, rule=f"none before {named(facts.baseline, short=True)} has a first result", is_given=False
        )
    return Region(
        width=width,
        rule=f"{_OF_SIZE:.0%} of {named(facts.baseline, short=True)}'s result on seed {first[0]}",
        is_given=False,
    )


def default_width(metric: str, result: float | None) -> float:
    """Return the half width of the region that follows from a metric, in its units.

    Args:
        metric: its name.
        result: a first result, which says the size of the metric and whether shares are in percent; None if there is none yet.

    Example:
        >>> default_width("accuracy", 0.9), default_width("accuracy", 90.0), default_width("loss", 0.5), default_width("loss", None)
        (0.005, 0.5, 0.005, 0.0)
    """
    size = 0.0 if result is None or not math.isfinite(result) else abs(result)
    if _is_share(metric):
        return 100 * _OF_SHARE if result is not None and 1 < result < math.inf else _OF_SHARE
    return _OF_SIZE * size


def _first_result(outcome: Outcome, facts: StudyFacts) -> tuple[int, float] | None:
    """Return the first seed of the plan with a result other than 0, and the result; None while an earlier seed has not ended for good."""
    for seed in facts.seeds:
        if outcome.metrics.get(seed):
            return seed, outcome.metrics[seed]
        has_ended = seed in outcome.metrics or seed in outcome.diverged or seed in outcome.failed
        if not has_ended or seed in outcome.provisional:
            return None
    return None


def _is_share(metric: str) -> bool:
    plain = metric.lower().replace("²", "2").replace("r^2", "r2")
    return _SHARE.fullmatch(re.sub(r"[^a-z0-9]+", " ", plain).strip()) is not None


def default_rule(metric: str, baseline: str) -> str:
    """Return how the region follows from a metric, before there is any result.

    Example:
        >>> default_rule("loss", "relu")
        "within 1% of relu's first result"
    """
    return (
        "within half a percentage point"
        if _is_share(metric)
        else f"within {_OF_SIZE:.0%} of {named(baseline, short=True)}'s first result"
    )
