"""Classification of digits and MNIST-1D with MLPs of any depth, width, init, normalisation or dropout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import Final, Literal

import torch
from torch import nn

from actlab.errors import TaskError
from actlab.tasks.builtin import digits, mnist1d
from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.task import Task, adam, load_data

__all__ = ["DEEPEST", "WIDEST", "MLPShape", "digits_task", "dropout_task", "mnist1d_task"]

DEEPEST: Final = 64  # hidden layers
WIDEST: Final = 1024  # units of a hidden layer
_DEPTH: Final = 4  # hidden layers where the number is not that of the layers, as in the task "digits"
_VALIDATION: Final = 1_000  # examples of MNIST-1D held back from training

Init = Literal["torch", "he", "unit"]


@dataclass(frozen=True, kw_only=True)
class MLPShape:
    """Shape of a multilayer perceptron for ten classes.

    Attributes:
        inputs: number of inputs.
        width: units of each hidden layer.
        depth: hidden layers.
        norm: layer before each activation: "batch", "layer" or None.
        init: "torch" for that of ``nn.Linear``; "he" for He's normal numbers, arXiv:1502.01852; "unit" for incoming vectors of norm 1, as
            in the GELU paper. Biases are zero with the last two.
        dropout: share of the hidden units that are dropped behind each activation.
    """

    inputs: int
    width: int
    depth: int = _DEPTH
    norm: Literal["batch", "layer"] | None = None
    init: Init = "torch"
    dropout: float = 0.0

    def build(self, seed: int) -> nn.Sequential:  # noqa: ARG002 # the generator is seeded before the call
        """Return a new net with ReLU.

        Example:
            >>> [type(layer).__name__ for layer in MLPShape(inputs=40, width=8, depth=1, norm="batch").build(0)]
            ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']
        """
        sizes = [self.inputs, *[self.width] * self.depth]
        hidden = [layer for inputs, outputs in pairwise(sizes) for layer in self._hidden(inputs, outputs)]
        return nn.Sequential(*hidden, _linear(self.width, 10, self.init))

    def _hidden(self, inputs: int, outputs: int) -> list[nn.Module]:
        norms = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
        norm = [] if self.norm is None else [norms[self.norm](outputs)]
        dropout = [nn.Dropout(self.dropout)] if self.dropout else []
        return [_linear(inputs, outputs, self.init), *norm, nn.ReLU(), *dropout]


def _linear(inputs: int, outputs: int, init: Init) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    if init == "torch":
        return linear
    with torch.no_grad():
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        if init == "unit":
            linear.weight.copy_(nn.functional.normalize(linear.weight, dim=1))
        linear.bias.zero_()
    return linear


# What the number at the end of a task's name is, by the word before it, and what the net has beside it, in words and as fields.
_DIALS: Final = {
    "depth": ("depth", "hidden layers", {}),
    "he-init": ("depth", "hidden layers with He's initialisation", {"init": "he"}),
    "batch-norm": ("depth", "hidden layers with batch normalisation before each activation", {"norm": "batch"}),
    "layer-norm": ("depth", "hidden layers with layer normalisation before each activation", {"norm": "layer"}),
    "width": ("width", "units in each of four hidden layers", {}),
}
_LARGEST: Final = {"depth": DEEPEST, "width": WIDEST}


def _shape(base: MLPShape, name: str, dial: str, number: float) -> tuple[MLPShape, str]:
    """Return the shape of a net of a number, and what it is in words."""
    field, words, others = _DIALS[dial]
    if not (isinstance(number, int) and 1 <= number <= _LARGEST[field]):
        raise TaskError(
            f"The number of {name}:{dial}-{number} is that of {words}, from 1 to {_LARGEST[field]}; try {name}:{dial}-8."
        )
    return replace(base, **{field: number}, **others), f"{number} {words}"  # type: ignore[arg-type] # fields of several types


def digits_task(dial: str, number: float) -> Task:
    """Return ``digits`` with an MLP of another shape; ``digits:depth-4`` and ``digits:width-64`` have that of ``digits``.

    Logistic regression reaches 0.967 on these splits (mean of 20 seeds, standard error 0.0014).

    Args:
        dial: what the number is: "depth", "he-init", "batch-norm" or "layer-norm" for the number of hidden layers of 64, without a norm or
            with it; "width" for the units of each of four hidden layers.
        number: a whole number, layers from 1 to 64, units from 1 to 1024.

    Raises:
        TaskError: the number is no such one.

    Example:
        >>> task = digits_task("batch-norm", 3)
        >>> task.name, [type(layer).__name__ for layer in task.model(0)][:3]
        ('digits:batch-norm-3', ['Linear', 'BatchNorm1d', 'ReLU'])
    """
    shape, words = _shape(MLPShape(inputs=64, width=64), "digits", dial, number)
    return _named(digits.mlp_task(), shape, f"digits:{dial}-{number}", f"scikit-learn's 8x8 digits, MLP of {words}")


def dropout_task(share: float) -> Task:
    """Return ``digits`` with the 8x128 net of the GELU paper (arXiv:1606.08415, ``mnist_fcn.py``) and dropout, learning rate 1e-3.

    Args:
        share: of the hidden units that are dropped, from 0 to less than 1; the paper has 0 and 0.5.

    Raises:
        TaskError: the share is no such one.

    Example:
        >>> task = dropout_task(0.5)
        >>> task.name, sum(isinstance(layer, torch.nn.Dropout) for layer in task.model(0))
        ('digits:dropout-0.5', 8)
    """
    if not 0 <= share < 1:
        raise TaskError(
            f"The number of digits:dropout-{share:g} is the share of hidden units that are dropped, from 0 to less than 1; "
            "try digits:dropout-0.2."
        )
    shape = MLPShape(inputs=64, width=128, depth=8, init="unit", dropout=share)
    words = f"scikit-learn's 8x8 digits, the 8x128 MLP of the GELU paper, dropout {share:g}"
    return _named(replace(digits.mlp_task(), learning_rate=1e-3), shape, f"digits:dropout-{share:g}", words)


@lru_cache(maxsize=1)
def _published() -> Data:
    return load_data(mnist1d.accuracy_task(), 0)


def _mnist1d_data(seed: int) -> Data:
    """Split the published training signals 7,000 / 1,000 for a seed; the 2,000 test signals are fixed; inputs (n, 40)."""
    published = _published()
    rest, test = tensors_of(published.train, "mnist1d"), tensors_of(published.test, "mnist1d")
    order = torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))
    train, validation = order[_VALIDATION:], order[:_VALIDATION]
    return Data(
        train=Split(x=rest.x[train], y=rest.y[train]),
        validation=Split(x=rest.x[validation], y=rest.y[validation]),
        test=test,
    )


def mnist1d_task(dial: str, number: float) -> Task:
    """Return classification of MNIST-1D with an MLP of any shape, hidden layers of 100, by Adam, 20 epochs of 7,000 signals.

    Logistic regression reaches 0.323 (three seeds), as published (arXiv:2011.14439: 0.32, and 0.68 for an MLP of two hidden layers of 100).

    Args:
        dial: as for :func:`digits_task`.
        number: as for :func:`digits_task`.

    Raises:
        TaskError: the number is no such one.

    Example:
        >>> task = mnist1d_task("depth", 2)
        >>> task.name, [layer.out_features for layer in task.model(0) if isinstance(layer, torch.nn.Linear)]
        ('mnist1d:depth-2', [100, 100, 10])
    """
    shape, words = _shape(MLPShape(inputs=40, width=100), "mnist1d", dial, number)
    base = replace(
        mnist1d.accuracy_task(),
        data=_mnist1d_data,
        optimizer=adam,
        learning_rate=2e-3,
        epochs=20,
        steps=None,
        shuffle=True,
        rope=0.005,
    )
    return _named(base, shape, f"mnist1d:{dial}-{number}", f"MNIST-1D, MLP of {words}")


def _named(base: Task, shape: MLPShape, name: str, description: str) -> Task:
    return replace(
        base, name=name, model=partial(MLPShape.build, shape), description=description, source=f"{name}, protocol 1"
    )
