"""Slowly changing regression, with small nets that learn online from one example at a time.

The problem is that of Dohare et al. 2023 (arXiv:2306.13812; Nature 632, 2024): inputs of 20 bits, of which 15 are drawn anew every 10,000
examples and the others for every example; the target is a fixed net of 100 linear threshold units with weights of -1 and 1. Nets with five
hidden units are too small for the whole target and must go on learning. A net that keeps its plasticity has the same error later as in the
beginning. The paper's text has one bit flip at each change; the authors' code, and the figure, draw all fifteen.

Each trial trains several such nets, each on a problem of its own; the result is their mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from actlab.tasks.task import Task
from actlab.tasks.training.handle import TrialHandle

__all__ = ["Learners", "Problems", "Stream", "slow_regression_task", "train"]

_Floats = NDArray[np.float32]
_BITS, _SLOW, _HIDDEN, _TARGET_UNITS, _BETA = 20, 15, 5, 100, 0.7


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Lengths of the training.

    Attributes:
        changes: number of draws of the slow bits.
        examples: between two draws.
        bin: examples over which the first and the last error are means.
    """

    changes: int = 30
    examples: int = 10_000
    bin: int = 20_000


class Problems:
    """Independent problems: targets, and streams of inputs.

    Args:
        count: number of problems.
        generator: source of all random numbers.

    Example:
        >>> inputs, targets = Problems(3, np.random.default_rng(0)).part(50)
        >>> inputs.shape, targets.shape, bool((inputs[0, :, :15] == inputs[49, :, :15]).all())
        ((50, 3, 20), (50, 3), True)
    """

    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self._generator, self.count = generator, count
        self.weights = self._signs(count, _TARGET_UNITS, _BITS)
        self.biases = self._signs(count, _TARGET_UNITS)
        self.outputs = self._signs(count, _TARGET_UNITS)
        self.output_bias = self._signs(count)
        negative = (_BITS - self.weights.sum(-1) + self.biases) / 2
        self.thresholds = _BETA * (_BITS + 1) - negative

    def part(self, examples: int) -> tuple[_Floats, _Floats]:
        """Draw new slow bits, and return inputs (examples, problems, 20) and targets (examples, problems) up to the next draw."""
        slow = self._generator.integers(2, size=(1, self.count, _SLOW))
        fast = self._generator.integers(2, size=(examples, self.count, _BITS - _SLOW))
        inputs = np.concatenate((np.repeat(slow, examples, 0), fast), -1).astype(np.float32)
        sums = np.einsum("npi,pui->npu", inputs, self.weights) + self.biases
        return inputs, ((sums > self.thresholds) * self.outputs).sum(-1) + self.output_bias

    def _signs(self, *shape: int) -> _Floats:
        return (2 * self._generator.integers(2, size=shape) - 1).astype(np.float32)


class Learners(nn.Module):
    """Nets of 20 inputs, five hidden units and one output, side by side, with the initialization of the paper for ReLU.

    Example:
        >>> Learners(3)(torch.zeros(7, 3, 20)).shape
        torch.Size([7, 3])
    """

    def __init__(self, count: int = 8) -> None:
        super().__init__()
        bounds = (
            (2 * 3 / _BITS) ** 0.5,
            (3 / _HIDDEN) ** 0.5,
        )  # Kaiming's uniform initialization, with gains of sqrt(2) and 1
        self.hidden = nn.Parameter(torch.empty(count, _HIDDEN, _BITS).uniform_(-bounds[0], bounds[0]))
        self.hidden_bias = nn.Parameter(torch.zeros(count, _HIDDEN))
        self.output = nn.Parameter(torch.empty(count, _HIDDEN).uniform_(-bounds[1], bounds[1]))
        self.output_bias = nn.Parameter(torch.zeros(count))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs, shape (n, nets, 20), to outputs, shape (n, nets)."""
        features = self.activation(torch.einsum("npi,pui->npu", x, self.hidden) + self.hidden_bias)
        outputs: Tensor = (features * self.output).sum(-1) + self.output_bias
        return outputs


class _Online:
    """Plain SGD on the squared error, one example at a time, on the memory of the parameters of :class:`Learners`.

    The gradient is written out, but for that of the activation; autograd through the whole net takes three times as long.
    """

    def __init__(self, nets: Learners, lr: float) -> None:
        self._activation, self._rate = nets.activation, np.float32(2 * lr)
        parameters = (nets.hidden, nets.hidden_bias, nets.output, nets.output_bias)
        self._hidden, self._hidden_bias, self._output, self._output_bias = (p.detach().numpy() for p in parameters)
        self._sums = np.zeros((len(self._output), _HIDDEN), np.float32)
        self._watched = torch.from_numpy(self._sums).requires_grad_()
        self._ones = torch.ones_like(self._watched)

    def step(self, x: _Floats, y: _Floats) -> float:
        """Learn from one example of each net, shapes (nets, 20) and (nets,), and return the mean squared error before it."""
        np.matmul(self._hidden, x[:, :, None], out=self._sums[:, :, None])
        self._sums += self._hidden_bias
        outputs = self._activation(self._watched)
        slopes = torch.autograd.grad(outputs, self._watched, self._ones)[0].numpy()
        features = outputs.detach().numpy()
        errors = (self._output * features).sum(1) + self._output_bias - y
        scaled = (self._rate * errors)[:, None]
        back = scaled * self._output * slopes
        self._output -= scaled * features
        self._output_bias -= scaled[:, 0]
        self._hidden_bias -= back
        self._hidden -= back[:, :, None] * x[:, None, :]
        return float(errors @ errors) / len(errors)


def train(model: Learners, seed: int, trial: TrialHandle, stream: Stream = Stream()) -> dict[str, float]:
    """Train nets online, and return their squared errors before each example was learnt.

    Args:
        model: the nets.
        seed: of targets and inputs.
        trial: handle of the trial.
        stream: its lengths.

    Returns:
        The mean error over the last examples and over the first ones, their difference, and the mean over all.

    Example:
        >>> sorted(train(Learners(2), 0, TrialHandle(lr=0.01), Stream(changes=2, examples=30, bin=20)))
        ['first error', 'growth', 'last error', 'mean error']
    """
    problems = Problems(len(model.output), np.random.default_rng(seed))
    online, errors = _Online(model, trial.lr), list[float]()
    for _ in range(max(2, round(stream.changes * trial.steps_share))):
        inputs, targets = problems.part(stream.examples)
        for x, y in zip(inputs, targets, strict=True):
            errors.append(online.step(x, y))
        trial.report(step=len(errors), loss=float(np.mean(errors[-stream.examples :])))
    first, last = float(np.mean(errors[: stream.bin])), float(np.mean(errors[-stream.bin :]))
    return {"last error": last, "first error": first, "growth": last - first, "mean error": float(np.mean(errors))}


def slow_regression_task() -> Task:
    """Return the task with eight nets, SGD at 0.01, 300,000 examples. A linear learner ends at 0.87 to 0.90 in the paper.

    Example:
        >>> slow_regression_task().learning_rate
        0.01
    """
    return Task(
        name="slow-regression",
        model=lambda seed: Learners(),  # noqa: ARG005 # the generator is seeded before the call
        train=train,
        example_inputs=lambda seed: torch.zeros(4, 8, _BITS),  # noqa: ARG005
        metric_name="last error",
        direction="min",
        learning_rate=0.01,
        rope=0.02,
        description="Slowly changing regression, online, nets of five hidden units; published for a linear learner: 0.87 to 0.90",
        source="slow-regression, protocol 1",
    )
