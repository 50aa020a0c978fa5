"""Seeds on which an arm is far from what it reaches beside the other arms on all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from actlab.stats.far_out import far_out
from actlab.studies.verdict.outcomes import Outcome

__all__ = ["find_far_seeds"]


def find_far_seeds(outcomes: Mapping[str, Outcome], arms: Sequence[str], rope: float) -> dict[str, tuple[int, ...]]:
    """Return for each arm the seeds on which its difference to the median of the other arms is far out; arms without any are left out.

    An effect of the seed on all arms cancels. Where one seed is far out for several arms, as it is for both of two, the arm counts
    whose own result is farthest from its own median, and any that is half as far.

    Args:
        outcomes: of every arm.
        arms: labels of the arms that are compared.
        rope: differences up to this size do not matter.

    Example:
        >>> good, bad = {s: 0.9 + s / 1000 for s in range(6)}, {s: 0.91 for s in range(5)} | {5: 0.1}
        >>> outcomes = {"relu": Outcome(arm="relu", metrics=good), "gelu": Outcome(arm="gelu", metrics=bad)}
        >>> find_far_seeds(outcomes, ["relu", "gelu"], 0.005)
        {'gelu': (5,)}
    """
    far = {arm: _far_of(arm, outcomes, arms, rope) for arm in arms}
    away = {arm: _away(outcomes[arm]) for arm in arms if far[arm]}
    found = {}
    for arm, seeds in far.items():
        own = tuple(
            seed
            for seed in seeds
            if away[arm][seed] >= max(away[rival][seed] for rival in away if seed in far[rival]) / 2
        )
        if own:
            found[arm] = own
    return found


def _far_of(arm: str, outcomes: Mapping[str, Outcome], arms: Sequence[str], rope: float) -> list[int]:
    rivals = [outcomes[rival].metrics for rival in arms if rival != arm]
    gaps = {
        seed: metric - median(beside)
        for seed, metric in outcomes[arm].metrics.items()
        if (beside := [metrics[seed] for metrics in rivals if seed in metrics])
    }
    return [seed for seed, is_far in zip(gaps, far_out(list(gaps.values()), resolution=rope), strict=True) if is_far]


def _away(outcome: Outcome) -> dict[int, float]:
    centre = median(outcome.metrics.values())
    return {seed: abs(metric - centre) for seed, metric in outcome.metrics.items()}
