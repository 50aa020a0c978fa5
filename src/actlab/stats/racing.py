"""Sequential elimination of inferior arms by a closed test of e-processes.

**Hypotheses.** An arm a is a best arm when, whatever happened before, the differences "b minus a" (signed so that positive is
better) are symmetric about zero or less, for every rival b. The best arms are the set S*, which is not known. Arms that are
eliminated are shown to be outside S*; those that remain are the best set. The probability that a best arm is ever eliminated is
at most alpha, for the whole study.

**Evidence against an arm.** ``e(b over a)`` is the one-sided e-process of `actlab.stats.e_process` on "b minus a". The evidence
against a is ::

    E(a) = half the average of e(b over a) over the K - 1 rivals + half the following process F(a).

F(a) starts at 1 and is multiplied, seed by seed, by the average of the rivals' growth factors with weights proportional to
``exp(2 * average over all other arms c of log e(b over c))`` before the seed: most weight goes to rivals that have so far beaten all
arms. With two arms both halves are the same.

**Test.** An arm is eliminated when the average of E over *every* set of arms that contains it is at least 1/alpha
(`actlab.stats.closed_test`).

**Proof of the error rate.** All expectations are given the complete history of all arms. For a in S*, each e(b over a) is a
non-negative supermartingale that starts at 1. So is their average; and so is F(a), because its weights are known before the seed
and every factor has an expectation of at most 1. Hence so is E(a), and the average M of E(a) over a in S*. An elimination of an arm
in S* requires M >= 1/alpha at that time, as S* is one of the sets that contain the arm. By Ville's inequality M ever reaches
1/alpha with probability at most alpha.

* *Any time.* "Ever" covers every look, whatever the reason for it, and any reason to stop or to go on.
* *Equal arms* are all in S*; their distribution may have any shape, as it is that of a difference that is symmetric.
* *An eliminated arm gets no more seeds.* Its pairs keep their values: a supermartingale that is stopped at a time decided by the past
  is one. Its E is at least 1/alpha from then on, so no set that contains it saves another arm. The elimination is permanent.
* *A failed arm* (an exception, no memory) takes no further part, its pairs keep their values, and it is not in the best set. The
  proof goes through where a failure tells nothing about which arm would have been better on that seed.
* *The last arm stays.* Some arm is best.

The condition is the symmetry of the differences. Two arms with equal means and *different* shapes (one collapses on rare seeds, the other
does not) do not fulfil it, nor do seeds that depend on each other. `benchmarks/error_control.py` measures both.

**Diverged results** (no finite number) count as losses. In a pair, the diverged arm loses that seed by the range of all
finite results of the two arms so far; two arms that diverge on the same seed tie. The rule is symmetric in the two arms, so
exchangeable arms stay exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from actlab.errors import PlanError, did_you_mean
from actlab.stats.closed_test import closed_evidence, evidence_beside, needed_evidence
from actlab.stats.e_process import Floats, exp_limited, log_e_process, log_growth

__all__ = ["Direction", "Elimination", "Race", "RaceState", "Table", "fewest_rounds", "paired_gains"]

Direction: TypeAlias = Literal["max", "min"]
Flags: TypeAlias = NDArray[np.bool_]
Table: TypeAlias = Mapping[str, Mapping[int, float | None]]

#: Exponent of a rival's average record in its weight. With 1 one of ten better arms is found a seed later, with 4 one worse arm is.
_RECORD_POWER = 2.0
#: Share of the plain average in the evidence against an arm; the evidence of a single pair counts through it.
_AVERAGE_SHARE = 0.5


class Elimination(NamedTuple):
    """When and why an arm was eliminated.

    Attributes:
        after: number of rounds until then; the seed of the last one is ``seeds[after - 1]``.
        rival: the arm with the largest e-value over it.
        e_value: evidence against the arm at that time, at least 1/alpha.
    """

    after: int
    rival: str
    e_value: float


@dataclass(frozen=True, kw_only=True)
class RaceState:
    """State of a race after the complete rounds.

    Attributes:
        active: arms that are not eliminated, in the order of the plan. This is the best set.
        eliminated: eliminated arms, in the order of their elimination.
        e_values: evidence against each arm being a best one, as a running maximum of the smallest average over all sets that
            contain it; an arm is eliminated at 1/alpha.
        pair_e: for each pair (better, worse) the e-value after the last round that the two shared.
        rounds: number of complete rounds.
        history: E against each arm of the plan after each round, shape (rounds, arms).
    """

    active: tuple[str, ...]
    eliminated: Mapping[str, Elimination]
    e_values: Mapping[str, float]
    pair_e: Mapping[tuple[str, str], float]
    rounds: int
    history: Floats = field(compare=False, repr=False)


@dataclass(frozen=True)
class Race:
    """Elimination rule of a study.

    Attributes:
        arms: labels of all arms of the plan; their number fixes the correction for multiple tests.
        direction: "max" when a larger result is better, "min" when a smaller one is.
        alpha: largest probability, over the whole study, of eliminating a true best arm.

    Raises:
        PlanError: no arms, duplicate arms, an unknown direction, or numbers out of range.

    Example:
        >>> race = Race(["relu", "gelu"], "max")
        >>> table = {"relu": {s: 0.90 + 0.001 * (s % 3) for s in range(6)}, "gelu": {s: 0.93 for s in range(6)}}
        >>> state = race.replay(table, range(6))
        >>> state.active, state.eliminated["relu"].after
        (('gelu',), 6)
    """

    arms: Sequence[str]
    direction: Direction
    alpha: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "arms", tuple(self.arms))  # a frozen record must not hold the caller's list
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise PlanError(f"A race needs arms with different names, got {list(self.arms)!r}.")
        if self.direction not in ("max", "min"):
            raise PlanError(f"The direction is {self.direction!r}; allowed are 'max' (larger is better) and 'min'.")
        if not 0 < self.alpha < 1:
            raise PlanError(f"alpha must lie between 0 and 1; got alpha={self.alpha!r}.")

    def replay(self, table: Table, seeds: Sequence[int], *, failed: Collection[str] = ()) -> RaceState:
        """Apply the rule to the results so far, seed by seed. The order in which trials ended does not matter.

        A seed is a complete round when every arm that is active at its start has a result for it; the first seed
        that is not complete ends the replay. Results of an arm from after its elimination are ignored.

        Args:
            table: results per arm and seed. A value that is None, NaN or infinite is a diverged trial; a missing seed
                has not been run yet; a missing arm takes no part.
            seeds: the seeds of the plan, in the order of the rounds.
            failed: arms whose results end because a trial failed for a reason that is no evidence, such as an exception.
                Their results so far count, later rounds are complete without them, and they are not in ``active``.

        Returns:
            The state after the complete rounds.

        Raises:
            PlanError: the table has an arm that is not in the race.

        Example:
            >>> Race(["a", "b"], "min").replay({"a": {0: 0.3, 1: 0.2}, "b": {0: 0.4}}, [0, 1]).rounds
            1
        """
        for arm in table:
            if arm not in self.arms:
                raise PlanError(f"The results have an arm {arm!r} that is not raced.{did_you_mean(arm, self.arms)}")
        signed, ran = _signed_results(table, self.arms, seeds, self.direction)
        growth = _growth(signed, ran)
        has_failed = np.array([arm in failed for arm in self.arms])
        racing = np.array([arm in table for arm in self.arms])
        record = _Record(len(self.arms))
        eliminated: dict[str, Elimination] = {}
        for column in range(len(seeds)):
            racing &= ran[:, column] | ~has_failed
            if not racing.any() or not ran[racing, column].all():
                break
            record.add_round(growth[..., column], racing)
            for position, elimination in self._eliminate(record, racing):
                eliminated[self.arms[position]] = elimination
                racing[position] = False
        return self._state(table, racing & ~has_failed, record, eliminated)

    def _eliminate(self, record: _Record, racing: Flags) -> list[tuple[int, Elimination]]:
        """Return the eliminations after this round, the largest evidence first."""
        if record.evidence.max() < 1 / self.alpha:
            return []
        evidence = closed_evidence(record.evidence)
        order = sorted(np.flatnonzero(racing), key=lambda position: -evidence[position])
        return [
            (
                int(position),
                Elimination(len(record.history), self._strongest(record, int(position)), evidence[position].item()),
            )
            for position in order[:-1]  # the last arm stays
            if evidence[position] >= 1 / self.alpha
        ]

    def _strongest(self, record: _Record, position: int) -> str:
        against = record.log_e[:, position].copy()
        against[position] = -np.inf
        return self.arms[int(against.argmax())]

    def _state(self, table: Table, active: Flags, record: _Record, eliminated: Mapping[str, Elimination]) -> RaceState:
        present = [(position, arm) for position, arm in enumerate(self.arms) if arm in table]
        history = np.array(record.history).reshape(-1, len(self.arms))
        largest = closed_evidence(history).max(axis=0, initial=1.0)
        pair_e = exp_limited(record.log_e)
        return RaceState(
            active=tuple(arm for position, arm in present if active[position]),
            eliminated=eliminated,
            e_values={arm: largest[position].item() for position, arm in present},
            pair_e={(b, a): pair_e[i, j].item() for i, b in present for j, a in present if i != j},
            rounds=len(history),
            history=history,
        )

    def pair_p(self, state: RaceState, gains: Floats, *, better: str, worse: str) -> float:
        """Return the error rate of the whole study at which one arm's gains over another rule the other out, valid at any time.

        It is below alpha only if ``worse`` is eliminated, and always if it is eliminated with ``better`` as its strongest rival:
        for the strongest rival it is that of the elimination. For another one it is the error rate with its evidence alone, that of the
        other rivals taken as zero; gains from after the elimination count.

        Args:
            state: of this race.
            gains: of ``better`` over ``worse``, positive where it is better, on the leading seeds that both have, shape (n,).
                Later rounds leave the pair as it is.
            better: label of the rival.
            worse: label of the arm.

        Returns:
            A p-value in (0, 1].
        """
        if not (state.rounds and gains.size):
            return 1.0
        path = exp_limited(log_e_process(gains))
        own = self._pair_share() * path[np.minimum(np.arange(state.rounds), gains.size - 1)]
        others = np.delete(state.history, self.arms.index(worse), axis=1)
        joint = state.e_values.get(worse, 1.0) if _strongest_rival(state, worse) == better else 1.0
        return float(1 / max(1.0, joint, evidence_beside(own, others).max()))

    def needed_e(self, state: RaceState, worse: str) -> float:
        """Return the e-value at which one rival alone would eliminate an arm, if no other pair's evidence changes."""
        latest = state.history[-1] if state.rounds else np.ones(len(self.arms))
        others = np.delete(latest, self.arms.index(worse))
        return max(1.0, needed_evidence(others, 1 / self.alpha)) / self._pair_share()

    def _pair_share(self) -> float:
        """Return the share of one pair's e-value in E."""
        rivals = len(self.arms) - 1
        return 1.0 if rivals <= 1 else _AVERAGE_SHARE / rivals

    def safe_rounds(self, state: RaceState | None, arms: Sequence[str], further: int) -> dict[str, int]:
        """Return for each active arm in how many of the further rounds no results could eliminate it.

        A round multiplies no E by more than 2, and that of the arm with the best result in the round by at most 1. So after j rounds
        the sum of E over the active arms is at most 2^j times that of all but the smallest one, plus the smallest one. An arm
        is eliminated only with the average over all arms at 1/alpha; once others are eliminated, only with its own E there.

        Args:
            state: after the complete rounds; None before the first.
            arms: the active arms.
            further: number of further rounds.
        """
        latest = state.history[-1] if state is not None and state.rounds else np.ones(len(self.arms))
        evidence = dict(zip(self.arms, latest.tolist(), strict=True))
        active = sorted(evidence[arm] for arm in arms)
        doubled = np.exp2(np.minimum(np.arange(1, further + 1), 900))
        resting = float(latest.sum()) - sum(active)
        average = (doubled * sum(active[1:]) + sum(active[:1]) + resting) / len(self.arms)
        before_first = _rounds_below(average, 1 / self.alpha)
        return {arm: max(before_first, _rounds_below(doubled * evidence[arm], 1 / self.alpha)) for arm in arms}


