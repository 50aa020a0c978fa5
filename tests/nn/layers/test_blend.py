"""Blend: exact to the bit at both ends, (1 - t) old + t new in between, with the gradients of that formula."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter

from actlab.errors import LayerError
from actlab.nn.layers.blend import PACE_LIMIT, Blend
from actlab.nn.layers.layer import layer

X = torch.linspace(-3, 3, 24).reshape(4, 6)


def blend(**options):
    return Blend(nn.ReLU(), layer("gelu"), **options)


@pytest.mark.parametrize(("share", "function"), [(0.0, F.relu), (1.0, F.gelu)])
@pytest.mark.parametrize("learned", [False, True])
def test_at_the_ends_it_is_one_function_to_the_bit(share, function, learned):
    made = blend(learned=learned)
    if learned:
        made.pace.data.fill_(1.3)  # whatever has been learned
    made.set_share(share)

    assert torch.equal(made(X), function(X))


def test_at_the_ends_only_one_function_runs():
    class Fails(nn.Module):
        def forward(self, x):
            raise AssertionError(x)

    first, last = Blend(nn.ReLU(), Fails()), Blend(Fails(), nn.ReLU())
    last.set_share(1.0)

    assert torch.equal(first(X), last(X))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_between_it_is_the_weighted_mean(share):
    made = blend().double()
    made.set_share(share)
    x = X.double()

    expected = (1 - share) * F.relu(x) + share * F.gelu(x)
    assert torch.allclose(made(x), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("pace", [-0.7, 0.0, 0.9])
def test_a_learned_pace_is_an_exponent_of_the_share(pace):
    made = blend(learned=True).double()
    made.set_share(0.3)
    made.pace.data.fill_(pace)

    t = 0.3 ** torch.tensor(pace, dtype=torch.float64).exp()
    expected = (1 - t) * F.relu(X.double()) + t * F.gelu(X.double())
    assert torch.allclose(made(X.double()), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("options", [{}, {"scale": 1.7}, {"scale": 1.7, "keep": True}])
def test_gradients_of_input_and_pace_are_those_of_finite_differences(options):
    made = Blend(nn.Tanh(), layer("gelu"), learned=True).double()  # smooth, so that differences converge everywhere
    made.set_share(0.4)
    if options:
        made.set_scale(**options)
    x = X.double().requires_grad_()
    made.pace.data.fill_(0.2)

    def function(x, pace):
        return torch.func.functional_call(made, {"pace": pace}, (x,))

    assert torch.autograd.gradcheck(function, (x, made.pace.detach().clone().requires_grad_()))


def test_the_pace_is_bounded_and_gets_no_gradient_at_the_ends():
    made = blend(learned=True)
    made.set_share(0.5)
    made.pace.data.fill_(100.0)
    assert float(made.weight_of_new.detach()) == pytest.approx(0.5 ** torch.tensor(PACE_LIMIT).exp().item())

    made.set_share(1.0)
    made(X.clone().requires_grad_()).sum().backward()
    assert made.pace.grad is None


def test_a_scale_that_is_not_kept_is_one_at_the_end():
    made = blend()
    made.set_scale(2.0)
    made.set_share(0.5)
    assert torch.allclose(made(X), 0.5 * F.relu(X) + 0.5 * 2.0**0.5 * F.gelu(X))

    made.set_share(1.0)
    assert torch.equal(made(X), F.gelu(X))


def test_a_scale_that_is_kept_is_there_at_the_end():
    made = blend()
    made.set_scale(2.0, keep=True)
    made.set_share(0.5)
    assert torch.allclose(made(X), 0.5 * F.relu(X) + F.gelu(X))

    made.set_share(1.0)
    assert torch.equal(made(X), 2 * F.gelu(X))


def test_an_old_function_that_overwrites_its_input_gets_a_copy_while_both_run():
    made = Blend(nn.ReLU(inplace=True), layer("gelu"), overwrites=True)
    made.set_share(0.5)
    x = X.clone()

    assert torch.allclose(made(x), (F.relu(X) + F.gelu(X)) / 2)
    assert torch.equal(x, X)
    made.set_share(0.0)
    made(x)
    assert torch.equal(x, F.relu(X)), "alone, it overwrites as it always did"


def test_two_blocks_of_different_width_run_side_by_side():
    made = [nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)], [nn.Linear(6, 10), layer("reglu"), nn.Linear(5, 3)]
    old, new = (nn.Sequential(*part) for part in made)
    first = Blend(old[0], new[0], joins=False)
    middle = Blend(old[1], new[1], split=4, joins=False)
    last = Blend(old[2], new[2], split=4)
    whole = nn.Sequential(first, middle, last)

    for share, expected in [(0.0, old(X)), (0.25, 0.75 * old(X) + 0.25 * new(X)), (1.0, new(X))]:
        for part in whole:
            part.set_share(share)
        compare = torch.equal if share in {0.0, 1.0} else torch.allclose
        assert compare(whole(X), expected)


def test_a_function_that_is_no_module_can_be_blended_and_copied():
    made = Blend(F.relu, layer("gelu"))
    made.set_share(0.5)

    assert torch.equal(copy.deepcopy(made)(X), made(X))
    assert torch.allclose(made(X), (F.relu(X) + F.gelu(X)) / 2)


def test_its_state_holds_share_scale_and_pace():
    made, other = blend(learned=True), blend(learned=True)
    made.set_share(0.3)
    made.set_scale(1.25)
    made.pace.data.fill_(0.5)

    other.load_state_dict(made.state_dict())

    assert torch.equal(other(X), made(X))
    assert sorted(made.state_dict()) == ["pace", "scale", "share"]


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(LayerError, match="from 0"):
        blend().set_share(share)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(LayerError, match="above 0"):
        blend().set_scale(scale)


def test_it_keeps_the_dtype_of_what_flows():
    made = blend(learned=True)
    made.set_share(0.5)

    assert made(X.bfloat16()).dtype == torch.bfloat16
    assert made(X.double()).dtype == torch.float64


def test_it_compiles_in_one_graph_and_takes_new_shares_without_compiling_again():
    made = blend()
    made.set_scale(1.5)
    counts = CompileCounter()
    compiled = torch.compile(made, backend=counts, fullgraph=True)
    for share in (0.2, 0.4, 0.6, 0.8):
        made.set_share(share)
        assert torch.equal(compiled(X), made(X))
    assert counts.frame_count == 1
