"""Morph: the old model at first, the swapped one at the end, resumable to the bit in between, undone at any time."""

from __future__ import annotations

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from actlab.errors import LayerError, SiteError, UnknownNameError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.blend import Blend
from actlab.nn.training.rule_schedule import Geometric, Straight
from actlab.nn.transforms.morph.morph import Morph
from actlab.nn.transforms.swap import swap_


class Net(nn.Module):
    """An attribute, a functional call, modules, a norm, a shared activation and an output sigmoid."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = F.relu
        self.mid = nn.Conv2d(4, 4, 3, padding=1)
        self.shared = nn.ReLU(inplace=True)
        self.hidden, self.more = nn.Linear(4 * 9, 10), nn.Linear(10, 10)
        self.head = nn.Linear(10, 1)

    def forward(self, x):
        x = F.max_pool2d(self.act(self.norm(self.stem(x))), 2)
        x = F.relu(self.mid(x))
        x = self.shared(self.hidden(x.flatten(1)))
        return torch.sigmoid(self.head(self.shared(self.more(x))))


X = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = (X.mean((1, 2, 3)) > 0).float()[:, None]


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


def mlp(seed=0, **options):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 12, **options), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 3))


def state(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def train(model, morph, optimizer, steps):
    for index in steps:
        torch.manual_seed(index)  # dropout
        model.train()
        F.mse_loss(model(X), Y).backward()
        optimizer.step()
        optimizer.zero_grad()
        morph.step()


# ------------------------------------------------------------------------------------------- both ends


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("data", [(), [X]], ids=["plain", "matched"])
def test_it_begins_as_the_old_model_to_the_bit(training, learned, data):
    model, old = net().train(training), net().train(training)

    morph = Morph(model, "gelu", X, total=10, learned=learned, data=data)

    assert len(morph.changes) == 3
    assert sum(isinstance(module, Blend) for module in model.modules()) == 3
    assert torch.equal(model(X), old(X))


@pytest.mark.parametrize("learned", [True, False])
def test_unmatched_it_ends_as_the_swapped_model_to_the_bit(learned):
    model, swapped = net(), net()
    swap_(swapped, "gelu", X)

    morph = Morph(model, "gelu", X, total=10, learned=learned)
    morph.finish()

    assert torch.equal(model.eval()(X), swapped.eval()(X))
    assert equal(state(model), state(swapped))
    assert [type(m) for m in model.modules()] == [type(m) for m in swapped.modules()]


def test_only_the_new_functions_are_left_after_the_blend():
    model = net()
    morph = Morph(model, {"relu": "swish(beta=learned)"}, X, total=4, anneal=0.5, learned=True, data=[X])
    kinds = []
    for _ in range(4):
        kinds.append((morph.merged, any(isinstance(module, Blend) for module in model.modules())))
        morph.step()

    assert kinds == [(False, True), (False, True), (True, False), (True, False)]
    swapped = net()
    swap_(swapped, {"relu": "swish(beta=learned)"}, X)
    assert list(model.state_dict()) == list(swapped.state_dict())
    old = list(net().state_dict())
    assert [key for key in model.state_dict() if "beta" not in key] == old, "no key is renamed"


def test_the_state_of_a_model_whose_functions_have_no_parameters_keeps_its_keys():
    model = net()
    keys = list(model.state_dict())
    Morph(model, "gelu", X, total=1, data=[X]).finish()

    assert list(model.state_dict()) == keys


def test_half_way_it_is_the_mean_of_both():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    first, last, x = model[0], model[2], torch.randn(5, 4)
    morph = Morph(model, "gelu", total=4, anneal=1.0, curve=Straight(start=0.0, end=1.0))
    morph.step()

    z = first(x)
    assert torch.allclose(model(x), last(0.75 * z.tanh() + 0.25 * F.gelu(z)))


def test_a_matched_model_has_the_second_moments_it_had():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2)).double()
    x = torch.randn(400, 4, dtype=torch.float64)
    z = model[0](x).detach()
    weight = model[2].weight.detach().clone()

    morph = Morph(model, "tanh", total=1, data=[x[:200], x[200:]])
    match = morph.matches["1"]
    morph.finish()

    assert match.folded == ("2",)
    assert match.scale == pytest.approx(float((z.relu().square().mean() / z.tanh().square().mean()).sqrt()), rel=1e-12)
    assert torch.allclose(model[2].weight, match.scale * weight, rtol=1e-15, atol=0)


def test_a_factor_that_cannot_be_folded_is_gone_in_the_end():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.LayerNorm(6), nn.Linear(6, 2))
    swapped = copy.deepcopy(model)
    swap_(swapped, "tanh")
    x = torch.randn(50, 4)

    morph = Morph(model, "tanh", total=10, data=[x])
    assert morph.matches["1"].folded == ()
    assert morph.matches["1"].scale != 1
    morph.finish()

    assert torch.equal(model(x), swapped(x))


def test_folding_does_not_change_the_output():
    model = net().double().eval()
    morph = Morph(model, "tanh", X.double(), total=10, data=[X.double()])
    assert [len(match.folded) for match in morph.matches.values()].count(1) == 2, "the shared one feeds two layers"
    for blend_site in morph._blend_sites:
        blend_site.blend.set_share(1.0)
    before = model(X.double()).detach()
    morph.finish()

    assert torch.allclose(model(X.double()).detach(), before, rtol=1e-13, atol=0)


# --------------------------------------------------------------------------------------------- resumed


@pytest.mark.parametrize("stop", [1, 3, 5, 7], ids=lambda stop: f"after {stop} of 8")
@pytest.mark.parametrize("learned", [True, False])
def test_interrupted_and_resumed_it_equals_uninterrupted_to_the_bit(stop, learned):
    options = {"total": 8, "anneal": 0.6, "learned": learned, "data": [X]}
    swaps = {"shared": "prelu", "relu": "gelu"}

    def begin(data):
        model = net()
        morph = Morph(model, swaps, X, **(options | {"data": data}))
        return model, morph, torch.optim.Adam(morph.parameters(), lr=1e-2)

    whole, morph, optimizer = begin([X])
    train(whole, morph, optimizer, range(8))

    first, morph, optimizer = begin([X])
    train(first, morph, optimizer, range(stop))
    file = io.BytesIO()
    torch.save([morph.state_dict(), first.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    again, morph, optimizer = begin([X * 0.5 + 1])  # other calibration data: the factors come from the state
    morph.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    optimizer.load_state_dict(saved[2])
    train(again, morph, optimizer, range(stop, 8))

    assert morph.done == 8
    assert equal(state(whole), state(again))
    assert torch.equal(whole.eval()(X), again.eval()(X))


def test_a_state_of_other_sites_or_of_an_earlier_time_is_refused():
    morph, other = Morph(net(), "gelu", X, total=4), Morph(net(), {"shared": "gelu"}, X, total=4)
    early = morph.state_dict()

    with pytest.raises(LayerError, match="same swaps"):
        other.load_state_dict(early)
    with pytest.raises(LayerError, match="missing"):
        morph.load_state_dict({"done": 1})
    morph.finish()
    with pytest.raises(LayerError, match="Build the model and the morph again"):
        morph.load_state_dict(early)


# ---------------------------------------------------------------------------------------------- undone


@pytest.mark.parametrize("steps", [0, 2, 8], ids=["at once", "on the way", "at the end"])
@pytest.mark.parametrize("swaps", ["gelu", {"shared": "prelu"}])
def test_undo_brings_functions_weights_and_statistics_back_to_the_bit(steps, swaps):
    model, old = net(), net()
    text, keys = repr(model), list(model.state_dict())
    morph = Morph(model, swaps, X, total=8, anneal=0.5, data=[X])
    train(model, morph, torch.optim.SGD(morph.parameters(), lr=0.1), range(steps))
    if steps:
        assert not torch.equal(model.norm.running_mean, old.norm.running_mean)

    morph.undo()

    assert (repr(model), list(model.state_dict()), type(model)) == (text, keys, Net)
    assert equal(state(model), state(old))
    assert torch.equal(model.eval()(X), old.eval()(X))
    assert model.act is F.relu
    with pytest.raises(SiteError, match="undone already"):
        morph.undo()


# ----------------------------------------------------------------------------------------------- gated

INPUTS = torch.randn(300, 4, generator=torch.Generator().manual_seed(3))


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("spec", ["swiglu", "reglu", "geglu", "glu", "bilinear"])
def test_a_block_becomes_gated_at_equal_parameters_and_begins_as_the_old_one(spec):
    model, old = mlp().eval(), mlp().eval()
    morph = Morph(model, spec, total=4, anneal=0.5, data=[INPUTS])

    assert torch.equal(model(INPUTS), old(INPUTS))
    morph.finish()
    one_unit = 2 * (4 + 1) + 3  # what a hidden unit of the gated block costs
    assert abs(count(model) - count(old)) <= one_unit / 2
    assert [type(part).__name__ for part in model] == ["Linear", "ActivationLayer", "Dropout", "Linear"]
    assert (model[0].out_features, model[3].in_features) == (14, 7)


def test_fitted_it_ends_near_the_old_block_where_a_draw_is_far():
    drawn, fitted, old = mlp().eval(), mlp().eval(), mlp().eval()
    Morph(drawn, "swiglu", INPUTS, total=1).finish()
    morph = Morph(fitted, "swiglu", total=1, data=[INPUTS])
    morph.finish()

    expected = old(INPUTS).detach()
    spread = (expected - expected.mean(0)).square().sum()
    near, far = ((model(INPUTS).detach() - expected).square().sum() / spread for model in (fitted, drawn))
    assert float(near) == pytest.approx(1 - morph.takeovers["1"].explained, abs=1e-4)
    assert near < 0.2 < far


def test_blocks_that_share_a_linear_are_fitted_one_behind_the_other():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 3))
    old = copy.deepcopy(model)
    morph = Morph(model, "reglu", total=2, anneal=1.0, data=[INPUTS])

    assert torch.equal(model(INPUTS), old(INPUTS))
    morph.step()
    model(INPUTS).sum().backward()
    morph.finish()

    expected = old(INPUTS).detach()
    error = (model(INPUTS).detach() - expected).square().sum() / (expected - expected.mean(0)).square().sum()
    assert float(error) < 0.1
    assert abs(count(model) - count(old)) <= 2 * 31 + 30


def test_half_way_the_two_blocks_are_blended():
    model, old = mlp().eval(), mlp().eval()
    new = mlp().eval()
    Morph(new, "swiglu", total=1, data=[INPUTS]).finish()
    morph = Morph(model, "swiglu", total=4, anneal=1.0, data=[INPUTS], curve=Straight(start=0.0, end=1.0))
    morph.step()

    assert torch.allclose(model(INPUTS), 0.75 * old(INPUTS) + 0.25 * new(INPUTS), atol=1e-6)
    morph.undo()
    assert equal(state(model), state(old))


def test_without_biases_blocks_begin_as_drawn():
    model = mlp(bias=False)
    morph = Morph(model, "swiglu", total=4, data=[INPUTS])

    assert morph.takeovers == {}
    assert torch.equal(model.eval()(INPUTS), mlp(bias=False).eval()(INPUTS))


def test_gated_and_scalar_swaps_go_together():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.LayerNorm(9), nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 3))
    old = copy.deepcopy(model)
    morph = Morph(model, {"1": "gelu", "4": "swiglu"}, total=4, anneal=1.0, data=[INPUTS])
    assert torch.equal(model(INPUTS), old(INPUTS))
    for _ in range(4):
        model(INPUTS).sum().backward()
        morph.step()

    assert [str(part.spec) for part in model.modules() if isinstance(part, ActivationLayer)] == ["gelu", "swiglu"]


# ------------------------------------------------------------------------------------------ elsewhere


def test_the_final_model_can_be_exported():
    model = net().eval()
    Morph(model, "gelu", X, total=1, data=[X]).finish()

    exported = torch.export.export(model, (X,)).module()

    assert torch.allclose(exported(X), model(X))


@pytest.mark.parametrize("spec", ["gelu", "swiglu"])
def test_torchs_own_encoder_layer_is_morphed_and_restored(spec):
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 24, dropout=0.0, batch_first=True)
    x = torch.randn(3, 5, 8)
    expected, text = model(x).detach(), repr(model)

    morph = Morph(model, spec, total=4, anneal=1.0, data=[x])
    assert torch.equal(model(x), expected)
    for _ in range(4):
        model(x).square().sum().backward()
        morph.step()
    assert torch.allclose(model.eval()(x), model.train()(x), atol=1e-5), "the fused kernel would run relu"

    morph.undo()
    assert torch.equal(model(x), expected)
    assert (repr(model), model.activation) == (text, F.relu)


def test_learned_paces_and_new_parameters_are_trained():
    model = net()
    known = {id(p) for p in model.parameters()}
    morph = Morph(model, "swish(beta=learned)", X, total=6, anneal=1.0, learned=True)
    assert len(morph.new_parameters) == 6
    assert not {id(p) for p in morph.new_parameters} & known
    train(model, morph, torch.optim.Adam(morph.parameters(), lr=0.05), range(5))

    assert all(float(blend_site.blend.pace.detach()) != 0 for blend_site in morph._blend_sites)
    assert all(float(blend_site.blend.new.beta.detach()) != 1 for blend_site in morph._blend_sites)


def test_the_curve_sets_the_share():
    morph = Morph(mlp(), "gelu", total=2, anneal=1.0, curve=Geometric(start=0.25, end=1.0))
    shares = []
    for _ in range(3):
        shares.append(morph.share)
        morph.step()

    assert shares == [0.25, 0.5, 1.0]
    early = Morph(mlp(), "gelu", total=4, anneal=1.0)
    early.step()
    assert early.share == 1 - 0.75**2, "fast at first if nothing else is said"


def test_a_model_in_double_and_frozen_parts_work():
    model = net().double()
    model.stem.requires_grad_(False)
    morph = Morph(model, "gelu", X.double(), total=2, learned=True, data=[X.double()])

    assert all(p.requires_grad and p.dtype == torch.float64 for p in morph.parameters())
    morph.step()
    morph.step()
    assert model(X.double()).dtype == torch.float64


def test_global_random_numbers_are_left_alone():
    model = mlp()
    before = torch.get_rng_state()
    Morph(model, "swiglu", total=2, data=[INPUTS]).finish()

    assert torch.equal(torch.get_rng_state(), before)


# --------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("swaps", "options", "error", "words"),
    [
        ("gleu", {}, UnknownNameError, "gelu"),
        ({"nowhere": "gelu"}, {}, SiteError, "No site matches"),
        ("gelu", {"total": 0}, LayerError, "from 1 up"),
        ("gelu", {"total": True}, LayerError, "from 1 up"),
        ("gelu", {"anneal": 1.5}, LayerError, "from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_model_is_as_it_was(swaps, options, error, words):
    model = net()

    with pytest.raises(error, match=words):
        Morph(model, swaps, X, **{"total": 4, **options})
    assert repr(model) == repr(net())
    assert equal(state(model), state(net()))


@pytest.mark.parametrize("problem", [KeyboardInterrupt, ZeroDivisionError])
def test_stopped_while_it_measures_the_model_is_as_it_was(problem, monkeypatch):
    def stop(*_):
        raise problem

    model = net()
    monkeypatch.setattr("actlab.nn.transforms.morph.morph.match_outputs", stop)
    with pytest.raises(problem):
        Morph(model, "gelu", total=4, data=[X])
    assert repr(model) == repr(net())
    assert equal(state(model), state(net()))


def test_a_call_whose_parameters_are_computed_is_refused():
    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.weight = nn.Linear(4, 4), nn.Parameter(torch.tensor([0.2]))

        def forward(self, x):
            return F.prelu(self.linear(x), self.weight)

    model = nn.Sequential(Slope(), nn.Linear(4, 1))
    with pytest.raises(SiteError, match="computed elsewhere"):
        Morph(model, "gelu", torch.zeros(2, 4), total=4)
    assert type(model[0]) is Slope


def test_a_model_that_knows_its_widths_cannot_run_two_blocks_at_once():
    class Strict(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.act, self.two = nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 3)

        def forward(self, x):
            h = self.act(self.one(x))
            if h.shape[-1] > 15:
                raise ValueError("too wide")
            return self.two(h)

    model = Strict()
    with pytest.raises(SiteError, match="side by side"):
        Morph(model, "swiglu", torch.zeros(2, 4), total=4)
    assert [type(part) for part in model.children()] == [nn.Linear, nn.ReLU, nn.Linear]
    assert model.one.out_features == 12
