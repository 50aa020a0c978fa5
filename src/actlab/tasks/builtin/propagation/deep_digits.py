"""Deep MLPs on scikit-learn's digits by SGD or Adam, with the state of their units after training.

The net has 64 units in each hidden layer, as many as an image has pixels, as the nets of figure 1 of Klambauer et al. 2017
(arXiv:1706.02515) have as many units as inputs. All variants differ in one thing: the depth, batch normalisation, dropout, the optimizer
with its learning rate, or the width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.errors import TaskError
from actlab.tasks.builtin import digits
from actlab.tasks.builtin.hidden_units import hidden_units
from actlab.tasks.data import Split, tensors_of
from actlab.tasks.task import Task, accuracy
from actlab.tasks.training.handle import TrialHandle

__all__ = [
    "DeepNet",
    "adam_task",
    "alpha_dropout_task",
    "batch_norm_task",
    "depth_task",
    "dropout_task",
    "elu_task",
    "scaled_digits",
    "sgd_task",
    "train",
]

_DEEPEST = 64
_DROPPED = 0.05  # as in arXiv:1706.02515


@dataclass(frozen=True, kw_only=True)
class DeepNet:
    """Net and training.

    Attributes:
        depth: number of hidden layers.
        width: units of each.
        norm: whether batch normalisation stands before each activation.
        dropout: behind each activation: None, "dropout" or "alpha", 5 % of the units.
        optimizer: "sgd" without momentum, or "adam".
        he: whether weights are drawn by He's initialization (arXiv:1502.01852) with zero biases, or by that of torch.
        batch: examples per step.
        epochs: passes over the training split.
    """

    depth: int = 4
    width: int = 64
    norm: bool = False
    dropout: Literal["dropout", "alpha"] | None = None
    optimizer: Literal["sgd", "adam"] = "sgd"
    he: bool = False
    batch: int = 32
    epochs: int = 20

    def model(self, seed: int) -> nn.Sequential:  # noqa: ARG002 # the generator is seeded before the call
        """Return a new net."""
        layers, inputs = list[nn.Module](), 64
        for _ in range(self.depth):
            layers.append(self._linear(inputs, self.width))
            layers += [nn.BatchNorm1d(self.width)] if self.norm else []
            layers.append(nn.ReLU())
            if self.dropout is not None:
                layers.append(nn.AlphaDropout(_DROPPED) if self.dropout == "alpha" else nn.Dropout(_DROPPED))
            inputs = self.width
        return nn.Sequential(*layers, self._linear(inputs, 10))

    def _linear(self, inputs: int, outputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        if self.he:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        return layer


def scaled_digits(seed: int, part: str) -> Split:
    """Return a split of ``digits`` with inputs of mean 0 and standard deviation 1, over all pixels and to 2 %.

    Args:
        seed: of the split.
        part: "train", "validation" or "test".

    Example:
        >>> len(scaled_digits(0, "validation").x)
        180
    """
    split = tensors_of(digits.splits(seed).splits[part], "digits")
    return Split(x=(split.x * 16 - 5) / 6, y=split.y)


def train(model: nn.Sequential, seed: int, trial: TrialHandle, net: DeepNet = DeepNet()) -> dict[str, float]:
    """Train a net on the digits, and return its accuracy and the numbers of its units on the training split.

    Args:
        model: chain of layers.
        seed: of split and order.
        trial: handle of the trial.
        net: its settings.

    Returns:
        The accuracy on the test split, or on the validation split where a learning rate is tried; and what
        :func:`actlab.tasks.builtin.hidden_units.hidden_units` returns, after the training, and as ``initial ...`` before it.

    Example:
        >>> settings = DeepNet(depth=2, epochs=1)
        >>> sorted(train(settings.model(0), 0, TrialHandle(lr=0.1), settings))[:3]
        ['accuracy', 'dead', 'dormant']
    """
    learned, judged = (
        scaled_digits(seed, "train"),
        scaled_digits(seed, "test" if trial.stage == "main" else "validation"),
    )
    before = hidden_units(model, learned.x)
    chosen = torch.optim.SGD if net.optimizer == "sgd" else torch.optim.Adam
    optimizer = chosen(model.parameters(), lr=trial.lr)
    generator, step = torch.Generator().manual_seed(seed), 0
    for _ in range(max(1, round(net.epochs * trial.steps_share))):
        for rows in torch.split(torch.randperm(len(learned.x), generator=generator), net.batch):
            step += 1
            trial.report(step=step, loss=_step(model, optimizer, learned.x[rows], learned.y[rows]))
    model.eval()
    with torch.no_grad():
        reached = accuracy(model(judged.x), judged.y)
    initial = {f"initial {name}": number for name, number in before.items()}
    return {"accuracy": reached, **hidden_units(model, learned.x), **initial}


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    loss = functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
    optimizer.step()
    return float(loss.detach())


def _inputs(seed: int) -> Tensor:
    return scaled_digits(seed, "train").x[:32]


def _task(name: str, net: DeepNet, rate: float, what: str) -> Task:
    return Task(
        name=f"deep-digits:{name}",
        model=net.model,
        train=partial(train, net=net),
        example_inputs=_inputs,
        metric_name="accuracy",
        direction="max",
        learning_rate=rate,
        rope=0.005,
        description=f"scikit-learn's 8x8 digits, {what}; logistic regression: 0.971",
        source=f"deep-digits:{name}, protocol 1",
    )


def _depth(number: float, name: str) -> int:
    if not (isinstance(number, int) and 1 <= number <= _DEEPEST):
        raise TaskError(
            f"The number of deep-digits:{name}-{number:g} is that of hidden layers, from 1 to {_DEEPEST}; try deep-digits:{name}-32."
        )
    return number


def depth_task(depth: float = 32) -> Task:
    """Return the task with ``depth`` hidden layers of 64 by SGD, without normalisation.

    Raises:
        TaskError: the number is not one from 1 to 64.

    Example:
        >>> depth_task(8).name, len(depth_task(8).model(0))
        ('deep-digits:depth-8', 17)
    """
    return _deep("depth", depth, DeepNet(), "without normalisation")


def batch_norm_task(depth: float = 32) -> Task:
    """Return the same task with batch normalisation before each activation.

    Raises:
        TaskError: the number is not one from 1 to 64.

    Example:
        >>> len(batch_norm_task(8).model(0))
        25
    """
    return _deep("batch-norm", depth, DeepNet(norm=True), "with batch normalisation")


def dropout_task(depth: float = 8) -> Task:
    """Return the same task with dropout of 5 % behind each activation.

    Raises:
        TaskError: the number is not one from 1 to 64.

    Example:
        >>> dropout_task(8).model(0)[2]
        Dropout(p=0.05, inplace=False)
    """
    return _deep("dropout", depth, DeepNet(dropout="dropout"), "with dropout")


def alpha_dropout_task(depth: float = 8) -> Task:
    """Return the same task with AlphaDropout (arXiv:1706.02515) of 5 % behind each activation.

    Raises:
        TaskError: the number is not one from 1 to 64.

    Example:
        >>> alpha_dropout_task(8).model(0)[2]
        AlphaDropout(p=0.05, inplace=False)
    """
    return _deep("alpha-dropout", depth, DeepNet(dropout="alpha"), "with AlphaDropout")


def _deep(name: str, depth: float, net: DeepNet, what: str) -> Task:
    layers = _depth(depth, name)
    return _task(f"{name}-{layers}", replace(net, depth=layers), 0.01, f"MLP of {layers} hidden layers {what}")


def _rate(number: float, name: str) -> float:
    if not 0 < number <= 100:
        raise TaskError(
            f"The number of deep-digits:{name}-{number:g} is the learning rate, above 0 and up to 100; try deep-digits:{name}-0.1."
        )
    return float(number)


def sgd_task(rate: float = 0.3) -> Task:
    """Return the task with four hidden layers by SGD at the learning rate ``rate``.

    Raises:
        TaskError: the rate is not above 0 and up to 100.

    Example:
        >>> sgd_task(0.1).learning_rate, sgd_task(0.1).name
        (0.1, 'deep-digits:sgd-0.1')
    """
    return _task(f"sgd-{rate:g}", DeepNet(he=True), _rate(rate, "sgd"), f"MLP of four hidden layers by SGD at {rate:g}")


def adam_task(rate: float = 0.03) -> Task:
    """Return the task with four hidden layers by Adam at the learning rate ``rate``.

    Raises:
        TaskError: the rate is not above 0 and up to 100.

    Example:
        >>> adam_task(0.001).learning_rate
        0.001
    """
    net = DeepNet(optimizer="adam", he=True)
    return _task(f"adam-{rate:g}", net, _rate(rate, "adam"), f"MLP of four hidden layers by Adam at {rate:g}")


def elu_task() -> Task:
    """Return the task with the 8 x 128 net of the ELU paper (arXiv:1511.07289, section 4.1), SGD at 0.01, batches of 64.

    Example:
        >>> elu_task().learning_rate, elu_task().model(0)[0]
        (0.01, Linear(in_features=64, out_features=128, bias=True))
    """
    net = DeepNet(depth=8, width=128, he=True, batch=64, epochs=60)
    return _task("elu-paper", net, 0.01, "the 8 x 128 MLP of the ELU paper by SGD")
