"""Pairs are right and disjoint, and steps are counted up to the first evaluation above the threshold, or the cap."""

import pytest
import torch
from torch import nn

from actlab.errors import TaskError
from actlab.tasks import resolve
from actlab.tasks.builtin.plasticity.modular_sum import ModularSum, pairs, train
from actlab.tasks.training.handle import TrialHandle


def test_every_pair_is_in_one_part_and_has_its_sum():
    x, y, unseen, sums = pairs(ModularSum(modulus=7, share=0.4), 3)
    both, all_sums = torch.cat((x, unseen)), torch.cat((y, sums))
    a, b = both[:, :7].argmax(1), both[:, 7:].argmax(1)

    assert len({*zip(a.tolist(), b.tolist(), strict=True)}) == 49
    assert torch.equal(all_sums, (a + b) % 7)
    assert len(x) == int(0.4 * 49)


class Lookup(nn.Module):
    """Net that knows all sums, with a weight that changes nothing."""

    def __init__(self, modulus):
        super().__init__()
        self.modulus, self.scale = modulus, nn.Parameter(torch.ones(()))

    def forward(self, x):
        sums = (x[:, : self.modulus].argmax(1) + x[:, self.modulus :].argmax(1)) % self.modulus
        return 9 * nn.functional.one_hot(sums, self.modulus) * self.scale


def test_a_net_that_knows_all_sums_has_generalised_at_the_first_evaluation():
    problem = ModularSum(modulus=5, every=10, cap=100)

    assert train(Lookup(5), 0, TrialHandle(lr=1e-4), problem) == {
        "steps": 10.0,
        "memorised": 10.0,
        "delay": 0.0,
        "generalised": 1.0,
        "accuracy": 1.0,
    }


def test_a_net_that_does_not_generalise_counts_with_the_cap():
    problem = ModularSum(modulus=5, every=10, cap=40)
    torch.manual_seed(0)
    found = train(nn.Linear(10, 5), 0, TrialHandle(lr=1e-3), problem)

    assert (found["steps"], found["delay"], found["generalised"]) == (40.0, 40.0, 0.0)
    assert found["accuracy"] < 0.99


def test_a_seed_gives_the_same_numbers():
    problem = ModularSum(modulus=5, cap=50)

    def result(seed):
        torch.manual_seed(seed)
        return train(problem.model(seed), seed, TrialHandle(lr=1e-2), problem)

    assert result(1) == result(1)
    assert not torch.equal(pairs(problem, 1)[0], pairs(problem, 2)[0])


def test_the_number_in_the_name_is_the_weight_decay_and_one_out_of_range_is_refused():
    assert resolve("modular-sum:decay-0.3").name == "modular-sum:decay-0.3"
    with pytest.raises(TaskError, match="from 0 to 10"):
        resolve("modular-sum:decay-11")
