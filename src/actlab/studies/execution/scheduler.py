"""The frontier: which trials are to be run now, as a function of the rows alone.

Seeds are rounds. After each complete round the race decides who leaves. The set of trials that a study runs must not depend on
which worker was faster, so a trial is only begun when it is certain that an undisturbed, one-by-one run would come to it, too:

* an arm in the race runs the round that is open;
* it runs j rounds beyond it if no results whatever of those rounds could send it away before. The evidence of a pair after j more
  differences is largest when all of them equal S/s (sum of squares over sum), which gives a bound in closed form. In
  the first rounds nobody can leave, so there is no waiting at all; later a worker that would idle runs ahead with the safe arms;
* the baseline is never left out, even when it has left the best set: every difference is shown against it;
* an arm whose first trial failed runs nothing more; a later failure ends an arm after the rounds it was certain to run.

A study ends when its seeds are used up, or when one arm is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from actlab.stats.e_process import EFFECT_PRECISION, Floats, log_e_from_sums
from actlab.stats.racing import Race, RaceState
from actlab.studies.plan import LR_FACTORS, TUNING_SEEDS, Plan
from actlab.studies.store.store import Key, Result

__all__ = ["Scheduler", "View", "tuned_lr"]

_FAILED = frozenset({"failed", "out_of_memory"})


@dataclass(frozen=True, kw_only=True)
class View:
    """What the rows say.

    Attributes:
        runnable: trials to be run that have no row, the most urgent first.
        round_size: how many of them complete the open round (all, while tuning).
        done: rows that count.
        total: rows at the end if nobody else leaves.
        active: arms in the race.
        eliminated: arms that left by the evidence.
        finished: nothing is left to do.
    """

    runnable: tuple[Key, ...]
    round_size: int
    done: int
    total: int
    active: tuple[str, ...]
    eliminated: tuple[str, ...]
    finished: bool


def tuned_lr(plan: Plan, default: float, tuning: Iterable[Result]) -> dict[str, float]:
    """Choose each arm's learning rate: the best mean over the tuning seeds, the one nearest to the default among equals.

    A tuning trial that diverged or failed counts as the worst; an arm with none but those keeps the default.

    Args:
        plan: whose arms and direction.
        default: the task's own learning rate.
        tuning: results of stage "tune".
    """
    sign = 1 if plan.direction == "max" else -1
    scores: dict[tuple[str, float], list[float]] = {}
    for result in tuning:
        value = -np.inf if result.validation is None else sign * result.validation
        scores.setdefault((result.key.arm, result.key.lr), []).append(value)
    chosen = {}
    for arm in plan.labels:
        means = [
            (float(np.mean(values)), -abs(log(lr / default)), lr) for (own, lr), values in scores.items() if own == arm
        ]
        best = max(means, default=(-np.inf, 0.0, default))
        chosen[arm] = best[2] if np.isfinite(best[0]) else default
    return chosen


class Scheduler:
    """Reads the rows of one study, again and again; what has been decided once is not computed again.

    Args:
        plan: the plan.
        learning_rate: the task's own.
    """

    def __init__(self, plan: Plan, learning_rate: float) -> None:
        self._plan = plan
        self._lr = learning_rate
        self._race = Race(plan.labels, plan.direction, plan.alpha)
        self._decided = 0  # rounds
        self._state: RaceState | None = None
        self._certain = dict.fromkeys(plan.labels, 1)  # rounds that each arm runs in any case

    def look(self, results: Sequence[Result]) -> View:
        """Return what is to be done, given the results so far (of both stages, in any order)."""
        tuning = {result.key: result for result in results if result.key.stage == "tune"}
        main = {(result.key.arm, result.key.seed): result for result in results if result.key.stage == "main"}
        self._decide(main)
        grid = self._grid()
        untuned = [key for key in grid if key not in tuning]
        waiting = {key.arm for key in untuned}
        lrs = tuned_lr(self._plan, self._lr, tuning.values()) if grid else {}
        wanted = [(seed, arm) for seed, arm in self._wanted(main) if arm not in waiting]
        keys = tuple(untuned) + tuple(Key("main", arm, seed, lrs.get(arm, self._lr)) for seed, arm in wanted)
        over = not keys and not waiting
        open_round = sum(seed == wanted[0][0] for seed, _ in wanted) if wanted and not untuned else len(keys)
        return View(
            runnable=keys,
            round_size=open_round,
            done=len(results),
            total=len(results) if over else self._total(main, len(grid)),
            active=self._alive(),
            eliminated=tuple(self._state.eliminated) if self._state else (),
            finished=over,
        )

    def _grid(self) -> list[Key]:
        if self._plan.tune is None:
            return []
        return [
            Key("tune", arm, seed, self._lr * factor)
            for arm in self._plan.labels
            for factor in LR_FACTORS
            for seed in TUNING_SEEDS
        ]

    def _alive(self) -> tuple[str, ...]:
        return self._plan.labels if self._state is None else self._state.active

    def _decide(self, main: Mapping[tuple[str, int], Result]) -> None:
        """Count the rounds that are complete, and after each one see who runs how far."""
        seeds = self._plan.seeds
        self._look_ahead(main)
        while self._decided < len(seeds) and not self._is_over():
            seed = seeds[self._decided]
            if any((arm, seed) not in main for arm in self._runners(main)):
                return
            self._decided += 1
            passed = seeds[: self._decided]
            table = {arm: _values(main, arm, passed) for arm in self._plan.labels}
            self._state = self._race.replay(table, passed, withdrawn=self._withdrawn(main))
            self._look_ahead(main)

    def _is_over(self) -> bool:
        alone = self._plan.eliminate and len(self._alive()) <= 1
        return self._decided > 0 and (alone or not self._alive())

    def _runners(self, main: Mapping[tuple[str, int], Result]) -> list[str]:
        """Return the arms of the open round."""
        racing = set(self._alive()) | {self._plan.baseline} if self._plan.eliminate else set(self._plan.labels)
        return [arm for arm in self._plan.labels if arm in racing and arm not in self._withdrawn(main)]

    def _withdrawn(self, main: Mapping[tuple[str, int], Result]) -> set[str]:
        """Return the arms of which a trial failed in a round that counts."""
        passed = self._plan.seeds[: self._decided]
        return {
            arm
            for arm in self._plan.labels
            for seed in passed
            if (arm, seed) in main and main[arm, seed].status in _FAILED
        }

    def _look_ahead(self, main: Mapping[tuple[str, int], Result]) -> None:
        """Raise the number of rounds that each arm is certain to run; it never falls."""
        if self._is_over() or self._decided == len(self._plan.seeds):
            return
        runners = self._runners(main)
        safe = self._safe_rounds(main, [arm for arm in runners if arm in self._alive()])
        to_come = sorted(safe.values())[-2] if len(safe) > 1 else 0  # the race goes on while two arms are in it
        for arm in runners:
            ahead = safe.get(arm, 0) if arm != self._plan.baseline else max(safe.get(arm, 0), to_come)
            self._certain[arm] = max(self._certain[arm], self._decided + 1 + min(ahead, to_come))

    def _safe_rounds(self, main: Mapping[tuple[str, int], Result], racing: list[str]) -> dict[str, int]:
        """Return for each arm in the race how many more rounds it survives whatever their results."""
        left = len(self._plan.seeds) - self._decided
        if not self._plan.eliminate or len(racing) < 2:
            return dict.fromkeys(racing, left)
        passed = self._plan.seeds[: self._decided]
        values = {arm: _signed(main, arm, passed, self._plan.direction) for arm in racing}
        possible = {
            arm: np.array([_largest_log_e(values[rival] - values[arm], left) for rival in racing if rival != arm]).max(
                axis=0
            )
            for arm in racing
        }
        return self._survivals({arm: np.maximum(path, self._evidence(arm)) for arm, path in possible.items()})

    def _evidence(self, arm: str) -> float:
        """Return the log e against an arm so far; that of rivals who left counts on."""
        return 0.0 if self._state is None else log(self._state.e_values[arm] * (len(self._plan.arms) - 1))

    def _survivals(self, possible: Mapping[str, Floats]) -> dict[str, int]:
        """Return how long each arm survives, from the largest log e that each number of further rounds could bring."""
        # E shares a pair's evidence over K - 1 rivals. Whoever leaves first needs m / alpha; the last to leave needs 2 / alpha.
        remaining = len(self._plan.arms) - (0 if self._state is None else len(self._state.eliminated))
        share = log((len(self._plan.arms) - 1) / self._plan.alpha)
        nobody = _rounds_below(np.array(list(possible.values())).max(axis=0), share + log(remaining))
        return {arm: max(nobody, _rounds_below(path, share + log(2))) for arm, path in possible.items()}

    def _wanted(self, main: Mapping[tuple[str, int], Result]) -> list[tuple[int, str]]:
        """Return seed and arm of the trials that must run and have no row, round by round."""
        seeds = self._plan.seeds
        return [
            (seed, arm)
            for position, seed in enumerate(seeds)
            for arm in self._plan.labels
            if position < self._certain[arm]
            and (arm, seed) not in main
            and (position == 0 or self._has_begun(main, arm))
        ]

    def _has_begun(self, main: Mapping[tuple[str, int], Result], arm: str) -> bool:
        first = main.get((arm, self._plan.seeds[0]))
        return first is not None and first.status not in _FAILED

    def _total(self, main: Mapping[tuple[str, int], Result], grid: int) -> int:
        runners = set(self._runners(main)) if not self._is_over() else set()
        seeds = len(self._plan.seeds)
        expected = {arm: seeds if arm in runners else sum(own == arm for own, _ in main) for arm in self._plan.labels}
        return grid + sum(expected.values())


def _values(main: Mapping[tuple[str, int], Result], arm: str, seeds: Sequence[int]) -> dict[int, float | None]:
    """Return the arm's results as the race takes them: None where it diverged, no entry where it failed or did not run."""
    found = {seed: main[arm, seed] for seed in seeds if (arm, seed) in main}
    return {seed: result.metric for seed, result in found.items() if result.status not in _FAILED}


