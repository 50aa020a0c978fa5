"""The e-process is the stated product of bets and keeps its error rate for every symmetric distribution."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from actlab.stats.e_process import LARGEST_LOG, anytime_p, exp_limited, log_e_process, log_growth

DIFFERENCES = np.array([0.8, -0.3, 1.7, 0.9, 0.2, 1.1])
EXACT = 1e-12  # sums of a few terms of order one are good to some 1e-15
DECIMALS = st.integers(-9000, 9000).map(lambda thousandths: thousandths / 1000)
EFFECTS, PRIOR = (0.5, 1.2, 4.0), (0.25, 0.25, 0.5)


def spread_by_last_sign(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    signs = rng.choice([-1.0, 1.0], size=shape)
    return signs * np.where(np.roll(signs, 1, axis=1) > 0, 10.0, 0.1)


SYMMETRIC = {
    "Gaussian": lambda rng, shape: rng.normal(size=shape),
    "one size, either sign": lambda rng, shape: rng.choice([-1.0, 1.0], size=shape),
    "one size with 20 % jitter": lambda rng, shape: (
        rng.choice([-1.0, 1.0], size=shape) * (1 + 0.2 * rng.normal(size=shape))
    ),
    "works or collapses": lambda rng, shape: 0.0 + (rng.random(shape) < 0.3) - (rng.random(shape) < 0.3),
    "coarse steps": lambda rng, shape: rng.choice([-1.0, 0.0, 1.0], size=shape),
    "three sizes": lambda rng, shape: rng.choice([-100.0, -1.0, -0.01, 0.01, 1.0, 100.0], size=shape),
    "no variance (t, 1.5 df)": lambda rng, shape: rng.standard_t(1.5, size=shape),
    "spread that grows with the seeds": lambda rng, shape: rng.normal(size=shape) * np.geomspace(1, 1e4, shape[-1]),
    "spread that depends on the last sign": spread_by_last_sign,
}


def naive_log_e(d: np.ndarray) -> list[float]:
    """The definition, term by term."""
    values, total = [], 0.0
    for n in range(1, len(d) + 1):
        unit = d[n - 1] / np.sqrt(np.mean(d[:n] ** 2))
        weights = np.array([p * np.exp(laplace(d[: n - 1], a)) for a, p in zip(EFFECTS, PRIOR, strict=True)])
        bets = np.array([np.tanh(a * np.sqrt(1 + a * a) * unit) for a in EFFECTS])
        total += np.log1p(np.clip((weights * bets).sum() / weights.sum(), -0.99, 0.99))
        values.append(total)
    return values


def laplace(d: np.ndarray, effect: float) -> float:
    """Laplace's approximation in v = log u of the likelihood of an effect, by a grid instead of the root of a quadratic."""
    if not d.size:
        return 0.0
    v = np.linspace(-12, 12, 2_400_001)
    u = np.exp(v)
    f = d.size * v - 0.5 * ((d * d).sum() * u**2 - 2 * effect * d.sum() * u + d.size * effect**2)
    top = int(f.argmax())
    curvature = -(f[top - 100] - 2 * f[top] + f[top + 100]) / (100 * (v[1] - v[0])) ** 2
    return float(f[top] - 0.5 * np.log(curvature))


