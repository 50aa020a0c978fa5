"""Every activation passes the applicable conformance checks and agrees with an independent definition."""

from __future__ import annotations

import mpmath as mp
import pytest
import torch
from tests.functions.references import REFERENCES

from actlab.functions.activation import get, names
from actlab.nn.layers.layer import layer
from actlab.testing.activation_checks import (
    CHECKS,
    OPPOSITE_INFINITIES,
    reason_to_skip,
)
from actlab.testing.complex_checks import COMPLEX_CHECKS

CASES = [(name, check) for name in names() for check in CHECKS if reason_to_skip(check, name) is None]
# Relative error in float64 where the function amplifies the rounding of its argument, and why.
CONDITIONED = {
    "mega_laplace": ("1e-12", "a normal tail at z = -32: the relative error of z grows by z^2 = 1000"),
    "uaf": ("2e-13", "a difference of two softplus near 0.69, which is 1e-3 around zero"),
}
LEARNED = [
    "swish(beta=learned)",
    "elu(alpha=learned_per_channel)",
    "prelu(weight=learned_per_channel)",
    "softplus(beta=2)",
    "leaky_relu(0.2)",
    "celu(alpha=0.5)",
    "hardtanh(-2, 3)",
    "arelu(0.5, 1)",
    "xielu(0.3, -0.5)",
    "apa(0.5, 0.25)",
]


@pytest.mark.parametrize(("name", "check"), CASES, ids=[f"{name}-{check.__name__}" for name, check in CASES])
def test_every_activation_passes_every_check_that_applies(name, check):
    check(name)


@pytest.mark.parametrize(
    "check",
    [check for check in CHECKS if check.__name__ not in {"gradients_of_learned_parameters_are_right", "claims_hold"}],
    ids=lambda check: check.__name__,
)
@pytest.mark.parametrize("spec", LEARNED)
def test_parametrised_and_learned_specs_pass_the_checks_too(spec, check):
    if reason := reason_to_skip(check, spec):
        pytest.skip(reason)

    check(spec)


def test_the_only_checks_left_out_are_those_that_say_why():
    left_out = {
        (name, reason)
        for name in names()
        for check in CHECKS
        if (reason := reason_to_skip(check, name)) and "no function of complex numbers" not in reason
    }

    assert all(reason and ("function" in reason or "no fused kernel" in reason) for _, reason in left_out)
    assert {name for name, reason in left_out if "no fused kernel" not in reason} == {
        *names("vector"),
        *names("stochastic"),
        *names("gated"),
        *names("complex"),
    }
    assert all(reason_to_skip(check, "gelu") for check in COMPLEX_CHECKS)
    assert not any(reason_to_skip(check, "modrelu") for check in COMPLEX_CHECKS)


def test_every_formula_has_an_independent_reference():
    assert sorted(REFERENCES) == sorted(names("elementwise") + names("gated"))


@pytest.mark.parametrize("name", names("elementwise"))
def test_elementwise_values_agree_with_their_paper_to_float64(name):
    points = [
        -60.0,
        -20.0,
        -8.3,
        -3.7,
        -1.9,
        -0.51,
        -0.1,
        -1e-3,
        -1e-7,
        0.0,
        1e-7,
        2e-3,
        0.14,
        0.16,
        0.49,
        0.9,
        1.7,
        2.9,
        6.1,
        11.0,
        45.0,
    ]
    got = layer(name, native=False, dtype=torch.float64)(torch.tensor(points, dtype=torch.float64))

    for point, value in zip(points, got.tolist(), strict=True):
        exact = REFERENCES[name](mp.mpf(point))
        tolerance, _ = CONDITIONED.get(name, ("4e-14", "forty roundings"))
        allowed = mp.mpf(tolerance) * abs(exact) + mp.mpf("1e-300")
        if abs(value - exact) > allowed:
            # Four roundings of the argument, unavoidable for a function as steep as sin(30 x).
            allowed += 4 * mp.mpf(2) ** -52 * abs(point * mp.diff(REFERENCES[name], mp.mpf(point)))
        assert abs(value - exact) <= allowed, (point, value, exact)


@pytest.mark.parametrize("name", names("gated"))
def test_gated_values_agree_with_their_paper_to_float64(name):
    gates, values = torch.meshgrid(
        torch.linspace(-9, 9, 13, dtype=torch.float64), torch.linspace(-3, 3, 5, dtype=torch.float64), indexing="ij"
    )
    got = layer(name, native=False, dtype=torch.float64)(
        torch.cat([values.reshape(-1, 1), gates.reshape(-1, 1)], dim=1)
    )

    for gate, value, output in zip(
        gates.flatten().tolist(), values.flatten().tolist(), got.flatten().tolist(), strict=True
    ):
        exact = REFERENCES[name](mp.mpf(gate), mp.mpf(value))
        assert abs(output - exact) <= mp.mpf("4e-14") * abs(exact) + mp.mpf("1e-300"), (gate, value)


@pytest.mark.parametrize("name", sorted(OPPOSITE_INFINITIES))
def test_the_excuse_of_opposite_infinities_is_still_needed(name):
    x = torch.tensor([-torch.inf, -1e30, 1e30, torch.inf], dtype=torch.float64)
    got = layer(name, native=False, dtype=torch.float64)(x)

    assert got[[0, 3]].isnan().any(), "the formula has its limits now: remove it from OPPOSITE_INFINITIES"
    assert got[1:3].isfinite().all()


@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_tanh", "mish", "hardswish"])
def test_the_formula_has_the_limit_at_minus_infinity_where_the_native_has_nan(name):
    x = torch.tensor([-torch.inf])

    assert layer(name, native=False)(x).item() == 0.0
    assert torch.isnan(layer(name, native=True)(x)).item(), (
        "torch has fixed its kernel: remove this entry from the list"
    )


def test_the_formula_of_softsign_has_its_limits_where_the_native_has_nan():
    x = torch.tensor([-torch.inf, torch.inf])

    assert layer("softsign", native=False)(x).tolist() == [-1.0, 1.0]
    assert torch.isnan(layer("softsign", native=True)(x)).all(), "torch has fixed its kernel: update decision 2"


def test_every_entry_names_its_source_and_describes_itself_in_a_sentence():
    for name in names():
        record = get(name)
        assert record.arxiv or record.paper, name
        assert record.doc.rstrip().endswith("."), name
