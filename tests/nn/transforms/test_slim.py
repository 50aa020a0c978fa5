"""slim_: less is saved, outputs stay the same, and undo."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from actlab.errors import SiteError
from actlab.nn.layers.deferred import Deferred
from actlab.nn.layers.layer import layer
from actlab.nn.layers.memory_saving import SlimLayer
from actlab.nn.probes.saved_tensors import saved_bytes
from actlab.nn.sites.find import find
from actlab.nn.transforms import slim as module
from actlab.nn.transforms.slim import slim_
from actlab.nn.transforms.swap import swap_

ROWS, IN, HIDDEN = 16, 6, 24
N = ROWS * HIDDEN * 4  # bytes of one copy of the hidden values
X = torch.randn(ROWS, IN, generator=torch.Generator().manual_seed(0))


def mlp(activation: nn.Module, *between: nn.Module, hidden: int = HIDDEN) -> nn.Sequential:
    return nn.Sequential(nn.Linear(IN, hidden), activation, *between, nn.Linear(HIDDEN, 3))


class Mish3(nn.Module):
    def forward(self, x):
        return x * torch.tanh(F.softplus(x))


class Written(nn.Module):
    """Functional calls, one of them in three operations."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(IN, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 3)

    def forward(self, x):
        h = F.gelu(self.first(x))
        h = self.second(h)
        return self.last(h * torch.tanh(F.softplus(h)))


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(IN, HIDDEN, bias=False), nn.Linear(IN, HIDDEN, bias=False)
        self.down_proj, self.act_fn = nn.Linear(HIDDEN, IN, bias=False), nn.SiLU()

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class Chunked(nn.Module):
    def __init__(self):
        super().__init__()
        self.both, self.last = nn.Linear(IN, 2 * HIDDEN), nn.Linear(HIDDEN, IN)

    def forward(self, x):
        gate, value = self.both(x).chunk(2, dim=-1)
        return self.last(F.silu(gate) * value)


def cnn(activation) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), activation(), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), activation(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("make", "before", "after"),
    [
        (lambda: mlp(nn.ReLU()), 1, 1),
        (lambda: mlp(nn.Tanh()), 1, 1),
        (lambda: mlp(nn.GELU()), 2, 1),
        (lambda: mlp(nn.Mish()), 2, 1),
        (lambda: mlp(nn.SiLU(inplace=True)), 2, 1),
        (lambda: mlp(nn.PReLU()), 2, 1),
        (lambda: mlp(nn.ELU()), 2, 1),
        (lambda: mlp(nn.LeakyReLU(0.2)), 2, 1),
        (lambda: mlp(Mish3()), 3, 1),
        (lambda: mlp(layer("swish(beta=learned)")), 4, 1),
        (lambda: mlp(nn.GELU(), nn.Dropout(0.0)), 2, 1),
        (lambda: mlp(nn.GLU(), hidden=2 * HIDDEN), 3, 2),
        (Llama, 4, 2),
        (Chunked, 4, 2),
        (Written, 5, 2),
    ],
)
def test_bytes_are_one_copy_of_each_input_and_the_function_is_the_same(make, before, after):
    torch.manual_seed(0)
    model = make()
    plain, keys = copy.deepcopy(model), list(model.state_dict())

    savings = slim_(model, X)

    assert (savings.before, savings.after) == (before * N, after * N)
    assert saved_bytes(model, X) == after * N
    assert list(model.state_dict()) == keys
    for state in ("slim", "undone"):
        results = [m(X) for m in (model, plain)]
        assert torch.equal(*results)
        gradients = [
            torch.autograd.grad(y.square().sum(), list(m.parameters()))
            for y, m in zip(results, (model, plain), strict=True)
        ]
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        if state == "slim":
            savings.undo()
    assert saved_bytes(model, X) == before * N
    assert str(model) == str(plain)


@pytest.mark.parametrize(
    ("activation", "before", "after"),
    [
        # two BatchNorms keep a copy of the values of their convolution, and the second convolution its input: 3 copies
        (nn.SiLU, 5, 4),  # the first goes into the convolution; the mean keeps nothing, so the second's input stays
        (nn.ELU, 5, 4),  # its output is that input; before the mean, input or output is the same
        (nn.LeakyReLU, 5, 3 + 1 / 32),
        (nn.ReLU, 4, 3 + 1 / 32),
    ],
)
def test_a_convolutional_net(activation, before, after):
    torch.manual_seed(0)
    savings = slim_(cnn(activation), IMAGES)

    one = 4 * 8 * 8 * 8 * 4
    small = 2 * 2 * 8 * 4 + 4 * 8 * 4  # means and deviations of the BatchNorms, and the input of the Linear
    assert (savings.before, savings.after) == (before * one + small, after * one + small)