class TestDefinition:
    def test_it_is_the_product_of_the_bets_of_the_definition(self) -> None:
        assert naive_log_e(DIFFERENCES) == pytest.approx(log_e_process(DIFFERENCES), abs=1e-5)

    @pytest.mark.parametrize("effect", EFFECTS)
    def test_the_weights_are_close_to_the_exact_posterior(self, effect: float) -> None:
        def likelihood(a: float) -> float:
            s, squares, n = DIFFERENCES.sum(), (DIFFERENCES**2).sum(), DIFFERENCES.size
            return integrate.quad(
                lambda u: u ** (n - 1) * np.exp(-0.5 * (squares * u * u - 2 * a * s * u + n * a * a)), 0, 50
            )[0]

        exact = np.log(likelihood(effect) / likelihood(1.2))

        assert exact == pytest.approx(laplace(DIFFERENCES, effect) - laplace(DIFFERENCES, 1.2), abs=0.05)

    def test_equal_arms_give_no_evidence(self) -> None:
        assert log_e_process(np.zeros(5)).tolist() == [0.0] * 5

    def test_constant_differences_give_nearly_all_the_evidence_that_signs_can_give(self) -> None:
        evidence = np.exp(log_e_process(np.full(8, 0.3)))

        assert (evidence <= 2.0 ** np.arange(1, 9)).all()
        assert evidence[-1] > 0.8 * 2**8

    def test_one_loss_after_many_wins_does_not_end_everything(self) -> None:
        evidence = log_e_process(np.array([1.0] * 20 + [-1.0]))

        assert evidence[-1] > evidence[-2] - np.log(101)
        assert evidence[-1] > np.log(1000)

    def test_two_sided_is_the_mean_of_both_sides(self) -> None:
        expected = np.logaddexp(log_e_process(DIFFERENCES), log_e_process(-DIFFERENCES)) - np.log(2)

        assert expected == pytest.approx(log_e_process(DIFFERENCES, two_sided=True), abs=EXACT)

    def test_many_processes_at_once_are_those_one_by_one(self) -> None:
        many = np.random.default_rng(0).normal(size=(3, 4, 9))
        expected = [[log_e_process(many[i, j]).tolist() for j in range(4)] for i in range(3)]

        assert expected == log_e_process(many).tolist()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(DECIMALS, min_size=1, max_size=12), st.floats(-1e9, 1e9))
    def test_the_past_does_not_depend_on_the_future_not_even_in_the_last_bit(
        self, d: list[float], later: float
    ) -> None:
        assert log_e_process([*d, later]).tolist()[:-1] == log_e_process(d).tolist()

    @pytest.mark.parametrize("zero_gains", [False, True])
    def test_a_huge_difference_erases_nothing_that_came_before_it(self, zero_gains: bool) -> None:
        """A common scale would turn the losses of 1e-300 into zeros; starting again after each loss errs in 12 % of studies."""
        d = np.array([0.0, -1e-300, -1e-300, 1e-100, 1e70, -1e240, 1e300])

        for seen in range(1, d.size):
            expected = log_growth(d[:seen], zero_gains=zero_gains)
            assert expected.tolist() == log_growth(d, zero_gains=zero_gains)[:seen].tolist()

    def test_differences_at_the_limit_of_floats_are_finite_evidence(self) -> None:
        assert np.isfinite(log_e_process([1e308, -1e308, np.inf, 1.0])).all()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(DECIMALS, min_size=1, max_size=12), st.integers(-30, 30), st.booleans())
    def test_the_unit_of_the_metric_does_not_matter(self, d: list[float], power: int, two_sided: bool) -> None:
        expected = log_e_process(d, two_sided=two_sided)
        actual = log_e_process(np.array(d) * 10.0**power, two_sided=two_sided)

        assert np.isfinite(actual).all()
        assert expected == pytest.approx(actual, abs=1e-7)

    @pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
    def test_extreme_units_neither_underflow_nor_overflow(self, scale: float) -> None:
        assert log_e_process(DIFFERENCES * scale) == pytest.approx(log_e_process(DIFFERENCES), abs=1e-9)

    def test_thousands_of_seeds_stay_finite(self) -> None:
        for sign in (1, -1):
            assert np.isfinite(log_e_process(sign * np.ones(5000))).all()
        assert exp_limited(log_e_process(np.ones(5000))).max() == np.exp(LARGEST_LOG)

    def test_no_differences_give_no_values(self) -> None:
        assert log_e_process([]).shape == (0,)
        assert log_growth(np.zeros((3, 0))).shape == (3, 0)

    def test_anytime_p_is_one_over_the_largest_evidence(self) -> None:
        d = [1.0, 1.2, 0.9, 1.1, -8.0]
        expected = 1 / np.exp(log_e_process(d, two_sided=True)).max()

        assert expected == pytest.approx(anytime_p(d), rel=EXACT)
        assert anytime_p([0.0, 0.0]) == 1.0
        assert anytime_p([]) is None


class TestPromise:
    """What the proof states: exactly by enumeration, and over many draws."""

    @settings(max_examples=40, deadline=None)
    @given(st.lists(DECIMALS, min_size=1, max_size=9))
    def test_the_mean_over_all_signs_is_one_whatever_the_sizes(self, sizes: list[float]) -> None:
        signs = np.array(list(product([-1.0, 1.0], repeat=len(sizes))))

        assert np.exp(log_e_process(signs * sizes)).mean(axis=0) == pytest.approx(np.ones(len(sizes)), abs=1e-9)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(DECIMALS, min_size=1, max_size=9), st.floats(0, 5))
    def test_the_mean_over_all_signs_is_at_most_one_about_a_centre_below_zero(
        self, sizes: list[float], low: float
    ) -> None:
        signs = np.array(list(product([-1.0, 1.0], repeat=len(sizes))))

        assert (np.exp(log_e_process(signs * sizes - low)).mean(axis=0) <= 1 + 1e-9).all()

    @settings(max_examples=100, deadline=None)
    @given(st.lists(DECIMALS, max_size=8), st.floats(-9, 9), st.floats(0, 9))
    def test_a_better_last_difference_never_lowers_the_bet(self, past: list[float], last: float, gain: float) -> None:
        assert log_growth(np.array([*past, last]))[-1] <= log_growth(np.array([*past, last + gain]))[-1] + 1e-12

    @settings(max_examples=40, deadline=None)
    @given(st.lists(DECIMALS.filter(bool), min_size=1, max_size=8), st.floats(1e-6, 5))
    def test_with_zeros_as_gains_the_mean_is_at_most_one_about_a_centre_strictly_below_zero(
        self, sizes: list[float], low: float
    ) -> None:
        signs = np.array(list(product([-1.0, 1.0], repeat=len(sizes))))
        for centre in (low, abs(sizes[0])):
            e = np.exp(log_e_process(signs * sizes - centre, zero_gains=True))

            assert (e.mean(axis=0) <= 1 + 1e-9).all()

    @pytest.mark.parametrize("draw", SYMMETRIC.values(), ids=SYMMETRIC.keys())
    @pytest.mark.parametrize("two_sided", [False, True])
    def test_the_bound_is_reached_in_at_most_alpha_of_the_sequences(self, draw, two_sided: bool) -> None:
        log_e = log_e_process(draw(np.random.default_rng(17), (4000, 40)), two_sided=two_sided)
        limit = stats.binom.ppf(0.999, 4000, 0.05)

        assert (log_e.max(axis=1) >= np.log(20)).sum() <= limit

    def test_differences_that_depend_on_each_other_are_outside_of_it(self) -> None:
        rng = np.random.default_rng(17)
        shared = rng.normal(size=(2000, 1)) + rng.normal(size=(2000, 40))  # symmetric, but not given the past

        assert np.mean(log_e_process(shared).max(axis=1) >= np.log(20)) > 0.2

    def test_with_a_gain_the_evidence_grows(self) -> None:
        log_e = log_e_process(1.0 + np.random.default_rng(0).normal(size=(500, 20)))

        assert np.mean(log_e.max(axis=1) >= np.log(20)) > 0.8
