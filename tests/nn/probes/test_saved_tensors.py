"""Saved bytes, counted by hand for small graphs."""

from __future__ import annotations

import torch
from torch import nn

from actlab.nn.probes.saved_tensors import SavedTensors, saved_bytes


def test_every_storage_counts_once():
    x = torch.ones(10, requires_grad=True)
    with SavedTensors([x]) as saved:
        y = x.exp()  # keeps its result
        z = y * y[:]  # keeps the same storage, twice

    assert saved.bytes == 40
    assert z.shape == (10,)


def test_what_is_freed_no_longer_counts():
    x = torch.ones(10, requires_grad=True)
    with SavedTensors([x]) as saved:
        y = x.exp()
        before = saved.bytes
        y.sum().backward()

    assert (before, saved.bytes) == (40, 0)


def test_gradients_inside_are_those_outside():
    x = torch.linspace(-1, 1, 7, requires_grad=True)
    with SavedTensors():
        (inside,) = torch.autograd.grad((x.sin() * x).sum(), x, create_graph=True)
        (twice,) = torch.autograd.grad(inside.sum(), x)

    torch.testing.assert_close(inside, x.cos() * x + x.sin())
    torch.testing.assert_close(twice, 2 * x.cos() - x.sin() * x)


def test_a_model_is_measured_in_training_and_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)).eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.get_rng_state()

    measured = saved_bytes(model, torch.randn(16, 4, generator=torch.Generator().manual_seed(0)))

    # BatchNorm's input, its two statistics, dropout's result for the Linear and its mask
    assert measured in {2 * 512 + 2 * 32 + size for size in (128, 512)}  # a mask of bytes, or of floats
    assert not model.training
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
