"""Relufication: smooth functions become ReLU, quality is measured, and zeros are counted."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from actlab.errors import SiteError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.morph.relufy import SMOOTH, relufy_

X = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
BATCHES = [(X[i : i + 50], Y[i : i + 50]) for i in range(0, 300, 50)]


class Net(nn.Module):
    """A call, a module, a gated unit, and a tanh that is not to be touched."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 16), nn.Linear(8, 2)
        self.act, self.gated, self.last = nn.SiLU(), layer("swiglu"), nn.Tanh()

    def forward(self, x):
        x = self.act(self.two(F.gelu(self.one(x))))
        return self.head(self.last(self.gated(self.three(x))))


def accuracy(model):
    return float((model(X).argmax(1) == Y).double().mean())


def test_smooth_functions_become_relu_and_the_zeros_are_those_of_the_model():
    torch.manual_seed(0)
    model = Net()
    found = relufy_(model, BATCHES, F.cross_entropy, evaluate=accuracy, steps=20, learning_rate=1e-2)

    new = sorted(str(part.spec) for part in model.modules() if isinstance(part, ActivationLayer))
    assert new == ["reglu", "relu", "relu"]
    assert isinstance(model.last, nn.Tanh)
    assert found.before == {"forward:F.gelu@1": 0.0, "act": 0.0, "gated": 0.0}
    assert found.after.keys() == found.before.keys()
    with torch.no_grad():
        x = X[:200]  # four batches
        h = F.relu(model.one(x))
        h2 = F.relu(model.two(h))
    assert found.after["forward:F.gelu@1"] == pytest.approx(float((h == 0).double().mean()), abs=1e-9)
    assert found.after["act"] == pytest.approx(float((h2 == 0).double().mean()), abs=1e-9)
    assert "were zero" in repr(found)
    assert found.recovery.after == accuracy(model.eval())


def test_undo_takes_it_back():
    torch.manual_seed(0)
    model = Net()
    text = repr(model)
    relufy_(model, BATCHES, F.cross_entropy, evaluate=accuracy, steps=4).undo()

    assert repr(model) == text


def test_a_model_without_smooth_functions_is_an_error():
    with pytest.raises(SiteError, match=r"its activations are relu"):
        relufy_(nn.Sequential(nn.Linear(6, 2), nn.ReLU()), BATCHES, F.cross_entropy, evaluate=accuracy)


@pytest.mark.parametrize(("old", "new"), SMOOTH.items())
def test_each_of_them_is_near_what_it_becomes(old, new):
    x = torch.linspace(-6, 6, 200)
    one, ones = layer(old), torch.ones_like(x)
    made, wanted = (f(x, ones) if new == "reglu" else f(x) for f in (one, layer(new)))

    assert float((made - wanted).detach().abs().max()) < 0.7  # softplus at 0 is ln 2
    assert (made == 0).sum() < 20
