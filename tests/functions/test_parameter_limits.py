"""Specs with infinite, huge and tiny numbers, and every entry at the limits of its parameters."""

from __future__ import annotations

import pytest
import torch

import actlab
from actlab.errors import ActlabError, LayerError, SpecError
from actlab.functions.activation import get, names

LIMITS = {
    "real": [-1e18, 1e18, 1e-18, 0.0],
    "constant": [-1e18, 1e18, 0.0],
    "cutoff": [-1e18, 1e18, 0.0],
    "positive": [1e-18, 1e18],
    "nonnegative": [0.0, 1e18],
    "nonzero": [-1e18, 1e-18, 1e18],
    "fraction": [1e-18, 0.999999],
    "entropic": [1 + 2**-52, 1.0001, 2.0],
    "above_one": [1.0001, 1e18],
    "share": [1e-18, 1.0],
    "count": [1, 512],
    "bits": [1, 24],
    "dim": [-64, 0, 63],
    "flag": [0, 1],
}


@pytest.mark.parametrize(
    "spec",
    [
        "swish(inf)", "swish(beta=nan)", "swish(1e400)", "elu(alpha=learned(inf))", "acon_c(p1=1e18, p2=1e308)", "repu(1e308)",
        "hardtanh(-1e308, 1e308)", "softmax(dim=1e18)", "maxout(1e18)", "dorefa(k_bit=1e308)", "dorefa(5000)",
        "lsq(bits=64)", "elu(1e-300)",
        "step/rect(scale=inf)", "step/arctan(scale=nan)", "sign/ede(t=inf)", "step/rect(scale=1e308)", "step/rect(-inf, inf)",
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused_with_the_allowed_range(spec):
    with pytest.raises(SpecError, match="allowed is"):
        actlab.layer(spec)


@pytest.mark.parametrize("spec", ["softmax(dim=5)", "maxout(dim=-9)", "group_sort(dim=3)", "kwta(dim=63)"])
def test_a_dimension_that_the_input_does_not_have_is_named(spec):
    with pytest.raises(LayerError, match="works along dimension"):
        actlab.layer(spec)(torch.zeros(2, 4, 8))


@pytest.mark.parametrize("name", names())
def test_every_entry_at_the_limits_of_its_parameters_gives_numbers_or_a_message(name):
    x = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))
    x = torch.complex(x, x) if get(name).kind == "complex" else x
    for parameter in get(name).parameters:
        for value in LIMITS[parameter.domain]:
            try:
                y = actlab.layer(f"{name}({parameter.name}={value!r})")(x)
            except ActlabError:
                continue
            assert y.is_floating_point() or y.is_complex()


@pytest.mark.parametrize("alpha", [1 + 2**-52, 1 + 1e-9, 1.0000001, 1.0001, 1.001, 1.01, 1.5, 2.0])
def test_alpha_entmax_sums_to_one_and_goes_to_softmax(alpha):
    x = torch.tensor([[0.0, 1.0, 2.0], [-30.0, 5.0, 5.0]])
    got = actlab.layer(f"alpha_entmax({alpha!r})")(x)

    torch.testing.assert_close(got.sum(-1), torch.ones(2), rtol=1e-6, atol=0)
    if alpha < 1.00001:
        torch.testing.assert_close(got, x.softmax(-1), rtol=1e-4, atol=1e-6)
    if alpha == 1.0001:
        torch.testing.assert_close(got[0], torch.tensor([0.09001, 0.24472, 0.66527]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "entry"), [("gated-gelu", "geglu_tanh"), ("gated-silu", "swiglu"), ("gated-relu", "reglu")]
)
def test_the_names_of_t5_with_a_minus_sign_are_read(name, entry):
    assert actlab.layer(name).spec.activation.name == entry
