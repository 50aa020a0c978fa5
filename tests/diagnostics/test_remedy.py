"""Remedies: each makes its change on a copy, and raises when it does not fit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

import actlab
from actlab.diagnostics.remedy import AlphaDropout, InsertNorms, LogitsOutput, MatchedInit, Remedy, Swap
from actlab.errors import SiteError


def net(*parts):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3), *parts)


def batch(rows=32):
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(1))


class Functional(nn.Module):
    def __init__(self, *, reads_weight=False):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)
        self.reads_weight = reads_weight

    def forward(self, x):
        x = F.linear(x, self.a.weight) if self.reads_weight else self.a(x)
        return self.b(torch.relu(x)).softmax(1)


@pytest.mark.parametrize(
    "change",
    [MatchedInit(), Swap(paths=("1",), spec="gelu"), InsertNorms(), AlphaDropout(), LogitsOutput(function="softmax")],
    ids=lambda change: change.description,
)
def test_the_model_itself_stays_as_it_is(change):
    model = net(nn.Dropout(0.5), nn.Softmax(1)).eval()
    before, state, text = model(batch()), copy.deepcopy(model.state_dict()), repr(model)
    random = torch.get_rng_state()

    changed = Remedy(changes=(change,)).apply(model, batch())

    assert changed is not model
    assert repr(model) == text
    assert torch.equal(model(batch()), before)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    if not isinstance(change, InsertNorms):
        assert torch.equal(torch.get_rng_state(), random)


def test_a_matched_init_gives_the_scale_that_the_activation_takes():
    wide = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 4))
    changed = Remedy(changes=(MatchedInit(),)).apply(wide, torch.randn(8, 64))

    weight = changed[2].weight
    assert (weight.square().mean() * 256).item() == pytest.approx(2.0, rel=0.05)


def test_the_same_seed_draws_the_same_weights_and_another_seed_others():
    one, same, other = (Remedy(changes=(MatchedInit(),)).apply(net(), batch(), seed) for seed in (3, 3, 4))

    assert torch.equal(one[0].weight, same[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)


def test_norms_stand_between_layers_and_hidden_activations_only():
    changed = Remedy(changes=(InsertNorms(),)).apply(net(), batch())

    found = [path for path, module in changed.named_modules() if isinstance(module, nn.BatchNorm1d)]
    assert found == ["0.1", "2.1"]
    sums = changed[0](batch())
    assert sums.mean(0).abs().max() < 1e-5
    assert sums.var(0, unbiased=False).sub(1).abs().max() < 0.01


def test_the_norm_is_that_of_the_layers_shape():
    convolutional = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    tokens = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

    conv = Remedy(changes=(InsertNorms(),)).apply(convolutional, torch.randn(2, 1, 4, 4))
    token = Remedy(changes=(InsertNorms(),)).apply(tokens, torch.randn(2, 5, 6))

    assert isinstance(conv[0][1], nn.BatchNorm2d)
    assert isinstance(token[0][1], nn.LayerNorm)


def test_norms_refuse_a_model_that_reads_its_layers_weight_by_itself():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 6)

        def forward(self, x):
            return F.linear(torch.relu(self.a(x)), self.a.weight.t())

    with pytest.raises(SiteError, match="raised"):
        Remedy(changes=(InsertNorms(),)).apply(Tied(), batch())


def test_norms_say_that_there_is_no_place():
    with pytest.raises(SiteError, match="no place for a norm"):
        Remedy(changes=(InsertNorms(),)).apply(nn.Sequential(nn.Linear(6, 2)), batch())


def test_alpha_dropout_takes_the_place_of_plain_dropout_at_its_authors_rate_or_less():
    model = nn.Sequential(nn.Linear(6, 8), nn.SELU(), nn.Dropout(0.5), nn.Linear(8, 8), nn.Dropout(0.01))
    changed = Remedy(changes=(AlphaDropout(),)).apply(model, batch())

    assert [type(part) for part in (changed[2], changed[4])] == [nn.AlphaDropout, nn.AlphaDropout]
    assert (changed[2].p, changed[4].p) == (0.05, 0.01)


def test_a_model_without_its_softmax_gives_logits_and_the_same_classes():
    for model in (net(nn.Softmax(1)), Functional()):
        changed = Remedy(changes=(LogitsOutput(function="softmax"),)).apply(model, batch())
        logits, p = changed(batch()), model(batch())

        assert torch.allclose(logits.softmax(1), p, atol=1e-6)
        y = torch.arange(32) % 3
        assert F.cross_entropy(logits, y).item() == pytest.approx(F.nll_loss(p.log(), y).item(), rel=1e-5)


def test_a_model_without_its_sigmoid_gives_logits():
    model = net(nn.Sigmoid())
    changed = Remedy(changes=(LogitsOutput(function="sigmoid"),)).apply(model, batch())

    assert torch.allclose(changed(batch()).sigmoid(), model(batch()), atol=1e-6)


def test_names_and_code_say_what_is_done():
    remedy = Remedy(changes=(Swap(paths=("1", "3"), spec="gelu"), InsertNorms()), learning_rate=0.0123456)

    assert remedy.name == "gelu at 1 and 1 more, a norm before every activation, learning rate 0.0123"
    assert remedy.code[0] == "actlab.swap_(model, {'1': 'gelu', '3': 'gelu'}, x)"
    assert remedy.code[-1] == "learning_rate = 0.0123"


def test_remedies_of_the_same_changes_are_equal_whatever_their_source():
    one, same = (Remedy(changes=(MatchedInit(),), source=source) for source in ("He", "Glorot"))
    here, there = (Remedy(changes=(Swap(paths=paths, spec="relu"),)) for paths in (("1", "3"), ("1", "5")))

    assert len({one, same}) == 1
    assert here.name == there.name
    assert here != there


WEIGHTS = {
    "spectral_norm": parametrizations.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "orthogonal": parametrizations.orthogonal,
    "prune": lambda linear: prune.random_unstructured(linear, "weight", 0.3),
}


@pytest.mark.parametrize("computed", WEIGHTS)
def test_no_init_is_proposed_for_weights_that_are_computed_from_others(computed):
    torch.manual_seed(0)
    layers = [part for _ in range(8) for part in (nn.Linear(32, 32), nn.Sigmoid())]
    plain = nn.Sequential(*layers, nn.Linear(32, 2))
    inputs = torch.randn(256, 32)
    assert "matched init" in prescribed(plain, inputs)

    for module in plain[::2]:
        WEIGHTS[computed](module)

    assert "matched init" not in prescribed(plain, inputs)
    assert "a norm before every activation" in prescribed(plain, inputs)


def prescribed(model, inputs):
    findings = actlab.doctor(model, inputs).all_findings
    return [change.description for f in findings for remedy in f.prescriptions for change in remedy.changes]
