"""Evidence for statements on an arm and the baseline in a column, with a forecast of the seeds needed.

The test is that of :mod:`actlab.stats.robust_e_process` on the paired differences. Seeds on which one of the two has no number, such as
those of a diverged training, never support a statement: to "better" one that the arm alone lacks counts as lost by the range of the
numbers, one that the baseline alone lacks counts not at all; to "worse" it is the other way round; and to "practically equivalent" both
end all evidence. Seeds that both lack do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from actlab.stats.e_process import TINY_GAIN, Floats, exp_limited
from actlab.stats.racing import paired_gains
from actlab.stats.robust_e_process import log_robust_growth
from actlab.studies.verdict.axes.axis_numbers import ArmSeries

__all__ = ["Comparison", "comparison", "find_evidence", "seeds_needed"]

_FURTHER: Final = 60  # seeds up to which a forecast is made


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Paired numbers of an arm and the baseline in one column, by round.

    Attributes:
        better: gains of the arm that count for "better", shape (n,).
        worse: gains of the baseline that count for "worse".
        apart: differences for "equivalent", positive where the arm is better; infinite where one of the two alone has no number.
        gains: by how much the arm is better on the seeds on which both have a number.
        rope: half width of the region of practical equivalence.
        known: logarithms of the evidence for "equivalent", "better" and "worse" where it does not come from seeds, shape (3,).
    """

    better: Floats
    worse: Floats
    apart: Floats
    gains: Floats
    rope: float
    known: Floats | None = None

    @classmethod
    def of_known(cls, log_e: Floats, gains: Floats) -> Self:
        """Return a comparison whose evidence is known otherwise.

        Args:
            log_e: of "equivalent", "better" and "worse".
            gains: of the arm, whose median no statement may contradict.
        """
        none = np.zeros(0)
        return cls(better=none, worse=none, apart=none, gains=gains, rope=math.inf, known=log_e)


def comparison(arm: ArmSeries, baseline: ArmSeries, seeds: Sequence[int], *, sign: float, rope: float) -> Comparison:
    """Return the paired numbers of an arm and the baseline.

    Args:
        arm: its numbers.
        baseline: those of the baseline.
        seeds: that both have run, in the order of the plan.
        sign: 1 when larger numbers are better, else -1.
        rope: half width of the region of practical equivalence.

    Example:
        >>> first, second = (
        ...     ArmSeries(arm=arm, values=dict(enumerate(values)), missing={})
        ...     for arm, values in (("gelu", [1.0, 2.0, 1.5, 1.8]), ("relu", [0.5, 1.4, 1.1, 1.2]))
        ... )
        >>> find_evidence([comparison(first, second, range(4), sign=1.0, rope=0.1)]).round(1).tolist()
        [[0.0, 12.8, 0.0]]
    """
    series = (arm, baseline)
    own, other = (sign * np.array([it.values.get(seed, np.nan) for seed in seeds], dtype=np.float64) for it in series)
    lacks, other_lacks = np.isnan(own), np.isnan(other)
    return Comparison(
        better=paired_gains(own, other)[~other_lacks],
        worse=paired_gains(other, own)[~lacks],
        apart=np.where(lacks != other_lacks, np.inf, own - other)[~(lacks & other_lacks)],
        gains=(own - other)[~lacks & ~other_lacks],
        rope=rope,
    )


def find_evidence(comparisons: Sequence[Comparison]) -> Floats:
    """Return e-values of "equivalent", "better" and "worse", in the order of :data:`actlab.stats.false_discovery.STATEMENTS`.

    Returns:
        Shape (comparisons, 3); 0 for a statement that the median difference contradicts.
    """
    log_e = [
        list(it.known) if it.known is not None else [path[-1] if path.size else 0.0 for path in paths]
        for it, paths in zip(comparisons, _log_paths(comparisons), strict=True)
    ]
    medians = [float(np.median(it.gains)) if it.gains.size else 0.0 for it in comparisons]
    agrees = [[abs(median) <= it.rope, median > 0, median < 0] for it, median in zip(comparisons, medians, strict=True)]
    shape = len(comparisons), 3
    return np.where(np.array(agrees, dtype=np.bool_).reshape(shape), exp_limited(np.reshape(log_e, shape)), 0.0)


def seeds_needed(comparisons: Sequence[Comparison], evidence: float) -> list[int | None]:
    """Return about how many more seeds each comparison needs until a statement is made, if the differences so far repeat in their order.

    Args:
        comparisons: that are undecided.
        evidence: with which a statement is made.

    Returns:
        Seeds to add, at least 1; None where 60 do not suffice, below two seeds, which show no spread, or where evidence is not of seeds.
    """
    repeated = [_repeated(it) for it in comparisons]
    needed: list[int | None] = []
    for it, paths in zip(comparisons, _log_paths(repeated), strict=True):
        later = np.max([path[it.gains.size :] for path in paths], axis=0, initial=-np.inf)
        reached = np.flatnonzero(later >= np.log(evidence))
        needed.append(int(reached[0]) + 1 if reached.size and it.gains.size > 1 and it.known is None else None)
    return needed


def _repeated(it: Comparison) -> Comparison:
    if it.known is not None:
        return it
    more = np.resize(it.gains, it.gains.size + _FURTHER) if it.gains.size else np.zeros(_FURTHER)
    return Comparison(better=more, worse=-more, apart=more, gains=more, rope=it.rope)


def _log_paths(comparisons: Sequence[Comparison]) -> list[tuple[Floats, Floats, Floats]]:
    """Return the log of the evidence for "equivalent", "better" and "worse" after each round."""
    finite = [np.where(np.isfinite(it.apart), it.apart, 0.0) for it in comparisons]
    ended = [np.where(np.isinf(it.apart), -np.inf, 0.0).cumsum() for it in comparisons]
    below = _grown([_inside(it.rope - d, it.rope) for it, d in zip(comparisons, finite, strict=True)])
    above = _grown([_inside(it.rope + d, it.rope) for it, d in zip(comparisons, finite, strict=True)])
    equivalent = [np.minimum(*both) + end for *both, end in zip(below, above, ended, strict=True)]
    better, worse = _grown([it.better for it in comparisons]), _grown([it.worse for it in comparisons])
    return list(zip(equivalent, better, worse, strict=True))


def _inside(distance: Floats, rope: float) -> Floats:
    """Return distances to an end of the region; with a region of 0 identical numbers are evidence, as in the metric's own test."""
    is_first = np.maximum.accumulate(np.abs(distance)) == 0
    return np.where(is_first, TINY_GAIN, distance) if rope == 0 else distance


def _grown(series: Sequence[Floats]) -> list[Floats]:
    """Return the log of the one-sided process of each series; all at once, since no later difference changes an earlier factor."""
    longest = max((len(it) for it in series), default=0)
    padded = np.array([np.pad(it, (0, longest - len(it))) for it in series]).reshape(len(series), longest)
    paths = log_robust_growth(padded).cumsum(-1)
    return [path[: len(it)] for path, it in zip(paths, series, strict=True)]
