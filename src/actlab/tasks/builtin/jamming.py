"""Tasks of arXiv 2509.07236 on gradient jamming, with Ones, digits and LeNet-5 trained by plain SGD.

Ones is a counting problem: of d bits, K are set, with K uniform on 0..d; the target is whether more than a share tau of the bits is
set. One linear unit can solve it. The settings are those of the authors' examples, with a validation split added where they have none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.errors import TaskError
from actlab.tasks.builtin import digits, fashion_mnist
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Parameters, Task, accuracy

__all__ = ["digits_task", "lenet_task", "ones", "ones_task", "step_task"]


def ones(count: int, bits: int, tau: float, generator: torch.Generator) -> Split:
    """Draw rows of bits with a uniformly distributed number of ones, labelled by whether more than a share ``tau`` is set.

    Args:
        count: number of rows.
        bits: number of bits in each row.
        tau: the share, between 0 and 1.
        generator: source of the random numbers.

    Returns:
        Split of x, float32 (count, bits) of zeros and ones, and y, int64 (count,).

    Example:
        >>> split = ones(4, 10, 0.5, torch.Generator().manual_seed(0))
        >>> split.x.shape, bool((split.y == (split.x.mean(1) > 0.5)).all())
        (torch.Size([4, 10]), True)
    """
    number = torch.randint(bits + 1, (count, 1), generator=generator)
    rank = torch.rand(count, bits, generator=generator).argsort(1)
    return Split(x=(rank < number).float(), y=(number[:, 0] > tau * bits).long())


class _Unit(nn.Module):
    """One unit whose activation value is the probability of the second of two classes.

    The output has both probabilities, from fixed weights behind the activation: so it is no output of the model, which a swap leaves as it
    is, but can be compared with others.
    """

    _weight: Tensor
    _bias: Tensor

    def __init__(self, bits: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(bits, 1)
        self.activation = activation
        self.register_buffer("_weight", torch.tensor([[-1.0], [1.0]]), persistent=False)
        self.register_buffer("_bias", torch.tensor([1.0, 0.0]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        second = self.activation(self.linear(x))
        return functional.linear(second, self._weight, self._bias)


def _ones_data(count: int, bits: int, tau: float, seed: int) -> Data:
    """Draw 80 % for training and 20 % for the test, and a further validation split of the size of the test split."""
    generator = torch.Generator().manual_seed(seed)
    held_out = count // 5
    train, test, validation = (ones(number, bits, tau, generator) for number in (count - held_out, held_out, held_out))
    return Data(train=train, test=test, validation=validation)


def _unit(bits: int, activation: Callable[[], nn.Module], seed: int) -> nn.Module:  # noqa: ARG001 # seeded before the call
    return _Unit(bits, activation())


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy(output[:, 1], target.to(output.dtype))


def _squared_error(output: Tensor, target: Tensor) -> Tensor:
    return functional.mse_loss(output[:, 1], target.to(output.dtype))


def _sgd(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr)


def ones_task(tau: float = 0.7) -> Task:
    """Return the logistic unit on Ones, with 2,000 rows of 10 bits, binary cross-entropy, SGD at 0.1, 30 epochs.

    Args:
        tau: the share of ones above which the label is 1, between 0 and 1; the authors' code has 0.7 and its docstring 0.5.

    Raises:
        TaskError: the share is no such one.

    Example:
        >>> ones_task(0.5).name, len(ones_task().data(0).train)
        ('jamming:ones-0.5', 1600)
    """
    if not 0 < tau < 1:
        raise TaskError(
            f"The number of jamming:ones-{tau:g} is the share of ones above which the label is 1, between 0 and 1; try jamming:ones-0.5."
        )
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


def step_task() -> Task:
    """Return the threshold unit on Ones, with 4,096 rows of 64 bits, tau 0.5, squared error, SGD at 0.1, 20 epochs.

    Example:
        >>> step_task().batch_size, step_task().data(0).test.x.shape
        (64, torch.Size([819, 64]))
    """
    return Task(
        name="jamming:step",
        data=partial(_ones_data, 4096, 64, 0.5),
        model=partial(_unit, 64, nn.Sigmoid),
        loss=_squared_error,
        metric=accuracy,
        optimizer=_sgd,
        learning_rate=0.1,
        batch_size=64,
        epochs=20,
        rope=0.01,
        description="Ones, 64 bits: one unit with a step at its output, squared error (arXiv:2509.07236, table 13)",
        source="ones, step, protocol 1",
    )


def _digits_mlp(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def digits_task() -> Task:
    """Return the 64-64-10 net on scikit-learn's digits, with SGD at 0.05, batches of 64, 100 epochs.

    Example:
        >>> data = digits_task().data(0)
        >>> len(data.train), len(data.validation), len(data.test)
        (1257, 180, 360)
    """
    return Task(
        name="jamming:digits",
        data=digits.splits,
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


def lenet_task() -> Task:
    """Return LeNet-5 on Fashion-MNIST, with SGD at 0.01 without momentum, batches of 64, 20 epochs.

    Example:
        >>> lenet_task().learning_rate, lenet_task().epochs
        (0.01, 20)
    """
    return replace(
        fashion_mnist.lenet_task(),
        name="jamming:lenet",
        optimizer=_sgd,
        learning_rate=0.01,
        batch_size=64,
        epochs=20,
        rope=0.01,
        description="Fashion-MNIST, LeNet-5 by SGD without momentum (arXiv:2509.07236, tables 6 to 8)",
        source="jamming lenet, protocol 1",
    )
