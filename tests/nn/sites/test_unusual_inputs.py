"""Sites on integers, complex numbers, quantised and jagged tensors are left with their reason; the others are done."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import Tensor, nn

from actlab.nn.probes.probe import probe
from actlab.nn.probes.propagation import propagation
from actlab.nn.sites.find import find
from actlab.nn.transforms.fast import fast
from actlab.nn.transforms.init import init_
from actlab.nn.transforms.slim import slim_
from actlab.nn.transforms.swap import swap_


class Net(nn.Module):
    """A part with an unusual site, between two plain sites."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.part(self.act(self.first(x)))
        return self.last(F.gelu(self.second(y)))

    def part(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class OnIntegers(Net):
    def part(self, x: Tensor) -> Tensor:
        return F.relu((10 * x).long()).to(x.dtype) + x


class OnBytes(Net):
    def part(self, x: Tensor) -> Tensor:
        return (x > 0).to(torch.int8).relu().to(x.dtype) + x


class OnComplexNumbers(Net):
    def part(self, x: Tensor) -> Tensor:
        return torch.fft.ifft(torch.sigmoid(torch.fft.fft(x))).real


class OnQuantisedValues(Net):
    def part(self, x: Tensor) -> Tensor:
        with warnings.catch_warnings(action="ignore"):  # torch 2.13 deprecates them
            return F.relu(torch.quantize_per_tensor(x.detach(), 0.1, 128, torch.quint8)).dequantize()


class OnJaggedTensors(Net):
    def part(self, x: Tensor) -> Tensor:
        return F.relu(torch.nested.nested_tensor_from_jagged(x, torch.tensor([0, 2, len(x)]))).values()


class OnNestedTensors(Net):
    def part(self, x: Tensor) -> Tensor:
        with warnings.catch_warnings(action="ignore"):  # a prototype, says torch
            return F.relu(torch.nested.as_nested_tensor([x[:2], x[2:4]])).to_padded_tensor(0.0).flatten(0, 1)


KINDS = {
    "torch.int64 values": OnIntegers,
    "torch.int8 values": OnBytes,
    "torch.complex64 values": OnComplexNumbers,
    "quantized values": OnQuantisedValues,
    "a nested (jagged) tensor": OnJaggedTensors,
    "nested (jagged)": OnNestedTensors,
}
X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=KINDS)
def case(request):
    torch.manual_seed(0)
    return KINDS[request.param](), request.param


def test_find_gives_the_reason_and_the_others_stay_replaceable(case):
    model, kind = case

    first, unusual, last = find(model, X)

    assert (first.reason, last.reason) == (None, None)
    assert kind in unusual.reason


@pytest.mark.parametrize("change", [lambda m: swap_(m, "tanh", X), lambda m: fast(m, X)], ids=["swap_", "fast"])
def test_the_others_are_replaced(case, change):
    model, kind = case

    changes = change(model)

    assert [each.path for each in changes] == ["act", "forward:F.gelu@1"]
    assert [kind in skipped.reason for skipped in changes.skipped] == [True]


def test_slim_and_init_and_measurements_work(case):
    model, kind = case

    report = probe(model, [X])
    assert [row.path for row in report] == ["act", "forward:F.gelu@1"]
    assert [kind in reason for reason in report.unseen.values()] == [True]
    assert [path for path, _ in init_(model, X)] == ["first.weight", "second.weight", "last.weight"]
    assert len(propagation(model, X).layers) >= 1
    assert len(find(model, X, rounds=1)) == 3
    slim_(model, X)
    model(X).sum().backward()


def test_the_shape_of_a_jagged_input_has_its_ragged_dimension_open():
    assert find(OnJaggedTensors(), X)[1].shape == (2, -1, 4)
