"""Judgement of one part of a claim from its effects by seed.

Statements are made by e-processes of the effects (:mod:`actlab.stats.robust_e_process`), which may be looked at after every seed: "the
effect is above x" is shown where the process of ``effect - x`` has ever reached 1/alpha, "below x" where that of ``x - effect`` has. They
are about the centre of the effects, under the condition that effects are symmetric about it.

* "better" **does not hold** where the effect is shown to be below the smallest that matters, else **holds** where it is above 0. Only one
  of the two can be false, so both are made at the error rate of the part.
* "tie" **holds** where the effect is shown to be above ``-smallest`` and below ``smallest``, which needs both and hence no correction; it
  **does not hold** where it is outside, on either side at half of the error rate.
* All else is **undecided**.

The interval is the set of x that are neither shown to be above nor below the effect, at the same error rate for each end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from actlab.stats.e_process import Floats
from actlab.stats.robust_e_process import log_robust_growth
from actlab.studies.claims.claim import Claim, Exact, Kind, Part
from actlab.studies.claims.detectable_effect import detectable_effect
from actlab.studies.claims.effect import Rows

__all__ = ["Decision", "PartJudgement", "decisions", "judge_part"]

Booleans: TypeAlias = NDArray[np.bool_]
Decision: TypeAlias = Literal["holds", "does not hold", "undecided"]

_GRID: Final = 401  # points at which the ends of an interval are looked for
_SOON, _LATE = 40, 200  # seeds in total up to which a decision is forecast


@dataclass(frozen=True, kw_only=True)
class PartJudgement:
    """What was found about one part of a claim.

    Attributes:
        says: the statement.
        kind: "better", "tie" or "exact".
        condition: under which it is judged.
        judged: whether it bears on the outcome.
        decision: "holds", "does not hold" or "undecided".
        unit: of all effects.
        smallest: the smallest effect that matters; of a closed form the tolerance.
        n: number of seeds with an effect; of pairs of seeds where the effect is a variance over arms.
        effect: median of the effects; of a closed form its value. None without any.
        low: lower end of the interval, minus infinity where there is none yet.
        high: upper end.
        alpha: error rate of the part's statements, and of each end of the interval.
        more: about how many more seeds decide it; None where it is decided, or where that is not foreseeable.
        detectable: the effect that would have been shown to be above 0 with probability 0.8; None with fewer than two seeds.
        claimed: value of a closed form in the claim.
        infinite: number of seeds on which one side diverged.
        missing: number of seeds that say nothing: both sides diverged, or a trial failed.
    """

    says: str
    kind: Kind | Literal["exact"]
    condition: str | None
    judged: bool
    decision: Decision
    unit: str
    smallest: float
    n: int = 0
    effect: float | None = None
    low: float = -math.inf
    high: float = math.inf
    alpha: float = 0.05
    more: int | None = None
    detectable: float | None = None
    claimed: float | None = None
    infinite: int = 0
    missing: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, ready for JSON: infinite ends of intervals are None."""
        plain = asdict(self)
        return {name: None if isinstance(it, float) and not math.isfinite(it) else it for name, it in plain.items()}


def judge_part(part: Part, claim: Claim, rows: Rows) -> PartJudgement:
    """Judge a part.

    Args:
        part: of the claim.
        claim: gives the error rate.
        rows: of the claim's studies.

    Example:
        >>> from actlab.studies.claims.claim import ClaimStudy, Source, difference
        >>> part = Part(says="b is better", effect=difference("b", "a"), smallest=0.1, unit="accuracy")
        >>> study = ClaimStudy(task="digits", arms=("a", "b"))
        >>> claim = Claim(sentence="b beats a", source=Source(text="folklore"), domain="vision", studies={"main": study}, parts=(part,))
        >>> rows = [{"arm": arm, "seed": s, "status": "completed", "metric": gain + s / 99} for arm, gain in (("a", 0), ("b", 0.2))
        ...         for s in range(8)]
        >>> judge_part(part, claim, {"main": rows}).decision
        'holds'
    """
    shared: dict[str, Any] = {"says": part.says, "condition": part.condition, "judged": part.judged, "unit": part.unit}
    if part.exact is not None:
        return _exact(part.exact, shared)
    assert part.effect is not None  # noqa: S101 # a part has one or the other
    found = part.effect.by_seed(rows)
    effects = np.array([number for number in found.values() if not math.isnan(number)])
    alpha = claim.part_alpha
    shared |= {"kind": part.kind, "smallest": part.smallest, "alpha": alpha, "missing": len(found) - effects.size}
    if not effects.size:
        return PartJudgement(decision="undecided", **shared)
    decision = _decide(effects, part.kind, part.smallest, alpha)
    low, high = _interval(effects, alpha)
    more = None if decision != "undecided" else _more(effects, part.kind, part.smallest, alpha)
    return PartJudgement(
        decision=decision,
        n=effects.size,
        effect=float(np.median(effects)),
        low=low,
        high=high,
        more=None if more is None else more * part.effect.seeds_each,
        detectable=detectable_effect(effects, alpha),
        infinite=int(np.isinf(effects).sum()),
        **shared,
    )