def fewest_rounds(alpha: float) -> int:
    """Return the number of rounds before which no results can eliminate an arm.

    A round multiplies the evidence against an arm by less than 2, and that against the leading arm is lost: the average over the two is
    less than half of 2^n after n rounds.

    Example:
        >>> fewest_rounds(0.05), fewest_rounds(0.2)
        (6, 4)
    """
    return math.ceil(math.log2(2 / alpha))


class _Record:
    """Evidence of a race while it is replayed.

    Attributes:
        log_e: log e(b over a), entry [b, a]; a pair that no longer races keeps its value.
        log_followed: log F(a).
        evidence: E(a) after the latest round.
        history: E(a) after each round.
    """

    def __init__(self, arms: int) -> None:
        self.log_e = np.zeros((arms, arms))
        self.log_followed = np.zeros(arms)
        self.evidence = np.ones(arms)
        self.history: list[Floats] = []
        self._apart = ~np.eye(arms, dtype=bool)

    def add_round(self, growth: Floats, racing: Flags) -> None:
        """Add a round: log growth factors of all pairs, entry [b, a], and the arms that take part."""
        live = racing[:, None] & racing & self._apart
        growth = np.where(live, growth, 0.0)
        if live.any():
            records = np.where(live, self.log_e, 0.0).sum(axis=1) / (np.count_nonzero(racing) - 1)
            logs = np.where(live, _RECORD_POWER * records[:, None], -np.inf)[:, racing]
            weights = np.exp(logs - logs.max(axis=0))
            self.log_followed[racing] += np.log((weights * np.exp(growth[:, racing])).sum(axis=0) / weights.sum(axis=0))
        self.log_e += growth
        average = (exp_limited(self.log_e) * self._apart).sum(axis=0) / max(1, len(racing) - 1)
        self.evidence = average if len(racing) == 2 else self._both_halves(average)
        self.history.append(self.evidence)

    def _both_halves(self, average: Floats) -> Floats:
        return _AVERAGE_SHARE * average + (1 - _AVERAGE_SHARE) * exp_limited(self.log_followed)


