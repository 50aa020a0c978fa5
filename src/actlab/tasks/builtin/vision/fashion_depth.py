"""Classification of Fashion-MNIST with a plain MLP of any depth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

from torch import nn

from actlab.errors import TaskError
from actlab.tasks.builtin import fashion_mnist
from actlab.tasks.builtin.vision.schedules import warm_cosine
from actlab.tasks.task import Task

__all__ = ["DEEPEST", "task"]

DEEPEST = 100  # hidden layers
_WIDTH = 64


def _model(depth: int, seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    """Build 784-[64] x depth-10 without normalisation or shortcuts, with He's initialisation, arXiv:1502.01852."""
    sizes = [784, *[_WIDTH] * depth, 10]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def task(depth: float = 16) -> Task:
    """Return the task with an MLP of ``depth`` hidden layers of 64, 3 epochs.

    What a function does to signal and gradient from layer to layer adds up with the depth. Fashion-MNIST is published under the MIT
    licence. Logistic regression on pixels reaches 0.845 (``docs/evidence/domains.md``); published for an MLP, longer trained: 0.883.

    Args:
        depth: number of hidden layers, from 1 to 100.

    Raises:
        TaskError: the number is no such one.

    Example:
        >>> sum(isinstance(layer, nn.ReLU) for layer in task(20).model(0)), task(20).name
        (20, 'fashion-mnist:depth-20')
    """
    if not (isinstance(depth, int) and 1 <= depth <= DEEPEST):
        raise TaskError(
            f"The number of fashion-mnist:depth-{depth} is that of hidden layers, from 1 to {DEEPEST}; try fashion-mnist:depth-16."
        )
    return replace(
        fashion_mnist.lenet_task(),
        name=f"fashion-mnist:depth-{depth}",
        model=partial(_model, depth),
        scheduler=warm_cosine,
        learning_rate=1e-3,
        epochs=3,
        description=f"Fashion-MNIST (MIT licence), MLP of {depth} hidden layers (depth-1 to depth-{DEEPEST}); logistic regression: 0.845",
        source=f"fashion-mnist:depth-{depth}, protocol 1",
    )
