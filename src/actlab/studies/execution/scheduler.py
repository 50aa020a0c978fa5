"""Trial scheduler, a pure function from finished trials to the next ones.

Each seed is a round. After each complete round the race decides which arms are eliminated. The set of trials that a study runs must not
depend on the speed of the workers, so a trial is only scheduled when a sequential, uninterrupted run would certainly come to it:

* a pilot trial of the baseline, where there is one, runs before all others, as the target of convergence follows from it;
* an active arm runs the open round;
* it runs j further rounds if no possible results of these rounds could eliminate it, as a round at most doubles the evidence
  (`actlab.stats.racing.Race.safe_rounds`). In the first rounds no arm can be eliminated, so no worker waits; later an idle worker runs
  ahead with the arms that are safe;
* the baseline always runs, even when it is eliminated, because every difference is reported against it;
* an arm whose first trial failed is not run again; after a later failure an arm ends with the last round that was certain for it.

A study ends when all seeds are run or one arm is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from actlab.stats.racing import Race, RaceState
from actlab.studies.plan import Plan
from actlab.studies.settings import TUNING_SEEDS
from actlab.studies.store.store import TrialKey, TrialSummary
from actlab.studies.trials.stage import MAIN, PILOT, is_tuning, share_of
from actlab.studies.trials.tuning import tunings

__all__ = ["Schedule", "Scheduler"]

# Main results by arm and seed.
_Results: TypeAlias = Mapping[tuple[str, int], TrialSummary]
_FAILED = frozenset({"failed", "out_of_memory"})


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Trials to run next, and the state of the study.

    Attributes:
        runnable: trials to run that have no row, the most urgent first.
        round_size: how many of them complete the open round; all of them during tuning.
        done: number of rows.
        total: number of rows at the end if no further arm is eliminated.
        work_left: trials without a row, each counted as its share of the steps of a main trial, under the same condition.
        active: arms that are not eliminated.
        eliminated: arms eliminated by the evidence.
        finished: whether no trial is left to run.
    """

    runnable: tuple[TrialKey, ...]
    round_size: int
    done: int
    total: int
    work_left: float
    active: tuple[str, ...]
    eliminated: tuple[str, ...]
    finished: bool

    @property
    def round_work(self) -> float:
        """The trials of the open round, each counted as its share of the steps of a main trial."""
        return sum(share_of(key.stage) for key in self.runnable[: self.round_size])


