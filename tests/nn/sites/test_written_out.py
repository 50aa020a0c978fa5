"""Functions written out in one expression are one site; parts of any other formula are left, with the reason."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import nn

from actlab.nn.sites.find import find
from actlab.nn.transforms.fast import fast
from actlab.nn.transforms.slim import slim_
from actlab.nn.transforms.swap import swap_

X = torch.linspace(-2, 2, 12).reshape(3, 4)
MODES = pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)
        self.alpha, self.beta = 1.702, nn.Parameter(torch.ones(1))


class Mish(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(h * torch.tanh(F.softplus(h)))


class QuickGELU(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(h * torch.sigmoid(self.alpha * h))


class Rebound(Block):
    def forward(self, x):
        x = self.a(x)
        x = x.sigmoid() * x
        return self.b(x)


class Divided(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(h / (1 + torch.exp(-h)))


class ErfGELU(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(0.5 * h * (1.0 + torch.erf(h / math.sqrt(2.0))))


class TanhGELU(Block):
    def forward(self, x):
        h = self.a(x)
        inner = h + 0.044715 * torch.pow(h, 3.0)
        return self.b(0.5 * h * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (h + 0.044715 * h**3)))) + 0 * inner.sum()


class HardSwish(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(h * F.relu6(h + 3) / 6)


class HardSigmoid(Block):
    def forward(self, x):
        return self.b(F.relu6(self.a(x) + 3) / 6)


class SquaredReLU(Block):
    def forward(self, x):
        return self.b(F.relu(self.a(x)) ** 2)


class Square(Block):
    def forward(self, x):
        return self.b(
            torch.square(
                self.a(x).relu(),
            )
        )


WHOLE = {
    Mish: "mish",
    QuickGELU: "gelu_sigmoid",
    Rebound: "silu",
    Divided: "silu",
    ErfGELU: "gelu",
    TanhGELU: "gelu_tanh",
    HardSwish: "hardswish",
    HardSigmoid: "hardsigmoid",
    SquaredReLU: "squared_relu",
    Square: "squared_relu",
}


class InSteps(Block):
    def forward(self, x):
        h = self.a(x)
        gate = torch.sigmoid(h)
        return self.b(h * gate)


class Overwritten(Block):
    def forward(self, x):
        h = self.a(x)
        h *= torch.sigmoid(h)
        return self.b(h)


class Learned(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(h * torch.sigmoid(self.beta * h))


class Detached(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(h * torch.sigmoid(h).detach())


class Unregistered(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(h * torch.sigmoid(1.31 * h))


class Logistic(Block):
    def forward(self, x):
        s = torch.sigmoid(self.a(x))
        return self.b(s * (1 - s))


class WithModule(Block):
    def __init__(self):
        super().__init__()
        self.act = nn.Sigmoid()

    def forward(self, x):
        h = self.a(x)
        return self.b(h * self.act(h))


class SquaredLater(Block):
    def forward(self, x):
        h = F.relu(self.a(x))
        return self.b(h * h)


PARTS = [InSteps, Overwritten, Learned, Detached, Unregistered, Logistic, WithModule, SquaredLater]


class OtherValue(Block):
    """The gate of a squeeze-and-excitation block."""

    def forward(self, x):
        h = self.a(x)
        return self.b(h * torch.sigmoid(self.a(x.mean(1, keepdim=True) * torch.ones(4))))


class Halves(Block):
    def forward(self, x):
        h = self.a(x)
        return self.b(torch.cat([h[:, :4] * torch.sigmoid(h[:, 4:])] * 2, 1))


class Scaled(Block):
    def forward(self, x):
        return self.b(1.1 * torch.tanh(self.a(x)) + 0.3)


class Nested(Block):
    def forward(self, x):
        return self.b(torch.tanh(self.a(x)) + self.a(x))


@MODES
@pytest.mark.parametrize("cls", WHOLE)
def test_a_function_written_out_is_one_site_swapped_as_a_whole(cls, example_inputs):
    model = cls()
    before = model(X)
    (site,) = find(model, example_inputs)
    assert (site.path, site.spec, site.reason) == (f"forward:{WHOLE[cls]}@1", WHOLE[cls], None)
    assert site.calls == (None if example_inputs is None else 1)

    changes = swap_(model, "sine", example_inputs)

    assert torch.equal(model(X), model.b(torch.sin(model.a(X))))
    assert [each.path for each in find(model, example_inputs)] == [f"forward_{WHOLE[cls]}_1"]
    changes.undo()
    assert torch.equal(model(X), before)


@MODES
@pytest.mark.parametrize("cls", PARTS)
def test_a_part_of_a_formula_is_left_with_the_reason(cls, example_inputs):
    (site,) = find(cls(), example_inputs)

    assert not site.replaceable
    assert "part of a function that is written out" in site.reason


@MODES
@pytest.mark.parametrize("cls", [OtherValue, Halves, Scaled, Nested])
def test_what_another_value_gates_or_numbers_scale_is_a_site_as_before(cls, example_inputs):
    (site,) = find(cls(), example_inputs)

    assert (site.name in {"sigmoid", "tanh"}, site.replaceable) == (True, True)


@pytest.mark.parametrize("cls", [*WHOLE, *PARTS])
@pytest.mark.parametrize("transform", [fast, slim_])
def test_fast_and_slim_keep_what_is_written_out(cls, transform):
    model = cls()
    before = model(X)

    transform(model, X)

    torch.testing.assert_close(model(X), before)


def test_the_function_that_is_there_leaves_the_model_to_the_bit():
    model = TanhGELU()
    before = model(3 * X)

    swap_(model, "gelu_tanh", X)

    assert torch.equal(model(3 * X), before)


def test_two_in_one_method_beside_a_call_on_the_same_line():
    class Two(Block):
        def forward(self, x):
            h, k = self.a(x), self.a(-x)
            return self.b(h * torch.sigmoid(h) + k * torch.sigmoid(k) + F.relu(h))

    model = Two()
    assert [site.path for site in find(model, X)] == ["forward:silu@1", "forward:silu@2", "forward:F.relu@1"]

    swap_(model, {"forward:silu@2": "sine"}, X)
    swap_(model, {"relu": "softsign"}, X)

    h, k = model.a(X), model.a(-X)
    assert torch.equal(model(X), model.b(h * torch.sigmoid(h) + torch.sin(k) + F.softsign(h)))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_and_pickles_keep_the_swap(copied):
    model = Mish()
    swap_(model, "sine", X)

    assert torch.equal(copied(model)(X), model.b(torch.sin(model.a(X))))
