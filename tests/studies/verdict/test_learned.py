"""A verdict knows when nothing was learned, when no arm differs, and when training was too short."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.studies.verdict.test_verdict import facts, row

from actlab.studies.verdict.verdict import Verdict, make_verdict

ARMS = ("relu", "gelu")


def trials(
    arm: str, results: Any, constant: float | None = None, half: Any = None, **more: Any
) -> list[dict[str, Any]]:
    found = []
    for seed, result in enumerate(results):
        controls = {} if constant is None else {"constant": constant}
        controls |= {} if half is None else {"half_validation": float(half[seed])}
        found.append(row(arm, seed, float(result), controls=controls, validation=float(result), **more))
    return found


def judged(rows: list[dict[str, Any]], **more: Any) -> Verdict:
    return make_verdict(rows, facts(ARMS, 8, **{"tune": None, "rope": 0.005} | more), {})


def noise(mean: float, sd: float = 0.01, seed: int = 0) -> Any:
    return mean + sd * np.random.default_rng(seed).normal(size=8)


class TestNothingLearned:
    def test_results_at_the_share_of_the_largest_class_recommend_nothing(self) -> None:
        verdict = judged(trials("relu", [0.9] * 8, 0.9) + trials("gelu", [0.9] * 8, 0.9))

        assert verdict.recommended is None
        assert verdict.recommendation == (
            "No recommendation: nothing was learned, as no arm's accuracy is clearly better than that of a constant prediction (0.9)."
        )
        assert verdict.warnings[0] == (
            "Nothing was learned by relu and gelu: the accuracy is not clearly better than 0.9, that of a constant prediction."
        )

    @pytest.mark.parametrize("results", [noise(0.899, 0.002), [0.9] * 7 + [0.92]])
    def test_results_about_that_share_are_no_better(self, results: Any) -> None:
        assert judged(trials("relu", results, 0.9) + trials("gelu", [0.9] * 8, 0.9)).learned.nothing

    def test_the_error_of_the_mean_is_no_better_either(self) -> None:
        rows = trials("relu", noise(1.0, 0.001), 1.0) + trials("gelu", noise(1.01, 0.001, 1), 1.0)

        assert judged(rows, metric="loss", direction="min", rope=None).learned.nothing

    def test_an_auc_around_one_half_is_no_better_than_chance(self) -> None:
        gains = np.array([0.04, -0.03, 0.05, -0.02, 0.03, -0.04, 0.02, 0.01])  # 0.0075 on average, standard error 0.012
        rows = trials("relu", 0.5 + gains, 0.5) + trials("gelu", 0.5 + gains[::-1], 0.5)

        assert judged(rows, metric="AUC").learned.nothing
        assert not judged([one for one in rows if one["seed"] < 3], metric="AUC").learned.nothing  # too few to say so

    def test_an_arm_that_learned_is_recommended_and_the_other_named(self) -> None:
        verdict = judged(trials("relu", [0.9] * 8, 0.9) + trials("gelu", noise(0.97, 0.001), 0.9))

        assert verdict.recommended == "gelu"
        assert verdict.warnings[0].startswith("Nothing was learned by relu:")

    def test_an_arm_that_collapses_on_every_third_seed_has_learned(self) -> None:
        results = [0.9 if seed % 3 == 0 else 0.97 for seed in range(8)]

        assert judged(trials("relu", results, 0.9) + trials("gelu", [0.9] * 8, 0.9)).learned.unlearned == ("gelu",)

    def test_rows_of_earlier_builds_say_nothing(self) -> None:
        verdict = judged([row(arm, seed, 0.9 + 0.001 * seed * (arm == "relu")) for arm in ARMS for seed in range(8)])

        assert (verdict.learned.nothing, verdict.learned.unlearned) == (False, ())


class TestIdentical:
    def test_equal_results_on_every_seed_recommend_nothing(self) -> None:
        results = noise(0.9)
        verdict = judged(trials("relu", results) + trials("gelu", results))

        assert verdict.recommended is None
        assert "gave identical results on every seed" in verdict.recommendation

    def test_a_difference_in_the_last_bit_of_one_seed_is_one(self) -> None:
        results = noise(0.9)
        other = results.copy()
        other[3] = np.nextafter(other[3], 1)

        assert judged(trials("relu", results) + trials("gelu", other)).recommended == "relu"

    def test_an_arm_that_diverged_alone_is_not_identical(self) -> None:
        rows = trials("relu", [0.9] * 8) + trials("gelu", [0.9] * 7) + [row("gelu", 7, None, "diverged")]

        assert judged(rows).learned.identical == ()

    def test_two_equal_seeds_may_be_a_coincidence(self) -> None:
        verdict = judged(trials("relu", [0.9, 0.92]) + trials("gelu", [0.9, 0.92]))

        assert not verdict.learned.all_identical


def with_curve(arm: str, values: list[float]) -> list[dict[str, object]]:
    """Return trials of an arm whose single value in the middle, taken by itself, may be low."""
    steps = [10 * (point + 1) for point in range(len(values))]
    series = {"accuracy": {"step": steps, "seconds": steps, "value": values}}
    return [it | {"series": series} for it in trials(arm, noise(values[-1]), half=noise(values[len(values) // 2 - 1]))]


class TestImproving:
    def test_a_validation_result_that_rose_in_the_second_half_is_told(self) -> None:
        rows = trials("relu", noise(0.94), half=noise(0.92)) + trials("gelu", noise(0.97), half=noise(0.9705))
        verdict = judged(rows)

        assert [found.arm for found in verdict.learned.improving] == ["relu"]
        assert (
            "The training may be too short for relu: in its second half the held-out accuracy still rose, by up to 0.02 (relu). "
            "Longer training may change the order."
        ) in verdict.warnings

    def test_many_evaluations_are_compared_by_quarters(self) -> None:
        risen = [0.9 + 0.004 * point for point in range(20)]  # 0.02 from each quarter to the next
        level = [0.9, 0.95] + [0.97] * 18
        rows = [
            *with_curve("relu", risen),
            *with_curve("gelu", level),
            *with_curve("elu", [*level[:9], 0.9, *level[10:]]),
        ]
        improving = judged(rows).learned.improving

        assert [(found.arm, round(found.gain, 4), found.part) for found in improving] == [
            ("relu", 0.02, "last quarter")
        ]

    def test_a_validation_loss_improves_when_it_falls(self) -> None:
        rows = trials("relu", noise(0.3), half=noise(0.5)) + trials("gelu", noise(0.5), half=noise(0.3))
        improving = judged(rows, metric="loss", direction="min").learned.improving

        assert [(found.arm, round(found.gain, 3)) for found in improving] == [("relu", 0.2)]

    def test_noise_is_no_improvement(self) -> None:
        rows = trials("relu", noise(0.94, 0.05, 1), half=noise(0.93, 0.05, 2))

        assert judged(rows + trials("gelu", noise(0.9))).learned.improving == ()

    @pytest.mark.parametrize(("rate", "told"), [(20.0, False), (2.0, True)])
    def test_without_a_validation_split_the_training_loss_is_looked_at(self, rate: float, told: bool) -> None:
        curve = [{"step": step, "loss": 0.1 + 2 * float(np.exp(-rate * step / 100))} for step in range(1, 101)]
        verdict = judged([*trials("relu", noise(0.9), 0.1, curve=curve), *trials("gelu", noise(0.8), 0.1, curve=curve)])

        assert any("the training loss still fell" in warning for warning in verdict.warnings) == told