def _exact(exact: Exact, shared: Mapping[str, Any]) -> PartJudgement:
    number = float(exact.compute())
    if math.isnan(number):  # a function without a value there, which neither agrees with the claim nor excludes it
        return PartJudgement(
            kind="exact", decision="undecided", smallest=exact.tolerance, claimed=exact.claimed, **shared
        )
    holds = abs(number - exact.claimed) <= exact.tolerance
    return PartJudgement(
        kind="exact", decision="holds" if holds else "does not hold", smallest=exact.tolerance, effect=number, low=number, high=number,
        claimed=exact.claimed, **shared,
    )  # fmt: skip


def _log_evidence(effects: Floats, above: Floats) -> tuple[Floats, Floats]:
    """Return the log of the largest evidence so far that the effect is above, and that it is below, each of some numbers.

    Args:
        effects: by seed, shape (..., n).
        above: numbers, shape (k,).

    Returns:
        Two arrays, shape (k, ..., n).
    """
    distance = np.clip(effects, -1e300, 1e300)[None] - above.reshape(-1, *(1,) * effects.ndim)
    both = log_robust_growth(np.stack([distance, -distance])).cumsum(-1)
    highest = np.maximum.accumulate(both, axis=-1)
    return highest[0], highest[1]


def decisions(effects: Floats, kind: Kind, smallest: float, alpha: float) -> tuple[Booleans, Booleans]:
    """Return after each seed whether a part holds, and whether it does not.

    Args:
        effects: by seed, shape (..., n); one part per leading index.
        kind: of the part.
        smallest: the smallest effect that matters.
        alpha: error rate.

    Returns:
        Two arrays of booleans, shape (..., n).

    Example:
        >>> holds, fails = decisions(np.full(6, 0.2), "better", 0.1, 0.05)
        >>> holds.tolist(), fails.any()
        ([False, False, False, False, True, True], np.False_)
    """
    above, below = _log_evidence(effects, np.array([0.0, smallest, -smallest]))
    bound, stricter = math.log(1 / alpha), math.log(2 / alpha)
    if kind == "better":
        fails = below[1] >= bound
        return (above[0] >= bound) & ~fails, fails
    outside = (above[1] >= stricter) | (below[2] >= stricter)
    return (above[2] >= bound) & (below[1] >= bound) & ~outside, outside


def _decide(effects: Floats, kind: Kind, smallest: float, alpha: float) -> Decision:
    holds, fails = decisions(effects, kind, smallest, alpha)
    return "holds" if holds[-1] else "does not hold" if fails[-1] else "undecided"


def _more(effects: Floats, kind: Kind, smallest: float, alpha: float) -> int | None:
    """Return after how many more seeds the part is decided, if the effects so far repeat in their order."""
    for total in (_SOON, _LATE) if effects.size >= 2 else ():
        if effects.size >= total:
            continue
        holds, fails = decisions(np.resize(effects, total), kind, smallest, alpha)
        decided = np.logical_or(holds, fails)[effects.size :]
        if decided.any():
            return int(decided.argmax()) + 1
    return None


def _interval(effects: Floats, alpha: float) -> tuple[float, float]:
    """Return the ends of the interval, found on a grid over the range of the effects."""
    finite = effects[np.isfinite(effects)]
    if not finite.size:
        return -math.inf, math.inf
    low, high = float(finite.min()), float(finite.max())
    margin = (high - low) or abs(low) or 1.0
    grid = np.linspace(low - margin, high + margin, _GRID)
    above, below = (evidence[:, -1] >= math.log(1 / alpha) for evidence in _log_evidence(effects, grid))
    shown_above = int(np.argmin(above)) if not above.all() else _GRID
    shown_below = int(np.argmin(below[::-1])) if not below.all() else _GRID
    # the grid's next point is the end, so that the interval is never too narrow
    lower = float(grid[shown_above - 1]) if shown_above else -math.inf
    upper = float(grid[_GRID - shown_below]) if shown_below else math.inf
    return lower, upper
