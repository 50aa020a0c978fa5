"""Racing: after every seed, which arms can already leave, at a stated error rate, however often one looks.

**The question.** For each arm a the null hypothesis is "a is a best arm" (its true mean is at least that of every other arm). An arm
leaves the race when its null is rejected. Who stays is the best set: a true best arm is sent away, in a whole study, with
probability at most alpha.

**The test.** For a rival b of a take the paired differences "b minus a, in the good direction". If a is a best arm their mean is zero
or less, and the one-sided t e-process ``e(b over a)`` of `actlab.studies.statistics` exceeds 1/c at any time with probability at most
c. The evidence against a is its strongest rival's, shared over the K - 1 rivals named before the study began::

    E(a) = max over rivals b, over all rounds so far, of e(b over a) / (K - 1)

and arms leave while the largest ``E(a) >= m / alpha``, m being the number of arms that have not left.

**Why that keeps the promise.** ``min(1, 1 / E(a))`` is a p value for the null of a: by the union bound over the rivals and Ville's
inequality for each, ``P(sup E(a) >= 1/c) <= (K - 1) * c / (K - 1) = c``. Leaving while ``p <= alpha / m`` is Holm's procedure on these
p values, which controls the familywise error under any dependence (it is the closed test in which an intersection of nulls is
rejected when its smallest p is at most alpha over their number). Three points deserve care:

* *Any time.* All false rejections lie inside the event "some pair with a true null ever reaches its bound", defined on the endless
  sequence of results, run or not. So it does not matter when one looks, why one stops, or that an arm that left gets no more
  seeds: its pairs are frozen at the last seed they share, and a frozen path reaches no more than the endless one.
* *Why the maximum and not the average over rivals.* Each pair's process is a martingale only with respect to the history of that
  pair with its unit forgotten; two pairs have different histories, and an average of such processes is a martingale in neither.
  The union bound asks for no common history.
* *The last arm stays.* Some arm is best, so not all nulls can be false, and the race never sends the last one away.

The pair's process is exact for Gaussian paired differences. Arms with equal distributions have symmetric differences whatever the
shape; `benchmarks/error_control.py` measures what heavy tails, skew and results in coarse steps do.

**Diverged results** (no finite number) enter as pessimistically as symmetry allows: the worst finite result of that round among the arms
in the race, less the spread of all finite results up to that round. Two arms that diverge together tie. Which arm is which
plays no part in the rule, so exchangeable arms stay exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from actlab.errors import PlanError, did_you_mean
from actlab.studies.statistics import EFFECT_PRECISION, Floats, log_e_from_sums, nearest_step

__all__ = ["Elimination", "Race", "RaceState", "Table", "forecast"]

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
        e_values: evidence E against each arm being a best one (running maximum; an arm leaves at m / alpha).
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
        g: precision of the prior on the effect size, see `EFFECT_PRECISION`.

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
        object.__setattr__(self, "arms", tuple(self.arms))
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise PlanError(f"A race needs arms with different names, got {list(self.arms)!r}.")
        if self.direction not in ("max", "min"):
            raise PlanError(f"The direction is {self.direction!r}; allowed are 'max' (larger is better) and 'min'.")
        if not (0 < self.alpha < 1 and self.g > 0):
            raise PlanError(f"alpha must lie between 0 and 1 and g above 0; got alpha={self.alpha!r}, g={self.g!r}.")

    def alive_after(self, table: Table, seeds: Sequence[int], *, withdrawn: Collection[str] = ()) -> RaceState:
        """Replay the race over the results at hand; the same table gives the same state, in whatever order trials ended.

        A seed counts as a round when every arm that is in the race at its start has a result for it; the first seed that does
        not count ends the replay. Results of an arm from after it left are not looked at.

        Args:
            table: results per arm and seed. A value that is None, NaN or infinite is a diverged trial; a seed that is not
                there has not been run yet; an arm that is not there does not race.
            seeds: the seeds of the plan, in the order of the rounds.
            withdrawn: arms that stop where their results stop (a trial that failed for a reason that is no evidence): their
                rounds so far count, and nobody waits for them. They are not in ``alive`` afterwards.

        Returns:
            The state after the rounds that count.

        Raises:
            PlanError: the table names an arm that is not in the race.
        """
        for arm in table:
            if arm not in self.arms:
                raise PlanError(f"The results name an arm {arm!r} that is not raced.{did_you_mean(arm, self.arms)}")
        results = _Results.read(table, self.arms, seeds, self.direction)
        stops = np.array([arm in withdrawn for arm in self.arms])
        racing = np.array([arm in table for arm in self.arms])
        evidence = _Evidence.none(len(self.arms), len(seeds), self.g)
        eliminated: dict[str, Elimination] = {}
        for column in range(len(seeds)):
            racing &= results.ran[:, column] | ~stops
            if not racing.any() or not results.ran[racing, column].all():
                break
            evidence.add(results.pessimistic(column, racing), np.flatnonzero(racing))
            for position, leaving in self._leaving(evidence, racing, len(eliminated)):
                eliminated[self.arms[position]] = leaving
                racing[position] = False
        return self._state(table, racing & ~stops, evidence, eliminated)

    def _leaving(self, evidence: _Evidence, racing: Flags, left: int) -> list[tuple[int, Elimination]]:
        """Return who leaves now, the largest evidence first (Holm)."""
        against = evidence.against()
        order = sorted(np.flatnonzero(racing), key=lambda position: -against[position])
        leaving: list[tuple[int, Elimination]] = []
        for position in order[:-1]:  # the last arm stays
            if against[position] < math.log((len(self.arms) - left - len(leaving)) / self.alpha):
                break
            rival = self.arms[int(evidence.log_e[:, position].argmax())]
            leaving.append((int(position), Elimination(evidence.rounds, rival, _exp(against[position]))))
        return leaving

    def _state(self, table: Table, alive: Flags, evidence: _Evidence, eliminated: dict[str, Elimination]) -> RaceState:
        raced = [(position, arm) for position, arm in enumerate(self.arms) if arm in table]
        against = evidence.against()
        return RaceState(
            alive=tuple(arm for position, arm in raced if alive[position]),
            eliminated=eliminated,
            e_values={arm: _exp(against[position]) for position, arm in raced},
            pair_e={(b, a): _exp(evidence.log_e[i, j]) for i, b in raced for j, a in raced if i != j},
            rounds=evidence.rounds,
        )


@dataclass(frozen=True, kw_only=True)
class _Results:
    """The table as arrays of shape (arms, seeds): larger is better, NaN where a trial diverged or has not been run."""

    signed: Floats
    ran: Flags

    @classmethod
    def read(cls, table: Table, arms: Sequence[str], seeds: Sequence[int], direction: Direction) -> _Results:
        signed = np.full((len(arms), len(seeds)), np.nan)
        ran = np.zeros(signed.shape, dtype=bool)
        for i, arm in enumerate(arms):
            own = table.get(arm, {})
            for j, seed in enumerate(seeds):
                if seed in own:
                    value = own[seed]
                    ran[i, j] = True
                    signed[i, j] = np.nan if value is None else value
        signed[~np.isfinite(signed)] = np.nan
        largest = float(np.nanmax(np.abs(signed))) if np.isfinite(signed).any() else 1.0
        # A power of two rescales without rounding, so that squares of 1e-200 or 1e200 stay numbers.
        exponent = -math.frexp(largest)[1]
        return cls(signed=np.ldexp(signed if direction == "max" else -signed, exponent), ran=ran)

    def pessimistic(self, column: int, racing: Flags) -> Floats:
        """Return the results of one round for the arms in the race, diverged ones filled in (see the module's text)."""
        values = self.signed[racing, column]
        diverged = np.isnan(values)
        if not diverged.any():
            return values
        so_far = self.signed[racing, : column + 1]
        if np.isnan(so_far).all():
            return np.zeros_like(values)
        spread = float(np.nanmax(so_far) - np.nanmin(so_far))
        worst = float(np.nanmin(so_far)) if diverged.all() else float(np.nanmin(values))
        return np.where(diverged, worst - spread, values)


@dataclass(kw_only=True)
class _Evidence:
    """Running sums of every pair; entry [b, a] of a square array is "b over a"."""

    g: float
    total: Floats
    squares: Floats
    step: Floats
    log_e: Floats  # running maximum, starting at log 1
    past: Floats  # results of the rounds so far, shape (arms, seeds)
    rounds: int = 0

    @classmethod
    def none(cls, arms: int, seeds: int, g: float) -> _Evidence:
        square = np.zeros((arms, arms))
        return cls(
            g=g,
            total=square.copy(),
            squares=square.copy(),
            step=np.full_like(square, np.inf),
            log_e=square,
            past=np.zeros((arms, seeds)),
        )

    def add(self, values: Floats, who: NDArray[np.intp]) -> None:
        """Count one more round, in which the arms at positions ``who`` got ``values``."""
        pairs = np.ix_(who, who)
        gain = values[:, None] - values[None, :]
        self.step[pairs] = np.minimum(self.step[pairs], self._nearest(gain, who))
        self.past[who, self.rounds] = values
        self.rounds += 1
        self.total[pairs] += gain
        self.squares[pairs] += gain * gain
        step = np.where(np.isfinite(self.step[pairs]), self.step[pairs], 0.0)
        log_e = log_e_from_sums(self.rounds, self.total[pairs], self.squares[pairs], step, g=self.g)
        self.log_e[pairs] = np.maximum(self.log_e[pairs], log_e)

    def _nearest(self, gain: Floats, who: NDArray[np.intp]) -> Floats:
        past = self.past[who, : self.rounds]
        before = np.concatenate([past[:, None, :] - past[None, :, :], np.zeros((*gain.shape, 1))], axis=2)
        return nearest_step(gain, before)

    def against(self) -> Floats:
        """Return log E for each arm: its strongest rival's evidence, shared over the K - 1 rivals."""
        return self.log_e.max(axis=0) - math.log(max(1, len(self.log_e) - 1))


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # e^700 is the end of float64; beyond it evidence is only "more"


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
        rope: when given, the pair is also decided once the posterior says "practically equal" with probability ``level``.
        level: see ``rope``.
        cap: the largest total number of seeds worth naming.
        g: as in `Race`.

    Returns:
        Seeds to add, at least 1; None when ``cap`` seeds in all do not suffice, or below two differences, which show no spread.

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
    if rope is not None:
        decided |= _equivalent(n, mean, spread, rope / scale) >= level
    return int(decided.argmax()) + 1 if decided.any() else None


def _equivalent(n: Floats, mean: float, spread: float, rope: float) -> Floats:
    """Return the posterior probability of practical equivalence for each number of seeds."""
    if spread == 0:
        return np.full_like(n, float(mean <= rope))
    error = spread / np.sqrt(n)
    return np.asarray(stdtr(n - 1, (rope - mean) / error) - stdtr(n - 1, (-rope - mean) / error), dtype=np.float64)