class Scheduler:
    """Scheduler of one study. It remembers the results, and decides once on every complete round.

    Args:
        plan: of the study.
        learning_rate: the task's own.
        pilot: whether a trial of the baseline on a tuning seed comes before all main trials. Where the learning rate is tuned, the
            baseline's tuning trials stand for it.
    """

    def __init__(self, plan: Plan, learning_rate: float, *, pilot: bool = False) -> None:
        self._plan = plan
        self._lr = learning_rate
        self._pilot = pilot
        self._race = Race(plan.labels, plan.direction, plan.alpha)
        self._positions = {seed: position for position, seed in enumerate(plan.seeds)}
        self._forget()

    def _forget(self) -> None:
        self._known: dict[TrialKey, TrialSummary] = {}
        self._main: dict[tuple[str, int], TrialSummary] = {}
        self._table: dict[str, dict[int, float | None]] = {arm: {} for arm in self._plan.labels}  # of complete rounds
        self._counts = dict.fromkeys(self._plan.labels, 0)  # main results of each arm
        self._failed_at: dict[str, int] = {}  # position of the first failed trial of each arm
        self._tunings = tunings(self._plan, self._lr)
        self._rounds = 0  # complete rounds
        self._state: RaceState | None = None
        self._certain = dict.fromkeys(self._plan.labels, 1)  # rounds that each arm is certain to run
        self._missing: dict[tuple[str, int], TrialKey] | None = None
        self._extend_certain_rounds()

    def update(self, results: Iterable[TrialSummary]) -> Schedule:
        """Return the schedule for all results so far.

        Args:
            results: of all stages and in any order; those of earlier calls may be left out. A result that replaces an earlier one
                has everything decided anew.
        """
        new = {result.key: result for result in results if self._known.get(result.key) != result}
        if any(key in self._known for key in new):
            new = self._known | new
            self._forget()
        self._add(new)
        self._complete_rounds(self._main)
        untuned = sorted((key for it in self._tunings.values() for key in it.missing), key=lambda key: key.stage)
        waiting = {key.arm for key in untuned}
        pilot = self._missing_pilot()
        held = bool(pilot) or (self._pilot and self._plan.baseline in waiting)
        missing = [] if held else [key for key in self._missing_keys().values() if key.arm not in waiting]
        keys = (*pilot, *untuned, *missing)
        finished = not keys and not waiting
        ahead = missing and not untuned
        return Schedule(
            runnable=keys,
            round_size=next((n for n, key in enumerate(missing) if key.seed != missing[0].seed), len(missing))
            if ahead
            else len(keys),
            done=len(self._known),
            total=len(self._known) if finished else self._total(),
            work_left=0.0 if finished else self._work_left(),
            active=self._active(),
            eliminated=tuple(self._state.eliminated) if self._state else (),
            finished=finished,
        )

    def _missing_pilot(self) -> tuple[TrialKey, ...]:
        """Return the pilot trial as long as it is to run."""
        key = TrialKey(PILOT, self._plan.baseline, TUNING_SEEDS[0], self._lr)
        return (key,) if self._pilot and not self._tunings and key not in self._known else ()

    def _add(self, new: Mapping[TrialKey, TrialSummary]) -> None:
        self._known |= new
        for key, result in new.items():
            if is_tuning(key.stage) and key.arm in self._tunings:
                self._tunings[key.arm].add(result)
                self._missing = None
            elif key.stage == MAIN and key.arm in self._counts and key.seed in self._positions:
                self._add_main(key, result)

    def _add_main(self, key: TrialKey, result: TrialSummary) -> None:
        position = self._positions[key.seed]
        self._main[key.arm, key.seed] = result
        self._counts[key.arm] += 1
        if key.arm in self._tunings:
            self._tunings[key.arm].settle(key.lr)
        if result.status in _FAILED:
            self._failed_at[key.arm] = min(position, self._failed_at.get(key.arm, position))
        if position < self._rounds:
            self._tabulate(key.arm, key.seed)
        if position == 0:  # the arm goes on, or not
            self._missing = None
        elif self._missing is not None:
            self._missing.pop((key.arm, key.seed), None)

    def _tabulate(self, arm: str, seed: int) -> None:
        """Enter a result of a complete round as the race takes it: None for diverged, no entry for failed or not run."""
        result = self._main.get((arm, seed))
        if result is not None and result.status not in _FAILED:
            self._table[arm][seed] = result.metric

    def _missing_keys(self) -> dict[tuple[str, int], TrialKey]:
        """Return the trials that are certain to run and have no row, round by round; known until a decision adds to them."""
        if self._missing is None:
            self._missing = {
                (arm, seed): TrialKey(MAIN, arm, seed, self._rate(arm))
                for seed, arm in self._certain_trials(self._main)
            }
        return self._missing

    def _rate(self, arm: str) -> float:
        """Return the learning rate of an arm's main trials; the task's own as long as the arm is tuned."""
        chosen = self._tunings[arm].rate if arm in self._tunings else None
        return self._lr if chosen is None else chosen

    def _active(self) -> tuple[str, ...]:
        return self._plan.labels if self._state is None else self._state.active

    def _complete_rounds(self, main: _Results) -> None:
        """Count the complete rounds, and after each one decide which arms are eliminated and which rounds are certain."""
        seeds = self._plan.seeds
        while self._rounds < len(seeds) and not self._is_decided():
            seed = seeds[self._rounds]
            if any((arm, seed) not in main for arm in self._running_arms()):
                return
            self._rounds += 1
            self._missing = None
            for arm in self._plan.labels:
                self._tabulate(arm, seed)
            self._state = self._race.replay(self._table, seeds[: self._rounds], failed=self._failed_arms())
            self._extend_certain_rounds()

    def _is_decided(self) -> bool:
        """Return whether one arm, or none, is left."""
        one_left = self._plan.eliminate and len(self._active()) <= 1
        return self._rounds > 0 and (one_left or not self._active())

    def _running_arms(self) -> list[str]:
        """Return the arms of the open round."""
        racing = set(self._active()) | {self._plan.baseline} if self._plan.eliminate else set(self._plan.labels)
        return [arm for arm in self._plan.labels if arm in racing and arm not in self._failed_arms()]

    def _failed_arms(self) -> set[str]:
        """Return the arms with a failed trial in a complete round."""
        return {arm for arm, position in self._failed_at.items() if position < self._rounds}

    def _extend_certain_rounds(self) -> None:
        """Raise the number of rounds that each arm is certain to run; it never decreases."""
        if self._is_decided() or self._rounds == len(self._plan.seeds):
            return
        arms = self._running_arms()
        safe = self._safe_rounds([arm for arm in arms if arm in self._active()])
        certain = sorted(safe.values())[-2] if len(safe) > 1 else 0  # the study goes on while two arms are active
        for arm in arms:
            ahead = safe.get(arm, 0) if arm != self._plan.baseline else max(safe.get(arm, 0), certain)
            self._certain[arm] = max(self._certain[arm], self._rounds + 1 + min(ahead, certain))
        self._missing = None

    def _safe_rounds(self, racing: list[str]) -> dict[str, int]:
        """Return for each active arm in how many further rounds no results could eliminate it."""
        rounds_left = len(self._plan.seeds) - self._rounds
        if not self._plan.eliminate or len(racing) < 2:
            return dict.fromkeys(racing, rounds_left)
        return self._race.safe_rounds(self._state, racing, rounds_left)

    def _certain_trials(self, main: _Results) -> list[tuple[int, str]]:
        """Return seed and arm of the trials that are certain to run and have no row, round by round."""
        seeds = self._plan.seeds
        return [
            (seed, arm)
            for position, seed in enumerate(seeds)
            for arm in self._plan.labels
            if position < self._certain[arm]
            and (arm, seed) not in main
            and (position == 0 or self._has_begun(main, arm))
        ]

    def _has_begun(self, main: _Results, arm: str) -> bool:
        first = main.get((arm, self._plan.seeds[0]))
        return first is not None and first.status not in _FAILED

    def _total(self) -> int:
        pilots = sum(key.stage == PILOT for key in self._known) + len(self._missing_pilot())
        return pilots + sum(it.total for it in self._tunings.values()) + sum(self._main_totals().values())

    def _main_totals(self) -> dict[str, int]:
        """Return the number of main trials of each arm at the end."""
        running = set(self._running_arms()) if not self._is_decided() else set()
        return {arm: len(self._plan.seeds) if arm in running else self._counts[arm] for arm in self._plan.labels}

    def _work_left(self) -> float:
        main = sum(self._main_totals().values()) - sum(self._counts.values())
        return main + len(self._missing_pilot()) + sum(it.work_left for it in self._tunings.values())
