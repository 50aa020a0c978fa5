"""Recognition and swaps at any default dtype and default device, and on the meta device; nothing is cached from another."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.probes.probe import probe
from actlab.nn.probes.propagation import propagation
from actlab.nn.sites.find import find
from actlab.nn.transforms.init import init_
from actlab.nn.transforms.slim import slim_
from actlab.nn.transforms.swap import swap_


class Swish(nn.Module):
    """A module that is known by its values."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


def mine(x: Tensor) -> Tensor:
    return x * torch.tanh(F.softplus(x))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.swish, self.last = nn.Linear(4, 8), Swish(), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(mine(self.swish(self.first(x))))


@contextmanager
def default(dtype: torch.dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def names(model: nn.Module, *inputs: Tensor) -> list[str | None]:
    return sorted(site.name or "" for site in find(model, *inputs))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_default_dtype_changes_no_recognition_then_or_later(dtype):
    with default(dtype):
        assert names(Net()) == ["mish", "silu"]
        assert names(Net(), torch.randn(2, 4)) == ["mish", "silu"]

    assert names(Net()) == ["mish", "silu"]
    assert torch.get_default_dtype() is torch.float32


def test_a_default_device_changes_no_recognition_then_or_later():
    with torch.device("meta"):
        assert names(Net(), torch.randn(2, 4)) == ["mish", "silu"]

    assert names(Net()) == ["mish", "silu"]


@pytest.mark.parametrize("spec", ["relu", "prelu(weight=learned_per_channel)", "swish(beta=learned)"])
def test_models_on_the_meta_device_are_swapped(spec):
    with torch.device("meta"):
        model, x = Net(), torch.randn(2, 4)

    changes = swap_(model, spec, x)

    assert len(changes) == 2
    assert all(parameter.is_meta for parameter in model.parameters())
    assert [path for path, _ in init_(model, x)] == ["first.weight", "last.weight"]


def test_measurements_on_the_meta_device_are_refused_with_the_reason():
    with torch.device("meta"):
        model, x = Net(), torch.randn(2, 4)

    with pytest.raises(SiteError, match="meta device"):
        propagation(model, x)
    with pytest.raises(SiteError, match="meta device"):
        probe(model, [x])


def learning():
    """A model on the meta device that learns a slope for all units, and one for each."""
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(4, 8), nn.PReLU(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2), nn.PReLU(2))


def test_learned_numbers_on_the_meta_device_are_found_without_a_value():
    model, x = learning(), torch.randn(3, 4, device="meta")

    assert [site.spec for site in find(model, x)] == ["prelu", "gelu", "prelu(weight=learned_per_channel)"]
    assert [path for path, _ in init_(model, x)] == ["0.weight", "2.weight", "4.weight"]
    assert [change.old for change in swap_(model, "mish", x)] == ["prelu", "gelu"]


@pytest.mark.parametrize("inputs", [torch.zeros(3, 4, device="meta"), torch.zeros(3, 4)], ids=["meta", "cpu"])
def test_slim_on_the_meta_device_says_what_is_missing(inputs):
    with pytest.raises(SiteError, match=r"training step.*'0.weight' is on the meta device.*to_empty"):
        slim_(learning(), inputs)


def test_slim_without_inputs_works_on_the_meta_device():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 8), nn.ELU(inplace=False), nn.Linear(8, 8), nn.Hardtanh(), nn.PReLU())

    assert len([*(savings := slim_(model)), *savings.skipped]) == 3


def test_a_swap_under_another_default_device_follows_the_model():
    model, x = Net(), torch.randn(2, 4)

    with torch.device("meta"):
        swap_(model, "prelu(weight=learned_per_channel)", x)

    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert model(x).shape == (2, 2)
