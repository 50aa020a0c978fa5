"""Activations of all arms of a stack are those of each arm's layer."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab import layer
from actlab.studies.stacked.arm_layers import ArmLayers, OneArm
from actlab.studies.stacked.stacked_tensor import StackedTensor


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 3, 2, 4, 4)])
def test_activations_of_arms_with_other_numbers_of_models_are_those_of_their_layers(shape):
    layers = [nn.ReLU(), layer("mish"), layer("tanh"), layer("swish(beta=learned)")]
    sizes = [1, 3, 1, 1]
    parameters = [{}, {}, {}, {"beta": torch.full((1,), 1.5, dtype=torch.float64, requires_grad=True)}]
    arms = [OneArm(layers=[it] * n, parameters=own) for it, n, own in zip(layers, sizes, parameters, strict=True)]
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    orders = [x, x.transpose(0, 1).contiguous().transpose(0, 1)]  # a model after the other, or models within each row
    if x.dim() == 5:
        orders.append(x.permute(1, 3, 4, 0, 2).contiguous().permute(3, 0, 4, 1, 2))

    for given in orders:
        leaf = given.clone(memory_format=torch.preserve_format).requires_grad_()
        y = ArmLayers(arms)(StackedTensor(leaf)).stacked
        again = x.clone().requires_grad_()
        functions = [torch.relu, F.mish, torch.tanh, lambda z: z * torch.sigmoid(1.5 * z)]
        expected = torch.cat([f(part) for f, part in zip(functions, again.split(sizes), strict=True)])
        torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
        slopes = [torch.autograd.grad(it.square().sum(), z)[0] for it, z in ((y, leaf), (expected, again))]
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)
