"""Pieces of piecewise activations that inputs reach, and test vectors that reach all of them."""

from __future__ import annotations

import torch
from torch import nn

import actlab
from actlab.export.c99 import examples
from actlab.export.net.pieces import unreached
from actlab.export.net.read import read_net


def read(*acts):
    model = nn.Sequential(*acts)
    return model, read_net(model, torch.zeros(2, 3))


def rows(*numbers):
    return [torch.tensor(numbers).reshape(-1, 1).expand(-1, 3).numpy()]


def test_a_piece_that_no_number_reaches_is_found():
    _, net = read(nn.ReLU6())
    assert unreached(net, rows(-1.0, 1.0, 5.0)) == ["0"]
    assert unreached(net, rows(-1.0, 1.0, 7.0)) == []
    assert unreached(net, rows(0.0, 6.0)) == ["0"]


def test_smooth_functions_have_one_piece():
    _, net = read(nn.GELU(), actlab.layer("mish"))
    assert unreached(net, rows(1.0)) == []


def test_every_activation_is_judged_by_what_reaches_it():
    _, net = read(nn.ReLU(), nn.Hardtanh())
    assert unreached(net, rows(-5.0, 0.5, 5.0)) == ["1"]  # nothing below -1 comes out of a relu


def test_vectors_grow_until_every_piece_is_reached_and_no_further_than_that_helps():
    model, net = read(nn.Hardswish())
    small = ((0.1 * torch.randn(16, 3, generator=torch.Generator().manual_seed(0)),), {})
    inputs, outputs = examples.test_vectors(model, small, net.inputs, 16, net)
    assert unreached(net, inputs) == []
    assert len(inputs[0]) == len(outputs[0]) == 32
    model, net = read(nn.ReLU(), nn.Hardtanh())
    assert abs(examples.test_vectors(model, small, net.inputs, 16, net)[0][0]).max() < 20


def test_the_report_names_what_the_test_vectors_cannot_reach(tmp_path):
    model, _ = read(nn.ReLU(), nn.Hardtanh())
    report = actlab.export(model, torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), tmp_path / "net.c")
    assert report.notes == (
        "The test vectors do not reach every piece of the activation 1; give example_inputs that do.",
    )