def test_a_relu_whose_output_no_other_layer_saves_is_packed():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(IN, IN)

        def forward(self, x):
            return x + F.relu(self.linear(x))

    model = Residual()
    savings = slim_(model, X)

    assert (savings.before, savings.after) == (ROWS * IN * 4, ROWS * IN // 8)
    assert repr(savings).splitlines()[0] == "forward:F.relu@1: relu -> keeps 1 bit per element"


# ---------------------------------------------------------------------------------------- what is left


class TwoUsers(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(IN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x):
        h = F.gelu(self.first(x))
        return self.last(h) + h


class Returned(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(IN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x):
        h = F.gelu(self.first(x))
        return self.last(h), h


def test_dropping_whole_rows_in_between_is_a_product_and_drops_what_it_dropped():
    torch.manual_seed(0)
    model = mlp(nn.GELU(), DropPath())
    plain = copy.deepcopy(model)
    savings = slim_(model, X)

    assert savings.after < savings.before
    results = []
    for m in (model, plain):
        torch.manual_seed(1)
        results.append(m(X))
    assert torch.equal(*results)


class DropPath(nn.Module):
    """Returns its very input in eval mode, as timm's does: only training shows it."""

    def forward(self, x):
        return x * torch.bernoulli(torch.full((x.shape[0], 1), 0.5)) if self.training else x


def hooked() -> nn.Module:
    model = mlp(nn.GELU())
    model[2].register_forward_hook(lambda *_: None)
    return model


def own_linear() -> nn.Module:
    class Special(nn.Linear):
        def forward(self, x):
            return super().forward(x * 2)

    model = mlp(nn.GELU())
    model[2] = Special(HIDDEN, 3)
    return model


def frozen() -> nn.Module:
    model = mlp(nn.GELU())
    model[0].requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: mlp(nn.GELU(), nn.Dropout(0.5)), "dropout takes its output"),
        (lambda: mlp(nn.GELU(), nn.LayerNorm(HIDDEN)), "layer_norm takes its output"),
        (TwoUsers, "add takes its output"),
        (Returned, "the model returns its output, too"),
        (hooked, r"2 \(Linear\), which takes its output, has hooks"),
        (own_linear, r"2 \(Special\), which takes its output, is a special layer"),
        (frozen, "no gradient passes through it"),
        (lambda: mlp(nn.RReLU()), "it draws random numbers"),
        (lambda: mlp(nn.ReLU()), "it keeps no more than the layers around it keep anyway"),
        (lambda: nn.Sequential(nn.Linear(IN, 3), nn.GELU()), "nothing but the model's caller takes its output"),
    ],
)
def test_what_cannot_gain_is_left_with_the_reason(make, reason):
    torch.manual_seed(0)
    model = make()
    savings = slim_(model, X)

    assert len(savings) == 0
    assert savings.before == savings.after
    assert re.search(reason, savings.skipped[0].reason)


def test_a_second_user_that_the_example_did_not_show_gets_the_right_value():
    """A path that the example run did not take, so that the trace does not show it."""

    class Sometimes(TwoUsers):
        both = False

        def forward(self, x):
            h = F.gelu(self.first(x))
            return self.last(h) + h if self.both else self.last(h)

    torch.manual_seed(0)
    model = Sometimes()
    plain = copy.deepcopy(model)
    assert len(slim_(model, X)) == 1
    model.both = plain.both = True

    results = [m(X) for m in (model, plain)]
    assert torch.equal(*results)
    gradients = [
        torch.autograd.grad(y.square().sum(), list(m.parameters()))
        for y, m in zip(results, (model, plain), strict=True)
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_an_output_that_is_overwritten_later_is_left_alone():
    class Overwriting(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv1d(2, 2, 1), nn.Conv1d(2, 2, 1)
            self.act = nn.ELU()

        def forward(self, x):
            h = self.act(self.first(x))
            h += x
            return self.last(h)

    savings = slim_(Overwriting(), torch.randn(2, 2, 8, generator=torch.Generator().manual_seed(0)))

    assert len(savings) == 0
    assert savings.skipped


def test_a_wrong_slope_is_found_in_the_rehearsal(monkeypatch):
    monkeypatch.setattr(module.SlimLayer, "_bind", _with_wrong_slope(SlimLayer._bind))
    savings = slim_(mlp(nn.Softplus()), X)

    assert [skip.reason for skip in savings.skipped] == ["the gradients would change"]
    assert savings.before == savings.after


def _with_wrong_slope(bind):
    def bound(self):
        bind(self)
        right = self._saver.slope
        self._saver.slope = lambda y: right(y) * 1.01

    return bound


def test_a_lookalike_that_rounds_otherwise_is_deferred_as_it_is():
    model = mlp(Mish3())
    slim_(model, X)

    assert isinstance(model[1].activation, Mish3)


# ------------------------------------------------------------------------------- without example inputs


def test_without_example_inputs_only_what_is_sure_to_save_is_done():
    model = nn.Sequential(nn.Linear(IN, 4), nn.LeakyReLU(), nn.ELU(), nn.GELU(), nn.ReLU(), nn.Tanh())
    savings = slim_(model)

    assert [(change.path, change.new) for change in savings] == [
        ("1", "keeps 1 bit per element"),
        ("2", "keeps its output"),
    ]
    reasons = {skip.site.path: skip.reason for skip in savings.skipped}
    assert reasons["3"].startswith("its backward pass needs its input; pass example_inputs")
    assert reasons["4"] == reasons["5"] == "it keeps its output only, as it is"
    assert (savings.before, savings.after) == (None, None)
    savings.undo()
    assert isinstance(model[1], nn.LeakyReLU)


# ------------------------------------------------------------------------------------------ as a model


def test_checkpoints_load_both_ways():
    torch.manual_seed(0)
    slim, plain = mlp(nn.PReLU(HIDDEN)), mlp(nn.PReLU(HIDDEN))
    slim_(slim, X)

    slim.load_state_dict(plain.state_dict())
    assert torch.equal(slim(X), plain(X))
    with torch.no_grad():
        slim[1].weight.mul_(0.5)
    plain.load_state_dict(slim.state_dict())
    assert torch.equal(slim(X), plain(X))


@pytest.mark.parametrize("make", [Written, Llama, lambda: mlp(nn.PReLU()), lambda: mlp(nn.ELU())])
def test_copies_and_pickles_stay_slim(make):
    torch.manual_seed(0)
    model = make()
    savings = slim_(model, X)

    for other in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)) if make in {Written, Llama} else copy.copy(model),
    ):
        assert torch.equal(other(X), model(X))
        assert saved_bytes(other, X) == savings.after


