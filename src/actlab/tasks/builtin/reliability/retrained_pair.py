"""Two trainings of one net in one trial, and the share of examples on which they disagree.

The trainings differ in initial weights and order of the examples. Prediction churn, or irreproducibility, is measured in this way in
arXiv:2010.09931: nets of equal accuracy, trained on equal data, answer differently on single examples. Disagreement is a property of a
pair, so that a trial trains two nets. An example of the data is a pair of inputs, one for each net. In training the second ones are those
of another example, so that the batches of the nets differ; in evaluation both are the same one. Adam treats every weight by itself, so that
training both by one loss is training each by its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.builtin.reliability import mnist1d_mlp
from actlab.tasks.builtin.vision import fashion_depth
from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.task import Task

__all__ = ["Pair", "disagreement", "disagreement_per_error", "fashion_pair_task", "mnist1d_pair_task", "pair_accuracy"]


class Pair(nn.Module):
    """Two nets, each with inputs of its own.

    Args:
        first: maps (n, ...) to (n, classes).
        second: the same, with other weights.

    Example:
        >>> Pair(nn.Linear(3, 4), nn.Linear(3, 4))(torch.zeros(5, 2, 3)).shape
        torch.Size([5, 4, 2])
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """Map pairs of inputs, shape (n, 2, ...), to logits, shape (n, classes, 2)."""
        return torch.stack((self.first(x[:, 0]), self.second(x[:, 1])), 2)


def pair_accuracy(output: Tensor, target: Tensor) -> float:
    """Return the mean accuracy of both nets; logits of shape (n, classes, 2), targets of shape (n, 2).

    Example:
        >>> logits = torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])  # one example, of which the nets say 0 and 1
        >>> pair_accuracy(logits, torch.tensor([[1, 1]]))
        0.5
    """
    return int((output.argmax(1) == target).sum()) / target.numel()


def disagreement(output: Tensor, target: Tensor) -> float:  # noqa: ARG001 # the same signature as other metrics
    """Return the share of examples that the nets label differently; logits of shape (n, classes, 2).

    Example:
        >>> logits = torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])
        >>> disagreement(logits, torch.tensor([[1, 1]]))
        1.0
    """
    first, second = output.argmax(1).unbind(1)
    return int((first != second).sum()) / len(first)


def disagreement_per_error(output: Tensor, target: Tensor) -> float:
    """Return the disagreement divided by the mean error of both nets, with which nets of unequal accuracy can be compared.

    It is 0 where both err in the same way, and at most 2. Without any error it is taken to be 0.

    Example:
        >>> logits = torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])
        >>> disagreement_per_error(logits, torch.tensor([[1, 1]]))
        2.0
    """
    error = 1 - pair_accuracy(output, target)
    return disagreement(output, target) / error if error > 0 else 0.0


def _pairs(split: Split, order: Tensor | None = None) -> Split:
    """Return every example beside itself, or beside the one that an order of them puts there."""
    other = torch.arange(len(split)) if order is None else order
    return Split(x=torch.stack((split.x, split.x[other]), 1), y=torch.stack((split.y, split.y[other]), 1))


def _data(of: Callable[[int], Data], seed: int) -> Data:
    data, generator = of(seed), torch.Generator().manual_seed(seed)
    train, test = (tensors_of(part, "the pairs") for part in (data.train, data.test))
    held_out = None if data.validation is None else tensors_of(data.validation, "the pairs")
    return Data(
        train=_pairs(train, torch.randperm(len(train), generator=generator)),
        validation=None if held_out is None else _pairs(held_out),
        test=_pairs(test),
    )


def _model(of: Callable[[int], nn.Module], seed: int) -> nn.Module:
    return Pair(of(seed), of(seed))  # both from the generator that is seeded before the call


def _task(name: str, of: Task, description: str) -> Task:
    return replace(
        of,
        name=name,
        data=partial(_data, of.data),
        model=partial(_model, of.model),
        loss=functional.cross_entropy,
        metric=pair_accuracy,
        metric_name="accuracy",
        out_of_distribution=None,  # inputs are pairs
        metrics={
            "accuracy": pair_accuracy,
            "disagreement": disagreement,
            "disagreement per error": disagreement_per_error,
        },
        description=description,
        source=f"{name}, protocol 1",
    )


def fashion_pair_task() -> Task:
    """Return the pair of MLPs of four hidden layers of 64 on Fashion-MNIST, 3 epochs.

    Example:
        >>> fashion_pair_task().model(0)(torch.zeros(5, 2, 1, 28, 28)).shape
        torch.Size([5, 10, 2])
    """
    return _task("fashion-mnist:pair", fashion_depth.task(4), "Fashion-MNIST, two MLPs, accuracy and disagreement")


def mnist1d_pair_task() -> Task:
    """Return the pair of nets 40-100-100-10 on MNIST-1D.

    Example:
        >>> len(mnist1d_pair_task().data(0).train)
        7000
    """
    return _task("mnist1d:pair", mnist1d_mlp.task(), "MNIST-1D, two nets 40-100-100-10, accuracy and disagreement")
