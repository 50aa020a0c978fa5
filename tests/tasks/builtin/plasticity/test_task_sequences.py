"""Tasks of a sequence are the same for every arm, and accuracies are those before the net learns from a batch."""

import pytest
import torch
from torch import nn

from actlab.tasks import resolve
from actlab.tasks.builtin.plasticity.task_sequences import Sequence, _step, _Tasks

X, Y = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 10


def test_permuted_tasks_have_other_orders_of_the_pixels_and_the_labels_of_their_images():
    tasks = _Tasks(X, Y, 0, Sequence(images=50))
    (first, labels), (second, others) = tasks.next(), tasks.next()

    assert torch.allclose(first.sum(1).sort()[0], second.sum(1).sort()[0])
    assert not torch.equal(first.sort(0)[0], second.sort(0)[0])  # other columns
    for row, label in zip(first, labels, strict=True):
        matches = [int(y) for x, y in zip(X, Y, strict=True) if torch.equal(x.sort()[0], row.sort()[0])]
        assert matches == [int(label)]
    assert len(others) == 50


def test_tasks_of_random_labels_keep_the_images_and_draw_the_labels():
    tasks = _Tasks(X, Y, 0, Sequence(changed="labels", images=30))
    (first, labels), (second, others) = tasks.next(), tasks.next()

    assert torch.equal(first, second)
    assert not torch.equal(labels, others)


def test_a_seed_gives_the_same_tasks_and_batches():
    def drawn(seed):
        tasks = _Tasks(X, Y, seed, Sequence(images=20))
        return torch.cat([x for x, _ in tasks.batches(*tasks.next())])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_batch_is_judged_before_the_net_learns_from_it():
    model = nn.Linear(9, 10)
    before = int((model(X).argmax(1) == Y).sum())
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)

    assert _step(model, optimizer, X, Y)[1] == before
    assert before != int((model(X).argmax(1) == Y).sum())


@pytest.mark.parametrize("name", ["fashion-mnist:permuted", "fashion-mnist:random-labels"])
def test_the_nets_are_those_of_the_papers(name):
    sizes = [layer.out_features for layer in resolve(name).model(0) if isinstance(layer, nn.Linear)]

    assert sizes == [100, 100, 10]
