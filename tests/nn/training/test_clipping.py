"""Clipping: gradients per module, against torch for one module; latent weights clamped to their window."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from actlab.errors import LayerError
from actlab.nn.layers.binary import BinaryLinear
from actlab.nn.training.clipping import clip_gradients_, clip_latents_


def test_each_module_is_clipped_as_torch_clips_one():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    (net(torch.randn(16, 6)).square().sum() * 50).backward()
    other = copy.deepcopy(net)
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        two.grad = one.grad.clone()

    norms = clip_gradients_(net, 0.5)
    expected = {str(i): float(nn.utils.clip_grad_norm_(part.parameters(), 0.5)) for i, part in enumerate(other)}

    assert norms == pytest.approx(expected)
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)  # torch divides by the norm plus 1e-6


def test_small_and_nonfinite_gradients_stay():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Linear(1, 1))
    net[0].weight.grad, net[1].weight.grad = torch.tensor([[0.25]]), torch.tensor([[torch.inf]])

    assert clip_gradients_(net) == {"0": 0.25, "1": torch.inf}
    assert net[0].weight.grad.item() == 0.25
    assert net[1].weight.grad.item() == torch.inf
    with pytest.raises(LayerError, match="above 0; got max_norm=0"):
        clip_gradients_(net, 0)


@pytest.mark.parametrize(
    ("rule", "bound", "expected"),
    [("clipped", None, 1.0), ("clipped(c=1.25)", None, 1.25), ("ede", None, 1.0), ("clipped", 0.5, 0.5)],
)
def test_latent_weights_go_back_into_the_window_of_their_rule(rule, bound, expected):
    net = nn.Sequential(nn.Linear(2, 2), BinaryLinear(2, 2, weights=f"sign/{rule}"))
    for part in net:
        part.weight.data.copy_(torch.tensor([[-3.0, 0.25], [7.0, -0.5]]))

    clip_latents_(net, bound)

    assert net[1].weight.tolist() == [[-expected, 0.25], [expected, -0.5]]
    assert net[0].weight.tolist() == [[-3.0, 0.25], [7.0, -0.5]]  # no latent one
    with pytest.raises(LayerError, match="bound above 0; got -1"):
        clip_latents_(net, -1)
