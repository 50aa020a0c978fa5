"""Learned curves are what the module computes; a recorder changes nothing and stays small."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import actlab
from actlab.errors import SiteError
from actlab.nn.probes import learned_curves
from actlab.nn.probes.learned_curves import Shapes, shapes


def net(spec="swish(beta=learned)", **options):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), actlab.layer(spec, **options), nn.Linear(3, 1))


def test_a_curve_is_what_the_layer_computes_now_beside_what_it_computed_at_first():
    model = net()
    with torch.no_grad():
        model[1].beta.fill_(3.0)
    (shape,) = shapes(model)

    x = shape.x
    np.testing.assert_allclose(shape.y[0], x / (1 + np.exp(-3 * x)), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(shape.initial[0], x / (1 + np.exp(-x)), rtol=1e-12, atol=1e-14)
    assert (shape.path, shape.spec, shape.parameters["beta"].tolist()) == ("1", "swish(beta=learned)", [3.0])
    np.testing.assert_allclose(shape.distance, np.sqrt(np.mean((shape.y - shape.initial) ** 2)))


@pytest.mark.parametrize("module", [nn.PReLU(3), actlab.layer("prelu(weight=learned_per_channel)", channels=3)])
def test_units_have_curves_of_their_own(module):
    model = nn.Sequential(nn.Linear(2, 3), module, nn.Linear(3, 1))
    with torch.no_grad():
        module.weight.copy_(torch.tensor([0.25, 0.5, -1.0]))
    (shape,) = shapes(model, points=5)

    x = np.linspace(-4, 4, 5)
    wanted = [np.where(x > 0, x, slope * x) for slope in (0.25, 0.5, -1.0)]
    np.testing.assert_allclose(shape.y, wanted, rtol=1e-7)  # the slopes are float32
    assert shape.distance[0] == 0.0
    assert shape.distance[2] > shape.distance[1] > 0.0


def test_a_gated_function_is_drawn_at_the_value_one():
    model = nn.Sequential(nn.Linear(2, 4), actlab.layer("swiglu(beta=learned(2))"), nn.Linear(2, 1))
    (shape,) = shapes(model, points=9)

    np.testing.assert_allclose(shape.y[0], shape.x / (1 + np.exp(-2 * shape.x)), rtol=1e-12)


def test_the_grid_spans_what_the_activation_sees():
    model = net()
    x = torch.randn(4000, 2)
    (shape,) = shapes(model, [x[:2000], x[2000:]])
    with torch.no_grad():
        low, high = np.quantile(model[0](x).numpy(), [0.001, 0.999])

    np.testing.assert_allclose(
        [shape.x[0], shape.x[-1]], [low, high], rtol=1 / 16
    )  # the sketch's buckets are 1/32 wide
    assert shape.seen
    assert not shapes(model)[0].seen


def test_the_model_and_the_generators_are_as_they_were():
    model = net("elu(alpha=learned_per_channel)", channels=3)
    weights, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    shapes(model, [torch.randn(5, 2, generator=torch.Generator().manual_seed(0))])

    assert all(torch.equal(a, b) for a, b in zip(weights.values(), model.state_dict().values(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert not model._forward_pre_hooks
    assert model[1].alpha.dtype == torch.float32


def test_fixed_activations_and_those_that_mix_elements_have_no_curve():
    assert shapes(nn.Sequential(nn.Linear(2, 2), nn.GELU(), nn.Softmax(-1))) == []


def test_a_single_point_is_no_curve():
    with pytest.raises(SiteError, match="two points"):
        shapes(net(), points=1)


def trained(model, record, steps=300, lr=0.3):
    """Fit swish with beta = 2.5, and note the loss of every step."""
    generator = torch.Generator().manual_seed(0)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=lr), []
    with record:
        for _ in range(steps):
            x = torch.randn(256, 1, generator=generator)
            loss = nn.functional.mse_loss(model(x), x * torch.sigmoid(2.5 * x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test_a_planted_slope_is_learned_and_the_record_shows_the_way_there():
    model = nn.Sequential(actlab.layer("swish(beta=learned)"), nn.Identity())
    record = Shapes(model, every=50)
    trained(model, record, lr=0.05)
    history = record.history("0")

    betas = [shape.parameters["beta"][0] for shape in history]
    assert record.steps == [0, 50, 100, 150, 200, 250, 300]
    assert betas[0] == 1.0
    assert abs(betas[-1] - 2.5) < 0.01
    assert history[0].distance[0] == 0.0
    assert all(a.distance[0] < b.distance[0] for a, b in pairwise(history[:4]))
    (shape,) = shapes(model)
    np.testing.assert_allclose(shape.y, history[-1].y)
    assert np.abs(shape.y[0] - shape.x / (1 + np.exp(-2.5 * shape.x))).max() < 0.02


def test_a_planted_slope_of_a_prelu_is_learned_per_unit():
    torch.manual_seed(0)
    wanted = torch.tensor([0.1, -0.4, 0.8])
    model = nn.Sequential(nn.PReLU(3), nn.Identity())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with Shapes(model, every=100) as record:
        for _ in range(200):
            x = torch.randn(128, 3)
            optimizer.zero_grad()
            ((model(x) - torch.where(x > 0, x, wanted * x)) ** 2).mean().backward()
            optimizer.step()

    np.testing.assert_allclose(record.history("0")[-1].parameters["weight"], wanted, atol=1e-3)
    slopes = (shapes(model, points=3)[0].y[:, 0]) / -4
    np.testing.assert_allclose(slopes, wanted, atol=1e-3)


def test_training_is_the_same_to_the_bit_with_a_recorder_on():
    def model():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.2), actlab.layer("swish(beta=learned)"), nn.Linear(4, 1))

    class Nothing:
        def __enter__(self): ...

        def __exit__(self, *_): ...

    with_it, without = model(), model()
    torch.manual_seed(5)
    first = trained(with_it, Shapes(with_it, every=3), steps=20)
    torch.manual_seed(5)

    assert trained(without, Nothing(), steps=20) == first
    assert not with_it._forward_pre_hooks


def test_only_training_passes_are_counted():
    model = net()
    with Shapes(model, every=1) as record:
        model.eval()(torch.ones(1, 2))
        with torch.no_grad():
            model.train()(torch.ones(1, 2))
        model(torch.ones(1, 2))
    assert record.steps == [0, 1]


def test_a_long_training_keeps_a_bounded_number_of_states(monkeypatch):
    monkeypatch.setattr(learned_curves, "_MOST", 8)
    model = net()
    with Shapes(model, every=1) as record:
        for _ in range(1000):
            model(torch.ones(1, 2))

    assert len(record.steps) <= 9
    assert record.steps[0] == 0
    assert record.steps[-1] == 1000
    gaps = np.diff(record.steps[:-1])
    assert (gaps == gaps[0]).all()


def test_wrong_use_raises():
    with pytest.raises(SiteError, match="1 or more"):
        Shapes(net(), every=0)
    with pytest.raises(SiteError, match="no adaptive activation"):
        Shapes(nn.Sequential(nn.Linear(1, 1), nn.ReLU()))
    record = Shapes(net())
    with pytest.raises(SiteError, match="Nothing was recorded"):
        record.history("1")
    with pytest.raises(SiteError, match="there are 1"):
        record.history("2")


def test_activations_of_a_slim_model_keep_their_spec_and_curve():
    model = net()
    plain = shapes(model)[0]
    actlab.slim_(model, torch.randn(3, 2))
    (shape,) = shapes(model, [torch.randn(9, 2)])

    assert (shape.path, shape.spec, shape.seen) == ("1", "swish(beta=learned)", True)
    np.testing.assert_array_equal(shapes(model)[0].y, plain.y)


def test_what_a_gradient_rule_learns_is_listed_beside_a_curve_that_does_not_move():
    model = net("step/arctan(alpha=learned)")
    with torch.no_grad():
        model[1].arctan_alpha.fill_(7.0)
    (shape,) = shapes(model)

    assert shape.parameters["arctan_alpha"].tolist() == [7.0]
    assert shape.distance.tolist() == [0.0]
