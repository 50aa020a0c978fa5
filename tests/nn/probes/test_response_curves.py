"""Plot data of response curves, vectors and attention maps equal the functions' values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import actlab
from actlab.functions.activation import names
from actlab.nn.probes.response_curves import VECTOR, Bars, Lines, Map, picture


def test_an_elementwise_function_is_drawn_with_its_slope():
    value, slope = picture("mish")
    x = torch.tensor(value.x, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.mish(x)
    y.sum().backward()

    np.testing.assert_allclose(value.curves["f"], y.detach(), atol=1e-14)
    np.testing.assert_allclose(slope.curves["f"], x.grad, atol=1e-14)
    assert (value.x[0], value.x[-1], len(value.x)) == (-4, 4, 161)


def test_a_spec_is_drawn_at_its_values():
    assert picture("leaky_relu(0.5)")[0].curves["f"][0] == -2


def test_a_gated_function_is_drawn_over_its_gate_at_three_values():
    value, slope = picture("swiglu")
    gate = torch.tensor(value.x, dtype=torch.float64)

    assert list(value.curves) == ["value 1", "value 0.5", "value -1"]
    np.testing.assert_allclose(value.curves["value -1"], -torch.nn.functional.silu(gate), atol=1e-14)
    np.testing.assert_allclose(
        np.gradient(value.curves["value 1"], value.x)[1:-1], slope.curves["value 1"][1:-1], atol=1e-3
    )


def test_a_vector_function_is_drawn_by_what_it_makes_of_a_vector():
    (bars,) = picture("softmax(temperature=0.5)")

    np.testing.assert_allclose(bars.after, torch.softmax(torch.tensor(VECTOR) / 0.5, 0), rtol=1e-6)


def test_a_vector_function_of_another_dimension_works_along_it():
    (bars,) = picture("softmax(dim=1)")

    assert sum(bars.after) == pytest.approx(1)


def test_attention_is_drawn_as_a_map_of_dependences():
    (panel,) = picture("retention")
    size = np.array(panel.rows)

    assert np.array_equal(size == 0, np.triu(np.ones((8, 8)), 1) == 1)  # causal: no token sees a later one
    assert size.max() == 1
    assert (np.array(picture("softmax_attention")[0].rows) > 0).all()


def test_a_stochastic_function_is_drawn_with_where_its_draws_lie():
    (panel,) = picture("rrelu")
    at = panel.x.index(-4.0)
    low, high = (ends[at] for ends in panel.band)

    # the slope is uniform in [1/8, 1/3]: its 10 % and 90 % quantiles
    assert low == pytest.approx(-4 * (1 / 8 + 0.9 * (1 / 3 - 1 / 8)), abs=0.02)
    assert high == pytest.approx(-4 * (1 / 8 + 0.1 * (1 / 3 - 1 / 8)), abs=0.02)
    assert panel.curves["evaluation"][at] == pytest.approx(-4 * (1 / 8 + 1 / 3) / 2)


def test_drawing_leaves_torch_s_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for name in ("rrelu", "gumbel_softmax", "retention"):
        assert picture(name) == picture(name)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", actlab.names())
def test_every_activation_has_a_picture(name):
    panels = picture(name, points=9)

    assert all(isinstance(panel, Lines | Bars | Map) for panel in panels)
    first = panels[0]
    shown = (
        first.after
        if isinstance(first, Bars)
        else first.rows
        if isinstance(first, Map)
        else list(first.curves.values())
    )
    assert np.isfinite(shown).all()
    assert name in names()
