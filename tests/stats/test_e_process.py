"""Statistics agree with scipy, a closed form or their defining integral, and e-processes keep their error rate."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from actlab.stats.bootstrap import bootstrap_interval, iqm
from actlab.stats.e_process import anytime_p, log_e_from_sums, log_e_process, smallest_step
from actlab.stats.equivalence import posterior_equivalent, probability_equivalent, probability_superior

DIFFERENCES = np.array([0.8, -0.3, 1.7, 0.9, 0.2, 1.1])
# Tolerances: sums of a few terms of order one are good to some 1e-15; Simpson's rule with 1/80 steps errs by 1e-8.
EXACT, QUADRATURE = 1e-12, 1e-7
DECIMALS = st.integers(-9000, 9000).map(lambda thousandths: thousandths / 1000)


def plain_log_e(d: np.ndarray, *, two_sided: bool = False, g: float = 1.0) -> np.ndarray:
    """The process as the formula has it, without the precaution for results in steps."""
    n = np.arange(1, d.shape[-1] + 1)
    return log_e_from_sums(n, d.cumsum(-1), (d * d).cumsum(-1), np.zeros(d.shape), two_sided=two_sided, g=g)


def e_by_quadrature(d: np.ndarray, g: float, *, two_sided: bool) -> float:
    """The defining ratio: effect size ~ N(0, 1/g), folded when one-sided, over effect size 0; sigma ~ d(sigma)/sigma.

    With u = 1/sigma the density of d is u^n exp(-sum (u d - effect)^2 / 2), and d(sigma)/sigma is du/u.
    """
    d = d / np.sqrt((d * d).mean())
    u, effect = np.linspace(0, 40, 3201), np.linspace(-30 if two_sided else 0, 30, 4801)
    misfit = (d * d).sum() * u**2 + d.size * effect[:, None] ** 2 - 2 * d.sum() * u * effect[:, None]
    prior = (1 if two_sided else 2) * stats.norm.pdf(effect, scale=g**-0.5)
    above = integrate.simpson(prior * integrate.simpson(u ** (d.size - 1) * np.exp(-misfit / 2), x=u), x=effect)
    return above / integrate.simpson(u ** (d.size - 1) * np.exp(-(d * d).sum() * u**2 / 2), x=u)


class TestMeansAndIntervals:
    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 10, 20, 21])
    def test_iqm_is_the_trimmed_mean_of_rliable(self, n: int) -> None:
        values = np.random.default_rng(n).normal(size=n)

        assert stats.trim_mean(values, 0.25) == pytest.approx(iqm(values), abs=EXACT)

    def test_iqm_of_nothing_is_none(self) -> None:
        assert iqm([]) is None

    def test_bootstrap_of_one_value_is_none(self) -> None:
        assert bootstrap_interval([0.5], seed=0) is None

    def test_bootstrap_of_equal_values_is_that_value(self) -> None:
        assert bootstrap_interval([0.25] * 7, seed=0) == (0.25, 0.25)

    @pytest.mark.parametrize("n", [2, 3, 5])
    def test_the_interval_of_a_handful_of_values_is_that_of_student(self, n: int) -> None:
        values = DIFFERENCES[:n]
        expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))

        assert expected == pytest.approx(bootstrap_interval(values, seed=0), abs=EXACT)

    def test_the_bootstrap_is_bca_of_scipy_at_the_widened_level(self) -> None:
        values = np.random.default_rng(3).exponential(size=12)
        wide = np.sqrt(12 / 11) * stats.t.ppf(0.975, 11)
        level = 1 - 2 * stats.norm.sf(wide)
        expected = stats.bootstrap(
            (values,), np.mean, confidence_level=level, n_resamples=100_000, method="BCa", rng=np.random.default_rng(0)
        ).confidence_interval
        actual = bootstrap_interval(values, seed=1, resamples=100_000)

        assert expected == pytest.approx(actual, abs=0.02)  # quantiles at 1 % of 100,000 means with SD 0.3

    def test_the_same_seed_gives_the_same_interval_and_another_seed_another(self) -> None:
        assert bootstrap_interval(DIFFERENCES, seed=4) == bootstrap_interval(DIFFERENCES, seed=4)
        assert bootstrap_interval(DIFFERENCES, seed=4) != bootstrap_interval(DIFFERENCES, seed=5)

    @pytest.mark.parametrize("n", [3, 6, 10])
    def test_the_interval_holds_the_mean_of_gaussian_numbers_about_as_often_as_it_says(self, n: int) -> None:
        rng = np.random.default_rng(n)
        intervals = [bootstrap_interval(rng.normal(size=n), seed=i, resamples=800) for i in range(600)]
        held = np.mean([low <= 0 <= high for low, high in intervals])

        assert 0.91 <= held <= 0.98

    @pytest.mark.parametrize("scale", [1e-200, 1e200])
    def test_the_interval_scales_with_its_values(self, scale: float) -> None:
        expected = np.array(bootstrap_interval(DIFFERENCES, seed=0)) * scale

        assert expected == pytest.approx(bootstrap_interval(DIFFERENCES * scale, seed=0), rel=1e-9)


class TestShares:
    def test_superiority_counts_a_tie_half(self) -> None:
        assert probability_superior([1.0, 0.0, -2.0, 3.0]) == 2.5 / 4
        assert probability_superior([]) is None

    def test_equivalence_is_the_mass_of_students_posterior_within_the_region(self) -> None:
        posterior = stats.t(5, loc=DIFFERENCES.mean(), scale=stats.sem(DIFFERENCES))
        expected = posterior.cdf(0.9) - posterior.cdf(-0.9)

        assert expected == pytest.approx(probability_equivalent(DIFFERENCES, 0.9), abs=EXACT)
        assert expected == pytest.approx(
            float(posterior_equivalent(6, DIFFERENCES.mean(), DIFFERENCES.std(ddof=1), 0.9)), abs=EXACT
        )

    def test_equivalence_needs_two_differences(self) -> None:
        assert probability_equivalent([0.1], 1.0) is None

    @pytest.mark.parametrize("n", [2, 5, 20])
    def test_identical_results_become_equivalent_only_with_seeds(self, n: int) -> None:
        assert 2**n / (2**n + 1) == pytest.approx(probability_equivalent([0.0] * n, 0.01), abs=EXACT)
        assert 1 / (2**n + 1) == pytest.approx(probability_equivalent([0.1] * n, 0.01), abs=EXACT)

    def test_rounding_noise_is_no_spread(self) -> None:
        noisy = [0.1 + 0.2, 0.3, 0.1 + 0.2]

        assert pytest.approx(probability_equivalent(noisy, 0.5), abs=EXACT) == 8 / 9


class TestEProcess:
    @pytest.mark.parametrize("two_sided", [False, True])
    @pytest.mark.parametrize(("n", "g"), [(2, 1.0), (3, 0.25), (6, 1.0)])
    def test_the_closed_form_is_the_ratio_of_the_defining_integrals(self, n: int, g: float, two_sided: bool) -> None:
        expected = e_by_quadrature(DIFFERENCES[:n], g, two_sided=two_sided)
        actual = np.exp(plain_log_e(DIFFERENCES[:n], two_sided=two_sided, g=g)[-1])

        assert expected == pytest.approx(actual, rel=QUADRATURE)

    def test_the_one_sided_value_of_a_losing_arm_is_the_ratio_of_the_integrals_too(self) -> None:
        expected = e_by_quadrature(-DIFFERENCES[:4], 1.0, two_sided=False)

        assert expected == pytest.approx(np.exp(plain_log_e(-DIFFERENCES[:4])[-1]), rel=QUADRATURE)

    def test_the_two_sided_process_is_the_published_function_of_t(self) -> None:
        n, g = 6, 1.0
        t2 = stats.ttest_1samp(DIFFERENCES, 0).statistic ** 2 / (n - 1)
        expected = np.sqrt(g / (g + n)) * ((1 + t2) / (1 + g / (g + n) * t2)) ** (n / 2)

        assert expected == pytest.approx(np.exp(plain_log_e(DIFFERENCES, two_sided=True)[-1]), rel=EXACT)

    @pytest.mark.parametrize("g", [0.25, 1.0])
    def test_one_difference_shows_a_sign_and_nothing_else(self, g: float) -> None:
        sign = 2 * stats.t.cdf(1 / np.sqrt(g), 1)

        assert sign == pytest.approx(np.exp(log_e_process([3.7], g=g)[0]), rel=EXACT)
        assert 2 - sign == pytest.approx(np.exp(log_e_process([-3.7], g=g)[0]), rel=EXACT)
        assert pytest.approx(0.0, abs=EXACT) == log_e_process([3.7], two_sided=True, g=g)[0]

    def test_equal_arms_give_no_evidence(self) -> None:
        assert log_e_process(np.zeros(5)).tolist() == [0.0] * 5

    def test_constant_differences_give_finite_growing_evidence(self) -> None:
        evidence = log_e_process(np.full(200, 0.3))

        assert np.isfinite(evidence).all()
        assert (np.diff(evidence) > 0).all()

    def test_constant_differences_reach_the_largest_value_there_is(self) -> None:
        n, g = 8, 0.25
        expected = (n - 1) / 2 * np.log((g + n) / g)

        assert expected == pytest.approx(plain_log_e(np.full(n, 5.0), two_sided=True, g=g)[-1], rel=EXACT)

    def test_a_long_row_of_losses_stays_finite(self) -> None:
        assert np.isfinite(log_e_process(-np.ones(3000))).all()

    def test_many_processes_at_once_are_those_one_by_one(self) -> None:
        many = np.random.default_rng(0).normal(size=(3, 4, 9))
        expected = [[log_e_process(many[i, j]).tolist() for j in range(4)] for i in range(3)]

        assert expected == log_e_process(many).tolist()

    def test_the_past_does_not_depend_on_the_future(self) -> None:
        assert log_e_process(DIFFERENCES)[:4] == pytest.approx(log_e_process(DIFFERENCES[:4]), abs=EXACT)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(DECIMALS, min_size=1, max_size=12),
        st.integers(-30, 30),
        st.booleans(),
    )
    def test_the_unit_of_the_metric_does_not_matter(self, d: list[float], power: int, two_sided: bool) -> None:
        expected = log_e_process(d, two_sided=two_sided)
        actual = log_e_process(np.array(d) * 10.0**power, two_sided=two_sided)

        assert np.isfinite(actual).all()
        assert expected == pytest.approx(actual, abs=1e-9)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(DECIMALS, min_size=1, max_size=12), st.floats(0, 5))
    def test_better_differences_never_lower_the_evidence(self, d: list[float], shift: float) -> None:
        lower, higher = plain_log_e(np.array(d)), plain_log_e(np.array(d) + shift)

        assert (higher >= lower - 1e-9).all()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(DECIMALS, min_size=1, max_size=12))
    def test_the_precaution_for_steps_never_raises_the_evidence(self, d: list[float]) -> None:
        assert (log_e_process(d, g=1.0) <= plain_log_e(np.array(d)) + 1e-9).all()

    def test_anytime_p_is_one_over_the_largest_evidence(self) -> None:
        d = [1.0, 1.2, 0.9, 1.1, -8.0]
        expected = 1 / np.exp(log_e_process(d, two_sided=True)).max()

        assert expected == pytest.approx(anytime_p(d), rel=EXACT)
        assert anytime_p([0.0, 0.0]) == 1.0
        assert anytime_p([]) is None


class TestPromise:
    """Monte Carlo with the plain formula; its largest value for n = 4, g = 1 is 22, so means are good to a per cent."""

    DRAWS = np.random.default_rng(11).normal(size=(200_000, 4))

    def mean_within(self, e: np.ndarray) -> tuple[float, float]:
        return float(e.mean()), 4 * float(e.std()) / np.sqrt(e.size)

    @pytest.mark.parametrize("n", [1, 2, 3, 4])
    @pytest.mark.parametrize("two_sided", [False, True])
    def test_without_an_effect_the_mean_is_one_at_any_fixed_seed(self, n: int, two_sided: bool) -> None:
        mean, margin = self.mean_within(np.exp(plain_log_e(self.DRAWS, two_sided=two_sided)[:, n - 1]))

        assert mean == pytest.approx(1.0, abs=margin)

    @pytest.mark.parametrize("effect", [0.0, -0.3, -1.0])
    def test_without_a_gain_the_mean_at_a_stopping_time_is_at_most_one(self, effect: float) -> None:
        e = np.exp(plain_log_e(self.DRAWS + effect))
        stop = np.where((e >= 1.6).any(axis=1), (e >= 1.6).argmax(axis=1), 3)
        mean, margin = self.mean_within(e[np.arange(len(e)), stop])

        assert mean <= 1.0 + margin

    def test_with_a_gain_the_mean_is_well_above_one(self) -> None:
        mean, margin = self.mean_within(np.exp(plain_log_e(self.DRAWS + 1.0)[:, 3]))

        assert mean > 1.0 + 5 * margin

    def test_a_one_sided_process_without_the_factor_for_its_side_is_caught(self) -> None:
        wrong = np.exp(plain_log_e(self.DRAWS, two_sided=True)[:, 3]) * 2
        mean, margin = self.mean_within(wrong)

        assert mean > 1.0 + margin

    def test_coarse_differences_do_not_pass_for_a_tiny_spread(self) -> None:
        coarse = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], size=(40_000, 20))
        plain, guarded = plain_log_e(coarse, g=0.25).max(axis=1), log_e_process(coarse, g=0.25).max(axis=1)

        assert np.mean(guarded >= np.log(400)) < 1 / 400
        assert np.mean(plain >= np.log(400)) > 1 / 400


class TestSteps:
    def test_the_smallest_step_is_the_nearest_other_value_or_zero(self) -> None:
        d = np.random.default_rng(5).integers(-20, 20, size=(7, 10)).astype(float)
        expected = [
            [
                min((abs(x - y) for x, y in combinations([0.0, *row[: i + 1]], 2) if x != y), default=0.0)
                for i in range(10)
            ]
            for row in d
        ]

        assert expected == smallest_step(d).tolist()

    def test_rounding_noise_is_no_step(self) -> None:
        assert pytest.approx(smallest_step(np.array([0.3, 0.1 + 0.2, 0.3]))) == [0.3] * 3

    def test_no_differences_have_no_step(self) -> None:
        assert smallest_step(np.zeros((2, 0))).shape == (2, 0)
