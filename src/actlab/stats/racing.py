"""Racing: after every seed, which arms can already leave, at a stated error rate, however often one looks.

**The question.** For each arm a the null hypothesis is "a is a best arm": its true mean is at least that of every other
arm. An arm leaves the race when its null is rejected. Who stays is the best set; the probability that a true best arm
is ever sent away is at most alpha, for the whole study.

**The test.** For a rival b of a take the paired differences "b minus a, in the good direction". If a is a best arm
their mean is zero or less, and the one-sided t e-process ``e(b over a)`` of `actlab.stats.e_process` reaches 1/c at
any time with probability at most c. The evidence against a is that of its strongest rival, shared over the K - 1 rivals
that were named before the study began::

    E(a) = max over rivals b and rounds so far of e(b over a) / (K - 1)

Arms leave while the largest ``E(a) >= m / alpha``, where m is the number of arms that have not left.

**Why that keeps the promise.** ``min(1, 1 / E(a))`` is a p value for the null of a: by the union bound over the rivals
and Ville's inequality for each, ``P(sup E(a) >= 1/c) <= (K - 1) * c / (K - 1) = c``. Leaving while ``p <= alpha / m``
is Holm's procedure on these p values, which controls the familywise error under any dependence: it is the closed test
in which an intersection of nulls is rejected when its smallest p is at most alpha over their number. Four points
deserve care.

* *Any time.* Each false rejection lies inside the event "a pair with a true null reaches its bound somewhere on its
  endless sequence of results, run or not". So it does not matter when one looks, why one stops, or that an arm that
  left gets no more seeds: its pairs are frozen at the last seed they share, and a frozen path reaches no more than the
  endless one.
* *A pair depends on nothing but its own results.* What the other arms do never enters e(b over a).
* *The maximum over rivals, not the average.* Each pair's process is a martingale only in the history of that pair with
  its unit forgotten. Two pairs have different histories, and an average of such processes need not be a martingale in
  any; the union bound asks for no common history. It costs at most one seed (measured, 10 arms).
* *The last arm stays.* Some arm is best, so not all nulls can be false.

A pair's process is exact for Gaussian paired differences. Arms with equal distributions have symmetric differences,
whatever their shape; `benchmarks/error_control.py` measures heavy tails, skew and results in coarse steps.

**Diverged results** (no finite number) lose. In a pair the diverged arm loses that seed by the spread of all finite
results of the two arms up to then; two arms that diverge on the same seed tie. Which of the two is which plays no part
in the rule, so exchangeable arms stay exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actlab.errors import PlanError, did_you_mean
from actlab.stats.e_process import EFFECT_PRECISION, Floats, in_unit, log_e_from_sums, smallest_step
from actlab.stats.equivalence import posterior_equivalent

__all__ = ["Direction", "Elimination", "Race", "RaceState", "Table", "forecast", "paired_gains"]

Direction: TypeAlias = Literal["max", "min"]
Flags: TypeAlias = NDArray[np.bool_]
Table: TypeAlias = Mapping[str, Mapping[int, float | None]]


class Elimination(NamedTuple):
    """Why and when an arm left the race.

    Attributes:
        after: how many rounds had been counted; the seed of the last one is ``seeds[after - 1]``.
        rival: the arm with the largest evidence against it.
        e_value: E of the arm at that moment (the rival's e value over K - 1).
    """

    after: int
    rival: str
    e_value: float


@dataclass(frozen=True, kw_only=True)
class RaceState:
    """What is known after the rounds that count.

    Attributes:
        alive: arms still in the race, in the order of the plan. This is the best set.
        eliminated: arms that left, in the order in which they left.
        e_values: evidence E against each raced arm being a best one (running maximum; an arm leaves at m / alpha).
        pair_e: for each pair (better, worse) the running maximum of the one-sided e value.
        rounds: number of seeds that count so far.
    """

    alive: tuple[str, ...]
    eliminated: Mapping[str, Elimination]
    e_values: Mapping[str, float]
    pair_e: Mapping[tuple[str, str], float]
    rounds: int


@dataclass(frozen=True)
class Race:
    """The rule by which arms leave a study.

    Attributes:
        arms: labels of all arms of the plan; their number sets the price of multiplicity once and for all.
        direction: whether a larger ("max") or a smaller ("min") result is better.
        alpha: probability, over the whole study, of sending a true best arm away.
        g: precision of the prior on the effect size, see `actlab.stats.e_process.EFFECT_PRECISION`.

    Raises:
        PlanError: no arms, arms named twice, an unknown direction, or numbers out of range.

    Example:
        >>> race = Race(["relu", "gelu"], "max")
        >>> table = {"relu": {s: 0.90 + 0.001 * (s % 3) for s in range(6)}, "gelu": {s: 0.93 for s in range(6)}}
        >>> state = race.alive_after(table, range(6))
        >>> state.alive, state.eliminated["relu"].after
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

    def alive_after(self, table: Table, seeds: Sequence[int], *, withdrawn: Collection[str] = ()) -> RaceState:
        """Replay the race over the results at hand; the order in which trials ended plays no part.

        A seed counts as a round when every arm that is in the race at its start has a result for it; the first seed
        that does not count ends the replay. Results of an arm from after it left are not looked at.

        Args:
            table: results per arm and seed. A value that is None, NaN or infinite is a diverged trial; a seed that is
                not there has not been run yet; an arm that is not there does not race.
            seeds: the seeds of the plan, in the order of the rounds.
            withdrawn: arms that stop where their results stop, because a trial failed for a reason that is no evidence:
                their rounds so far count, nobody waits for them, and they are not in ``alive``.

        Returns:
            The state after the rounds that count.

        Raises:
            PlanError: the table names an arm that is not in the race.

        Example:
            >>> Race(["a", "b"], "min").alive_after({"a": {0: 0.3, 1: 0.2}, "b": {0: 0.4}}, [0, 1]).rounds
            1
        """
        for arm in table:
            if arm not in self.arms:
                raise PlanError(f"The results name an arm {arm!r} that is not raced.{did_you_mean(arm, self.arms)}")
        signed, ran = _read(table, self.arms, seeds, self.direction)
        paths = _paths(signed, ran, self.g)
        stops = np.array([arm in withdrawn for arm in self.arms])
        racing = np.array([arm in table for arm in self.arms])
        log_e = np.zeros((len(self.arms), len(self.arms)))
        eliminated: dict[str, Elimination] = {}
        rounds = 0
        for column in range(len(seeds)):
            racing &= ran[:, column] | ~stops
            if not racing.any() or not ran[racing, column].all():
                break
            rounds += 1
            log_e = np.where(racing[:, None] & racing, paths[..., column], log_e)
            for position, elimination in self._leaving(log_e, racing, rounds, len(eliminated)):
                eliminated[self.arms[position]] = elimination
                racing[position] = False
        return self._state(table, racing & ~stops, log_e, eliminated, rounds)

    def _leaving(self, log_e: Floats, racing: Flags, rounds: int, left: int) -> list[tuple[int, Elimination]]:
        """Return who leaves after this round, the largest evidence first (Holm)."""
        against = self._against(log_e)
        order = sorted(np.flatnonzero(racing), key=lambda position: -against[position])
        leaving: list[tuple[int, Elimination]] = []
        for position in order[:-1]:  # the last arm stays
            if against[position] < math.log((len(self.arms) - left - len(leaving)) / self.alpha):
                break
            rival = self.arms[int(log_e[:, position].argmax())]
            leaving.append((int(position), Elimination(rounds, rival, _exp(against[position]))))
        return leaving

    def _against(self, log_e: Floats) -> Floats:
        """Return log E of each arm: its strongest rival's evidence, shared over the K - 1 rivals."""
        shared: Floats = log_e.max(axis=0) - math.log(max(1, len(self.arms) - 1))
        return shared

    def _state(
        self, table: Table, alive: Flags, log_e: Floats, eliminated: Mapping[str, Elimination], rounds: int
    ) -> RaceState:
        raced = [(position, arm) for position, arm in enumerate(self.arms) if arm in table]
        against = self._against(log_e)
        return RaceState(
            alive=tuple(arm for position, arm in raced if alive[position]),
            eliminated=eliminated,
            e_values={arm: _exp(against[position]) for position, arm in raced},
            pair_e={(b, a): _exp(log_e[i, j]) for i, b in raced for j, a in raced if i != j},
            rounds=rounds,
        )


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # e^700 is near the end of float64; beyond it evidence is only "more"


def _read(table: Table, arms: Sequence[str], seeds: Sequence[int], direction: Direction) -> tuple[Floats, Flags]:
    """Return the table as (results, which have been run), shape (arms, seeds): larger is better, NaN for no number."""
    own = [table.get(arm, {}) for arm in arms]
    ran = np.array([[seed in results for seed in seeds] for results in own], dtype=bool).reshape(len(arms), len(seeds))
    cells = [[math.nan if (value := results.get(seed)) is None else value for seed in seeds] for results in own]
    values = np.array(cells, dtype=np.float64).reshape(ran.shape)
    values[~np.isfinite(values)] = np.nan
    return (values if direction == "max" else -values), ran


def paired_gains(better: Floats, worse: Floats) -> Floats:
    """Return by how much ``better`` beats ``worse`` on each seed; a diverged result loses (see the module's text).

    Args:
        better: results in seed order, larger is better, NaN where the trial diverged, shape (..., seeds).
        worse: likewise.

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


def _paths(signed: Floats, ran: Flags, g: float) -> Floats:
    """Return the running maximum of log e(b over a), entry [b, a, seed]; meaningless from the first seed not run."""
    first, second = np.triu_indices(len(signed), 1)
    gains = paired_gains(signed[first], signed[second])
    gains = in_unit(np.where(ran[first] & ran[second], gains, 0.0))
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
    """Return how many more seeds a pair needs until it is decided, if its mean and its spread stay as they are.

    Args:
        differences: paired differences so far, shape (n,).
        evidence: the one-sided e value at which the pair counts as separated, e.g. ``m * (K - 1) / alpha``.
        rope: when given, the pair is also decided once "practically equal" has posterior probability ``level``.
        level: see ``rope``.
        cap: the largest total number of seeds worth naming.
        g: as in `Race`.

    Returns:
        Seeds to add, at least 1; None when ``cap`` seeds in all do not suffice, or for fewer than two differences,
        which show no spread.

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
