"""morph_: quality before, after a blunt swap and at the end; early stopping, and the weights that stay."""

from __future__ import annotations

import copy
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab.errors import LayerError, SiteError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.training.early_stopping import EarlyStopping
from actlab.nn.transforms.morph.finetune import morph_
from actlab.nn.transforms.swap import swap_

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(600, 6, generator=GENERATOR)
LABELS = (INPUTS[:, 0] * INPUTS[:, 1] > 0).long() + (INPUTS[:, 2] > 0).long()
BATCHES = [(INPUTS[i : i + 50], LABELS[i : i + 50]) for i in range(0, 400, 50)]


def accuracy(model):
    return float((model(INPUTS[400:]).argmax(1) == LABELS[400:]).double().mean())


def trained():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for index in range(160):
        x, y = BATCHES[index % 8]
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@pytest.fixture(scope="module")
def trained_model():
    return trained()


@pytest.fixture
def model(trained_model):
    return copy.deepcopy(trained_model)


def test_it_tells_what_the_model_was_before_after_a_blunt_swap_and_at_the_end(model):
    old = copy.deepcopy(model).eval()
    blunt = copy.deepcopy(old)
    swap_(blunt, "elu")

    found = morph_(
        model, "elu", BATCHES, F.cross_entropy, evaluate=accuracy, steps=100, tolerance=0.03, learning_rate=0.01
    )

    assert found.before == accuracy(old)
    assert found.blunt == accuracy(blunt)
    assert found.blunt < found.before - 0.1
    assert found.after == accuracy(model.eval())
    assert found.recovered is (found.after >= found.before - 0.03)
    assert found.recovered
    assert [(path, new) for path, _, new in found.changes] == [("2", "elu"), ("4", "elu")]
    assert [type(part) for part in model if not isinstance(part, (nn.Linear, nn.BatchNorm1d))] == [ActivationLayer] * 2


def test_it_stops_at_the_first_check_that_is_as_good_as_before(model):
    found = morph_(
        model, "gelu", BATCHES, F.cross_entropy, evaluate=accuracy, steps=80, anneal=0.5, tolerance=1.0, every=7
    )

    assert (found.ending, found.steps, found.at) == ("recovered", 40, 40), (
        "the first check with the new functions alone"
    )
    assert [check.step for check in found.history] == [7, 14, 21, 28, 35, 40]
    assert [check.share for check in found.history][-1] == 1.0


def planted(values):
    """Return an evaluate function that returns 0.9, 0.5 for the blunt swap, then these values."""
    rest = iter([0.9, 0.5, *values])
    return lambda _: next(rest)


def test_out_of_patience_it_returns_to_its_best_check(model):
    states = []
    values = iter([0.9, 0.5, 0.6, 0.7, 0.69, 0.7, 0.68, 0.1])

    def evaluate(model):
        states.append({key: value.clone() for key, value in model.state_dict().items()})
        return next(values)

    found = morph_(
        model,
        "gelu",
        BATCHES,
        F.cross_entropy,
        evaluate=evaluate,
        steps=50,
        anneal=0.1,
        every=5,
        patience=3,
        learning_rate=0.01,
    )

    assert (found.ending, found.after, found.at, found.steps, found.recovered) == ("patience", 0.7, 10, 25, False)
    assert all(torch.equal(value, states[3][key]) for key, value in model.state_dict().items())
    assert not torch.equal(states[3]["0.weight"], states[-1]["0.weight"])


def test_all_steps_are_used_without_a_tolerance_and_patience(model):
    found = morph_(
        model,
        "gelu",
        BATCHES,
        F.cross_entropy,
        evaluate=planted([0.95, 0.94, 0.99, 0.2]),
        steps=20,
        anneal=0.0,
        every=7,
        tolerance=None,
        patience=None,
    )

    assert (found.ending, found.steps, found.at, found.after) == ("steps", 20, 14, 0.99)
    assert [check.step for check in found.history] == [0, 7, 14, 20]


def test_smaller_can_be_better(model):
    found = morph_(
        model,
        "gelu",
        BATCHES,
        F.cross_entropy,
        evaluate=planted([1.5, 1.2, 0.95, 2.0]),
        steps=30,
        anneal=0.0,
        every=10,
        tolerance=0.1,
        direction="min",
    )

    assert (found.ending, found.after, found.at, found.recovered) == ("recovered", 0.95, 20, True)


def test_a_loss_that_is_no_number_ends_it_and_leaves_the_weights(model):
    calls = []

    def loss(output, target):
        calls.append(1)
        return F.cross_entropy(output, target) * (math.nan if len(calls) == 4 else 1)

    found = morph_(model, "gelu", BATCHES, loss, evaluate=accuracy, steps=30, anneal=1.0, tolerance=None)

    assert (found.ending, found.steps) == ("diverged", 3)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert isinstance(model[2], ActivationLayer)


