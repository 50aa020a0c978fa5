"""A race keeps its error rate at every look, eliminates clear losers soon, and does not depend on the order of trials."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from actlab.errors import PlanError
from actlab.stats.e_process import log_e_process
from actlab.stats.equivalence import probability_equivalent
from actlab.stats.racing import Race, RaceState, forecast, paired_gains

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def table_of(results: np.ndarray) -> dict[str, dict[int, float | None]]:
    """Arms a, b, c, ... with one row of results each."""
    return {chr(97 + i): dict(enumerate(row)) for i, row in enumerate(results.tolist())}


def race(results: np.ndarray, direction: str = "max", alpha: float = 0.05) -> RaceState:
    table = table_of(results)
    return Race(list(table), direction, alpha).replay(table, range(results.shape[1]))


def clear(arms: int = 4, seeds: int = 12, effect: float = 4.0) -> np.ndarray:
    """Arms whose true means are ``effect`` apart in SDs of the paired difference, the last the best."""
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(arms, seeds)) / np.sqrt(2) + 5 * rng.normal(size=seeds)
    return noise + effect * np.arange(arms)[:, None]


class TestErrorControl:
    """400 studies with all arms equal, a look after each of 20 seeds; 5 % may err, more than 33 would at odds of 1 : 1,000."""

    STUDIES, SEEDS, ALPHA = 400, 20, 0.05
    LIMIT = int(stats.binom.ppf(0.999, 400, 0.05))

    DRAWS = pytest.mark.parametrize(
        "draw",
        [
            pytest.param(lambda rng, shape: rng.normal(size=shape) + rng.normal(size=shape[1]), id="gaussian"),
            pytest.param(lambda rng, shape: rng.standard_t(3, size=shape), id="heavy tails"),
            pytest.param(lambda rng, shape: -rng.lognormal(0, 0.8, size=shape), id="skewed"),
            pytest.param(lambda rng, shape: rng.binomial(360, 0.97, size=shape) / 360, id="accuracy"),
            pytest.param(lambda rng, shape: rng.binomial(30, 0.97, size=shape) / 30, id="accuracy in coarse steps"),
        ],
    )

    def errors(self, rule: Callable[[np.ndarray], bool], draw: Draw, arms: int) -> int:
        rng = np.random.default_rng(17)
        return sum(rule(draw(rng, (arms, self.SEEDS))) for _ in range(self.STUDIES))

    @DRAWS
    @pytest.mark.parametrize("arms", [2, 5])
    def test_a_best_arm_is_eliminated_in_at_most_alpha_of_the_studies(self, draw: Draw, arms: int) -> None:
        assert self.errors(lambda results: bool(race(results).eliminated), draw, arms) <= self.LIMIT

    def test_a_repeated_t_test_in_its_place_is_caught(self) -> None:
        def repeated_t(results: np.ndarray) -> bool:
            gains = results[1] - results[0]
            n = np.arange(3, self.SEEDS + 1)
            t = [gains[:k].mean() / gains[:k].std(ddof=1) * np.sqrt(k) for k in n]
            return bool((2 * stats.t.sf(np.abs(t), n - 1) < self.ALPHA).any())

        assert self.errors(repeated_t, lambda rng, shape: rng.normal(size=shape), 2) > self.LIMIT

    def test_a_race_that_ignores_the_number_of_arms_is_caught(self) -> None:
        def uncorrected(results: np.ndarray) -> bool:
            e_values = race(results).pair_e.values()
            return max(e_values) >= 1 / self.ALPHA

        assert self.errors(uncorrected, lambda rng, shape: rng.normal(size=shape), 5) > self.LIMIT


class TestPower:
    @pytest.mark.parametrize(("effect", "soon"), [(2.0, 12), (3.0, 9), (6.0, 7)])
    def test_a_clear_loser_among_ten_arms_is_eliminated_soon(self, effect: float, soon: int) -> None:
        rng, rounds = np.random.default_rng(0), []
        for _ in range(60):
            results = rng.normal(size=(10, 20)) / np.sqrt(2)
            results[4] -= effect
            state = race(results)
            rounds.append(state.eliminated["e"].after if "e" in state.eliminated else math.inf)

        assert np.median(rounds) <= soon

    def test_two_arms_need_four_seeds_at_least(self) -> None:
        results = np.array([[0.0] * 8, [1e6 + 0.1 * i for i in range(8)]])

        assert race(results).eliminated["a"].after == 4


class TestReplay:
    def test_the_best_arm_remains_and_the_others_are_eliminated_by_their_strongest_rival(self) -> None:
        state = race(clear())

        assert state.active == ("d",)
        assert set(state.eliminated) == {"a", "b", "c"}
        assert state.eliminated["c"].rival == "d"
        assert state.rounds == 12

    def test_with_direction_min_a_smaller_result_is_better(self) -> None:
        assert race(clear(), "max").active == ("d",)
        assert race(clear(), "min").active == ("a",)
        assert race(-clear(), "min") == race(clear(), "max")

    def test_a_pair_has_the_evidence_of_its_own_differences(self) -> None:
        results = clear(arms=2, effect=0.8)
        expected = math.exp(max(0.0, log_e_process(results[1] - results[0]).max()))

        assert race(results).pair_e["b", "a"] == pytest.approx(expected, rel=1e-9)

    def test_an_arm_is_eliminated_when_its_evidence_reaches_the_number_of_arms_over_alpha(self) -> None:
        results = clear(arms=3, effect=1.2)
        state = race(results)
        first = next(iter(state.eliminated))
        after, rival, e_value = state.eliminated[first]
        path = log_e_process(results[ord(rival) - 97, :after] - results[ord(first) - 97, :after])

        assert e_value == pytest.approx(math.exp(path.max()) / 2, rel=1e-9)
        assert e_value >= 3 / 0.05
        assert math.exp(path[:-1].max()) / 2 < 3 / 0.05

    def test_fewer_arms_in_the_race_ask_for_less_evidence(self) -> None:
        state = race(clear(arms=4, effect=1.5))
        needed = [(4 - left) / 0.05 for left in range(len(state.eliminated))]

        assert len(needed) >= 2
        assert all(e.e_value >= bound for e, bound in zip(state.eliminated.values(), needed, strict=True))

    def test_the_order_in_which_trials_ended_does_not_matter(self) -> None:
        table = table_of(clear())
        shuffled = {arm: dict(sorted(row.items(), key=lambda cell: -cell[0])) for arm, row in reversed(table.items())}
        table_race = Race(list(table), "max")

        assert table_race.replay(table, range(12)) == table_race.replay(shuffled, range(12))

    def test_a_look_in_between_changes_nothing_later(self) -> None:
        table = table_of(clear())
        table_race = Race(list(table), "max")
        looks = [table_race.replay(table, range(n)).eliminated for n in range(13)]

        assert all(set(early) <= set(late) for early, late in pairwise(looks))
        assert {arm: e.after for arm, e in looks[-1].items()} == {
            arm: next(n for n, look in enumerate(looks) if arm in look) for arm in looks[-1]
        }

    def test_results_from_after_an_elimination_are_ignored(self) -> None:
        table = table_of(clear())
        full = Race(list(table), "max").replay(table, range(12))
        after = full.eliminated["a"].after
        table["a"] = {seed: (value if seed < after else 1e9) for seed, value in table["a"].items()}

        assert Race(list(table), "max").replay(table, range(12)) == full

    def test_an_eliminated_arm_needs_no_more_results(self) -> None:
        table = table_of(clear())
        full = Race(list(table), "max").replay(table, range(12))
        for arm, elimination in full.eliminated.items():
            table[arm] = {seed: table[arm][seed] for seed in range(elimination.after)}

        assert Race(list(table), "max").replay(table, range(12)) == full

    def test_a_seed_that_some_arm_has_not_run_is_no_round(self) -> None:
        table = table_of(clear())
        del table["b"][2]
        state = Race(list(table), "max").replay(table, range(12))

        assert state.rounds == 2
        assert state.active == ("a", "b", "c", "d")

    def test_seeds_are_taken_in_the_order_of_the_plan(self) -> None:
        results = clear()
        order = [11, 3, 5, 0, 1, 2, 4, 6, 7, 8, 9, 10]
        shuffled = Race(list("abcd"), "max").replay(table_of(results), order)

        assert shuffled == race(results[:, order])

    def test_equal_results_eliminate_no_arm(self) -> None:
        state = race(np.full((3, 20), 0.9))

        assert state.active == ("a", "b", "c")
        assert set(state.pair_e.values()) == {1.0}

    @pytest.mark.parametrize("scale", [1e-30, 1e30, 1e-200, 1e150])
    def test_the_unit_of_the_metric_does_not_matter(self, scale: float) -> None:
        small, large = race(clear()), race(clear() * scale)

        assert {arm: e.after for arm, e in small.eliminated.items()} == {
            arm: e.after for arm, e in large.eliminated.items()
        }
        assert list(small.pair_e.values()) == pytest.approx(list(large.pair_e.values()), rel=1e-6)

    def test_a_single_arm_wins_without_a_race(self) -> None:
        state = race(np.array([[0.1, 0.2]]))

        assert state.active == ("a",)
        assert state.e_values == {"a": 1.0}
        assert state.rounds == 2

    def test_the_last_arm_is_never_eliminated(self) -> None:
        # a beats b, b beats c, c beats a, each at another time: every arm is beaten by another one
        up, down = np.linspace(5, 6, 15), -np.linspace(5, 6, 15)
        gains = np.concatenate([np.stack([up, down, 0 * up]), np.stack([0 * up, 99 * up, 99 * down])], axis=1)

        assert len(race(gains, alpha=0.9).active) >= 1

    def test_no_seeds_no_rounds(self) -> None:
        assert Race(["a", "b"], "max").replay({"a": {}, "b": {}}, []).active == ("a", "b")

    def test_the_state_can_be_written_as_json(self) -> None:
        state = race(clear(effect=1e9))

        assert json.loads(json.dumps(state.e_values, allow_nan=False)) == state.e_values


class TestTroubledArms:
    def test_an_arm_that_always_diverges_is_eliminated(self) -> None:
        rng = np.random.default_rng(0)
        table = {"good": dict(enumerate(0.9 + 0.01 * rng.normal(size=20))), "bad": dict.fromkeys(range(20))}
        state = Race(["good", "bad"], "max").replay(table, range(20))

        assert state.active == ("good",)

    @pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
    def test_no_finite_number_is_a_diverged_trial(self, nothing: float | None) -> None:
        table = table_of(clear(arms=2))
        table["b"][4] = nothing
        expected = {**table, "b": {**table["b"], 4: None}}

        assert Race(["a", "b"], "max").replay(table, range(12)) == Race(["a", "b"], "max").replay(expected, range(12))

    @pytest.mark.parametrize("direction", ["max", "min"])
    def test_diverged_trials_count_against_their_arm(self, direction: str) -> None:
        same = dict(enumerate(np.random.default_rng(1).normal(size=8).tolist()))
        table = {"a": same | dict.fromkeys(range(2, 8)), "b": same}
        state = Race(["a", "b"], direction).replay(table, range(8))

        assert state.pair_e["b", "a"] > 20
        assert state.pair_e["a", "b"] == 1.0

    def test_arms_that_diverge_together_tie(self) -> None:
        both, other = np.array([1.0, np.nan, 3.0]), np.array([2.0, np.nan, 2.0])

        assert paired_gains(both, other).tolist() == [-1.0, 0.0, 1.0]

    def test_the_roles_of_two_arms_can_be_exchanged(self) -> None:
        x, y = np.array([1.0, np.nan, 3.0, 4.0]), np.array([2.0, 1.0, np.nan, np.nan])

        assert paired_gains(x, y).tolist() == (-paired_gains(y, x)).tolist()

    def test_diverged_trials_only_eliminate_no_arm(self) -> None:
        state = Race(["a", "b"], "max").replay({"a": {0: None, 1: None}, "b": {0: None, 1: None}}, range(2))

        assert state.active == ("a", "b")
        assert state.rounds == 2

    def test_an_arm_that_is_not_in_the_table_does_not_race(self) -> None:
        table = table_of(clear())
        del table["d"]
        state = Race(list("abcd"), "max").replay(table, range(12))

        assert state.active == ("c",)
        assert "d" not in state.e_values

    def test_rounds_are_complete_without_a_failed_arm_and_its_results_still_count(self) -> None:
        table = table_of(clear())
        full = Race(list(table), "max").replay(table, range(12))
        done = max(e.after for e in full.eliminated.values())
        table["d"] = {seed: table["d"][seed] for seed in range(done)}
        state = Race(list(table), "max").replay(table, range(12), failed=["d"])

        assert state.eliminated == full.eliminated
        assert state.active == ()

    def test_an_unknown_arm_is_refused_with_the_nearest_name(self) -> None:
        with pytest.raises(PlanError, match=r"'gleu' that is not raced. Did you mean 'gelu'?"):
            Race(["relu", "gelu"], "max").replay({"gleu": {}}, [0])


class TestSettings:
    @pytest.mark.parametrize(
        ("arms", "direction", "alpha", "message"),
        [
            ([], "max", 0.05, "different names"),
            (["a", "a"], "max", 0.05, "different names"),
            (["a"], "up", 0.05, "'max' .* and 'min'"),
            (["a"], "max", 0.0, "between 0 and 1"),
            (["a"], "max", 1.5, "alpha=1.5"),
        ],
    )
    def test_invalid_settings_are_refused(self, arms: list[str], direction: str, alpha: float, message: str) -> None:
        with pytest.raises(PlanError, match=message):
            Race(arms, direction, alpha)

    def test_a_race_can_be_used_as_a_key(self) -> None:
        assert {Race(["a"], "max"): 1}[Race(("a",), "max")] == 1

    @pytest.mark.parametrize(("arms", "seeds", "limit"), [(10, 20, 0.05), (50, 100, 2.0)])
    def test_a_replay_is_fast(self, arms: int, seeds: int, limit: float) -> None:
        # Measured 2 ms and 0.2 s; the limits leave room for a busy machine.
        results = np.random.default_rng(0).normal(size=(arms, seeds))
        table = {f"arm{i}": dict(enumerate(row)) for i, row in enumerate(results.tolist())}
        times = []
        for _ in range(3):
            started = time.perf_counter()
            Race(list(table), "max").replay(table, range(seeds))
            times.append(time.perf_counter() - started)

        assert min(times) < limit


class TestForecast:
    def test_the_forecast_is_the_number_of_seeds_after_which_the_same_mean_and_spread_suffice(self) -> None:
        sample = np.array([1.0, -0.5, 0.8, 1.4, -0.2])
        more = forecast(sample, evidence=200.0)
        assert more is not None

        def reached(n: int) -> bool:
            unit = np.random.default_rng(0).normal(size=n)
            like = sample.mean() + sample.std(ddof=1) * (unit - unit.mean()) / unit.std(ddof=1)
            return bool(log_e_process(like)[-1] >= math.log(200.0))

        assert reached(5 + more)
        assert not reached(5 + more - 1)

    def test_the_sign_of_the_difference_does_not_matter(self) -> None:
        sample = np.array([1.0, -0.5, 0.8, 1.4])

        assert forecast(sample, evidence=40.0) == forecast(-sample, evidence=40.0)

    def test_a_pair_may_be_decided_by_being_practically_equal(self) -> None:
        sample = np.array([0.1, -0.11, 0.09, -0.1, 0.02])
        more = forecast(sample, evidence=1e6, rope=0.05)
        assert more is not None
        unit = np.random.default_rng(0).normal(size=5 + more)
        like = sample.mean() + sample.std(ddof=1) * (unit - unit.mean()) / unit.std(ddof=1)

        assert probability_equivalent(like, 0.05) >= 0.95
        assert forecast(sample, evidence=1e6) is None

    @pytest.mark.parametrize("sample", [[], [0.3]])
    def test_without_a_spread_there_is_no_forecast(self, sample: list[float]) -> None:
        assert forecast(sample, evidence=40.0) is None

    def test_a_forecast_beyond_the_cap_is_none(self) -> None:
        assert forecast([1.0, -1.0, 1.0, -0.999], evidence=40.0) is None

    def test_identical_results_are_never_separated(self) -> None:
        assert forecast([0.0, 0.0, 0.0], evidence=40.0) is None

    def test_a_constant_difference_is_separated_at_once(self) -> None:
        assert forecast([0.1, 0.1, 0.1], evidence=40.0) == 1
