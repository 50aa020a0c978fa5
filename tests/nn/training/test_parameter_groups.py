"""Parameter groups: learned numbers of activations without weight decay, all other parameters with it, each once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import actlab
from actlab.nn.layers.layer import layer
from actlab.nn.training.parameter_groups import exempt_learned_numbers_, learned_numbers
from actlab.nn.transforms.morph.morph import Morph


def net():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.SiLU(), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.PReLU(8), nn.Linear(8, 8), layer("xielu")
    )
    actlab.swap_(model, {"silu": "swish(beta=learned)"})
    return model


def names(model, parameters):
    of = {id(p): name for name, p in model.named_parameters()}
    return [of[id(p)] for p in parameters]


NUMBERS = ["1.beta", "4.weight", "6.alpha_p", "6.alpha_n"]


def test_every_parameter_is_in_one_group_and_learned_numbers_have_no_decay():
    model = net()
    decayed, free = actlab.parameter_groups(model, 0.1)

    assert names(model, free["params"]) == NUMBERS
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert sorted(names(model, decayed["params"]) + NUMBERS) == sorted(name for name, _ in model.named_parameters())


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ("gelu", 0),
        ("elu(alpha=learned_per_channel)", 1),
        ("rsign(alpha=learned)/clipped", 1),
        ("sign/arctan(alpha=learned)", 1),
        ("scalable_softmax", 1),
        ("xgeglu", 1),
    ],
)
def test_every_kind_of_layer_counts(spec, count):
    assert len(learned_numbers(nn.Sequential(nn.Linear(2, 2), layer(spec, channels=3)))) == count


def test_a_model_without_learned_numbers_has_one_group_and_one_of_them_alone_has_one():
    assert [group["weight_decay"] for group in actlab.parameter_groups(nn.Linear(2, 2), 0.1)] == [0.1]
    assert [group["weight_decay"] for group in actlab.parameter_groups(layer("xielu"), 0.1)] == [0.0]


def test_a_shared_layer_counts_once():
    act = layer("swish(beta=learned)")

    assert len(learned_numbers(nn.Sequential(act, nn.Linear(2, 2), act))) == 1


def test_the_pace_of_a_morph_counts_and_slim_layers_keep_their_numbers():
    model = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 2))
    Morph(model, "gelu", total=8, learned=True)
    assert names(model, learned_numbers(model)) == ["1.pace"]
    slim = net()
    actlab.slim_(slim, torch.randn(5, 4))
    assert len(learned_numbers(slim)) == 4


def test_without_a_gradient_weights_shrink_and_learned_numbers_stay():
    model = net()
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(actlab.parameter_groups(model, 0.5), lr=0.1)

    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()

    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, start[name] * (1.0 if name in NUMBERS else 0.95))


def test_an_optimizer_with_groups_of_its_own_keeps_their_settings():
    model = net()
    head = list(model[5].parameters())
    rest = [p for p in model.parameters() if not any(p is h for h in head)]
    groups = [
        {"params": head, "lr": 0.5, "weight_decay": 0.2},
        {"params": rest, "lr": 0.1, "weight_decay": 0.3},
    ]
    optimizer = torch.optim.SGD(groups, momentum=0.9)

    exempt_learned_numbers_(optimizer, model)

    assert [(len(g["params"]), g["lr"], g["weight_decay"], g["momentum"]) for g in optimizer.param_groups] == [
        (2, 0.5, 0.2, 0.9),
        (6, 0.1, 0.3, 0.9),
        (4, 0.1, 0.0, 0.9),
    ]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_an_optimizer_without_decay_stays_as_it_is(kind):
    model = net()
    optimizer = kind(model.parameters(), lr=0.1)

    exempt_learned_numbers_(optimizer, model)

    assert len(optimizer.param_groups) == 1


def test_an_optimizer_of_learned_numbers_only_keeps_one_group():
    act = layer("xielu")
    optimizer = torch.optim.AdamW(act.parameters(), lr=0.1, weight_decay=0.1)

    exempt_learned_numbers_(optimizer, act)

    assert [(len(g["params"]), g["weight_decay"]) for g in optimizer.param_groups] == [(2, 0.0)]
