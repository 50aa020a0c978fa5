"""Two nets of a pair train as each would alone, on batches of their own, and their disagreement is counted on equal inputs."""

from collections import Counter

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

NAME = "mnist1d:pair"


def test_the_nets_train_on_different_orders_and_are_evaluated_on_the_same_examples():
    data = load_data(resolve(NAME), 0)

    first, second = data.train.x.unbind(1)
    assert not torch.equal(first, second)
    assert sorted(map(hash, map(bytes, first.numpy()))) == sorted(map(hash, map(bytes, second.numpy())))
    for split in (data.validation, data.test):
        assert torch.equal(split.x[:, 0], split.x[:, 1])
        assert torch.equal(split.y[:, 0], split.y[:, 1])


def test_labels_stay_with_their_inputs():
    train = load_data(resolve(NAME), 3).train
    first, second = ([bytes(x) for x in train.x[:, net].numpy()] for net in range(2))

    pairs = Counter(zip(first, train.y[:, 0].tolist(), strict=True))
    assert pairs == Counter(zip(second, train.y[:, 1].tolist(), strict=True))


def test_the_nets_begin_with_different_weights_and_can_be_stacked():
    task = resolve(NAME)
    torch.manual_seed(0)
    model = task.model(0)

    assert not torch.equal(next(model.first.parameters()), next(model.second.parameters()))
    assert obstacle(task) is None


def test_the_pair_on_fashion_mnist_has_images_for_each_net():
    task = resolve("fashion-mnist:pair")

    assert task.model(0)(torch.zeros(3, 2, 1, 28, 28)).shape == (3, 10, 2)
    assert task.metric_name == "accuracy"


def test_a_pair_is_trained_as_each_net_alone():
    task, split = resolve(NAME), load_data(resolve(NAME), 0).train
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


@pytest.mark.slow
def test_a_pair_on_mnist1d_is_as_accurate_as_the_published_mlp_and_disagrees():
    trial = run_trial(resolve(NAME), parse_arm("relu"), 0)

    assert trial.metric == pytest.approx(0.69, abs=0.03)  # published for one net: 0.68 (arXiv:2011.14439)
    assert 0.2 < trial.metrics["disagreement"] < 0.4
