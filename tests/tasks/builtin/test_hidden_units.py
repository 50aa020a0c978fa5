"""Numbers of hidden units are those of nets whose units were set by hand."""

import pytest
import torch
from torch import nn

import actlab
from actlab.tasks.builtin.hidden_units import hidden_units


def net(activation, weights, biases):
    """Return a net of one input and one hidden layer with the given weights and biases."""
    model = nn.Sequential(nn.Linear(1, len(weights)), activation, nn.Linear(len(weights), 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(weights)[:, None])
        model[0].bias.copy_(torch.tensor(biases))
    return model


INPUTS = torch.linspace(-1, 1, 201)[:, None]


def test_a_unit_that_is_off_on_every_example_is_dead_and_one_that_is_on_for_one_example_is_not():
    numbers = hidden_units(net(nn.ReLU(), [1.0, 1.0, 1.0, 1.0], [-1.0, -0.995, 5.0, 0.0]), INPUTS)

    assert (numbers["dead"], numbers["stuck"]) == (0.25, 0.25)


def test_a_saturated_unit_is_stuck_and_not_dead():
    numbers = hidden_units(net(nn.Tanh(), [1.0, 1.0], [0.0, 9.0]), INPUTS)

    assert (numbers["dead"], numbers["stuck"]) == (0.0, 0.5)


def test_a_small_unit_is_dormant_by_its_size_relative_to_the_layer_though_it_is_not_dead():
    numbers = hidden_units(net(nn.GELU(), [1.0, 1.0, 0.001], [3.0, 3.0, 0.0]), INPUTS)

    assert (numbers["dead"], numbers["dormant"]) == (0.0, pytest.approx(1 / 3))


def test_means_variances_and_offsets_are_those_of_the_outputs_of_each_layer():
    model = net(actlab.layer("identity"), [1.0, 2.0], [0.0, 3.0])
    outputs = model[0](INPUTS).detach().double()
    numbers = hidden_units(model, INPUTS)

    root = outputs.square().mean().sqrt()
    assert numbers["mean"] == pytest.approx(1.5)
    assert numbers["variance"] == pytest.approx(float(outputs.var()))
    assert numbers["offset"] == pytest.approx(float((0 + 3) / 2 / root), rel=1e-6)


def test_the_mode_and_the_weights_of_the_model_are_left():
    model = net(nn.ReLU(), [1.0], [0.0]).train()
    before = model[0].weight.clone()
    hidden_units(model, INPUTS)

    assert model.training
    assert torch.equal(model[0].weight, before)
