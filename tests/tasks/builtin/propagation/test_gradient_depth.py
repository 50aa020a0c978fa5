"""The gradient that reaches the first layer is the one that torch computes, and the forecast that of the closed form."""

import math

import pytest
import torch
from torch import nn

from actlab.errors import TaskError
from actlab.tasks import resolve
from actlab.tasks.builtin.propagation.deep_digits import DeepNet, scaled_digits
from actlab.tasks.builtin.propagation.gradient_depth import measure


def test_the_decades_are_those_of_the_gradients_at_the_inputs_of_the_first_and_last_activation():
    torch.manual_seed(0)
    model = DeepNet(depth=6, width=128).model(0)
    kept, signal = [], scaled_digits(0, "train").x[:256]
    for layer in model:
        signal = layer(signal)
        if isinstance(layer, nn.Linear) and layer.out_features > 10:
            signal.retain_grad()
            kept.append(signal)
    (signal * torch.randn(signal.shape)).sum().backward()

    expected = math.log10(kept[0].grad.norm() / kept[-1].grad.norm())
    assert measure(model, 0)["decades"] == pytest.approx(expected, abs=0.05)  # of another random linear function


def test_a_relu_net_with_the_initialization_of_torch_loses_the_factor_of_the_square_root_of_six_per_layer():
    torch.manual_seed(0)
    numbers = measure(resolve("gradient:depth-12").model(0), 0)

    assert numbers["forecast"] == pytest.approx(
        -11 * math.log10(math.sqrt(6)), abs=0.1
    )  # 1/3 of the weights, 1/2 of the slopes
    assert numbers["deviation"] == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("depth", ["1", "101", "2.5"])
def test_a_number_out_of_range_is_refused_with_the_range(depth):
    with pytest.raises(TaskError, match="from 2 to 100"):
        resolve(f"gradient:depth-{depth}")
