"""Stochastic functions: their mean over draws, their evaluation, and where their noise comes from."""

from __future__ import annotations

import pytest
import torch
from scipy import integrate, stats

from actlab.functions.activation import names
from actlab.nn.layers.layer import layer

POINTS = (-2.0, -0.3, 0.0, 0.4, 1.5)
DRAWS = 200_000


def logistic(x):
    return 1 / (1 + torch.tensor(x).neg().exp().item())


def expectation(function, density, low=-40.0, high=40.0):
    return integrate.quad(lambda e: function(e) * density(e), low, high, limit=400, points=[0.0])[0]


def relu(x):
    return max(x, 0.0)


def clip(x):
    return min(max(x, 0.0), 1.0)


NORMAL, LOGISTIC = stats.norm.pdf, stats.logistic.pdf
# Expectation over the noise, by quadrature or in closed form.
MEANS = {
    "rrelu": lambda x: x if x >= 0 else x * (1 / 8 + 1 / 3) / 2,
    "noisy_relu": lambda x: expectation(lambda e: relu(x + e * logistic(x) ** 0.5), NORMAL),
    "rt_relu": lambda x: expectation(lambda e: relu(x + 0.75 * e), NORMAL),
    "prob_act": relu,
    "drop_activation": lambda x: 0.95 * relu(x) + 0.05 * x,
    "elastic_relu": relu,
    "randomized_smooth_leaky": lambda x: 0.75 * x + 0.25 * x * logistic(x),
    "soi_map": lambda x: x * stats.norm.cdf(x),
    "stochastic_binary": logistic,
    "binary_concrete": lambda x: expectation(lambda e: logistic((x + e) * 1.5), LOGISTIC),
    "hard_concrete": lambda x: expectation(lambda e: clip(logistic((x + e) * 1.5) * 1.2 - 0.1), LOGISTIC),
}
# Evaluation mode where it is the function at the mean noise and not the mean, as in the papers.
EVALUATED = {
    "rt_relu": relu,
    "binary_concrete": lambda x: logistic(1.5 * x),
    "hard_concrete": lambda x: clip(logistic(x) * 1.2 - 0.1),
}


def test_every_stochastic_function_has_an_independent_mean():
    assert {*MEANS, "gumbel_softmax"} == set(names("stochastic"))


@pytest.mark.parametrize("name", sorted(MEANS))
def test_the_mean_over_draws_is_the_expectation(name):
    module = layer(name).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = module(torch.tensor(POINTS, dtype=torch.float64).expand(DRAWS, -1))

    for column, point in zip(drawn.T, POINTS, strict=True):
        error = 5 * column.std().item() / DRAWS**0.5 + 1e-6  # five standard errors: one false alarm in a million
        assert abs(column.mean().item() - MEANS[name](point)) < error, point


@pytest.mark.parametrize("name", sorted(MEANS))
def test_evaluation_takes_the_mean_or_the_mean_noise(name):
    got = layer(name).eval()(torch.tensor(POINTS, dtype=torch.float64))

    for value, point in zip(got.tolist(), POINTS, strict=True):
        assert value == pytest.approx(EVALUATED.get(name, MEANS[name])(point), abs=1e-7)


def test_gumbel_softmax_picks_with_the_probabilities_of_softmax():
    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = layer("gumbel_softmax").train()(x.expand(DRAWS, -1))

    shares = drawn.argmax(-1).bincount(minlength=3) / DRAWS
    torch.testing.assert_close(shares.double(), x.softmax(-1), rtol=0, atol=0.006)  # five standard errors
    torch.testing.assert_close(drawn.sum(-1), torch.ones(DRAWS, dtype=torch.float64))
    torch.testing.assert_close(layer("gumbel_softmax(tau=2)").eval()(x), (x / 2).softmax(-1))


@pytest.mark.parametrize("name", names("stochastic"))
def test_noise_comes_from_the_generator_of_torch_and_only_in_training(name):
    module, x = layer(name), torch.linspace(-3, 3, 60).view(6, 10)

    def run(seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return module(x)

    module.train()
    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    module.eval()
    assert torch.equal(run(1), run(2))


@pytest.mark.parametrize("name", names("stochastic"))
def test_gradients_pass_while_training(name):
    x = torch.linspace(-3, 3, 60).view(6, 10).requires_grad_()
    layer(name).train()(x).sum().backward()

    assert x.grad.isfinite().all()
