"""Accuracy of integer nets against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from actlab.errors import ExportError
from actlab.export.integer.agreement import agreement
from actlab.export.integer.quantize import quantize
from actlab.export.net.read import read_net


def nets(model, x):
    net = read_net(model, torch.as_tensor(x[:2]))
    return net, quantize(net, x)


def test_accuracies_and_decisions_are_those_of_the_largest_outputs():
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(700, 5)).astype(np.float32)
    net, whole = nets(nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 4)), x)
    labels = np.random.default_rng(1).integers(0, 4, 700)
    found = agreement(net, whole, x, labels)
    exact, numbers = net.run(x)[0], whole.numbers(x)[0]
    assert found.accuracy_float == np.mean(exact.argmax(1) == labels)
    assert found.accuracy_integer == np.mean(numbers.argmax(1) == labels)
    assert found.decided_otherwise == np.mean(exact.argmax(1) != numbers.argmax(1)) > 0
    assert found.largest_difference == pytest.approx(np.abs(exact - numbers).max(), rel=1e-5)
    assert agreement(net, whole, x).accuracy_float is None


def test_labels_of_another_shape_and_outputs_that_are_indices_are_refused():
    class Decide(nn.Module):
        def forward(self, x):
            return x.argmax(-1)

    x = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    with pytest.raises(ExportError, match=r"The labels have shape \(3,\)"):
        agreement(*nets(nn.ReLU(), x), x, np.zeros(3))
    with pytest.raises(ExportError, match="none of its numbers"):
        agreement(*nets(Decide(), x), x)
