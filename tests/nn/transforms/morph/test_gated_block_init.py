"""Fitted first weights of a gated block reproduce the block that it replaces."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actlab.nn.layers.layer import layer
from actlab.nn.transforms.morph.gated_block_init import init_gated_block_


def block(inputs=6, units=12, outputs=3, kept=8, *, bias=True, seed=0):
    torch.manual_seed(seed)
    old = nn.Linear(inputs, units), nn.Linear(units, outputs, bias=bias)
    new = nn.Linear(inputs, 2 * kept), nn.Linear(kept, outputs, bias=bias)
    return old, new, torch.randn(800, inputs)


def gated(new, spec, x):
    return new[1](layer(spec)(new[0](x)))


def alone(spec):
    made = layer(spec)
    return lambda gate: made(gate, torch.ones_like(gate))


@torch.no_grad()
def explained_of(outputs, expected):
    return 1 - float((outputs - expected).square().sum() / (expected - expected.mean(0)).square().sum())


@pytest.mark.parametrize(
    ("old_spec", "spec", "stretch"),
    [("relu", "reglu", None), ("silu", "swiglu", 1.0), ("gelu", "geglu", 1.0), ("sigmoid", "glu", 1.0)],
)
def test_with_as_many_units_as_before_the_same_function_is_reproduced(old_spec, spec, stretch):
    old, new, x = block(kept=12)
    z = old[0](x).detach()
    found = init_gated_block_(old=old, new=new, function=alone(spec), sums=z, values=layer(old_spec)(z))

    expected = old[1](layer(old_spec)(old[0](x)))
    # the ridge of 1e-4 keeps the weights from being exact
    assert explained_of(gated(new, spec, x), expected) > 1 - 1e-5
    assert found.explained > 1 - 1e-5
    assert stretch is None or found.stretch == stretch


def test_what_it_says_of_itself_is_what_the_block_does():
    old, new, x = block()
    z = old[0](x).detach()
    found = init_gated_block_(old=old, new=new, function=alone("swiglu"), sums=z, values=z.relu())

    assert (found.units, found.kept) == (12, 8)
    assert found.explained == pytest.approx(explained_of(gated(new, "swiglu", x), old[1](z.relu())), abs=1e-5)
    assert 0.8 < found.explained < 1


def test_relu_is_approximated_by_a_stretched_silu():
    old, new, x = block()
    z = old[0](x).detach()

    assert init_gated_block_(old=old, new=new, function=alone("swiglu"), sums=z, values=z.relu()).stretch > 2


def test_redundant_units_are_dropped():
    old, new, x = block(units=12, kept=8)
    with torch.no_grad():
        old[0].weight[8:] = old[0].weight[:4] * 2  # four units that are copies of others, at another scale
        old[0].bias[8:] = old[0].bias[:4] * 2
    z = old[0](x).detach()
    found = init_gated_block_(old=old, new=new, function=alone("reglu"), sums=z, values=z.relu())

    assert found.explained > 1 - 1e-5
    rows = new[0].weight[8:] / found.stretch
    assert torch.equal(rows, rows.unique(dim=0, sorted=False)) or len(rows.unique(dim=0)) == 8


def test_it_beats_weights_as_drawn_and_keeping_the_first_units():
    old, new, x = block(units=30, kept=20, inputs=20)
    z = old[0](x).detach()
    expected = old[1](z.relu()).detach()
    as_drawn = explained_of(gated(new, "reglu", x), expected)
    first_units = explained_of(
        torch.nn.functional.linear(z.relu()[:, :20], old[1].weight[:, :20], old[1].bias), expected
    )

    found = init_gated_block_(old=old, new=new, function=alone("reglu"), sums=z, values=z.relu())

    assert found.explained > first_units > as_drawn


def test_without_a_bias_after_the_block_there_is_no_shift():
    old, new, x = block(bias=False)
    z = old[0](x).detach()
    found = init_gated_block_(old=old, new=new, function=alone("reglu"), sums=z, values=z.relu())

    assert found.explained > 0.5
    assert new[1].bias is None


def test_dead_units_do_no_harm():
    old, new, x = block()
    z = old[0](x).detach() - 100
    found = init_gated_block_(old=old, new=new, function=alone("reglu"), sums=z, values=z.relu())

    assert torch.isfinite(new[1].weight).all()
    assert found.explained <= 1
