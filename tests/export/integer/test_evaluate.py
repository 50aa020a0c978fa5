"""The NumPy evaluation of integer nets against Python's own integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.export.integer import slow_arithmetic
from tests.export.net.random_nets import random_net
from torch import nn

import actlab
from actlab.errors import ExportError
from actlab.export.integer.quantize import quantize
from actlab.export.net.read import read_net

SEEDS = range(20)


def whole_net(seed):
    """Return a random net in integers, and float inputs beyond the calibration data; None where it is refused."""
    model, x = random_net(seed)
    data = np.random.default_rng(seed).normal(size=(32, *x.shape[1:])).astype(np.float32)
    try:
        net = quantize(read_net(model, x), data)
    except ExportError:
        return None, data
    return net, 2 * data[:2]


def count_equal(seeds):
    """Return in how many random nets all tensors are those of exact integers; the rest is refused or large."""
    checked = 0
    for seed in seeds:
        net, x = whole_net(seed)
        if net is None or sum(int(np.prod(shape)) for shape in net.shapes.values()) > 2_000:
            continue
        fast = net.tensors(net.encode(x))
        slow = slow_arithmetic.run(net, {name: fast[name][0] for name in net.inputs})
        for name, codes in fast.items():
            np.testing.assert_array_equal(codes[0], slow[name], err_msg=f"seed {seed}, {name}")
        checked += 1
    return checked


def test_all_tensors_of_random_nets_are_those_of_exact_integers():
    assert count_equal(SEEDS) >= 6


@pytest.mark.slow
def test_all_tensors_of_many_random_nets_are_those_of_exact_integers():
    assert count_equal(range(20, 420)) >= 300


@pytest.mark.slow
def test_random_nets_are_near_the_float_nets():
    far, seen = [], 0
    for seed in range(200):
        model, x = random_net(seed)
        data = np.random.default_rng(seed).normal(size=(64, *x.shape[1:])).astype(np.float32)
        try:
            read = read_net(model, x)
            net = quantize(read, data)
        except ExportError:
            continue
        for name, got, exact in zip(net.outputs, net.numbers(data), read.run(data), strict=True):
            if exact.dtype != np.float32:
                continue
            error = float(np.sqrt(np.mean((got - exact) ** 2)))
            seen += 1
            if error > 0.1 * exact.std() + net.codings[name].scale:
                far.append((seed, error))
    assert seen > 100
    assert len(far) <= 0.02 * seen, far


def test_a_net_in_bits_is_that_of_exact_integers():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), actlab.layer("sign"), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1), actlab.layer("step"), nn.Flatten(), nn.Linear(54, 3),
    ).eval()  # fmt: skip
    x = torch.randn(8, 1, 6, 6)
    net = quantize(read_net(model, x), x.numpy())
    fast = net.tensors(net.encode(x.numpy()))
    slow = slow_arithmetic.run(net, {net.inputs[0]: fast[net.inputs[0]][0]})
    for name, codes in fast.items():
        np.testing.assert_array_equal(codes[0], slow[name], err_msg=name)


def test_many_examples_are_computed_in_parts_with_the_same_codes():
    model = nn.Sequential(nn.Linear(3, 4), nn.GELU())
    x = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    net = quantize(read_net(model, torch.zeros(2, 3)), x)
    whole = net.run(x)[0]
    assert whole.shape == (600, 4)
    np.testing.assert_array_equal(whole[500:], net.run(x[500:])[0])


def test_inputs_are_rounded_half_to_even_and_saturate_and_nan_is_zero():
    net = quantize(read_net(nn.ReLU(), torch.zeros(2, 6)), np.array([[0.0] * 5 + [255.0]], np.float32), input_scale=1.0)
    codes = net.encode(np.array([[0.5, 1.5, -3.0, 1e30, np.nan, np.inf]], np.float32))[0]
    assert codes.tolist() == [[-128, -126, -128, 127, -128, 127]]


def test_inputs_of_another_shape_are_refused():
    net = quantize(read_net(nn.ReLU(), torch.zeros(2, 3)), np.ones((4, 3), np.float32))
    with pytest.raises(ExportError, match=r"takes arrays of shapes .*got"):
        net.run(np.ones((4, 2), np.float32))