def test_the_model_is_left_as_it_was_but_for_the_change():
    model = nn.Sequential(nn.Linear(IN, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 3)).eval()
    state = copy.deepcopy(model.state_dict())
    draws = torch.get_rng_state()
    slim_(model, X)

    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert not any(part.training for part in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(draws, torch.get_rng_state())


def test_a_frozen_batch_norm_stays_frozen_in_the_rehearsal():
    model = nn.Sequential(nn.Linear(IN, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 3)).train()
    model[1].eval()
    one_row = X[:1]  # BatchNorm in training would refuse it

    assert slim_(model, one_row).after < saved_bytes(
        nn.Sequential(*copy.deepcopy(model)[:2], nn.GELU(), model[3]), one_row
    )


def test_sites_are_still_found_and_can_be_swapped_when_slim():
    model = mlp(nn.LeakyReLU(0.2))
    model[1] = nn.GELU()
    savings = slim_(model, X)

    assert [(site.path, site.spec) for site in find(model, X)] == [("1", "gelu")]
    assert slim_(model, X).skipped[0].reason == "it is slim already"
    swap_(model, "silu", X)
    torch.testing.assert_close(model(X), model[2](F.silu(model[0](X))))
    with pytest.raises(SiteError, match="changed again after this swap"):
        savings.undo()


def test_a_slim_model_compiles_exports_and_checkpoints():
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = Written()
    plain = copy.deepcopy(model)
    slim_(model, X)

    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="aot_eager")(X), plain(X))
    torch.testing.assert_close(torch.export.export(model, (X,)).module()(X), plain(X))
    torch.testing.assert_close(torch.utils.checkpoint.checkpoint(model, X, use_reentrant=False), plain(X))
    torch.testing.assert_close(torch.func.vmap(model)(X), plain(X))


def test_it_trains_as_the_plain_model_does():
    torch.manual_seed(0)
    model = Chunked()
    plain = copy.deepcopy(model)
    slim_(model, X)
    for m in (model, plain):
        optimizer = torch.optim.SGD(m.parameters(), lr=0.1)
        for _ in range(20):
            optimizer.zero_grad()
            (m(X) - X).square().mean().backward()
            optimizer.step()

    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_in_bfloat16():
    torch.manual_seed(0)
    model = mlp(nn.GELU()).bfloat16()
    savings = slim_(model, X.bfloat16())

    assert (savings.before, savings.after) == (N, N // 2)
    assert isinstance(model[1], Deferred)


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(SiteError, match="raised on example_inputs"):
        slim_(mlp(nn.GELU()), torch.zeros(2, IN + 1))


def test_without_example_inputs_a_site_in_place_is_left():
    class Reused(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.act = nn.Linear(IN, IN), nn.ReLU(inplace=True)

        def forward(self, x):
            h = self.linear(x)
            return self.act(h) + h

    model = nn.Sequential(Reused(), nn.ELU(), nn.LeakyReLU(), nn.Linear(IN, 2))
    want = model(X)

    changes = slim_(model)

    assert [change.path for change in changes] == ["1", "2"]
    assert [skip.site.path for skip in changes.skipped] == ["0.act"]
    assert torch.equal(model(X), want)