def _strongest_rival(state: RaceState, arm: str) -> str | None:
    if arm in state.eliminated:
        return state.eliminated[arm].rival
    against = {better: e_value for (better, worse), e_value in state.pair_e.items() if worse == arm}
    return max(against, key=lambda rival: against[rival], default=None)


def _rounds_below(path: Floats, bound: float) -> int:
    # A replay may sum in another order; the tolerance keeps a rounding error from scheduling a trial too early.
    reached = np.flatnonzero(path >= bound * (1 - 1e-6))
    return int(reached[0]) if reached.size else len(path)


def _signed_results(
    table: Table, arms: Sequence[str], seeds: Sequence[int], direction: Direction
) -> tuple[Floats, Flags]:
    """Return the results, larger is better and NaN for diverged, and which trials have run; both of shape (arms, seeds)."""
    rows = [table.get(arm, {}) for arm in arms]
    ran = np.array([[seed in row for seed in seeds] for row in rows], dtype=bool).reshape(len(arms), len(seeds))
    cells = [[math.nan if (value := row.get(seed)) is None else value for seed in seeds] for row in rows]
    values = np.array(cells, dtype=np.float64).reshape(ran.shape)
    values[~np.isfinite(values)] = np.nan
    return (values if direction == "max" else -values), ran