def _signed(main: Mapping[tuple[str, int], Result], arm: str, seeds: Sequence[int], direction: str) -> Floats:
    values = _values(main, arm, seeds)
    sign = 1.0 if direction == "max" else -1.0
    return np.array([np.nan if (value := values.get(seed)) is None else sign * value for seed in seeds])


def _rounds_below(path: Floats, bound: float) -> int:
    reached = np.flatnonzero(path >= bound - 1e-6)  # the race sums in another order; in doubt, wait
    return int(reached[0]) if reached.size else len(path)


def _largest_log_e(gains: Floats, left: int) -> Floats:
    """Return the largest log e that 1, 2, ..., ``left`` further differences could bring, never falling.

    With s the sum, S the sum of squares and k further differences of any size, s^2/S is at most s0^2/S0 + k (Cauchy-Schwarz,
    reached by k times S0/s0), or k when s0 <= 0. The evidence depends on s^2/S only, and grows with it.

    Args:
        gains: differences so far in the rival's favour, shape (n,). Where one is NaN (diverged: the race fills it in), the
            largest ratio there is, n, is assumed.
        left: number of further differences.
    """
    more = np.arange(1, left + 1)
    total, squares = float(gains.sum()), float((gains * gains).sum())
    ratio = float(len(gains)) if np.isnan(total) else total * total / squares if total > 0 else 0.0
    # A sum of sqrt(ratio) whose squares sum to 1 has the ratio asked for. The race's guard for coarse steps only lowers it.
    ones, none = np.ones(left), np.zeros(left)
    best = log_e_from_sums(len(gains) + more, np.sqrt(ratio + more), ones, none, g=EFFECT_PRECISION)
    return np.asarray(np.maximum.accumulate(best))
