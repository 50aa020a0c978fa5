"""Two nets of a pair train as each would alone, on batches of their own, and their disagreement is counted on equal inputs."""

import numpy as np
import pytest
import torch
from torch import nn

from actlab.studies.arm import parse_arm
from actlab.studies.stackable import obstacle
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.reliability.retrained_pair import Pair, disagreement, disagreement_per_error, pair_accuracy
from actlab.tasks.task import adam, load_data

NAMES = ["digits:pair", "mnist1d:pair"]


@pytest.mark.parametrize("name", NAMES)
def test_the_nets_train_on_different_orders_and_are_evaluated_on_the_same_examples(name):
    data = load_data(resolve(name), 0)

    first, second = data.train.x.unbind(1)
    assert not torch.equal(first, second)
    assert sorted(map(bytes, first.numpy())) == sorted(map(bytes, second.numpy()))
    for split in (data.validation, data.test):
        assert torch.equal(split.x[:, 0], split.x[:, 1])
        assert torch.equal(split.y[:, 0], split.y[:, 1])


@pytest.mark.parametrize("name", NAMES)
def test_labels_stay_with_their_inputs(name):
    train = load_data(resolve(name), 3).train

    labels = {bytes(x): int(y) for x, y in zip(train.x[:, 0].numpy(), train.y[:, 0], strict=True)}
    assert all(labels[bytes(x)] == int(y) for x, y in zip(train.x[:, 1].numpy(), train.y[:, 1], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_nets_begin_with_different_weights_and_can_be_stacked(name):
    task = resolve(name)
    torch.manual_seed(0)
    model = task.model(0)

    assert not torch.equal(next(model.first.parameters()), next(model.second.parameters()))
    assert obstacle(task) is None


def test_a_pair_is_trained_as_each_net_alone():
    task, split = resolve("mnist1d:pair"), load_data(resolve("mnist1d:pair"), 0).train
    nets = [nn.Sequential(nn.Linear(40, 8), nn.Tanh(), nn.Linear(8, 10)).double() for _ in range(2)]
    alone = [nn.Sequential(nn.Linear(40, 8), nn.Tanh(), nn.Linear(8, 10)).double() for _ in range(2)]
    for net, copy in zip(nets, alone, strict=True):
        copy.load_state_dict(net.state_dict())
    pair = Pair(*nets)
    together, single = adam(pair.parameters(), 1e-3), [adam(net.parameters(), 1e-3) for net in alone]
    for start in range(0, 500, 100):
        x, y = split.x[start : start + 100].double(), split.y[start : start + 100]
        together.zero_grad()
        task.loss(pair(x), y).backward()
        together.step()
        for place, (net, optimizer) in enumerate(zip(alone, single, strict=True)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[:, place]), y[:, place]).backward()
            optimizer.step()

    for net, copy in zip(nets, alone, strict=True):
        for weight, other in zip(net.parameters(), copy.parameters(), strict=True):
            assert torch.allclose(weight, other, atol=1e-5)  # the epsilon of Adam beside gradients of half the size


def test_the_metrics_are_those_counted_example_by_example():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(50, 4, 2, generator=generator)
    labels = torch.randint(4, (50,), generator=generator)
    target = torch.stack((labels, labels), 1)

    first, second = (np.array([int(np.argmax(row)) for row in output[:, :, net].numpy()]) for net in range(2))
    errors = ((first != labels.numpy()).mean() + (second != labels.numpy()).mean()) / 2
    assert pair_accuracy(output, target) == pytest.approx(1 - errors)
    assert disagreement(output, target) == pytest.approx((first != second).mean())
    assert disagreement_per_error(output, target) == pytest.approx((first != second).mean() / errors)


def test_nets_without_an_error_disagree_nowhere():
    logits = torch.eye(3)[:, :, None].repeat(1, 1, 2)

    assert disagreement_per_error(logits, torch.arange(3)[:, None].repeat(1, 2)) == 0.0


def test_a_pair_on_mnist1d_is_as_accurate_as_the_published_mlp_and_disagrees():
    trial = run_trial(resolve("mnist1d:pair"), parse_arm("relu"), 0)

    assert trial.metric == pytest.approx(0.69, abs=0.03)  # published for one net: 0.68 (arXiv:2011.14439)
    assert 0.2 < trial.metrics["disagreement"] < 0.4
