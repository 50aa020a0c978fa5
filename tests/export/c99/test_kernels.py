"""Nets of small devices as C, and special values in the kernels."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.export.c99.compiled import compiled
from tests.export.net.zoo import ZOO, build, net_of
from torch import nn
from torch.utils._pytree import tree_leaves

from actlab.errors import ExportError
from actlab.export.c99.kernels import kernel_source
from actlab.export.c99.source import print_net
from actlab.export.net.read import read_net

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
NAN, INF = float("nan"), float("inf")


class Special(nn.Module):
    """Kernels that have to choose among numbers."""

    def forward(self, x):
        pooled = F.max_pool1d(x.unsqueeze(1), 2, 1, 1)
        larger = torch.maximum(x, x[:, :1]), torch.minimum(x, x[:, 1:2])
        return pooled.flatten(1), x.argmax(1), F.softmax(x, 1), F.relu(x), *larger


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    nets = {name: net_of(name) for name in ZOO} | {"special": read_net(Special(), torch.zeros(2, 4))}
    return compiled(nets, tmp_path_factory.mktemp("nets"))


@pytest.mark.parametrize("name", ZOO)
def test_a_net_computes_in_c_what_the_model_computes(functions, name):
    model, inputs = build(name)
    with torch.no_grad():
        wanted = tree_leaves(model(*inputs))
    for want, got in zip(wanted, functions[name](*(each.numpy() for each in inputs)), strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-5, atol=1e-5)


def test_nan_and_infinities_pass_as_in_torch(functions):
    x = torch.tensor([[1, NAN, 3, NAN], [INF, 2, INF, 0], [-INF, -INF, -INF, -INF], [-INF, 1, NAN, INF], [0, 5, 5, 1]])
    for want, got in zip(Special()(x), functions["special"](x.numpy()), strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-6)


def test_what_has_no_c_form_is_named_by_its_layer():
    net = read_net(nn.Sequential(nn.ReLU(), nn.ConstantPad2d(1, 0.5)), torch.zeros(2, 1, 1, 2, 2))
    with pytest.raises(ExportError, match=r"- 1: .* pads a tensor of 4 dimensions"):
        print_net(net, "net")


def test_kernels_come_with_what_they_call_and_nothing_else():
    text, functions = kernel_source(["max_pool"])
    assert "static void max_pool(" in text
    assert "static int32_t end_inside(" in text
    assert "static void dense(" not in text
    assert not functions
