"""Held-out items are in no history, histories are in the order of time, and items that a user had are not recommended."""

import numpy as np
import pytest
import torch
from torch import nn

from actlab.tasks import resolve
from actlab.tasks.builtin.recommendation.dependencies import histories
from actlab.tasks.builtin.recommendation.held_out_item import Histories, held_out_data, neighbour_ndcg, popularity_ndcg
from actlab.tasks.task import load_data

SMALL = Histories(users=np.array([0, 0, 0, 1, 1, 1, 1]), items=np.array([4, 0, 2, 3, 1, 0, 4]), item_count=5)


def test_the_last_item_tests_and_the_one_before_validates():
    data = held_out_data(SMALL)

    assert data.train.x.tolist() == [[0, 0, 0, 0, 1], [0, 1, 0, 1, 0]]
    assert data.validation.x.tolist() == data.train.x.tolist()
    assert data.validation.y.tolist() == [0, 0]
    assert data.test.x.tolist() == [[1, 0, 0, 0, 1], [1, 1, 0, 1, 0]]
    assert data.test.y.tolist() == [2, 4]


@pytest.mark.parametrize("seed", [0, 1])
def test_no_held_out_item_is_in_the_history_it_is_predicted_from(seed):
    data = load_data(resolve("dependencies"), seed)

    for split in (data.validation, data.test):
        assert split.x.gather(1, split.y[:, None]).max() == 0
    assert data.train.x.gather(1, data.test.y[:, None]).max() == 0
    assert (data.test.x - data.train.x).sum(1).tolist() == [1] * 3762


def test_a_seed_draws_other_items_to_be_held_out_and_changes_no_dependency():
    one, other = histories(0), histories(1)
    order = [np.lexsort((found.items, found.users)) for found in (one, other)]

    assert (one.items[order[0]] == other.items[order[1]]).all()
    assert (one.held_out(1) != other.held_out(1)).any()


def test_items_that_the_user_had_are_not_ranked():
    class Constant(nn.Module):
        def forward(self, x):
            return x + torch.tensor([0.5, 0.4, 0.3, 0.2, 0.1])

    output, target = resolve("dependencies").predict(Constant(), (torch.tensor([[1.0, 0, 0, 1, 0]]), torch.tensor([1])))

    assert output.tolist() == [[-torch.inf, pytest.approx(0.4), pytest.approx(0.3), -torch.inf, pytest.approx(0.1)]]
    assert target.tolist() == [1]


def test_the_reference_scores_are_those_of_the_docstring():
    data = load_data(resolve("dependencies"), 0)

    assert [popularity_ndcg(data), neighbour_ndcg(data)] == pytest.approx([0.10, 0.41], abs=0.01)
