"""The jamming tasks: what arXiv:2509.07236 tries its gradient rules on: Ones, a small MLP on digits and LeNet-5 by plain SGD.

"Ones" counts: of d bits, K are set, K uniform on 0..d, and the question is whether more than a share tau of them is. One unit can
answer it. The settings are those of the authors' examples; where a validation split was needed to choose learning rates, it is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.builtin import digits, fashion_mnist
from actlab.tasks.task import Data, Parameters, Split, Task, accuracy

__all__ = ["by_digits", "by_lenet", "by_ones", "by_step", "ones"]

_VALIDATION_OF_DIGITS = 180  # images, a tenth; the authors have none, and train on them as well


def ones(count: int, bits: int, tau: float, generator: torch.Generator) -> Split:
    """Draw rows of bits with a uniform number of ones, and whether more than a share ``tau`` of each is set.

    Args:
        count: rows.
        bits: in each row.
        tau: the share, between 0 and 1.
        generator: of the random numbers.

    Returns:
        Split of x, float32 (count, bits) of zeros and ones, and y, int64 (count,).

    Example:
        >>> drawn = ones(4, 10, 0.5, torch.Generator().manual_seed(0))
        >>> drawn.x.shape, bool((drawn.y == (drawn.x.mean(1) > 0.5)).all())
        (torch.Size([4, 10]), True)
    """
    number = torch.randint(bits + 1, (count, 1), generator=generator)
    rank = torch.rand(count, bits, generator=generator).argsort(1)
    set_ = rank < number
    return Split(x=set_.float(), y=(number[:, 0] > tau * bits).long())


class _Unit(nn.Module):
    """One unit, whose activation's value is the probability of the second of two classes.

    Both probabilities are returned: the activation is then no output of the model, and can be swapped.
    """

    def __init__(self, bits: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(bits, 1)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        second = self.activation(self.linear(x)).squeeze(1)
        return torch.stack((1 - second, second), 1)


def _ones_data(count: int, bits: int, tau: float, seed: int) -> Data:
    """Draw 80 % for training and 20 % for the test, and as many again as the test's for choosing learning rates."""
    generator = torch.Generator().manual_seed(seed)
    held_out = count // 5
    train, test, validation = (ones(number, bits, tau, generator) for number in (count - held_out, held_out, held_out))
    return Data(train=train, test=test, validation=validation)


def _unit(bits: int, activation: Callable[[], nn.Module], seed: int) -> nn.Module:  # noqa: ARG001 # seeded before the call
    return _Unit(bits, activation())


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy(output[:, 1], target.to(output.dtype))


def _squares(output: Tensor, target: Tensor) -> Tensor:
    return functional.mse_loss(output[:, 1], target.to(output.dtype))


def _sgd(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr)


def by_ones(tau: float = 0.7) -> Task:
    """Return the logistic unit on Ones: 2,000 rows of 10 bits, binary cross-entropy, SGD at 0.1, 30 epochs.

    Args:
        tau: the share of ones that decides; the authors' code has 0.7 and its docstring 0.5.

    Example:
        >>> by_ones(0.5).name, len(by_ones().data(0).train)
        ('jamming:ones-0.5', 1600)
    """
    return Task(
        name="jamming:ones" if tau == 0.7 else f"jamming:ones-{tau:g}",
        data=partial(_ones_data, 2000, 10, tau),
        model=partial(_unit, 10, nn.Sigmoid),
        loss=_cross_entropy,
        metric=accuracy,
        optimizer=_sgd,
        learning_rate=0.1,
        batch_size=32,
        epochs=30,
        rope=0.01,
        description=f"Ones, 10 bits, tau {tau:g}: one logistic unit by SGD (arXiv:2509.07236, table 2)",
        source=f"ones, tau {tau:g}, protocol 1",
    )


def by_step() -> Task:
    """Return the threshold unit on Ones: 4,096 rows of 64 bits, tau 0.5, squared error, SGD at 0.1, 20 epochs.

    Example:
        >>> by_step().batch_size, by_step().data(0).test.x.shape
        (64, torch.Size([819, 64]))
    """
    return Task(
        name="jamming:step",
        data=partial(_ones_data, 4096, 64, 0.5),
        model=partial(_unit, 64, nn.Sigmoid),
        loss=_squares,
        metric=accuracy,
        optimizer=_sgd,
        learning_rate=0.1,
        batch_size=64,
        epochs=20,
        rope=0.01,
        description="Ones, 64 bits: one unit with a step at its output, squared error (arXiv:2509.07236, table 13)",
        source="ones, step, protocol 1",
    )


def _digits_data(seed: int) -> Data:
    """Draw the 80 / 20 split of the images for a seed; 180 of the 80 % choose learning rates: 1,257 / 180 / 360."""
    whole = digits.by_mlp().data(seed)
    held = whole.validation
    more = Split(x=held.x[_VALIDATION_OF_DIGITS:], y=held.y[_VALIDATION_OF_DIGITS:])
    return Data(
        train=Split(x=torch.cat((whole.train.x, more.x)), y=torch.cat((whole.train.y, more.y))),
        validation=Split(x=held.x[:_VALIDATION_OF_DIGITS], y=held.y[:_VALIDATION_OF_DIGITS]),
        test=whole.test,
    )


def _digits_mlp(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def by_digits() -> Task:
    """Return the 64-64-10 net on scikit-learn's digits: SGD at 0.05, batches of 64, 100 epochs.

    Example:
        >>> data = by_digits().data(0)
        >>> len(data.train), len(data.validation), len(data.test)
        (1257, 180, 360)
    """
    return Task(
        name="jamming:digits",
        data=_digits_data,
        model=_digits_mlp,
        loss=functional.cross_entropy,
        metric=accuracy,
        optimizer=_sgd,
        learning_rate=0.05,
        batch_size=64,
        epochs=100,
        rope=0.01,
        description="scikit-learn's 8x8 digits, MLP 64-64-10 by SGD (arXiv:2509.07236, table 3)",
        source="jamming digits, protocol 1",
    )


def by_lenet() -> Task:
    """Return LeNet-5 on Fashion-MNIST: SGD at 0.01 without momentum, batches of 64, 20 epochs.

    Example:
        >>> by_lenet().learning_rate, by_lenet().epochs
        (0.01, 20)
    """
    settings: dict[str, Any] = {"learning_rate": 0.01, "batch_size": 64, "epochs": 20, "rope": 0.01}
    return replace(
        fashion_mnist.by_lenet(),
        name="jamming:lenet",
        optimizer=_sgd,
        description="Fashion-MNIST, LeNet-5 by SGD without momentum (arXiv:2509.07236, tables 6 to 8)",
        source="jamming lenet, protocol 1",
        **settings,
    )
