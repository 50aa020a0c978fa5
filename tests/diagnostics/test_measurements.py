"""Measurements of a model: hidden activations, attention, and functions that model and loss both apply."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab.diagnostics.measurements import doubled_output_function, measure_model
from actlab.errors import SiteError


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


class Gated(nn.Module):
    """A sigmoid that is a gate, as in squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.a, self.gate, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.out(torch.relu(self.a(x)) * torch.sigmoid(self.gate(x)))


def test_a_gate_does_not_feed_and_a_hidden_function_does():
    hidden = {site.spec: site for site in measure_model(Gated(), draw(8, 6)).hidden}
    plain = measure_model(
        nn.Sequential(nn.Linear(6, 4), nn.Sigmoid(), nn.Flatten(), nn.Linear(4, 2)), draw(8, 6)
    ).hidden

    assert not hidden["sigmoid"].feeds_layer
    assert [(site.spec, site.feeds_layer, site.layer, site.layer_class) for site in plain] == [
        ("sigmoid", True, "0", "Linear")
    ]


def test_the_last_function_is_not_hidden():
    assert (
        measure_model(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2), nn.Sigmoid()), draw(8, 6))
        .hidden[-1]
        .spec
        == "relu"
    )


def test_it_counts_convolutions_norms_and_dropouts_and_sees_attention():
    net = nn.Sequential(
        nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(8, 2)
    )
    found = measure_model(net, draw(8, 1, 6))
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    assert (found.convolutions, found.norms, found.dropouts, found.has_attention) == (1, 1, ("3",), False)
    assert measure_model(block, draw(4, 5, 8)).has_attention


def test_the_model_is_left_as_it_was():
    net = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()

    measure_model(net, draw(32, 6), torch.arange(32) % 3, F.cross_entropy)

    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in net.parameters())


def test_what_cannot_be_measured_is_a_note():
    found = measure_model(nn.Sequential(nn.Linear(6, 2)), draw(8, 6))

    assert found.propagation is None
    assert any("No activation was seen" in note for note in found.notes)
    assert any("8 samples" in note for note in found.notes)


def test_a_model_that_raises_is_an_error():
    with pytest.raises(SiteError, match="raised on example_inputs"):
        measure_model(nn.Linear(3, 2), draw(8, 6))


P = draw(12, 3).softmax(1)
Y = torch.arange(12) % 3
B = (Y == 1).float()[:, None]


@pytest.mark.parametrize(
    ("output", "target", "loss", "found"),
    [
        (P, Y, F.cross_entropy, "softmax"),
        (P, Y, lambda output, y: F.cross_entropy(output, y, label_smoothing=0.1), "softmax"),
        (P, Y, lambda output, y: F.nll_loss(F.log_softmax(output, 1), y), "softmax"),
        (draw(12, 3), Y, F.cross_entropy, None),  # logits
        (P.log(), Y, F.cross_entropy, None),  # log-probabilities are logits as well
        (P, Y, lambda output, y: F.nll_loss(output.log(), y), None),
        (P, F.one_hot(Y, 3).float(), F.mse_loss, None),
        (P[:, :1], B, F.binary_cross_entropy_with_logits, "sigmoid"),
        (P[:, :1], B, lambda o, y: F.binary_cross_entropy_with_logits(o, y, reduction="sum"), "sigmoid"),
        (P[:, :1], B, F.binary_cross_entropy, None),
        (P[:, :1], B, F.mse_loss, None),
        (P[:, :1], P[:, 1:2], F.binary_cross_entropy_with_logits, None),  # targets that are no classes
        (P.argmax(1), Y, F.cross_entropy, None),
    ],
)
def test_a_function_that_model_and_loss_both_apply_is_found_from_values_of_the_loss(output, target, loss, found):
    assert doubled_output_function(output, target, loss) == found
