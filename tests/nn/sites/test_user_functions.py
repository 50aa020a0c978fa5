"""User functions are found by what they compute, called only where they have no side effects, and swapped."""

from __future__ import annotations

import math
import sys

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import Tensor, nn

from actlab.nn.sites.find import find
from actlab.nn.sites.user_functions import match_function
from actlab.nn.transforms.swap import swap_

X = torch.linspace(-2, 2, 12).reshape(3, 4)
CALLS: list[str] = []


# As in the forks of BERT, ESM, XLM and timm.
def gelu(x):
    """BERT's, from before torch had it."""
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def gelu_new(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))))


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def swish(x, inplace: bool = False):
    return x.mul_(x.sigmoid()) if inplace else x.mul(x.sigmoid())


def hard_swish(x, inplace: bool = False):
    inner = F.relu6(x + 3.0).div_(6.0)
    if inplace:
        return x.mul_(inner)
    return x.mul(inner)


def by_another(x):
    return swish(x)


def mish(x):
    return x * F.softplus(x).tanh()


def relu_squared(x):
    return torch.square(torch.clamp(x, min=0))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (gelu, "gelu"),
        (gelu_new, "gelu_tanh"),
        (quick_gelu, "gelu_sigmoid"),
        (swish, "silu"),
        (hard_swish, "hardswish"),
        (by_another, "silu"),
        (mish, "mish"),
        (relu_squared, "squared_relu"),
    ],
)
def test_a_formula_is_recognised_by_what_it_computes(function, name):
    assert match_function(function).name == name


def gelu_off(x):
    return x * 0.5 * (1.0 + torch.erf(x / 1.4145))  # sqrt(2) is 1.41421


def normalised(x):
    return torch.sigmoid(x - x.mean())


def of_two(x, y):
    return torch.sigmoid(x) * y


def noisy(x):
    return torch.relu(x + torch.rand_like(x))


def plain(x):
    return 3 * x + 0.123


@pytest.mark.parametrize("function", [gelu_off, normalised, of_two, noisy, plain, torch.relu, len, lambda x: x.relu()])
def test_what_is_none_is_not_recognised(function):
    assert match_function(function) is None


def writes(x):
    CALLS.append("writes")
    return x.relu()


def saves(x):
    torch.save(x, "/nowhere/x.pt")
    return x.relu()


def loops(x):
    for _ in range(3):
        x = x.relu()
    return x


def hidden(x):
    helper = writes
    helper(x)
    return x.relu()


def calls_one_that_writes(x):
    return writes(x)


def assigns_outside(x):
    CALLS[0] = x
    return x.relu()


def raises(x):
    assert x is None
    return x.relu()


@pytest.mark.parametrize("function", [writes, saves, loops, hidden, calls_one_that_writes, assigns_outside, raises])
def test_what_may_have_an_effect_is_never_called(function):
    CALLS.clear()

    assert match_function(function) is None
    assert CALLS == []


class Fork(nn.Module):
    """A table of functions, one held as an attribute, one called by its name, and one with an argument that changes it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.act = {"gelu": gelu, "swish": swish}["gelu"]

    def forward(self, x: Tensor) -> Tensor:
        return self.third(swish(self.second(self.act(self.first(x))), inplace=True))


def fork() -> Fork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Fork()


@pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])
def test_they_are_sites_once_each_whatever_they_call_inside(example_inputs):
    found = [(site.path, site.spec, site.calls, site.reason) for site in find(fork(), example_inputs)]

    calls = None if example_inputs is None else 1
    expected = [("act", "gelu", calls, None), ("forward:swish@1", "silu", calls, None)]
    assert sorted(found) == expected


def test_they_are_swapped_and_brought_back():
    model = fork()
    before = model(X)

    changes = swap_(model, "sine", X)

    assert torch.equal(model(X), model.third(torch.sin(model.second(torch.sin(model.first(X))))))
    changes.undo()
    assert torch.equal(model(X), before)
    assert model.act is gelu


def test_a_swap_to_what_they_compute_changes_nothing_but_rounding():
    model = fork()
    before = model(X)

    changes = swap_(model, {"gelu": "gelu", "silu": "silu"}, X)

    assert len(changes) == 2
    torch.testing.assert_close(model(X), before)


def scaled_swish(x, beta: float = 1.0):
    return x * torch.sigmoid(beta * x)


def test_a_call_with_other_arguments_is_not_taken_for_the_function():
    class Scaled(nn.Module):
        def forward(self, x):
            return scaled_swish(x, 3.0) + 1

    assert [site.path for site in find(Scaled())] == []
    (site,) = find(Scaled(), X)
    assert (site.path, site.name, site.replaceable) == ("forward:scaled_swish:sigmoid", "sigmoid", False)


def test_one_that_runs_where_no_layer_can_stand_is_seen_with_the_reason():
    class Mapped(nn.Module):
        def forward(self, x):
            return sum(map(gelu, [x, -x]))

    (site,) = find(Mapped(), X)

    assert (site.name, site.calls, site.replaceable) == ("gelu", 2, False)
    assert "reached through sum(...)" in site.reason


def test_a_profiler_that_is_set_stays_set():
    called = []
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    try:
        find(fork(), X)
        profiler = sys.getprofile()
    finally:
        sys.setprofile(None)

    assert {"gelu", "swish"} <= set(called)
    assert profiler is not None
