"""Refusals of an export, all of them at once, by name, place and reason."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab.errors import ExportError


class Counter(nn.Module):
    """Updates a buffer in each pass."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        self.mean.mul_(0.9).add_(0.1 * x.mean())
        return F.relu(x - self.mean)


class Branch(nn.Module):
    """Takes one of two paths by the values of its input."""

    def forward(self, x):
        if x.sum() > 0:
            return x.relu()
        return x.tanh()


class Noise(nn.Module):
    """Draws random slopes, also in eval mode."""

    def forward(self, x):
        return F.rrelu(x, training=True)


class Bessel(nn.Module):
    """Calls a function that ONNX lacks."""

    def forward(self, x):
        return torch.special.bessel_j0(x)


def _message(model, tmp_path):
    with pytest.raises(ExportError) as raised:
        actlab.export(model, torch.randn(4, 3), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
    return str(raised.value)


def test_obstacles_of_a_model_that_can_be_traced_are_listed_with_places_and_reasons(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), Counter(), nn.ModuleDict({"noisy": Noise()})["noisy"], Bessel())
    message = _message(model, tmp_path)
    assert "Counter in 1 (" in message
    assert "updates the buffer 'mean'" in message
    assert "aten.special_bessel_j0 in 3" in message
    assert "in 2 (" in message
    assert "draws random numbers" in message
    assert "F.rrelu(x, training=True)" in message  # the line of the source
    assert "There are 3 obstacles" in message


def test_obstacles_of_a_model_that_cannot_be_traced_are_all_found(tmp_path):
    model = nn.Sequential(nn.Sequential(Branch()), Counter(), Bessel())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    message = _message(model, tmp_path)
    assert "Branch in 0.0 (" in message
    assert "if x.sum() > 0:" in message
    assert "Counter in 1 (" in message
    assert "aten.special_bessel_j0 in 2" in message
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_a_file_that_was_there_stays_when_the_export_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ExportError):
        actlab.export(nn.Sequential(Noise()), torch.randn(4, 3), path)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("to", ["onnx", "c99", "int8"])
def test_a_batch_without_examples_is_refused_in_these_words(tmp_path, to):
    with pytest.raises(ExportError, match="example_inputs: they are a batch without examples; give at least one"):
        actlab.export(nn.Linear(4, 2), torch.zeros(0, 4), tmp_path / "net", to=to)
