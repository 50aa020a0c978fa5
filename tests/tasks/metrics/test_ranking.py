"""Metrics of rankings equal those of scikit-learn, with ties, and undefined ones are errors."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score

from actlab.errors import TaskError
from actlab.tasks.metrics.ranking import average_precision, found_in_first, ndcg, ndcg_at_10


@pytest.mark.parametrize("levels", [2, 7, 10_000], ids=["two levels", "many ties", "few ties"])
@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_that_of_scikit_learn_with_and_without_ties(levels, seed):
    random = np.random.RandomState(seed)
    scores, target = random.randint(levels, size=200) / levels, random.rand(200) < 0.1

    found = average_precision(torch.from_numpy(scores), torch.from_numpy(target.astype(np.int64)))

    assert found == pytest.approx(average_precision_score(target, scores), abs=1e-12)


def test_average_precision_of_two_logits_is_that_of_their_difference_in_double_precision():
    logits = torch.tensor([[1.0, 2.0], [5.0, 5.5], [0.0, -1.0], [1e8, 1e8 + 8]])
    target = torch.tensor([1, 0, 0, 1])

    assert average_precision(logits, target) == average_precision((logits[:, 1] - logits[:, 0]).double(), target)


def test_scores_that_are_all_equal_have_the_share_of_positives_as_average_precision():
    assert average_precision(torch.zeros(50), torch.arange(50) % 10 == 0) == pytest.approx(0.1)


def test_a_metric_without_a_positive_example_or_with_other_outputs_is_an_error():
    with pytest.raises(TaskError, match="Average precision of 3 examples without a positive one is undefined"):
        average_precision(torch.zeros(3), torch.zeros(3))
    with pytest.raises(TaskError, match=r"logits of two classes.*got \(3, 5\)"):
        average_precision(torch.zeros(3, 5), torch.ones(3))


def test_the_share_that_is_found_counts_positives_among_the_highest_scores():
    target = torch.zeros(100)
    target[[0, 1, 50, 99]] = 1

    assert found_in_first(-torch.arange(100.0), target) == 0.5
    assert found_in_first(-torch.arange(100.0), target, share=1.0) == 1.0


def test_ndcg_is_that_of_scikit_learn_where_one_item_is_right():
    random = np.random.RandomState(0)
    scores, right = random.rand(30, 50), random.randint(50, size=30)
    relevance = np.eye(50)[right]

    found = ndcg_at_10(torch.from_numpy(scores), torch.from_numpy(right))

    assert found == pytest.approx(ndcg_score(relevance, scores, k=10), abs=1e-12)


def test_ndcg_gives_nothing_for_equal_scores_and_for_a_rank_after_the_first():
    assert ndcg(torch.zeros(4, 11), torch.tensor([0, 3, 5, 10]), first=10) == 0
    assert ndcg(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([2]), first=2) == 0
    assert ndcg(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([2]), first=3) == 0.5
