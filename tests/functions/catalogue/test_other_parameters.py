"""Entries whose definition is a family agree with it at other values of their parameters than the defaults."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from scipy.interpolate import BSpline

from actlab.nn.layers.layer import layer

X = np.concatenate([np.linspace(-7, 7, 57), [-1e-7, 1e-7, 0.3, 40.0, -40.0]])


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def silu(x):
    return x * special.expit(x)


def spline(x, coefficients):
    """The cubic B-spline of KAN's grid: five intervals on [-1, 1], extended by three on each side; zero outside."""
    knots = -1 + 0.4 * np.arange(-3, 9)
    bases = (BSpline.basis_element(knots[i : i + 5], extrapolate=False) for i in range(8))
    return sum(c * np.nan_to_num(basis(x)) for c, basis in zip(coefficients, bases, strict=True))


def soft_exponential(x, alpha):
    if alpha < 0:
        return -np.log(np.maximum(1 - alpha * (x + alpha), 2**-23)) / alpha
    return x if alpha == 0 else np.expm1(alpha * x) / alpha + alpha


def keras_relu(x, slope, cap, threshold):
    return np.where(x >= cap, cap, np.where(x > threshold, x, slope * (x - threshold)))


CASES = {
    "keras_relu(0.1, 3, 0.7)": lambda x: keras_relu(x, 0.1, 3, 0.7),
    "keras_relu(0.2, 1e18, -1)": lambda x: keras_relu(x, 0.2, np.inf, -1),
    "scaled_leaky_relu(0.3, 2)": lambda x: 2 * leaky(x, 0.3),
    "clamped_relu(0.1, 2)": lambda x: np.minimum(2, leaky(x, 0.1)),
    "clamped_relu(0.1, -0.1)": lambda x: np.minimum(-0.1, leaky(x, 0.1)),
    "shrink(0.5, 0.25)": lambda x: np.where(x < -0.5, x + 0.25, np.where(x > 0.5, x - 0.25, 0)),
    "shrink(0.7, 0.7)": lambda x: np.sign(x) * np.maximum(abs(x) - 0.7, 0),
    "two_sided_softshrink(-1, 0.2)": lambda x: np.where(x < -1, x + 1, np.where(x > 0.2, x - 0.2, 0)),
    "two_sided_hardshrink(-0.3, 2)": lambda x: np.where((x < -0.3) | (x > 2), x, 0),
    "step_at(0.3, 1)": lambda x: np.heaviside(x - 0.3, 1.0),
    "step_at(0.3, -2)": lambda x: np.heaviside(x - 0.3, -2.0),
    "tempered_logsigmoid(2)": lambda x: special.log_expit(x) / 2,
    "gmtu(1, 0.5, -0.1)": lambda x: np.tanh(x) * np.exp(-0.5 * x**2) - 0.1 * x,
    "leaky_relu_squared(0.1)": lambda x: leaky(x, 0.1) ** 2,
    "gem(2)": lambda x: np.where(x > 0, x**5 / (1 + x**4), 0),
    "gem(4)": lambda x: np.where(x > 0, x**9 / (1 + x**8), 0),
    "gelu_sine(0.5)": lambda x: x * special.ndtr(x) + 0.5 * np.sin(x),
    "gelu_sinc(1)": lambda x: x * special.ndtr(x) * (1 + np.sinc(x)),
    "smooth_leaky(0.2, 3, 2)": lambda x: 0.2 * x + 0.8 * x * special.expit(1.5 * x),
    "parametric_softplus(2, 3)": lambda x: 2 * np.logaddexp(0, 3 * x),
    "berlu(0.3, 2)": lambda x: np.where(abs(x) >= 2, leaky(x, 0.3), 0.7 * x**2 / 8 + 1.3 * x / 2 + 0.7 / 2),
    "sg_blend(2, 3, 0.4)": lambda x: (
        special.expit(2.0) * (x * special.expit(3 * x) - 0.4) + special.expit(-2.0) * x * special.expit(1.702 * x)
    ),
    "sg_blend(0, 50, 0)": lambda x: x * (special.expit(10 * x) + special.expit(1.702 * x)) / 2,
    "react(-2, 0.3, -1, -0.5)": lambda x: (1 - np.exp(-2 * x + 0.3)) / (1 + np.exp(-x - 0.5)),
    "react(1, 0.2, -1, 0.1)": lambda x: (1 - np.exp(x + 0.2)) / (1 + np.exp(-x + 0.1)),
    "soft_exponential(0.3)": lambda x: soft_exponential(x, 0.3),
    "soft_exponential(-0.4)": lambda x: soft_exponential(x, -0.4),
    "slaf(1, -2, 0.5, 0.25)": lambda x: np.polynomial.polynomial.polyval(x, [1, -2, 0.5, 0.25]),
    "legendre(1, -2, 0.5, 0.25)": lambda x: np.polynomial.legendre.legval(x, [1, -2, 0.5, 0.25]),
    "kan_bspline(1, -2, 0.5, 0.25, 3, -1, 0.1, 2, 0.7, -1.5)": lambda x: (
        0.7 * silu(x) - 1.5 * spline(x, [1, -2, 0.5, 0.25, 3, -1, 0.1, 2])
    ),
    "fastkan_rbf(1, -2, 0.5, 0.25, 3, -1, 0.1, 2)": lambda x: (
        np.exp(-(((x[:, None] - np.linspace(-2, 2, 8)) * 7 / 4) ** 2)) @ [1, -2, 0.5, 0.25, 3, -1, 0.1, 2]
    ),
    "kaf(1, -2, 0.5, 0.25, 3, -1, 0.1, 2, -3)": lambda x: (
        np.exp(-((x[:, None] - np.linspace(-4, 4, 9)) ** 2) / 8) @ [1, -2, 0.5, 0.25, 3, -1, 0.1, 2, -3]
    ),
    "pwlu(1, -2, 0.5, 0.25, 3, -1, 0.1, 0.7, -0.3, 2)": lambda x: (
        np.interp(x, np.linspace(-2, 2, 7), [1, -2, 0.5, 0.25, 3, -1, 0.1])
        + 0.7 * np.minimum(x + 2, 0)
        - 0.3 * np.maximum(x - 2, 0)
    ),
    "melu(0.1, 1, -2, 3, 1.5)": lambda x: (
        leaky(x, 0.1)
        + np.maximum(3 - abs(x - 3), 0)
        - 2 * np.maximum(1.5 - abs(x - 1.5), 0)
        + 3 * np.maximum(1.5 - abs(x - 4.5), 0)
    ),
    "rowdy(0.5, 0.1, -0.2, 0.3, 0.4, 2)": lambda x: (
        np.tanh(0.5 * x) + 0.2 * np.sin(2 * x) - 0.4 * np.sin(4 * x) + 0.6 * np.sin(6 * x) + 0.8 * np.sin(8 * x)
    ),
    "staf(1, 2, -1, 0.5, 3, 4, 0.1, 0.2, -1)": lambda x: (
        np.sin(0.5 * x + 0.1) + 2 * np.sin(3 * x + 0.2) - np.sin(4 * x - 1)
    ),
    "learned_mixture(1, -2, 0.5, 3)": lambda x: (
        np.maximum(x, 0) - 2 * x * special.ndtr(x) + 0.5 * silu(x) + 3 * np.tanh(x)
    ),
}


