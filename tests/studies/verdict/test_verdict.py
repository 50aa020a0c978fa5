"""A verdict names the best set, ties and warnings, with consistent numbers and plain sentences."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from actlab.errors import PlanError
from actlab.stats.bootstrap import bootstrap_interval, iqm
from actlab.stats.e_process import anytime_p
from actlab.stats.racing import Race
from actlab.studies.verdict.verdict import ArmSummary, StudyFacts, Verdict, make_verdict

Rows = list[dict[str, Any]]


def row(arm: str, seed: int, metric: float | None, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "stage": "main", "arm": arm, "seed": seed, "lr": 1e-3, "status": status, "metric": metric, "parameters": 1000,
        "error": None,
    } | more  # fmt: skip  # one trial, one block


def facts(arms: Iterable[str], seeds: int = 10, **more: Any) -> StudyFacts:
    arms = tuple(arms)
    given = {
        "name": "s", "task": "digits", "metric": "accuracy", "arms": arms, "baseline": arms[0], "tune": "lr",
        "seeds": tuple(range(seeds)), "fingerprint": "3fa1c2d94e0b", "store": "sqlite://", "rope": 0.002,
    }  # fmt: skip  # the plan's facts, one block
    return StudyFacts(**{**given, **more})


def rows_of(means: Mapping[str, float], seeds: int = 10, sd: float = 0.004) -> Rows:
    """Results with a strong seed effect, and tuning trials for every arm."""
    rng = np.random.default_rng(7)
    shared = 5 * sd * rng.normal(size=seeds)
    found = [row(arm, s, mean + shared[s] + sd * rng.normal()) for arm, mean in means.items() for s in range(seeds)]
    return found + [row(arm, 0, None, stage="tune", validation=0.5) for arm in means]


def judged(means: Mapping[str, float], seeds: int = 10, costs: Mapping[str, Any] | None = None, **more: Any) -> Verdict:
    return make_verdict(rows_of(means, seeds), facts(means, seeds, **more), costs or {})


def summary(verdict: Verdict, spec: str) -> ArmSummary:
    return next(arm for arm in verdict.arms if arm.spec == spec)


def values(rows: Rows, arm: str) -> np.ndarray:
    return np.array([r["metric"] for r in rows if r["arm"] == arm and r["stage"] == "main"])


CLEAR = {"relu": 0.90, "gelu": 0.95, "tanh": 0.80}
ALIKE = {"relu": 0.950, "gelu": 0.951, "tanh": 0.70}


def cost(ratio: float, spread: float = 0.002) -> dict[str, Any]:
    """A measured cost with nine blocks around the ratio."""
    return {"step_time_ratio": ratio, "step_time_ratios": [ratio * (1 + spread * block) for block in range(-4, 5)]}


COSTS = {"relu": cost(1.0, 0.0), "gelu": cost(1.3), "silu": cost(1.1)}


class TestNumbers:
    def test_each_arm_is_summarised_by_its_own_results(self) -> None:
        rows, plan = rows_of(CLEAR), facts(CLEAR)
        own = values(rows, "gelu")
        actual = summary(make_verdict(rows, plan, {"gelu": {"step_time_ratio": 1.2, "peak_memory": 77}}), "gelu")

        assert actual.n == 10
        assert actual.mean == pytest.approx(own.mean())
        assert actual.sd == pytest.approx(own.std(ddof=1))
        assert actual.iqm == pytest.approx(iqm(own))
        assert actual.ci[0] < actual.mean < actual.ci[1]
        assert (actual.step_time_ratio, actual.parameters, actual.peak_memory, actual.lr) == (1.2, 1000, 77, 1e-3)

    def test_differences_are_paired_by_seed_against_the_baseline(self) -> None:
        rows = rows_of(CLEAR)
        paired = values(rows, "gelu") - values(rows, "relu")
        diff = summary(make_verdict(rows, facts(CLEAR), {}), "gelu").diff
        assert diff is not None
        low, high = bootstrap_interval(paired, seed=0)

        assert diff.mean == pytest.approx(paired.mean())
        assert diff.p == pytest.approx(anytime_p(paired))
        assert diff.prob_superior == 1.0
        assert diff.ci == pytest.approx((low, high), abs=0.1 * (high - low))  # another seed of the bootstrap
        assert diff.ci[1] - diff.ci[0] < 0.02 < np.ptp(values(rows, "gelu"))

    @pytest.mark.parametrize("spread", [0.0, 0.002, 0.004, 0.008, 0.03])
    @pytest.mark.parametrize("seeds", [4, 8, 14])
    def test_the_corrected_p_agrees_with_the_best_set(self, spread: float, seeds: int) -> None:
        means = {"relu": 0.9, "gelu": 0.9 + spread, "silu": 0.9 + spread / 2, "tanh": 0.9 - spread, "elu": 0.9}
        verdict = make_verdict(rows_of(means, seeds), facts(means, seeds), {})

        for arm in (summary(verdict, spec) for spec in ("gelu", "silu", "tanh", "elu")):
            assert arm.diff is not None
            both_in = {"relu", arm.spec} <= set(verdict.best_set)
            ruled_out_by_the_other = ": relu is better" in (arm.reason or "") or (
                f": {arm.spec} is better" in (summary(verdict, "relu").reason or "")
            )
            assert not (both_in and arm.diff.p_corrected < verdict.alpha)
            assert not (ruled_out_by_the_other and arm.diff.p_corrected > verdict.alpha)

    def test_seeds_from_after_the_race_still_count_as_evidence_of_a_difference(self) -> None:
        few, many = (summary(judged({"relu": 0.90, "gelu": 0.92}, seeds), "gelu").diff for seeds in (8, 20))

        assert few is not None
        assert many is not None
        assert many.p_corrected < few.p_corrected < 0.05

    def test_a_difference_too_small_to_matter_is_a_tie_however_sure_it_is(self) -> None:
        rng = np.random.default_rng(1)
        shared = rng.normal(size=20)
        rows = [row("relu", s, shared[s]) for s in range(20)]
        rows += [row("gelu", s, shared[s] + 0.001 + 1e-5 * rng.normal()) for s in range(20)]
        verdict = make_verdict(rows, facts(["relu", "gelu"], 20), {})
        diff = summary(verdict, "gelu").diff

        assert diff is not None
        assert diff.p_corrected < 1e-5  # 20 seeds allow 2^-20
        assert [(tie.arms, tie.kind) for tie in verdict.ties] == [(("gelu", "relu"), "equivalent")]

    def test_an_arm_beside_the_baseline_in_the_best_set_is_never_called_different(self) -> None:
        verdict = judged({"relu": 0.90, "gelu": 0.906, "silu": 0.904, "tanh": 0.901, "elu": 0.905}, 9)

        assert "relu" in verdict.best_set
        beside = [arm.diff.p_corrected for arm in verdict.arms if arm.spec in verdict.best_set and arm.diff]
        assert beside
        assert min(beside) > verdict.alpha

    def test_the_baseline_has_no_difference_to_itself(self) -> None:
        assert summary(judged(CLEAR), "relu").diff is None

    def test_a_smaller_result_can_be_the_better_one(self) -> None:
        verdict = judged(CLEAR, direction="min", metric="loss")
        diff = summary(verdict, "tanh").diff
        assert diff is not None

        assert verdict.best_set == ("tanh",)
        assert [arm.spec for arm in verdict.arms] == ["tanh", "relu", "gelu"]
        assert diff.mean < 0
        assert diff.prob_superior == 1.0

    def test_the_best_set_is_the_arms_left_in_the_race(self) -> None:
        rows = rows_of(ALIKE)
        table = {arm: dict(enumerate(values(rows, arm))) for arm in ALIKE}
        state = Race(list(ALIKE), "max").replay(table, range(10))
        verdict = make_verdict(rows, facts(ALIKE), {})

        assert set(state.active) == set(verdict.best_set) == {"relu", "gelu"}
        assert summary(verdict, "tanh").e_value == pytest.approx(state.e_values["tanh"])

    def test_arms_come_best_first_by_paired_difference(self) -> None:
        """tanh left after the four hardest seeds: by its bare mean it would look worse than it is."""
        rng, seeds = np.random.default_rng(0), range(10)
        level = np.where(np.arange(10) < 4, 0.3, 0.9)
        noise = 0.001 * rng.normal(size=(3, 10))
        rows = [row("relu", s, level[s] + noise[0, s]) for s in seeds]
        rows += [row("gelu", s, level[s] + 0.05 + noise[1, s]) for s in seeds]
        rows += [row("tanh", s, level[s] - 0.01 + noise[2, s]) for s in range(4)]
        rows += [row("sine", s, level[s] - 0.10 + noise[2, s]) for s in seeds]
        verdict = make_verdict(rows, facts(["relu", "gelu", "tanh", "sine"]), {})

        assert [arm.spec for arm in verdict.arms] == ["gelu", "relu", "tanh", "sine"]

    def test_the_same_rows_in_any_order_give_the_same_verdict(self) -> None:
        rows = rows_of(ALIKE)

        assert make_verdict(rows, facts(ALIKE), COSTS) == make_verdict(rows[::-1], facts(ALIKE), COSTS)

    def test_trials_are_counted_without_those_of_tuning(self) -> None:
        verdict = make_verdict(rows_of(CLEAR)[:25], facts(CLEAR), {})

        assert (verdict.trials_run, verdict.trials_full_grid) == (25, 30)


class TestTies:
    def test_practically_equal_arms_are_named_equivalent(self) -> None:
        verdict = judged({"relu": 0.95, "gelu": 0.95}, rope=0.02)
        (tie,) = verdict.ties

        assert set(tie.arms) == {"relu", "gelu"}
        assert (tie.kind, tie.seeds_needed) == ("equivalent", None)
        assert tie.prob_equivalent > 0.95
        assert verdict.closest is None

    def test_undecided_arms_say_how_many_seeds_they_need(self) -> None:
        verdict = judged({"relu": 0.950, "gelu": 0.952}, seeds=6)
        (tie,) = verdict.ties

        assert tie.kind == "undecided"
        assert tie.seeds_needed >= 1
        assert verdict.closest == tie

    def test_arms_that_were_told_apart_are_no_tie(self) -> None:
        assert judged(CLEAR).ties == ()

    def test_pairs_of_losers_are_no_tie_unless_one_is_the_baseline(self) -> None:
        means = {"relu": 0.800, "tanh": 0.801, "sine": 0.8, "gelu": 0.95}
        pairs = {frozenset(tie.arms) for tie in judged(means).ties}

        assert pairs == {frozenset({"relu", "tanh"}), frozenset({"relu", "sine"})}

    def test_the_closest_tie_needs_the_fewest_seeds(self) -> None:
        verdict = judged({"relu": 0.950, "gelu": 0.953, "silu": 0.9505}, seeds=6)
        needed = [tie.seeds_needed for tie in verdict.ties if tie.seeds_needed is not None]

        assert len(verdict.ties) == 3
        assert verdict.closest.seeds_needed == min(needed)


class TestRecommendation:
    def test_a_better_arm_is_recommended_with_its_gain_and_its_price(self) -> None:
        assert judged(CLEAR, costs=COSTS).recommendation == (
            "Switch from relu to gelu: its accuracy is 0.049 higher on average and a training step takes 30% longer."
        )

    def test_a_baseline_that_wins_alone_stays(self) -> None:
        assert judged({"gelu": 0.95, "relu": 0.90}).recommendation == (
            "Stay with gelu: it is better than every other activation tried."
        )

    def test_a_baseline_with_equals_stays(self) -> None:
        assert judged({"relu": 0.95, "gelu": 0.95}, rope=0.02).recommendation == (
            "Stay with relu: gelu is practically the same, within 0.02 of its accuracy."
        )

    def test_a_baseline_that_has_not_been_beaten_stays_and_says_what_would_tell(self) -> None:
        said = judged({"relu": 0.950, "gelu": 0.952}, seeds=6).recommendation

        assert said.startswith("Stay with relu: no other activation has been shown to be better; about ")
        assert said.endswith(" would settle how gelu compares.")

    def test_of_several_best_arms_the_cheapest_is_recommended(self) -> None:
        said = judged({"relu": 0.80, "gelu": 0.952, "silu": 0.951}, costs=COSTS).recommendation

        assert said.startswith(
            "Switch from relu to silu: it is the cheapest of the 2 best (silu and gelu), its accuracy"
        )
        assert said.endswith("and a training step takes 10% longer.")

    def test_a_gain_too_small_to_matter_is_not_worth_a_switch(self) -> None:
        assert judged(CLEAR, rope=0.2).recommendation == (
            "Stay with relu: gelu is better, but on average by less than the 0.2 of accuracy that matters."
        )

    def test_one_seed_decides_nothing(self) -> None:
        assert judged(CLEAR, seeds=1).recommendation == (
            "Stay with relu for now: one seed cannot tell a real difference from luck; run at least 6."
        )

    def test_a_smaller_loss_is_called_lower(self) -> None:
        said = judged(CLEAR, direction="min", metric="loss").recommendation

        assert said == "Switch from relu to tanh: its loss is 0.1 lower on average."

    @pytest.mark.parametrize(
        ("ratio", "words"),
        [(1.001, "takes as long as with relu"), (0.8, "takes 20% less time"), (2.5, "takes 2.5 times as long")],
    )
    def test_the_price_is_told_in_words(self, ratio: float, words: str) -> None:
        costs = {"relu": cost(1.0, 0.0), "gelu": cost(ratio, 0.0005)}

        assert words in judged(CLEAR, costs=costs).recommendation

    @pytest.mark.parametrize("gelu", [cost(1.03, 0.01), {"step_time_ratio": 1.3}, {}])
    def test_a_difference_in_time_within_the_interval_or_without_one_is_not_told(self, gelu: dict[str, Any]) -> None:
        said = judged(CLEAR, costs={"relu": cost(1.0, 0.0), "gelu": gelu}).recommendation

        assert said == "Switch from relu to gelu: its accuracy is 0.049 higher on average."

    def test_a_difference_in_time_within_the_interval_does_not_decide(self) -> None:
        costs = {"relu": cost(1.0, 0.0), "gelu": cost(1.10, 0.01), "silu": cost(1.09, 0.01)}
        verdict = judged({"relu": 0.80, "gelu": 0.953, "silu": 0.9515}, costs=costs)

        assert verdict.best_set == ("gelu", "silu")
        assert verdict.recommended == "gelu"
        assert "it is one of the 2 best (gelu and silu)" in verdict.recommendation
        assert verdict.reason is None

    def test_why_the_arm_with_the_best_mean_is_not_recommended_is_told(self) -> None:
        verdict = judged({"relu": 0.80, "gelu": 0.9535, "silu": 0.9515}, costs=COSTS)

        assert (verdict.best_set[0], verdict.recommended) == ("gelu", "silu")
        assert verdict.reason == (
            "gelu has the better mean, but the two are not separated, and with silu a training step takes 15% less time."
        )

    def test_without_a_baseline_no_reason_speaks_of_it(self) -> None:
        """silu takes as long as gelu, and gelu is slower than mish: the pick is the faster one, and the reason its time."""
        costs = {"gelu": cost(1.3, 0.01), "silu": cost(1.29, 0.01), "mish": cost(1.1, 0.01)}
        values = {"gelu": 0.955, "silu": 0.953, "mish": 0.951}
        rows = [*rows_of(values), row("relu", 0, None, "failed", error="killed", provisional=True)]
        verdict = make_verdict(rows, facts(("relu", *values)), costs)

        assert (verdict.best_set, verdict.recommended) == (("gelu", "silu", "mish"), "mish")
        assert verdict.reason == (
            "gelu has the better mean, but the two are not separated, and with mish a training step takes 15% less time."
        )

    @pytest.mark.parametrize("rope", [0.002, 0.03])
    def test_a_mean_gain_inside_the_region_is_no_reason_to_switch_however_uncertain_it_is(self, rope: float) -> None:
        gains = np.array([0.019, 0.038, 0.011, 0.04, 0.015, 0.036, 0.017, 0.03, 0.02, 0.032])  # 0.026 on average
        rows = [row(arm, s, 0.9 + (arm == "gelu") * gain) for s, gain in enumerate(gains) for arm in ("relu", "gelu")]
        verdict = make_verdict(rows, facts(("relu", "gelu"), rope=rope), {})

        assert not verdict.findings.is_equivalent("gelu", "relu")
        assert verdict.recommended == ("relu" if rope > 0.026 else "gelu")

    def test_a_baseline_ruled_out_by_an_arm_that_was_withdrawn_stays(self) -> None:
        """tanh rules relu out and then fails; gelu is left, and nothing is known of it and relu."""
        rng = np.random.default_rng(3)
        shared = rng.normal(size=12)
        values = {"relu": (0.0, 0.01), "gelu": (0.02, 0.3), "tanh": (0.1, 0.01)}
        rows = [
            row(arm, s, 0.5 + 0.01 * shared[s] + mean + sd * rng.normal())
            for arm, (mean, sd) in values.items()
            for s in range(12)
            if arm != "tanh" or s < 8
        ]
        rows.append(row("tanh", 8, None, "failed", error="killed"))
        verdict = make_verdict(rows, facts(values, 12), {})

        assert verdict.best_set == ("gelu",)
        assert verdict.recommended == "relu"
        assert verdict.recommendation == (
            "Stay with relu for now: tanh, by which it is ruled out, was withdrawn, and no arm that is left has been shown to be better."
        )


class TestWarnings:
    CLEAN = facts(CLEAR)

    def of(self, rows: Rows | None = None, costs: Mapping[str, Any] | None = None, **more: Any) -> str:
        return " ".join(
            make_verdict(rows_of(CLEAR) if rows is None else rows, replace(self.CLEAN, **more), costs or {}).warnings
        )

    def test_a_clean_study_has_none(self) -> None:
        assert self.of() == ""

    @pytest.mark.parametrize(
        ("seeds", "words"),
        [(1, "One seed:"), (5, "Only 5 seeds: no difference can be shown with fewer than 6."), (6, "")],
    )
    def test_few_seeds(self, seeds: int, words: str) -> None:
        assert " ".join(judged(CLEAR, seeds=seeds).warnings).startswith(words)

    def test_a_learning_rate_that_was_not_tuned(self) -> None:
        rows = [r for r in rows_of(CLEAR) if r["stage"] == "main"]

        assert "learning rate was not tuned" in self.of(rows, tune=None)

    def test_a_learning_rate_that_was_tuned_for_one_arm_only(self) -> None:
        rows = [r for r in rows_of(CLEAR) if r["stage"] == "main" or r["arm"] == "gelu"]

        assert "tuned for gelu only" in self.of(rows)

    def test_learning_rates_whose_trials_all_failed(self) -> None:
        lost = {"status": "failed", "validation": None, "error": "TaskError: no validation split.\n  File ..."}
        rows = [r | lost if r["stage"] != "main" and r["arm"] == "gelu" else r for r in rows_of(CLEAR)]

        assert (
            "The learning rate of gelu is the task's own and was not chosen, because every trial that tried a rate failed or diverged "
            "(TaskError: no validation split)."
        ) in self.of(rows)

    def test_a_budget_that_ended_the_study(self) -> None:
        rows = [r for r in rows_of(ALIKE) if r["arm"] != "gelu" or r["seed"] < 3]

        assert "Time-boxed: the budget ended the study before all seeds were run (gelu 3 of 10)" in self.of(
            rows, budget_hit=True
        )

    def test_an_unfinished_study(self) -> None:
        rows = [r for r in rows_of(ALIKE) if r["arm"] != "gelu" or r["seed"] < 3]

        assert "Unfinished: not all seeds have been run (gelu 3 of 10)" in self.of(rows)

    def test_five_unfinished_arms_are_four_and_one_more(self) -> None:
        rows = [row(arm, 0, 0.9) for arm in "abcde"]

        assert "c 1 of 10, d 1 of 10 and 1 more arm)" in " ".join(make_verdict(rows, facts("abcde"), {}).warnings)

    def test_a_divergence_of_an_arm_that_was_withdrawn_counts_as_nothing(self) -> None:
        rows = [*rows_of(CLEAR), row("elu", 0, None, "diverged"), row("elu", 1, None, "failed")]

        assert "elu diverged on 1 of 2 seeds." in make_verdict(rows, facts((*CLEAR, "elu"), 10, tune=None), {}).warnings

    def test_seeds_that_were_not_needed_are_not_missing(self) -> None:
        rows = [r for r in rows_of(CLEAR) if r["seed"] < 8]
        verdict = make_verdict(rows, facts(CLEAR), {})

        assert verdict.best_set == ("gelu",)
        assert verdict.warnings == ()
        assert summary(verdict, "gelu").reason is None

    def test_a_test_split_used_for_selection(self) -> None:
        assert "used for selection" in self.of(hygiene={"selected_on_test": True})

    def test_test_examples_that_are_in_train(self) -> None:
        found = {"test_examples": 360, "test_in_train": 12, "test_in_validation": 0}

        assert "12 of 360 test examples are also in the training split" in self.of(hygiene=found)

    def test_findings_of_the_fast_audit(self) -> None:
        found = {"test_examples": 360, "findings": ["2 of 360 test examples have a near duplicate in train."]}

        assert "2 of 360 test examples have a near duplicate in train. See actlab audit." in self.of(hygiene=found)

    def test_arms_that_diverged(self) -> None:
        rows = [r for r in rows_of(CLEAR) if (r["arm"], r["seed"], r["stage"]) != ("gelu", 3, "main")]
        rows.append(row("gelu", 3, None, "diverged"))

        assert "gelu diverged on 1 of 10 seeds" in self.of(rows)

    def test_arms_that_failed(self) -> None:
        rows = [r for r in rows_of(CLEAR) if r["arm"] != "tanh"] + [row("tanh", 0, None, "out_of_memory")]

        assert "tanh is excluded: 1 trial failed (out of memory)" in self.of(rows)

    def test_models_of_unequal_size(self) -> None:
        assert "gelu has 30% more parameters than relu" in self.of(costs={"gelu": {"parameters": 1300}})
        assert self.of(costs={"gelu": {"parameters": 1040}}) == ""


class TestTrouble:
    def test_an_arm_that_failed_is_excluded_with_the_first_line_of_its_reason(self) -> None:
        rows = [r for r in rows_of(CLEAR) if r["arm"] != "gelu"]
        rows.append(row("gelu", 0, None, "failed", error="ValueError: no channels\n  at line 3"))
        verdict = make_verdict(rows, facts(CLEAR), {})
        arm = summary(verdict, "gelu")

        assert (arm.status, arm.reason, arm.n, arm.mean) == ("failed", "seed 0: ValueError: no channels", 0, None)
        assert arm.diff is None
        assert verdict.best_set == ("relu",)
        assert verdict.arms[-1] == arm

    def test_an_arm_that_failed_after_the_end_of_the_race_keeps_its_place(self) -> None:
        rows = [r for r in rows_of(CLEAR) if r["arm"] != "gelu" or r["seed"] < 9] + [row("gelu", 9, None, "failed")]
        verdict = make_verdict(rows, facts(CLEAR), {})

        assert summary(verdict, "gelu").n == 9
        assert verdict.best_set == ("gelu",)  # the race ended before the failure
        assert "gelu has a failure that does not count in the comparison: 1 trial failed (failed)." in verdict.warnings

    def test_a_failure_in_the_open_round_withdraws_the_arm(self) -> None:
        rows = [r for r in rows_of(ALIKE) if r["seed"] < 9 or r["stage"] == "tune"] + [row("gelu", 9, None, "failed")]
        verdict = make_verdict(rows, facts(ALIKE), {})

        assert summary(verdict, "gelu").status == "failed"
        assert verdict.best_set == ("relu",)
        assert verdict.recommendation == "Stay with relu: it is better than tanh, the only other arm compared."

    def test_a_failure_ahead_of_the_open_round_does_not_count_yet(self) -> None:
        rows = [r for r in rows_of(ALIKE) if r["seed"] < 8 or r["stage"] == "tune"] + [row("gelu", 9, None, "failed")]
        verdict = make_verdict(rows, facts(ALIKE), {})

        assert set(verdict.best_set) == {"relu", "gelu"}

    def test_a_failed_trial_that_will_be_run_again_is_no_final_failure(self) -> None:
        rows = [r for r in rows_of(ALIKE) if r["arm"] != "gelu" or r["seed"] < 9]
        rows.append(row("gelu", 9, None, "failed", error="killed by signal 9", provisional=True))
        verdict = make_verdict(rows, facts(ALIKE), {})

        assert (summary(verdict, "gelu").status, summary(verdict, "gelu").reason) == (
            "interrupted",
            "seed 9: killed by signal 9; will be run again",
        )
        assert any(warning.startswith("gelu is excluded for now") for warning in verdict.warnings)

    def test_an_arm_that_always_diverged_is_not_among_the_best(self) -> None:
        rows = [r for r in rows_of(ALIKE) if r["arm"] != "gelu"] + [row("gelu", s, None, "diverged") for s in range(3)]
        verdict = make_verdict(rows, facts(ALIKE), {})
        arm = summary(verdict, "gelu")

        assert "gelu" not in verdict.best_set
        assert (arm.status, arm.reason) == ("diverged", "diverged on 3 of 3 seeds: no finite result")

    @pytest.mark.parametrize("metric", [math.nan, math.inf, None])
    def test_a_completed_trial_without_a_number_has_diverged(self, metric: float | None) -> None:
        rows = [*rows_of({"relu": 0.95, "tanh": 0.951}, seeds=9), row("relu", 9, 0.95), row("tanh", 9, metric)]
        arm = summary(make_verdict(rows, facts(["relu", "tanh"]), {}), "tanh")

        assert (arm.status, arm.n) == ("diverged", 9)

    def test_a_baseline_that_failed_leaves_a_verdict_without_differences(self) -> None:
        rows = [r for r in rows_of(CLEAR) if r["arm"] != "relu"] + [row("relu", 0, None, "failed")]
        verdict = make_verdict(rows, facts(CLEAR), {})

        assert verdict.best_set == ("gelu",)
        assert [arm.spec for arm in verdict.arms] == ["gelu", "tanh", "relu"]
        assert all(arm.diff is None for arm in verdict.arms)
        assert verdict.recommendation == (
            "Use gelu: it is better than tanh; relu, the baseline, is not compared (seed 0: failed)."
        )

    def test_no_result_at_all_recommends_nothing(self) -> None:
        rows = [row(arm, 0, None, "failed", error="boom") for arm in CLEAR]
        verdict = make_verdict(rows, facts(CLEAR), {})

        assert verdict.best_set == ()
        assert verdict.ties == ()
        assert verdict.recommendation.startswith("No recommendation")

    def test_a_study_that_has_not_begun_has_a_verdict(self) -> None:
        verdict = make_verdict([], facts(CLEAR), {})

        assert verdict.best_set == ()
        assert verdict.trials_run == 0
        assert {arm.reason for arm in verdict.arms} == {"no trial has been run"}

    def test_one_arm_has_nothing_to_be_compared_with(self) -> None:
        verdict = judged({"relu": 0.9})

        assert verdict.best_set == ("relu",)
        assert verdict.recommendation.startswith("Nothing to choose from: relu was the only arm")

    def test_one_seed_has_no_intervals(self) -> None:
        verdict = judged(CLEAR, seeds=1)
        arm = summary(verdict, "gelu")
        assert arm.diff is not None

        assert (arm.ci, arm.sd, arm.diff.ci, arm.diff.prob_equivalent) == ((None, None), None, (None, None), None)
        assert arm.diff.p == 1.0
        assert len(verdict.best_set) == 3
        assert {tie.kind for tie in verdict.ties} == {"undecided"}

    @pytest.mark.parametrize("count", range(0, 31, 3))
    def test_a_study_cut_anywhere_has_a_verdict_fit_for_json(self, count: int) -> None:
        rows = sorted(rows_of(CLEAR)[:30], key=lambda r: r["seed"])[:count]
        verdict = make_verdict(rows, facts(CLEAR), {})

        assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False))["trials_run"] == count

    def test_identical_results_on_every_seed_recommend_nothing(self) -> None:
        rows = [row(arm, s, 0.9 + 0.01 * s) for arm in ("relu", "leaky_relu(0.0)") for s in range(10)]
        verdict = make_verdict(rows, facts(["relu", "leaky_relu(0.0)"], rope=0.0), {})

        assert [tie.kind for tie in verdict.ties] == ["equivalent"]
        assert verdict.recommended is None
        assert verdict.recommendation == (
            "No recommendation: relu and leaky_relu(0.0) gave identical results on every seed, so this task cannot tell them apart."
        )
        assert verdict.learned.identical == (("relu", "leaky_relu(0.0)"),)

    def test_an_unknown_baseline_is_refused(self) -> None:
        with pytest.raises(PlanError, match=r"'rleu' is not among the arms\. Did you mean 'relu'\?"):
            make_verdict([], facts(CLEAR, baseline="rleu"), {})


class TestJson:
    def test_it_has_the_promised_fields(self) -> None:
        found = judged(CLEAR).to_dict()
        promised = (
            "study, task, metric, direction, baseline, seeds, arms, best_set, ties, recommendation, warnings, store, "
            "fingerprint"
        )
        of_arm = "spec, n, mean, iqm, ci, diff, step_time_ratio, parameters, peak_memory, status"
        of_diff = "mean, ci, p, p_corrected, prob_superior, prob_equivalent"

        assert set(promised.split(", ")) <= set(found)
        assert set(of_arm.split(", ")) <= set(found["arms"][0])
        assert set(of_diff.split(", ")) == set(found["arms"][0]["diff"])
        assert {arm["status"] for arm in found["arms"]} <= {"completed", "diverged", "failed", "eliminated"}

    def test_it_holds_neither_nan_nor_infinity(self) -> None:
        found = judged(CLEAR, costs={"gelu": {"step_time_ratio": math.nan, "peak_memory": math.inf}}).to_dict()

        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert found["arms"][0]["step_time_ratio"] is None
