"""Training with rounding against the integer net that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.export.net.random_nets import random_net
from torch import nn

import actlab
from actlab.errors import ExportError
from actlab.export.integer.codings import Codings
from actlab.export.integer.fake import FakeNet
from actlab.export.integer.fine_tune import fine_tune
from actlab.export.integer.lower import lower
from actlab.export.integer.quantize import quantize
from actlab.export.integer.ranges import observe
from actlab.export.integer.settings import QuantizeSettings
from actlab.export.net.read import read_net
from actlab.tasks.builtin import digits

SEEDS = [2, 5, 6, 9, 12, 16]


def fake_net(net, data, rounding="clipped"):
    lowered = lower(net)
    codings = Codings(lowered, observe(lowered, [data]), QuantizeSettings())
    return FakeNet(codings, rounding, "clipped")


def trained_digits():
    """Return a net of gated units, trained for some epochs, with its data."""
    torch.manual_seed(0)
    data = digits.splits(0)
    x, y = data.train.x, data.train.y
    parts = [part for size in (64, 16, 16) for part in (nn.Linear(size, 32), actlab.layer("swiglu"))]
    net = nn.Sequential(*parts, nn.Linear(16, 10))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for batch in batches(x, y, 30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(batch[0]), batch[1]).backward()
        optimizer.step()
    return net.eval(), data


def batches(x, y, epochs):
    draw = torch.Generator().manual_seed(1)
    return [(x[i], y[i]) for _ in range(epochs) for i in torch.randperm(len(x), generator=draw).split(128)]


def test_a_fine_tune_recovers_what_rounding_has_cost():
    net, data = trained_digits()
    x, y = data.test.x.numpy(), data.test.y.numpy()
    calibration = data.train.x[:256].numpy()
    read = read_net(net, data.train.x[:4])

    def accuracy(some):
        return float((quantize(some, calibration).run(x)[0].argmax(1) == y).mean())

    in_float = float((read.run(x)[0].argmax(1) == y).mean())
    before = accuracy(read)
    again = batches(data.train.x, data.train.y, 10)
    tuned = fine_tune(read, calibration, again, nn.functional.cross_entropy, learning_rate=3e-4)
    assert before < in_float - 0.02
    assert accuracy(tuned) > in_float - 0.005
    assert len(tuned.layers) == len(read.layers)
    assert read.layers[0].weight is not tuned.layers[0].weight


def test_the_forward_pass_is_that_of_the_integer_net_but_for_numbers_on_a_half():
    compared = 0
    for seed in SEEDS:
        model, x = random_net(seed)
        data = np.random.default_rng(seed).normal(size=(32, *x.shape[1:])).astype(np.float32)
        net = read_net(model, x)
        try:
            whole = quantize(net, data)
        except ExportError:
            continue
        with torch.no_grad():
            outputs = fake_net(net, data)(torch.as_tensor(data))
        for name, fake, exact in zip(net.outputs, outputs, whole.numbers(data), strict=True):
            if fake.dtype == torch.float32:
                step = whole.codings[name].scale
                assert np.median(np.abs(fake.numpy() - exact)) <= 1.01 * step, f"seed {seed}"
                compared += 1
    assert compared >= 3


def test_without_batches_the_weights_are_those_of_the_float_net():
    torch.manual_seed(0)
    binary = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.BatchNorm2d(4), actlab.layer("sign"), nn.Conv2d(4, 3, 2), nn.Flatten(), nn.Linear(12, 4),
        actlab.layer("swiglu"),
    ).eval()  # fmt: skip
    binary[2].weight.data = torch.tensor([1.0, -1.0, 0.5, -2.0])
    x = torch.randn(20, 1, 8, 8)
    read = read_net(binary, x)
    tuned = fine_tune(read, x.numpy(), [], nn.functional.mse_loss)
    for before, after in zip(read.layers, tuned.layers, strict=True):
        if hasattr(before, "weight"):
            np.testing.assert_array_equal(before.weight, after.weight)
            np.testing.assert_array_equal(before.bias, after.bias)


def test_the_gradient_passes_the_rounding_inside_of_the_range_only():
    net = read_net(nn.Identity(), torch.zeros(2, 3))
    data = np.array([[-1.0, 0.0, 1.0]], np.float32)
    for rounding, expected in (("clipped", [1, 1, 0]), ("1", [1, 1, 1])):
        x = torch.tensor([[-0.9, 0.3, 1.5]], requires_grad=True)
        fake_net(net, data, rounding)(x)[0].sum().backward()
        assert x.grad.tolist() == [expected]


def test_steps_have_the_gradient_of_their_rule():
    model = nn.Sequential(nn.Linear(3, 4), actlab.layer("step"), nn.Linear(4, 2))
    x = torch.randn(20, 3)
    read = read_net(model, x)
    target = torch.randint(0, 2, (20,))
    tuned = fine_tune(read, x.numpy(), [(x, target)] * 3, nn.functional.cross_entropy, steps="rect")
    assert (tuned.layers[0].weight != read.layers[0].weight).any()


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_learning_rate_that_is_not_above_zero_is_refused(rate):
    with pytest.raises(ExportError, match="learning_rate is a finite number above 0"):
        fine_tune(
            read_net(nn.ReLU(), torch.zeros(2, 3)), np.ones((2, 3)), [], nn.functional.mse_loss, learning_rate=rate
        )


def test_a_loss_that_is_no_number_is_an_error():
    net, x = read_net(nn.Linear(3, 2), torch.zeros(2, 3)), torch.ones(2, 3)
    with pytest.raises(ExportError, match="The loss is nan while fine-tuning"):
        fine_tune(net, x.numpy(), [(x, x)], lambda y, _: y.sum() * torch.nan)