def test_undo_brings_the_trained_model_back_to_the_bit(model, trained_model):
    found = morph_(model, "swiglu", [[x, y] for x, y in BATCHES], F.cross_entropy, evaluate=accuracy, steps=10)
    assert model[3].out_features != 32
    found.undo()

    assert repr(model) == repr(trained_model)
    assert all(torch.equal(value, trained_model.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("flag", [True, False])
def test_the_training_flag_stays_and_evaluation_has_no_gradients(model, flag):
    def evaluate(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        return accuracy(model)

    model.train(flag)
    morph_(model, "gelu", BATCHES, F.cross_entropy, evaluate=evaluate, steps=4)

    assert all(module.training is flag for module in model.modules())


def test_norms_are_recalibrated_before_each_check(model):
    def evaluate(model):
        seen.append(model[1].num_batches_tracked.item())
        return accuracy(model)

    seen = []
    morph_(model, "gelu", BATCHES, F.cross_entropy, evaluate=evaluate, steps=8, every=4, tolerance=None, calibration=3)

    assert seen == [160, 160, 3, 3, 3], "before, blunt; then the statistics are of three batches"


def test_the_same_call_gives_the_same_numbers(trained_model):
    models = copy.deepcopy(trained_model), copy.deepcopy(trained_model)
    found = [
        morph_(
            one,
            "swiglu",
            BATCHES,
            F.cross_entropy,
            evaluate=accuracy,
            steps=12,
            generator=torch.Generator().manual_seed(5),
        )
        for one in models
    ]

    assert found[0] == found[1]
    states = [one.state_dict() for one in models]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


# ------------------------------------------------------------------------------------- steps of one's own


def test_a_step_of_ones_own_does_all_the_training(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    seen = []

    def step(batch):
        seen.append(len(batch[0]))
        value = F.cross_entropy(model(batch[0]), batch[1])
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        return value.detach()

    found = morph_(model, "gelu", BATCHES, step=step, evaluate=accuracy, steps=12, tolerance=None)

    assert (len(seen), found.steps) == (12, 12)


def test_an_optimizer_of_ones_own_gets_the_new_parameters(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    def step(batch):
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()
        optimizer.zero_grad()

    morph_(
        model,
        "swish(beta=learned)",
        BATCHES,
        step=step,
        optimizer=optimizer,
        evaluate=accuracy,
        steps=12,
        tolerance=None,
    )

    assert model[2].beta.item() != 1.0
    assert len(optimizer.param_groups) == 2


def test_an_optimizer_that_would_miss_parameters_is_an_error(model, trained_model):
    with pytest.raises(SiteError, match="optimizer="):
        morph_(model, "swish(beta=learned)", BATCHES, step=lambda _: None, evaluate=accuracy, steps=12)
    assert repr(model) == repr(trained_model)


def test_inputs_are_picked_from_batches_of_any_kind(model):
    class Batch:
        def __init__(self, x, y):
            self.x, self.y = x, y

    batches = [Batch(x, y) for x, y in BATCHES]
    with pytest.raises(SiteError, match="inputs=lambda"):
        morph_(model, "gelu", batches, F.cross_entropy, evaluate=accuracy, steps=2)

    found = morph_(
        model,
        "gelu",
        batches,
        lambda out, batch: F.cross_entropy(out, batch.y),
        evaluate=accuracy,
        steps=2,
        inputs=lambda b: b.x,
    )
    assert found.steps == 2


# --------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"loss": None}, LayerError, "neither"),
        ({"step": print}, LayerError, "both"),
        ({"every": 0}, LayerError, "from 1 up"),
        ({"calibration": 0}, LayerError, "from 1 up"),
        ({"direction": "up"}, LayerError, "'max'"),
        ({"tolerance": -1.0}, LayerError, "from 0 up"),
        ({"tolerance": math.nan}, LayerError, "from 0 up"),
        ({"patience": 0}, LayerError, "from 1 up"),
        ({"steps": 0}, LayerError, "from 1 up"),
        ({"loader": []}, SiteError, "no batch"),
        ({"loader": iter(BATCHES)}, SiteError, "read again"),
        ({"swaps": {"conv": "gelu"}}, SiteError, "No site matches"),
    ],
)
def test_what_makes_no_sense_is_refused(model, trained_model, options, error, words):
    chosen = {"swaps": "gelu", "loader": BATCHES, "loss": F.cross_entropy, "steps": 40, "tolerance": None} | options
    with pytest.raises(error, match=words):
        morph_(model, evaluate=accuracy, **chosen)
    assert repr(model) == repr(trained_model)
    assert all(torch.equal(value, trained_model.state_dict()[key]) for key, value in model.state_dict().items())


def test_an_interrupt_restores_the_old_model(model, trained_model):
    def loss(output, target):
        losses.append(1)
        if len(losses) == 3:
            raise KeyboardInterrupt
        return F.cross_entropy(output, target)

    losses = []
    with pytest.raises(KeyboardInterrupt):
        morph_(model.eval(), "gelu", BATCHES, loss, evaluate=accuracy, steps=20)

    assert repr(model) == repr(trained_model)
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(value, trained_model.state_dict()[key]) for key, value in model.state_dict().items())


def test_a_norm_that_is_frozen_stays_frozen(model):
    model[1].eval()
    before = model[1].running_mean.clone()
    morph_(model, "gelu", BATCHES, F.cross_entropy, evaluate=accuracy, steps=10, tolerance=None)

    assert torch.equal(model[1].running_mean, before)
    assert [module.training for module in model] == [True, False, True, True, True, True]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], None),
        ([0.5], None),
        ([0.895], "recovered"),
        ([0.8951, 0.5], None),
        ([0.6, 0.5, 0.4], "patience"),
        ([0.6, 0.6, 0.6], "patience"),
        ([0.5, 0.6, 0.59], None),
    ],
)
def test_the_stop_rule_looks_at_the_last_check_and_at_the_best(values, reason):
    assert EarlyStopping(tolerance=0.005, patience=2).reason(0.9, values) == reason
    turned = EarlyStopping(tolerance=0.005, patience=2, direction="min")
    assert turned.reason(-0.9, [-value for value in values]) == reason


def test_the_example_of_the_page_runs_as_it_stands():
    page = (Path(__file__).resolve().parents[4] / "docs" / "how_to" / "morph.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "recovered True True True",
        "ActivationLayer(tanh) ['0.weight', '0.bias', '2.weight', '2.bias']",
        "ReLU() True",
    ]


def test_it_is_public():
    assert actlab.morph_ is morph_
    assert {"Morph", "morph_", "recalibrate_"} <= set(actlab.__all__)
