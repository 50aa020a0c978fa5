"""Sequential elimination of inferior arms with e-processes and Holm's correction.

**Hypotheses.** For each arm a the null hypothesis is "a is a best arm": its true mean is at least that of every other
arm. An arm is eliminated when its null is rejected. The arms that remain are the best set; the probability that a true
best arm is ever eliminated is at most alpha, for the whole study.

**Test.** For a rival b of a, take the paired differences "b minus a", signed so that positive is better. If a is a best arm
their mean is zero or less, and the one-sided t e-process ``e(b over a)`` of `actlab.stats.e_process` reaches 1/c at
any time with probability at most c. The evidence against a is that of its strongest rival, divided by the number K - 1 of
rivals, which is fixed before the study begins::

    E(a) = max over rivals b and rounds so far of e(b over a) / (K - 1)

Arms are eliminated while the largest ``E(a) >= m / alpha``, where m is the number of arms not yet eliminated.

**Proof of the error rate.** ``min(1, 1 / E(a))`` is a p-value for the null of a: by the union bound over the rivals
and Ville's inequality for each, ``P(sup E(a) >= 1/c) <= (K - 1) * c / (K - 1) = c``. Elimination while ``p <= alpha / m``
is Holm's procedure on these p-values, which controls the familywise error under any dependence: it is the closed test
in which an intersection of nulls is rejected when its smallest p is at most alpha over their number.

* *Any time.* Each false rejection lies inside the event "a pair with a true null reaches its bound somewhere on its
  infinite sequence of results, run or not". So it does not matter when the rule is applied, why a study stops, or that an
  eliminated arm gets no more seeds: its pairs are frozen at the last seed they share, and the maximum of a frozen path is
  at most that of the infinite one.
* *A pair depends on its own results only.* Results of other arms never enter e(b over a).
* *The maximum over rivals, not the average.* Each pair's process is a martingale only with respect to the scale-invariant
  history of that pair. Two pairs have different histories, and an average of such processes need not be a martingale with
  respect to any; the union bound requires no common history. It costs at most one seed (measured, 10 arms).
* *The last arm stays.* Some arm is best, so not all nulls can be false.

A pair's process is exact for Gaussian paired differences. Arms with equal distributions have symmetric differences,
whatever their shape; `benchmarks/error_control.py` measures heavy tails, skew and results in coarse steps.

**Diverged results** (no finite number) count as losses. In a pair, the diverged arm loses that seed by the range of all
finite results of the two arms so far; two arms that diverge on the same seed tie. The rule is symmetric in the two arms, so
exchangeable arms stay exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actlab.errors import PlanError, did_you_mean
from actlab.stats.e_process import EFFECT_PRECISION, Floats, log_e_from_sums, scale_below_one, smallest_step
from actlab.stats.equivalence import posterior_equivalent

__all__ = ["Direction", "Elimination", "Race", "RaceState", "Table", "forecast", "paired_gains"]

Direction: TypeAlias = Literal["max", "min"]
Flags: TypeAlias = NDArray[np.bool_]
Table: TypeAlias = Mapping[str, Mapping[int, float | None]]


class Elimination(NamedTuple):
    """When and why an arm was eliminated.

    Attributes:
        after: number of rounds until then; the seed of the last one is ``seeds[after - 1]``.
        rival: the arm with the largest evidence against it.
        e_value: E of the arm at that time, the rival's e-value over K - 1.
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
        e_values: evidence E against each arm being a best one, as a running maximum; an arm is eliminated at m / alpha.
        pair_e: for each pair (better, worse) the running maximum of the one-sided e-value.
        rounds: number of complete rounds.
    """

    active: tuple[str, ...]
    eliminated: Mapping[str, Elimination]
    e_values: Mapping[str, float]
    pair_e: Mapping[tuple[str, str], float]
    rounds: int


@dataclass(frozen=True)
class Race:
    """Elimination rule of a study.

    Attributes:
        arms: labels of all arms of the plan; their number fixes the correction for multiple tests.
        direction: "max" when a larger result is better, "min" when a smaller one is.
        alpha: largest probability, over the whole study, of eliminating a true best arm.
        g: precision of the prior on the effect size, see `actlab.stats.e_process.EFFECT_PRECISION`.

    Raises:
        PlanError: no arms, duplicate arms, an unknown direction, or numbers out of range.

    Example:
        >>> race = Race(["relu", "gelu"], "max")
        >>> table = {"relu": {s: 0.90 + 0.001 * (s % 3) for s in range(6)}, "gelu": {s: 0.93 for s in range(6)}}
        >>> state = race.replay(table, range(6))
        >>> state.active, state.eliminated["relu"].after
        (('gelu',), 4)
    """

    arms: Sequence[str]
    direction: Direction
    alpha: float = 0.05
    g: float = EFFECT_PRECISION

    def __post_init__(self) -> None:
        object.__setattr__(self, "arms", tuple(self.arms))  # a frozen record must not hold the caller's list
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise PlanError(f"A race needs arms with different names, got {list(self.arms)!r}.")
        if self.direction not in ("max", "min"):
            raise PlanError(f"The direction is {self.direction!r}; allowed are 'max' (larger is better) and 'min'.")
        if not (0 < self.alpha < 1 and self.g > 0):
            raise PlanError(f"alpha must lie between 0 and 1 and g above 0; got alpha={self.alpha!r}, g={self.g!r}.")

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
        paths = _log_e_paths(signed, ran, self.g)
        has_failed = np.array([arm in failed for arm in self.arms])
        racing = np.array([arm in table for arm in self.arms])
        log_e = np.zeros((len(self.arms), len(self.arms)))
        eliminated: dict[str, Elimination] = {}
        rounds = 0
        for column in range(len(seeds)):
            racing &= ran[:, column] | ~has_failed
            if not racing.any() or not ran[racing, column].all():
                break
            rounds += 1
            log_e = np.where(racing[:, None] & racing, paths[..., column], log_e)
            for position, elimination in self._eliminate(log_e, racing, rounds, len(eliminated)):
                eliminated[self.arms[position]] = elimination
                racing[position] = False
        return self._state(table, racing & ~has_failed, log_e, eliminated, rounds)

    def _eliminate(self, log_e: Floats, racing: Flags, rounds: int, before: int) -> list[tuple[int, Elimination]]:
        """Return the eliminations after this round, the largest evidence first (Holm); ``before`` arms were eliminated earlier."""
        evidence = self._evidence(log_e)
        order = sorted(np.flatnonzero(racing), key=lambda position: -evidence[position])
        eliminations: list[tuple[int, Elimination]] = []
        for position in order[:-1]:  # the last arm stays
            if evidence[position] < math.log((len(self.arms) - before - len(eliminations)) / self.alpha):
                break
            rival = self.arms[int(log_e[:, position].argmax())]
            eliminations.append((int(position), Elimination(rounds, rival, _exp(evidence[position]))))
        return eliminations

    def _evidence(self, log_e: Floats) -> Floats:
        """Return log E against each arm, its strongest rival's evidence divided by the K - 1 rivals."""
        evidence: Floats = log_e.max(axis=0) - math.log(max(1, len(self.arms) - 1))
        return evidence

    def _state(
        self, table: Table, active: Flags, log_e: Floats, eliminated: Mapping[str, Elimination], rounds: int
    ) -> RaceState:
        raced = [(position, arm) for position, arm in enumerate(self.arms) if arm in table]
        evidence = self._evidence(log_e)
        return RaceState(
            active=tuple(arm for position, arm in raced if active[position]),
            eliminated=eliminated,
            e_values={arm: _exp(evidence[position]) for position, arm in raced},
            pair_e={(b, a): _exp(log_e[i, j]) for i, b in raced for j, a in raced if i != j},
            rounds=rounds,
        )


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # e^700 is near the largest float64


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


