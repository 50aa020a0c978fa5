"""Output moments and gains against closed forms, SciPy quadrature, and independent draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad, quad

from actlab.errors import SpecError
from actlab.functions.activation import activation, forget, get, names
from actlab.functions.analysis.facts import facts, gain
from actlab.functions.analysis.length_map import output_moments
from actlab.functions.formula import tanh

WIDTH, TOKENS = 64, 16
SAMPLED = 0.01  # relative: two standard errors of the noisiest one below; most are below 0.003


def density(z):
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize("name", names())
def test_every_entry_has_a_finite_gain(name):
    assert 0 < gain(name, width=WIDTH, tokens=TOKENS) < math.inf


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "elu"])
def test_torch_refuses_what_has_a_gain(name):
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        torch.nn.init.calculate_gain(name)
    assert 1 < gain(name) < 2


def test_the_gain_of_selu_is_that_of_its_authors_and_not_torchs():
    assert torch.nn.init.calculate_gain("selu") == 0.75
    assert gain("selu") == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["relu", "mish", "hardshrink", "step"])
def test_the_gain_is_the_one_among_the_facts(name):
    assert gain(name) == pytest.approx(facts(name).gain, rel=1e-12)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("prelu", math.sqrt(2 / (1 + 0.25**2))),
        ("prelu(weight=learned(0.5))", math.sqrt(2 / (1 + 0.5**2))),
        ("prelu(weight=learned_per_channel)", math.sqrt(2 / (1 + 0.25**2))),
        ("leaky_relu(negative_slope=learned(0.1))", math.sqrt(2 / (1 + 0.1**2))),
    ],
)
def test_learned_parameters_count_with_their_initial_value(spec, expected):
    assert gain(spec) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("swiglu", ["silu"]),
        ("geglu", ["gelu"]),
        ("glu", ["sigmoid"]),
        ("gtu", ["tanh", "sigmoid"]),
        ("reglu", ["relu"]),
    ],
)
def test_the_second_moment_of_a_product_of_independent_factors_is_the_product(name, parts):
    assert gain(name) == pytest.approx(math.prod(gain(part) for part in parts), rel=1e-9)


def _swiglu_oai(gate, value):  # gpt-oss: clamped gate and value, sharpness 1.702, value plus 1
    gate, value = np.minimum(gate, 7.0), np.clip(value, -7.0, 7.0)
    return (value + 1) * gate / (1 + np.exp(-1.702 * gate))


def _drelu_glu(gate, value):
    return np.maximum(gate, 0.0) * np.maximum(value, 0.0)


@pytest.mark.parametrize(("name", "function"), [("swiglu_oai", _swiglu_oai), ("drelu_glu", _drelu_glu)])
def test_gated_gains_agree_with_quadrature_of_the_definition_over_the_plane(name, function):
    def integrand(value, gate):
        return function(gate, value) ** 2 * density(value) * density(gate)

    halves = [(-9, 0), (0, 9)]
    second = sum(dblquad(integrand, *gates, *values, epsrel=1e-7)[0] for gates in halves for values in halves)

    assert gain(name) == pytest.approx(1 / math.sqrt(second), rel=1e-6)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("maxmin", 1.0),  # a permutation
        ("group_sort", 1.0),
        ("householder", 1.0),  # a reflection
        ("norm_relu", 1.0),
        ("maxout", 1.0),  # E max(a, b)^2 = 1
        ("crelu", math.sqrt(2)),  # the norm of n elements in 2 n
        ("nc_relu", math.sqrt(2)),
        ("lwta", math.sqrt(2)),
        ("pnorm", math.sqrt(1 / 2)),
        ("hardmax", math.sqrt(WIDTH)),  # one 1 among n elements
        ("relu_weights", WIDTH * math.sqrt(2)),
    ],
)
def test_vector_functions_have_the_gain_of_their_closed_form(spec, expected):
    assert gain(spec, width=WIDTH) == pytest.approx(expected, rel=SAMPLED)


@pytest.mark.parametrize(
    "name", ["softmax", "sparsemax", "squash", "soft_maxout", "topk_softmax", "log_softmax", "poly_norm"]
)
@pytest.mark.parametrize("width", [8, 512])
def test_vector_functions_have_the_gain_of_independent_draws(name, width):
    z = torch.from_numpy(np.random.default_rng(7).standard_normal(((1 << 20) // width, width)))
    squares = get(name).tensor_code(z, **{p.name: p.default for p in get(name).parameters}).square().mean(1)
    error = 3 * squares.std().item() / len(squares) ** 0.5 / squares.mean().item()  # of either estimate

    assert gain(name, width=width) == pytest.approx(squares.mean().item() ** -0.5, rel=max(2e-4, error))


NO_MEANS = {"hydra_attention", "gated_linear_attention", "attention_free"}  # sums, and a mean with a gate


@pytest.mark.parametrize("name", [n for n in names("vector") if "attention" in n and n not in NO_MEANS])
def test_weighted_means_of_tokens_that_are_alike_leave_them_as_they_are(name):
    assert gain(name, width=WIDTH, tokens=TOKENS) == pytest.approx(1, rel=1e-3)


def test_the_fourier_transform_keeps_half_its_energy_in_the_real_part():
    assert gain("fourier_mixing", width=512, tokens=TOKENS) == pytest.approx((TOKENS * 512 / 2) ** -0.5, rel=5e-3)


@pytest.mark.parametrize("name", ["softmax", "gumbel_softmax", "maxout", "lif"])
def test_a_vector_function_asks_for_its_width(name):
    with pytest.raises(SpecError, match=rf"depends on the number of elements.*gain\('{name}', width=512\)"):
        gain(name)


def test_attention_asks_for_width_and_tokens():
    with pytest.raises(SpecError, match=r"gain\('linear_attention', width=512, tokens=16\)"):
        gain("linear_attention", width=512)


def test_a_width_that_cannot_be_divided_is_refused():
    with pytest.raises(SpecError, match="n = 7 is not divisible as needed"):
        gain("maxout", width=7)


def test_noise_is_the_kurtosis_over_the_width():
    second = quad(lambda z: math.tanh(z) ** 2 * density(z), -12, 12)[0]
    fourth = quad(lambda z: math.tanh(z) ** 4 * density(z), -12, 12)[0]

    assert output_moments("tanh", width=100).noise == pytest.approx((fourth / second**2 - 1) / 100, rel=1e-8)
    assert output_moments("relu", width=100).noise == pytest.approx(5 / 100, rel=1e-9)
    assert output_moments("crelu", width=128).noise == pytest.approx(2 / 128, rel=0.05)  # of the input's norm; sampled


def test_the_variance_leaves_the_mean_out():
    assert output_moments("relu").variance == pytest.approx(1 / 2 - 1 / (2 * math.pi), rel=1e-9)


@pytest.mark.parametrize("q", [0.01, 4.0, 100.0])
def test_second_moments_at_other_scales_keep_to_the_breakpoints(q):
    assert output_moments("relu", q=q).second_moment == pytest.approx(q / 2, rel=1e-9)
    sixth = quad(
        lambda z: min(max(math.sqrt(q) * z, 0), 6) ** 2 * density(z), -12, 12, points=[0, min(6 / math.sqrt(q), 12)]
    )[0]
    assert output_moments("relu6", q=q).second_moment == pytest.approx(sixth, rel=1e-7)


def test_stochastic_functions_are_taken_as_they_train():
    # Half of the draws are 1; in evaluation mode the gain is 1.85.
    assert gain("stochastic_binary") == pytest.approx(math.sqrt(2), rel=3e-3)


def test_sampling_leaves_the_global_generator_alone():
    state = torch.get_rng_state()

    gain("sparsemax", width=12)

    assert torch.equal(state, torch.get_rng_state())


def test_a_name_that_is_registered_anew_is_measured_anew():
    def register(factor):
        @activation(paper="a test", kind="vector")
        def scaled_twice(x, dim=-1):
            """Scales."""
            return factor * x

    for factor in (2.0, 4.0):
        register(factor)
        assert gain("scaled_twice", width=8, tokens=2) == pytest.approx(1 / factor)
        forget("scaled_twice")


def test_a_function_that_is_zero_has_an_infinite_gain():
    @activation(paper="a test")
    def nothing(x):
        """Zero."""
        return 0 * tanh(x)

    assert gain("nothing") == math.inf
    forget("nothing")
