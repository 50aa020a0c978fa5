"""A race keeps its error rate at every look, eliminates clear losers soon, and does not depend on the order of trials."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy import stats

from actlab.errors import PlanError
from actlab.stats.e_process import log_e_process
from actlab.stats.racing import Race, RaceState, fewest_rounds, paired_gains

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


def sets_with(arm: int, arms: int) -> list[tuple[int, ...]]:
    return [s for size in range(1, arms + 1) for s in combinations(range(arms), size) if arm in s]


def reference(results: np.ndarray) -> list[list[float]]:
    """E of every arm after each round, before any elimination, arm by arm and rival by rival."""
    arms, seeds = results.shape
    log_e = {(b, a): log_e_process(results[b] - results[a]) for b in range(arms) for a in range(arms) if a != b}
    before = {pair: np.concatenate([[0.0], path]) for pair, path in log_e.items()}
    path, followed = [], [1.0] * arms
    for n in range(seeds):
        record = [np.mean([before[b, c][n] for c in range(arms) if c != b]) for b in range(arms)]
        row = []
        for a in range(arms):
            rivals = [b for b in range(arms) if b != a]
            weights = np.exp([2 * record[b] for b in rivals])
            factors = np.exp([before[b, a][n + 1] - before[b, a][n] for b in rivals])
            followed[a] *= (weights * factors).sum() / weights.sum()
            row.append(0.5 * np.mean([math.exp(log_e[b, a][n]) for b in rivals]) + 0.5 * followed[a])
        path.append(row)
    return path


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
            pytest.param(lambda rng, shape: rng.choice([0.1, 0.97], size=shape), id="works or collapses"),
            pytest.param(lambda rng, shape: rng.choice([-1.0, 1.0], size=shape) * [[1.0]] * 0.5, id="one size"),
            pytest.param(
                lambda rng, shape: rng.choice([-1.0, 1.0], size=shape) * (1 + 0.2 * rng.normal(size=shape)), id="jitter"
            ),
            pytest.param(
                lambda rng, shape: np.where(rng.random(shape) < 0.1, 0.1, 0.97 + 0.01 * rng.normal(size=shape)),
                id="rare collapses of all arms",
            ),
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

    @pytest.mark.parametrize("arms", [3, 6])
    def test_equal_best_arms_beside_worse_ones_are_eliminated_in_at_most_alpha_of_the_studies(self, arms: int) -> None:
        def draw(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
            return rng.normal(size=shape) - 1.5 * (np.arange(shape[0]) >= 2)[:, None]

        def wrong(results: np.ndarray) -> bool:
            return bool({"a", "b"} & set(race(results).eliminated))

        assert self.errors(wrong, draw, arms) <= self.LIMIT

    def test_diverging_arms_are_eliminated_in_at_most_alpha_of_the_studies(self) -> None:
        def draw(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
            return np.where(rng.random(shape) < 0.2, np.nan, rng.normal(size=shape))

        assert self.errors(lambda results: bool(race(results).eliminated), draw, 4) <= self.LIMIT

    def test_a_race_that_ignores_the_number_of_arms_is_caught(self) -> None:
        def uncorrected(results: np.ndarray) -> bool:
            gains = results[:, None] - results
            return bool(log_e_process(gains).max() >= math.log(1 / self.ALPHA))

        assert self.errors(uncorrected, lambda rng, shape: rng.normal(size=shape), 5) > self.LIMIT


class TestPower:
    @pytest.mark.parametrize(("effect", "soon"), [(2.0, 11), (3.0, 9), (6.0, 8)])
    def test_a_clear_loser_among_ten_arms_is_eliminated_soon(self, effect: float, soon: int) -> None:
        rng, rounds = np.random.default_rng(0), []
        for _ in range(60):
            results = rng.normal(size=(10, 20)) / np.sqrt(2)
            results[4] -= effect
            state = race(results)
            rounds.append(state.eliminated["e"].after if "e" in state.eliminated else math.inf)

        assert np.median(rounds) <= soon

    @pytest.mark.parametrize(("arms", "least"), [(2, 6), (5, 7), (10, 8)])
    def test_the_number_of_seeds_is_the_least_that_signs_allow(self, arms: int, least: int) -> None:
        # The average over all arms is needed at 20; against the worse one there is at most 2^n, against equal ones about 1 on average.
        results = 0.5 * np.random.default_rng(1).normal(size=(arms, 12))
        results[0] -= 1e6
        worse = race(results).eliminated["a"]

        assert worse.after == least
        assert 2 ** (least - 1) < 20 * arms

    def test_one_better_arm_among_ten_equal_ones_is_found_as_soon(self) -> None:
        results = np.random.default_rng(0).normal(size=(10, 20))
        results[3] += 8
        state = race(results)

        assert len(state.eliminated) == 9
        assert min(e.after for e in state.eliminated.values()) == 8


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
        state = race(results)
        expected = np.exp(log_e_process(results[1] - results[0]))

        assert state.pair_e["b", "a"] == pytest.approx(expected[state.rounds - 1], rel=1e-9)
        assert state.history[:, 0] == pytest.approx(expected[: state.rounds], rel=1e-9)

    def test_the_evidence_is_half_the_average_over_rivals_and_half_that_of_the_rivals_with_the_best_record(
        self,
    ) -> None:
        results = clear(arms=4, effect=0.2, seeds=6)
        state = race(results, alpha=1e-6)

        assert np.array(reference(results)) == pytest.approx(state.history, rel=1e-9)

    def test_an_arm_is_eliminated_when_every_average_over_a_set_with_it_reaches_one_over_alpha(self) -> None:
        results = clear(arms=4, effect=0.7, seeds=20)
        state = race(results)
        path = reference(results)
        first = next(iter(state.eliminated))
        smallest = [
            min(np.mean([row[k] for k in chosen]) for chosen in sets_with("abcd".index(first), 4)) for row in path
        ]

        assert state.eliminated[first].after == next(n for n, value in enumerate(smallest, 1) if value >= 20)
        assert state.eliminated[first].e_value == pytest.approx(smallest[state.eliminated[first].after - 1], rel=1e-9)

    def test_the_evidence_against_an_eliminated_arm_stays(self) -> None:
        state = race(clear(arms=4, effect=1.5))
        for arm, elimination in state.eliminated.items():
            column = state.history[elimination.after - 1 :, "abcd".index(arm)]

            assert (column == column[0]).all()
            assert column[0] >= 20

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
        for seed in range(30):
            assert race(np.random.default_rng(seed).normal(size=(3, 40)), alpha=0.99).active

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

        assert state.pair_e["b", "a"] > 10
        assert state.pair_e["a", "b"] < 0.1

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
            (["a"], "max", 1.5, r"alpha=1\.5"),
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


class TestPairs:
    def test_below_alpha_for_the_strongest_rival_of_an_eliminated_arm_only(self) -> None:
        for seed in range(40):
            results = np.random.default_rng(seed).normal(size=(4, 14)) + 0.7 * np.arange(4)[:, None]
            table = table_of(results)
            one_race = Race(list(table), "max")
            state = one_race.replay(table, range(14))
            for better in "abcd":
                for worse in set("abcd") - {better}:
                    gains = results[ord(better) - 97] - results[ord(worse) - 97]
                    p = one_race.pair_p(state, gains, better=better, worse=worse)
                    if p < 0.05:
                        assert worse in state.eliminated
                    if worse in state.eliminated and state.eliminated[worse].rival == better:
                        assert p <= 0.05

    def test_of_two_arms_it_is_the_error_rate_at_which_the_race_eliminates_one(self) -> None:
        results = clear(arms=2, effect=0.9, seeds=9)
        table = table_of(results)
        state = Race(["a", "b"], "max").replay(table, range(9))
        p = Race(["a", "b"], "max").pair_p(state, results[1] - results[0], better="b", worse="a")

        assert 0.001 < p < 1
        assert Race(["a", "b"], "max", p * 1.001).replay(table, range(9)).active == ("b",)
        assert Race(["a", "b"], "max", p * 0.999).replay(table, range(9)).active == ("a", "b")

    def test_without_seeds_it_is_one(self) -> None:
        state = Race(["a", "b"], "max").replay({"a": {}, "b": {}}, [])

        assert Race(["a", "b"], "max").pair_p(state, np.zeros(0), better="a", worse="b") == 1.0

    def test_the_needed_evidence_of_two_arms_is_twice_one_over_alpha_less_the_evidence_against_the_other(self) -> None:
        results = np.random.default_rng(5).normal(size=(2, 6))
        two = Race(["a", "b"], "max")
        state = two.replay(table_of(results), range(6))

        assert two.needed_e(state, "a") == pytest.approx(max(20.0, 40.0 - state.history[-1, 1]), rel=1e-9)


class TestSafeRounds:
    @pytest.mark.parametrize("arms", [2, 3, 5])
    @pytest.mark.parametrize("seed", range(8))
    def test_no_results_eliminate_an_arm_within_its_safe_rounds(self, arms: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        start = rng.normal(size=(arms, 4)) + rng.normal(size=(arms, 1))
        table = table_of(start)
        many = Race(list(table), "max")
        safe = many.safe_rounds(many.replay(table, range(4)), list(table), 12)
        for order in (rng.permutation(arms) for _ in range(40)):
            further = np.argsort(order)[:, None] * rng.uniform(0.9, 1.1, size=(arms, 12)) * 10
            eliminated = race(np.concatenate([start, further], axis=1)).eliminated
            assert all(elimination.after > 4 + safe[arm] for arm, elimination in eliminated.items())

    def test_before_the_first_round_two_arms_are_safe_for_five(self) -> None:
        assert Race(["a", "b"], "max").safe_rounds(None, ["a", "b"], 20) == {"a": 5, "b": 5}

    def test_no_more_rounds_are_safe_than_there_are(self) -> None:
        assert Race(["a", "b"], "max").safe_rounds(None, ["a", "b"], 3) == {"a": 3, "b": 3}


@pytest.mark.parametrize(("alpha", "fewest"), [(0.05, 6), (0.2, 4), (0.01, 8)])
@pytest.mark.parametrize("arms", [2, 3, 6])
def test_no_results_eliminate_an_arm_before_the_fewest_rounds(arms: int, alpha: float, fewest: int) -> None:
    rng, names = np.random.default_rng(arms), [f"a{i}" for i in range(arms)]
    orders = [np.tile(np.arange(arms), (fewest, 1)), *(np.argsort(rng.random((fewest, arms))) for _ in range(60))]
    orders += [
        np.sort(order, axis=1)[:, :: 1 if k % 2 else -1] * 10.0 ** rng.integers(0, 4) for k, order in enumerate(orders)
    ]
    first = []
    for order in orders:
        table = {name: dict(enumerate(order[:, i].astype(float))) for i, name in enumerate(names)}
        first += [out.after for out in Race(names, "max", alpha).replay(table, range(fewest)).eliminated.values()]

    assert fewest_rounds(alpha) == fewest
    assert min(first, default=fewest) == fewest