def _log_e_paths(signed: Floats, ran: Flags, g: float) -> Floats:
    """Return the running maximum of log e(b over a), entry [b, a, seed]; undefined from the first seed not run."""
    first, second = np.triu_indices(len(signed), 1)
    gains = paired_gains(signed[first], signed[second])
    gains = scale_below_one(np.where(ran[first] & ran[second], gains, 0.0))
    n = np.arange(1, signed.shape[1] + 1)
    total, squares = gains.cumsum(-1), (gains * gains).cumsum(-1)
    both = log_e_from_sums(n, np.stack([total, -total]), squares, smallest_step(gains), g=g)
    paths = np.zeros((len(signed), len(signed), signed.shape[1]))
    paths[first, second], paths[second, first] = np.maximum.accumulate(np.maximum(both, 0.0), axis=-1)
    return paths


def forecast(
    differences: ArrayLike,
    *,
    evidence: float,
    rope: float | None = None,
    level: float = 0.95,
    cap: int = 1000,
    g: float = EFFECT_PRECISION,
) -> int | None:
    """Return how many more seeds a pair needs until it is decided, if its mean and its spread stay the same.

    Args:
        differences: paired differences so far, shape (n,).
        evidence: one-sided e-value at which the pair is separated, for example ``m * (K - 1) / alpha``.
        rope: if given, the pair is also decided when practical equivalence has posterior probability ``level``.
        level: see ``rope``.
        cap: largest total number of seeds to report.
        g: as in `Race`.

    Returns:
        Number of seeds to add, at least 1; None when ``cap`` seeds in total do not suffice, or for fewer than two
        differences, which show no spread.

    Example:
        >>> forecast([1.0, 2.0, 0.5, 1.5], evidence=40.0)
        2
    """
    sample = np.asarray(differences, dtype=np.float64)
    if not 2 <= sample.size < cap:
        return None
    scale = float(np.abs(sample).max()) or 1.0
    mean, spread = abs(float((sample / scale).mean())), float((sample / scale).std(ddof=1))
    n = np.arange(sample.size + 1, cap + 1, dtype=np.float64)
    log_e = log_e_from_sums(n, n * mean, (n - 1) * spread**2 + n * mean**2, np.zeros_like(n), g=g)
    decided = log_e >= math.log(evidence)
    if rope is not None and spread > 0:
        decided |= posterior_equivalent(n, mean, spread, rope / scale) >= level
    return int(decided.argmax()) + 1 if decided.any() else None