@pytest.mark.parametrize("spec", CASES)
def test_the_family_holds_at_other_parameters(spec):
    got = layer(spec, native=False, dtype=torch.float64)(torch.from_numpy(X)).detach().numpy()

    np.testing.assert_allclose(got, CASES[spec](X), rtol=2e-10, atol=1e-12)


@pytest.mark.parametrize("alpha", [-0.5, -1e-9, 0.0, 1e-9, 0.5])
def test_soft_exponential_is_continuous_in_its_parameter_and_its_gradient_finite(alpha):
    module = layer(f"soft_exponential(learned({alpha}))", dtype=torch.float64)
    x = torch.linspace(-1, 3, 9, dtype=torch.float64)
    module(x).sum().backward()
    (slope,) = module.alpha.grad.tolist()

    step = 1e-5
    above, below = (soft_exponential(x.numpy(), alpha + shift).sum() for shift in (step, -step))
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-4)


@pytest.mark.parametrize("spec", ["dyn_act_glu(0.7, -0.2)", "situ_linear_glu(3)"])
def test_gated_families_hold_at_other_parameters(spec):
    gate, value = (torch.from_numpy(part) for part in np.meshgrid(X, [-2.0, 0.5]))
    got = layer(spec, dtype=torch.float64)(gate, value)

    g = gate.numpy()
    gates = {
        "dyn_act_glu(0.7, -0.2)": lambda: 0.9 * silu(g) - 0.2 * g,
        "situ_linear_glu(3)": lambda: 3 * np.tanh(g / 3) * special.expit(g),
    }
    np.testing.assert_allclose(got.numpy(), gates[spec]() * value.numpy(), rtol=1e-11, atol=1e-13)