def paired_gains(better: Floats, worse: Floats) -> Floats:
    """Return by how much ``better`` beats ``worse`` on each seed; a diverged result loses, as in the module's docstring.

    Args:
        better: results in seed order, larger is better, NaN where the trial diverged, shape (..., seeds).
        worse: results of the other arm, of the same shape.

    Returns:
        Paired differences, float64, shape (..., seeds).

    Example:
        >>> paired_gains(np.array([3.0, 5.0, 4.0]), np.array([2.0, np.nan, np.nan])).tolist()
        [1.0, 3.0, 3.0]
    """
    gains = better - worse
    if not np.isnan(gains).any():
        return np.asarray(gains, dtype=np.float64)
    high = np.fmax.accumulate(np.fmax(better, worse), axis=-1)
    low = np.fmin.accumulate(np.fmin(better, worse), axis=-1)
    lost = np.isnan(worse).astype(np.float64) - np.isnan(better)
    return np.where(np.isnan(gains), lost * np.nan_to_num(high - low), gains)


def _growth(signed: Floats, ran: Flags) -> Floats:
    """Return the log growth of e(b over a) by each seed, entry [b, a, seed]; undefined from the first seed not run."""
    first, second = np.triu_indices(len(signed), 1)
    gains = paired_gains(signed[first], signed[second])
    gains = np.where(ran[first] & ran[second], gains, 0.0)
    growth = np.zeros((len(signed), len(signed), signed.shape[1]))
    growth[first, second], growth[second, first] = log_growth(np.stack([gains, -gains]))
    return growth
