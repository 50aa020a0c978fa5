"""Metrics of rankings, such as average precision of a rare class and NDCG of recommended items."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from actlab.errors import TaskError

__all__ = ["average_precision", "found_in_first", "ndcg", "ndcg_at_10"]


def average_precision(output: Tensor, target: Tensor) -> float:
    """Return the area under precision against recall as a step function, as scikit-learn defines it; the larger, the better.

    A ranking at random has the share of positive examples.

    Args:
        output: logits of two classes, shape (n, 2), or scores, shape (n,).
        target: 1 for positive examples, else 0, shape (n,).

    Raises:
        TaskError: no example is positive, so that the metric is undefined.

    Example:
        >>> average_precision(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 0, 1]))
        0.8333333333333333
    """
    scores, positive = _scores(output), target.double()
    total = _positives(positive, "average precision")
    order = scores.argsort(descending=True)
    scores, found = scores[order], positive[order].cumsum(0)
    last = torch.cat((scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)))  # equal scores are one threshold
    found, taken = found[last], (torch.arange(len(scores)) + 1)[last]
    gained = torch.diff(found, prepend=torch.zeros(1, dtype=torch.double))
    return float((gained * found / taken).sum() / total)


def found_in_first(output: Tensor, target: Tensor, share: float = 0.2) -> float:
    """Return the share of the positive examples that are among the highest scores.

    Args:
        output: logits of two classes, shape (n, 2), or scores, shape (n,).
        target: 1 for positive examples, else 0, shape (n,).
        share: share of the examples that are looked at.

    Raises:
        TaskError: no example is positive.

    Example:
        >>> found_in_first(torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.tensor([1, 0, 1, 0, 0]))
        0.5
    """
    total = _positives(target.double(), "the share that is found")
    first = _scores(output).argsort(descending=True, stable=True)[: round(share * len(target))]
    return float(target[first].sum()) / total


def ndcg(output: Tensor, target: Tensor, first: int) -> float:
    """Return the normalised discounted cumulative gain where one item is right: 1 / log2(1 + rank), 0 after the first ranks; mean of n.

    An item with a score equal to that of the right one is ranked before it, so that equal scores for all gain nothing.

    Args:
        output: scores of the items, shape (n, items); those that are not to be recommended have -inf.
        target: number of the right item, shape (n,).
        first: number of ranks that count.

    Example:
        >>> ndcg(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([1]), 10)
        1.0
    """
    right = output.gather(1, target[:, None])
    rank = (output >= right).sum(1)
    gain = 1 / torch.log2(1 + rank.double())
    return float(torch.where(rank <= first, gain, 0.0).mean())


ndcg_at_10 = partial(ndcg, first=10)


def _scores(output: Tensor) -> Tensor:
    """Return one score for each example, in double precision."""
    scores = output[:, 1].double() - output[:, 0].double() if output.ndim == 2 and output.shape[1] == 2 else output
    if scores.ndim != 1:
        raise TaskError(
            f"A ranking needs logits of two classes, shape (n, 2), or scores, shape (n,); got {tuple(output.shape)}."
        )
    return scores.double()


def _positives(positive: Tensor, metric: str) -> float:
    total = float(positive.sum())
    if not total:
        raise TaskError(
            f"{metric[:1].upper()}{metric[1:]} of {len(positive)} examples without a positive one is undefined."
        )
    return total
