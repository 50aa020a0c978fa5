"""The nets of the dials differ from that of their base task in one thing, and learn."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from actlab.errors import TaskError
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.task import load_data

DIALS = ("depth-3", "he-init-3", "batch-norm-3", "layer-norm-3", "width-8")
NAMES = [f"{data}:{dial}" for data in ("digits", "mnist1d") for dial in DIALS] + ["digits:dropout-0.2", "mnist1d:cnn"]


def kinds(name):
    return [type(layer).__name__ for layer in resolve(name).model(0)]


def linears(name):
    torch.manual_seed(0)
    return [layer for layer in resolve(name).model(0) if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_batch_falls_within_a_few_steps(name):
    torch.manual_seed(0)
    task = resolve(name)
    model, train = task.model(0), load_data(task, 0).train
    optimizer, found = task.optimizer(model.parameters(), task.learning_rate), []
    for _ in range(12):
        loss = task.loss(model(train.x[:128]), train.y[:128])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())

    assert found[-1] < found[0]


def test_depth_4_and_width_64_are_the_shape_of_digits():
    shapes = [
        [tuple(p.shape) for p in resolve(name).model(0).parameters()]
        for name in ("digits:depth-4", "digits:width-64", "digits")
    ]

    assert shapes[0] == shapes[1] == shapes[2]
    assert resolve("digits:depth-4").learning_rate == resolve("digits").learning_rate


def test_a_norm_stands_before_each_activation_and_nothing_else_is_added():
    plain = kinds("digits:depth-2")

    assert plain == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    for name, norm in (("batch-norm", "BatchNorm1d"), ("layer-norm", "LayerNorm")):
        assert kinds(f"mnist1d:{name}-2") == ["Linear", norm, "ReLU", "Linear", norm, "ReLU", "Linear"]
    assert kinds("digits:dropout-0") == [kind for kind in kinds("digits:dropout-0.5") if kind != "Dropout"]


def test_initial_weights_have_the_spread_that_the_name_says():
    for inputs, layer in ((40, linears("mnist1d:he-init-40")[0]), (64, linears("digits:he-init-40")[-2])):
        assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
        assert not layer.bias.any()
    assert linears("digits:depth-40")[-2].weight.abs().max() <= 1 / 8  # uniform within 1 / sqrt(fan in)
    assert all(torch.allclose(layer.weight.norm(dim=1), torch.ones(1)) for layer in linears("digits:dropout-0.5"))


def test_a_seed_draws_the_validation_split_and_leaves_the_published_test_split():
    first, other = (load_data(resolve("mnist1d:depth-2"), seed) for seed in (0, 1))
    rows = {row.numpy().tobytes() for split in first.splits.values() for row in split.x}

    assert (len(first.train), len(first.validation), len(first.test)) == (7000, 1000, 2000)
    assert len(rows) == 10_000
    assert torch.equal(first.test.x, other.test.x)
    assert not torch.equal(first.validation.x, other.validation.x)


def test_the_convolutional_net_is_linear_without_its_activations():
    model = resolve("mnist1d:cnn").model(0)
    linear = nn.Sequential(*(layer for layer in model if not isinstance(layer, nn.ReLU))).double()
    one, other = torch.randn(2, 3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    assert torch.allclose(linear(one + other) - linear(one), linear(other) - linear(0 * other))


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("digits:depth-0", "hidden layers, from 1 to 64; try digits:depth-8"),
        ("digits:width-2000", "units in each of four hidden layers, from 1 to 1024; try digits:width-8"),
        ("mnist1d:layer-norm-2.5", "from 1 to 64; try mnist1d:layer-norm-8"),
        ("digits:dropout-1", "from 0 to less than 1; try digits:dropout-0.2"),
    ],
)
def test_a_number_that_a_net_cannot_have_is_answered_with_those_that_it_can(name, allowed):
    with pytest.raises(TaskError, match=allowed):
        resolve(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most"),
    [("digits:depth-4", 0.967), ("mnist1d:depth-4", 0.323)],
)
def test_logistic_regression_scores_what_the_docstring_says(name, most):
    scores = []
    for seed in range(20 if name.startswith("digits") else 2):
        data = load_data(resolve(name), seed)
        fitted = LogisticRegression(max_iter=300).fit(data.train.x.numpy(), data.train.y.numpy())
        scores.append(fitted.score(data.test.x.numpy(), data.test.y.numpy()))

    assert sum(scores) / len(scores) == pytest.approx(most, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("digits:depth-8", 0.9),
        ("digits:he-init-8", 0.95),
        ("digits:batch-norm-8", 0.95),
        ("digits:layer-norm-8", 0.9),
        ("digits:dropout-0.2", 0.94),
        ("mnist1d:depth-2", 0.62),
        ("mnist1d:batch-norm-8", 0.68),
        ("mnist1d:cnn", 0.86),
    ],
)
def test_relu_learns_the_task(name, least):
    assert run_trial(resolve(name), parse_arm("relu"), seed=100).metric > least
