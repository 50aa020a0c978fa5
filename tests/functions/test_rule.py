"""Gradient rules against independent definitions in NumPy and finite differences; their registry and specs."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
import sympy
from scipy import integrate, special

from actlab.errors import DuplicateNameError, SpecError, UnknownNameError
from actlab.functions.formula.evaluate import numeric
from actlab.functions.grammar import parse
from actlab.functions.rule import forget_rule, get_rule, rule, rules
from actlab.functions.spec import X

U = np.float64(0.375)
OTHERS = {
    "y": 1.0,
    "grad": -0.7,
    "slope": 0.3,
    "through": 0.6,
    "shuffled": 0.2,
    "other": 0.9,
    "u": U,
    "normal": -1.3,
    "unit": 0.8,
}


def density(x, s):
    return np.exp(-(x**2) / (2 * s * s)) / (s * math.sqrt(2 * math.pi))


def window(x, low, high):
    return ((x >= low) & (x <= high)).astype(float)


def reste(x):
    a = np.abs(x)
    return np.where(a <= 0.1, 0.1 ** (1 / 3) / 0.1, np.where(a <= 1.5, np.maximum(a, 0.1) ** (-2 / 3) / 3, 0.0))


# Factor of the gradient (for nonlinear rules the outgoing gradient) at the defaults, written as in the papers and libraries.
DEFINITIONS = {
    "approxsign": lambda x: np.where(np.abs(x) <= 1, 2 - 2 * np.abs(x), 0.0),
    "arctan": lambda x: 2 / 2 / (1 + (math.pi / 2 * 2 * x) ** 2),
    "bsilu": lambda x: special.expit(x) + (x + 1.67) * special.expit(x) * (1 - special.expit(x)),
    "clipped": lambda x: (np.abs(x) <= 1).astype(float),
    "constant": np.ones_like,
    "dampened_triangular": lambda x: 0.3 * np.maximum(0, 1 - np.abs(x)),
    "ede": lambda x: 1 - np.tanh(x) ** 2,
    "ewgs": lambda x: OTHERS["grad"] * OTHERS["through"] * (1 + 0.1 * np.sign(OTHERS["grad"]) * (x - OTHERS["y"])),
    "exponential": lambda x: 0.5 * np.exp(-np.abs(x)),
    "fast_sigmoid": lambda x: 1 / (25 * np.abs(x) + 1) ** 2,
    "fixed_random": lambda x: np.full_like(x, OTHERS["unit"]),
    "fourier": lambda x: 4 / 8 * np.cos(2 * math.pi * x / 8),
    "gaussian": lambda x: density(x, 0.5),
    "grad": lambda x: np.full_like(x, OTHERS["other"]),
    "half": lambda x: np.full_like(x, 0.5),
    "jam": lambda x: np.full_like(x, U),
    "leaky_spike": lambda x: np.full_like(x, 1.0 if OTHERS["y"] > 0 else 0.1),
    "leaky_window": lambda x: np.where(np.abs(x) < 1, 0.5, 0.01),
    "log_tailed": lambda x: np.where(x > 1, 1 / np.where(x > 1, x, 1), np.where(x > 0, 1.0, 0.0)),
    "multi_gaussian": lambda x: 1.15 * density(x, 0.5) - 0.15 * density(x - 0.5, 3) - 0.15 * density(x + 0.5, 3),
    "nelu": lambda x: np.where(x > 0, 1.0, 0.05 * 2 * x / (1 + x**2) ** 2),
    "noise": lambda x: np.full_like(x, OTHERS["grad"] + 0.1 * OTHERS["normal"]),
    "positive_jam": lambda x: U * (x >= 0),
    "q_pseudo_spike": lambda x: (1 + 2 * np.abs(x) / (2 - 1)) ** -2.0,
    "rect": lambda x: window(x, -0.5, 0.5),
    "rectangular_jam": lambda x: U * window(x, -5, 5),
    "reste": reste,
    "s2nn": lambda x: np.where(x < 0, 4 * special.expit(4 * x) * (1 - special.expit(4 * x)), 1 / (np.abs(x) + 1)),
    "shuffled": lambda x: np.full_like(x, OTHERS["shuffled"]),
    "sigmoid": lambda x: 4 * special.expit(4 * x) * (1 - special.expit(4 * x)),
    "sign_log_abs": lambda x: 1 / (1 / 1 + np.abs(x)),
    "sign_only": lambda x: np.full_like(x, np.sign(OTHERS["grad"])),
    "signal_jam": lambda x: np.full_like(x, np.sign(OTHERS["grad"]) * U),
    "signal_positive_jam": lambda x: np.full_like(x, U if OTHERS["grad"] >= 0 else 0.0),
    "signal_rectangular_jam": lambda x: np.full_like(x, np.sign(OTHERS["grad"]) * U),
    "soft_sign": lambda x: 1 / (2 * 2 * (1 / 2 + np.abs(x)) ** 2),
    "soft_superspike": lambda x: 1 / (1 + np.abs(x)) ** 2,
    "stochastic_spike": lambda x: np.full_like(x, 1.0 if OTHERS["y"] > 0 else (U - 0.5) * 0.2),
    "superspike": lambda x: 1 / (100 * np.abs(x) + 1) ** 2,
    "swishsign": lambda x: 5 * (2 - 5 * x * np.tanh(5 * x / 2)) / (1 + np.cosh(np.clip(5 * x, -700, 700))),
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "through": lambda x: np.full_like(x, OTHERS["through"]),
    "triangular": lambda x: np.maximum(0, 1 - np.abs(x) / 1),
    "unit_rect": lambda x: (np.abs(x) < 0.5).astype(float),
    "unit_triangular": lambda x: np.where(np.abs(x) < 1, 1 - np.abs(x), 0.0),
}
GRID = np.concatenate([np.linspace(-9, 9, 3001), [-60.0, -0.5, -1.0, 0.0, 0.5, 1.0, 1.5, 60.0]])


def at_defaults(name: str, surrogate: bool = False):
    record = get_rule(name)
    numbers = {p.symbol: sympy.Float(p.default) for p in record.parameters}
    expression = (record.surrogate if surrogate else record.expression).xreplace(numbers)
    others = sorted(expression.free_symbols - {X}, key=str)
    f = numeric(expression, [X], others)
    return lambda x: f(x, *(np.float64(OTHERS[symbol.name]) for symbol in others))


def test_every_rule_has_a_definition():
    assert sorted(DEFINITIONS) == rules()


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_a_rule_is_what_its_source_defines(name):
    np.testing.assert_allclose(at_defaults(name)(GRID), DEFINITIONS[name](GRID), rtol=1e-9, atol=1e-12)


def test_a_wrong_rule_is_found(monkeypatch):
    # The formula in snnTorch's documentation, which differs from its code.
    monkeypatch.setitem(DEFINITIONS, "arctan", lambda x: 1 / math.pi / (1 + (math.pi * x) ** 2))

    with pytest.raises(AssertionError):
        test_a_rule_is_what_its_source_defines("arctan")


@pytest.mark.parametrize("name", [name for name in rules() if get_rule(name).surrogate is not None])
def test_the_surrogate_has_the_rule_for_its_derivative(name):
    x, h = GRID[np.abs(GRID * 8 % 1 - 0.5) < 0.49], 1e-6  # off the kinks
    whole = at_defaults(name, surrogate=True)
    edges = np.min(np.abs(x[:, None] - np.array([-1.0, -0.5, 0.0, 0.5, 1.0])), axis=1) > 1e-5
    x = x[edges]
    slope = at_defaults(name)
    np.testing.assert_allclose((whole(x + h) - whole(x - h)) / (2 * h), slope(x), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("name", [name for name in rules() if get_rule(name).is_linear])
def test_a_rule_is_finite_everywhere(name):
    ends = [] if name == "fourier" else [-np.inf, np.inf]  # a wave has no limit
    assert np.isfinite(at_defaults(name)(np.array([-1e300, -1e5, 0.0, 1e5, 1e300, *ends]))).all()


@pytest.mark.parametrize(
    "name", ["rect", "clipped", "triangular", "approxsign", "arctan", "fast_sigmoid", "gaussian", "superspike", "reste"]
)
def test_at_scale_area_the_factor_integrates_to_one(name):
    f = numeric(parse(f"step/{name}(scale=area)").backward.factor, [X])
    edges = [-np.inf, -1.5, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 1.5, np.inf]
    whole = sum(
        integrate.quad(lambda z: float(f(np.array([z]))[0]), a, b, limit=400)[0] for a, b in itertools.pairwise(edges)
    )
    assert whole == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["constant", "rect", "arctan", "bsilu", "jam", "positive_jam", "half", "grad(silu)"])
def test_at_scale_normal_the_mean_over_normal_inputs_is_one(name):
    text = f"step/{name[:-1]}, scale=normal)" if name.endswith(")") else f"step/{name}(scale=normal)"
    factor = parse(text).backward.factor
    noise = sorted(factor.free_symbols - {X}, key=str)
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    z = np.random.default_rng(0).standard_normal(4_000_000) if noise or name in {"rect", "arctan"} else nodes
    values = numeric(factor, [X], noise)(z, *([np.float64(0.5)] * len(noise)))
    mean = float(values.mean()) if z is not nodes else float(np.sum(weights * values) / math.sqrt(2 * math.pi))
    assert mean == pytest.approx(1, abs=5e-3 if z is not nodes else 1e-6)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("step/rect(-0.5,0.5)", "step/rect"),
        ("step / rect( upper = 2 )", "step/rect(upper=2)"),
        ("heaviside/rectangular", "step/rect"),
        ("sigmoid/1", "sigmoid/1"),
        ("sigmoid/.50", "sigmoid/0.5"),
        ("sigmoid/-1", "sigmoid/-1"),
        ("relu/constant(2)", "relu/2"),
        ("relu/ste", "relu/1"),
        ("relu/grad(bsilu)", "relu/grad(b_silu)"),
        ("relu/grad(elu(alpha=2), scale=3)", "relu/grad(elu(alpha=2), scale=3)"),
        ("sign/arctan(scale=area)", "sign/arctan(scale=area)"),
        ("step/sigmoid(k=learned(3))", "step/sigmoid(k=learned(3.0))"),
        ("leaky_relu(0.1)/jam", "leaky_relu(negative_slope=0.1)/jam"),
    ],
)
def test_specs_are_read_and_written(text, canonical):
    spec = parse(text)
    assert str(spec) == canonical
    assert parse(str(spec)) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert not spec.is_default
    assert spec != spec.forward


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("step/", "cannot be read"),
        ("/rect", "cannot be read"),
        ("step/1/2", "allowed are a number"),
        ("step/1e999", "out of range"),
        ("swiglu/1", "gated function"),
        ("softmax/1", "vector function"),
        ("step/rect(1, 2, 3)", "too many values"),
        ("step/rect(lower=1, lower=2)", "twice"),
        ("step/jam(scale=area)", "scale=normal"),
        ("step/sign_only(scale=normal)", "scale a number"),
        ("step/multi_gaussian(scale=0.5, scale=2)", "twice"),
        ("step/rect(scale=ara)", "Did you mean 'area'"),
        ("step/fourier(scale=normal(2))", "allowed are"),
        ("relu/grad", "does not name the activation whose derivative"),
        ("relu/grad(swiglu)", "elementwise"),
        ("relu/grad(relu/1)", "elementwise"),
        ("step/exponential(alpha=learned)", "schedule"),
        ("sign/approxsign(a=3)", "takes no parameters"),
        ("step/arctan(alpha=-1)", "above 0"),
    ],
)
def test_what_is_wrong_with_a_spec_is_said(text, words):
    with pytest.raises(SpecError, match=words):
        parse(text)


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"gradient rule 'arctann'\. Did you mean 'arctan'"):
        parse("step/arctann")


def test_a_rule_of_ones_own_is_registered_by_four_lines():
    @rule(paper="a notebook", aliases=("mine_too",))
    def mine(x, w=2.0):
        """Falls off from the middle."""
        return 1 / (1 + w * x**2)

    try:
        assert str(parse("step/mine_too(3)")) == "step/mine(w=3)"
        with pytest.raises(DuplicateNameError, match="taken by the gradient rule 'mine'"):
            rule(aliases=("mine",))(_another)
    finally:
        forget_rule("mine")
    with pytest.raises(UnknownNameError):
        get_rule("mine")


def _another(x):
    """Taken."""
    return x


def test_a_rule_that_asks_for_what_there_is_not_is_refused():
    def strange(x, future):
        """Asks for too much."""
        return x * future

    with pytest.raises(TypeError, match="invalid arguments: future"):
        rule(paper="none")(strange)

    def scaled(x, scale=2.0):
        """Takes the name of what every rule has."""
        return x * scale

    with pytest.raises(TypeError, match="invalid arguments: scale"):
        rule(paper="none")(scaled)
