"""Gradient of an untrained deep MLP on scikit-learn's digits, measured and forecast in closed form.

Nothing is trained: what is measured is the net as it is initialized. The forecast is that of
:mod:`actlab.nn.probes.propagation` (Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232).
"""

from __future__ import annotations

from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.nn.probes.propagation import propagation
from actlab.tasks.builtin.propagation.deep_digits import DeepNet, scaled_digits
from actlab.tasks.task import OWN_RATE, Task

__all__ = ["measure", "task"]

_WIDTH = 256
_DEEPEST = 100
_EXAMPLES = 256


def measure(model: nn.Module, seed: int) -> dict[str, float]:
    """Return the decades of the gradient's norm from the last hidden layer to the first one, at initialization.

    Args:
        model: chain of layers; not changed.
        seed: of the examples.

    Returns:
        By name: ``decades``, log10 of the norm in the first hidden layer over that in the last one; ``forecast``, the same in closed form;
        ``deviation``, what is measured less what is forecast.

    Example:
        >>> numbers = measure(DeepNet(depth=4, width=256).model(0), 0)
        >>> abs(numbers["deviation"]) < 0.1
        True
    """
    found = propagation(model, _inputs(seed))
    return {
        "decades": found.decades,
        "forecast": found.decades_forecast,
        "deviation": found.decades - found.decades_forecast,
    }


def _inputs(seed: int) -> Tensor:
    return scaled_digits(seed, "train").x[:_EXAMPLES]


def task(depth: float = 20) -> Task:
    """Return the task with ``depth`` hidden layers of 256 and the initialization of torch.

    A larger number of decades is listed as better, as gradients that vanish are what deep nets suffer from; 0 is a kept gradient.

    Args:
        depth: number of hidden layers, from 2 to 100.

    Raises:
        TaskError: the number is no such one.

    Example:
        >>> task(30).name
        'gradient:depth-30'
    """
    if not (isinstance(depth, int) and 2 <= depth <= _DEEPEST):
        raise TaskError(
            f"The number of gradient:depth-{depth:g} is that of hidden layers, from 2 to {_DEEPEST}; try gradient:depth-20."
        )
    return Task(
        name=f"gradient:depth-{depth}",
        model=DeepNet(depth=depth, width=_WIDTH).model,
        train=measure,
        example_inputs=_inputs,
        metric_name="decades",
        direction="max",
        learning_rate=OWN_RATE,
        rope=0.3,
        description=f"Gradient through {depth} hidden layers of 256 before training, on scikit-learn's digits; kept: 0",
        source=f"gradient:depth-{depth}, protocol 1",
    )
