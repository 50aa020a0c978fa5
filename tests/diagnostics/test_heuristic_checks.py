"""Checks of the doctor: each has a case in which it fires at the right layer, and one in which it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from actlab.diagnostics.heuristic_checks import CHECKS, run_checks
from actlab.diagnostics.measurements import measure_model
from actlab.diagnostics.training_record import Snapshot, TrainingRecord


def mlp(function, depth, *, gain=None, width=64, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    parts = []
    for _ in range(depth):
        parts += [nn.Linear(width, width), function(), *([nn.Dropout(dropout)] if dropout else [])]
    net = nn.Sequential(*parts, nn.Linear(width, 10))
    for layer in net if gain else ():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, gain / layer.in_features**0.5)
            nn.init.zeros_(layer.bias)
    return net


def cnn(depth, *, norm=False, channels=8):
    torch.manual_seed(0)
    parts = []
    for number in range(depth):
        parts += [
            nn.Conv2d(channels if number else 1, channels, 3, padding=1),
            *([nn.BatchNorm2d(channels)] if norm else []),
        ]
        parts.append(nn.ReLU())
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(channels * 16, 4))


def inputs(rows=256, width=64):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(9))


def pictures(rows=256):
    return torch.randn(rows, 1, 4, 4, generator=torch.Generator().manual_seed(9))


def findings(net, x, target=None, loss=None):
    return {found.rule: found for found in run_checks(measure_model(net, x, target, loss))}


def names(found):
    return [remedy.name for remedy in found.prescriptions]


def test_every_check_has_a_name_of_its_own_a_sentence_and_a_source():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.statement.endswith(".") and check.source for check in CHECKS)


# ------------------------------------------------------------------------------------------ gradients


def test_vanishing_gradients_are_found_where_they_begin_seen_from_the_output():
    found = findings(mlp(nn.Sigmoid, 12), inputs())["vanishing gradients"]

    # torch's init: chi = 1/3 * E sigmoid'(z)^2, about 0.018 a layer at these variances: 11 factors are -9.6 decades
    assert found.evidence["decades"] == pytest.approx(-9.6, abs=0.5)
    assert found.evidence["decades_forecast"] == pytest.approx(found.evidence["decades"], abs=0.3)
    assert (found.kind, found.layer, found.site) == ("fault", "20", "21")
    # the closed form says that the gain cannot save a sigmoid: the function has to go
    assert names(found)[0].startswith("relu at 1 and 11 more, matched init")


def test_a_function_that_its_gain_saves_gets_its_gain():
    found = findings(mlp(nn.ReLU, 12), inputs())["vanishing gradients"]

    assert names(found) == ["matched init", "a norm before every activation"]
    assert found.evidence["decades_at_matched_init"] == pytest.approx(0, abs=1e-6)


def test_a_moderate_loss_of_gradient_is_no_finding():
    assert findings(mlp(nn.ReLU, 6), inputs()) == {}  # 5 factors of sqrt(1/6): 1.9 decades


def test_a_gain_that_is_too_large_explodes():
    found = findings(mlp(nn.ReLU, 8, gain=6.0), inputs())["exploding gradients"]

    # chi = 36 / 2, 7 factors: 7/2 log10(18) = 4.4
    assert found.evidence["decades"] == pytest.approx(4.4, abs=0.3)
    assert found.layer == "12"
    assert "vanishing gradients" not in findings(mlp(nn.ReLU, 8, gain=6.0), inputs())
    assert findings(mlp(nn.ReLU, 8, gain=2**0.5), inputs()) == {}


def test_one_layer_of_a_wrong_scale_is_named():
    net = mlp(nn.ReLU, 8, gain=2**0.5)
    with torch.no_grad():
        net[6].weight.mul_(1000)

    found = findings(net, inputs())["exploding gradients"]

    assert found.layer == "4"  # whose gradient is the first one that is too large
    assert "The weights of 6 are" in found.sentence


def test_a_model_that_has_norms_is_not_told_to_take_them():
    net = nn.Sequential(nn.LayerNorm(64), *mlp(nn.ReLU, 12))

    assert names(findings(net, inputs())["vanishing gradients"]) == ["matched init"]


# ---------------------------------------------------------------------------------------------- units


def with_dead(net, layer, units):
    with torch.no_grad():
        net[layer].bias[:units] = -1000.0
    return net


def test_a_layer_most_of_which_is_dead_is_a_fault():
    found = findings(with_dead(mlp(nn.ReLU, 3, gain=2**0.5), 2, 52), inputs())["born dead"]

    assert (found.kind, found.layer, found.site) == ("fault", "2", "3")
    assert found.evidence["share"] == pytest.approx(52 / 64)
    assert names(found) == ["matched init", "leaky_relu(0.1) at 3", "prelu at 3"]
    assert "born dead" not in findings(with_dead(mlp(nn.ReLU, 3, gain=2**0.5), 2, 44), inputs())


def test_units_that_come_back_in_training_were_not_dead():
    measured = measure_model(with_dead(mlp(nn.ReLU, 3, gain=2**0.5), 2, 40), inputs())
    same, others = tuple(range(40)), tuple(range(24, 64))
    course = TrainingRecord(
        learning_rate=0.1, losses=(1.0,), looks=(Snapshot(step=5, dead={}, stuck={}, units={"3 after 2": same}),)
    )

    assert [found.rule for found in run_checks(replace(measured, course=course))] == ["born dead"]
    # as many are dead at the end, but only 16 of those that were so at the init
    moved = replace(course, looks=(Snapshot(step=5, dead={}, stuck={}, units={"3 after 2": others}),))
    assert run_checks(replace(measured, course=moved)) == ()


def test_too_few_samples_condemn_no_unit():
    assert findings(with_dead(mlp(nn.ReLU, 3, gain=2**0.5), 2, 40), inputs(64)) == {}


def test_a_dead_channel_is_a_hint_with_its_number():
    net = cnn(3)
    with torch.no_grad():
        net[2].bias[5] = -1000.0

    found = findings(net, pictures())["dead channels"]

    assert (found.kind, found.layer) == ("hint", "2")
    assert found.sentence.startswith("1 of 8 channels of 3 after 2 are dead at initialization")
    assert "for all 256 samples): 5." in found.sentence
    assert "dead channels" not in findings(cnn(2), pictures())


def test_saturated_functions_are_found_at_the_first_layer():
    found = findings(mlp(nn.Tanh, 4, gain=40.0), inputs())["saturated at the init"]

    assert (found.kind, found.layer) == ("fault", "0")
    assert found.evidence["share"] > 0.9
    assert names(found) == ["matched init", "a norm before every activation"]
    assert "saturated at the init" not in findings(mlp(nn.Tanh, 4, gain=2.0), inputs())


# --------------------------------------------------------------------------------- the first steps


def course(*shares, losses=(2.3, 2.3)):
    looks = tuple(Snapshot(step=10 * i, dead={"1 after 0": share}, stuck={}) for i, share in enumerate(shares))
    return TrainingRecord(learning_rate=0.5, losses=losses, looks=looks)


def test_a_killing_learning_rate_is_told_with_its_step_and_halved_from_the_edge():
    measured = replace(measure_model(mlp(nn.ReLU, 2), inputs()), course=course(0.0, 0.2, 0.8, 1.0), tolerated=0.02)
    (found,) = run_checks(measured)

    assert (found.rule, found.kind, found.layer, found.site) == ("killed by the learning rate", "fault", "0", "1")
    assert (found.evidence["step"], found.evidence["dead_from_step"]) == (20, 30)
    assert "From step 30 on all units of 1 after 0 are lost: no gradient passes." in found.sentence
    assert names(found) == ["learning rate 0.01", "leaky_relu(0.1) at 1"]
    assert run_checks(replace(measured, course=course(0.0, 0.2, 0.8, 0.4))) == ()


def test_saturating_functions_are_not_told_to_leak():
    measured = replace(measure_model(mlp(nn.Tanh, 2), inputs()), course=course(0.0, 1.0), tolerated=0.02)

    assert names(run_checks(measured)[0]) == ["learning rate 0.01"]


def test_without_a_rate_that_kills_nothing_none_is_prescribed():
    measured = replace(measure_model(mlp(nn.Tanh, 2), inputs()), course=course(0.0, 1.0))

    assert names(run_checks(measured)[0]) == []


def test_a_loss_that_is_gone_is_a_finding_and_a_spike_is_none():
    measured = measure_model(mlp(nn.Tanh, 2), inputs())
    gone = run_checks(replace(measured, course=course(0.0, losses=(2.3, 9.0, float("inf"))), tolerated=0.2))

    assert [(found.rule, found.evidence["step"], names(found)) for found in gone] == [
        ("diverges", 3, ["learning rate 0.1"])
    ]
    assert run_checks(replace(measured, course=course(0.0, losses=(2.3, 9e9, 2.2)))) == ()


# -------------------------------------------------------------------------------------------- the end


def test_a_softmax_before_cross_entropy_is_a_fault():
    y = torch.arange(256) % 10
    net = nn.Sequential(*mlp(nn.ReLU, 2), nn.Softmax(1))

    (found,) = findings(net, inputs(), y, F.cross_entropy).values()

    assert (found.rule, found.kind, names(found)) == (
        "softmax before a loss that has one",
        "fault",
        ["no softmax before the loss"],
    )
    assert findings(mlp(nn.ReLU, 2), inputs(), y, F.cross_entropy) == {}
    assert findings(net, inputs(), y, lambda output, target: F.nll_loss(output.log(), target)) == {}


def test_a_sigmoid_before_a_loss_with_logits_is_a_fault():
    y = (torch.arange(256) % 2).float()[:, None].expand(-1, 10).contiguous()
    net = nn.Sequential(*mlp(nn.ReLU, 2), nn.Sigmoid())

    assert list(findings(net, inputs(), y, F.binary_cross_entropy_with_logits)) == [
        "sigmoid before a loss that has one"
    ]
    assert findings(net, inputs(), y, F.binary_cross_entropy) == {}


# ---------------------------------------------------------------------------------------------- hints


def test_a_sigmoid_inside_is_a_hint_and_one_at_the_output_or_in_a_gate_is_none():
    found = findings(mlp(nn.Sigmoid, 2), inputs())["sigmoid or softmax inside"]

    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 2)

        def forward(self, x):
            return self.c(torch.relu(self.a(x)) * torch.sigmoid(self.b(x)))

    assert (found.kind, found.layer, names(found)) == ("hint", "0", ["relu at 1 and 1 more", "tanh at 1 and 1 more"])
    assert findings(Gate(), inputs()) == {}
    assert findings(nn.Sequential(*mlp(nn.ReLU, 2), nn.Sigmoid()), inputs()) == {}


def test_selu_wants_its_init_and_its_dropout():
    found = findings(mlp(nn.SELU, 3, dropout=0.1), inputs())

    assert [(one.kind, one.layer) for one in found.values()] == [("hint", "0"), ("hint", "2")]
    assert names(found["SELU without its init"]) == ["matched init", "matched init, AlphaDropout(0.05) for Dropout"]
    assert found["SELU without its init"].evidence["weight"] == pytest.approx(3**-0.5, rel=0.05)
    assert names(found["SELU with plain Dropout"]) == ["AlphaDropout(0.05) for Dropout"]


def test_selu_with_its_init_gets_no_advice_nor_does_elu_with_dropout():
    assert findings(mlp(nn.SELU, 3, gain=1.0), inputs()) == {}
    assert findings(mlp(nn.ELU, 3, dropout=0.1), inputs()) == {}


class Tokens(nn.Module):
    def __init__(self, activation, *, attends=True):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, activation=activation, batch_first=True)
        self.body = layer if attends else nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, x):
        return self.body(x.view(len(x), 4, 16)).mean(1)


def test_relu_in_a_transformer_is_a_hint():
    found = findings(Tokens("relu"), inputs())

    assert list(found) == ["GELU in transformers"]
    assert names(found["GELU in transformers"]) == ["gelu at body.activation"]
    assert findings(Tokens("gelu"), inputs()) == {}
    assert findings(Tokens("relu", attends=False), inputs()) == {}


def test_relu_in_a_deep_convolutional_net_without_norms_is_a_hint():
    def hints(net):
        return [found.rule for found in run_checks(measure_model(net, pictures())) if found.rule.startswith("Leaky")]

    assert hints(cnn(6)) == ["LeakyReLU in deep convolutional nets"]
    assert hints(cnn(5)) == []
    assert hints(cnn(6, norm=True)) == []
