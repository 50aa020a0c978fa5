"""Forecast of the volatility of daily oil prices, by an MLP and by dilated convolutions.

Source: spot price of West Texas Intermediate crude oil, U.S. Energy Information Administration, from 1986 to 2018, in the public domain;
FRED series DCOILWTICO as it comes with the package arch (University of Illinois/NCSA licence).

The target is the logarithm of the volatility of the next five days, the root of the mean of squared daily returns; the inputs are the
returns of the last 60 days and the logarithms of their sizes. The metric is the mean absolute error divided by that of the naive forecast
on the same days, that of the last 20 days goes on: 1 means no better than naive. A linear regression on the volatilities of 1, 5 and 22
days (HAR, Corsi 2009) is the usual competitor; ``har_error`` gives its error. Returns themselves are not forecast, because nothing is
known to do so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.series.walk_forward import WalkForward, moments_of
from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.task import Parameters, Task

__all__ = ["causal_task", "error_to_naive", "har_error", "mlp_task", "squared_error"]

Array = NDArray[np.float64]
_PAST, _HORIZON, _NAIVE = 60, 5, 20
_SMALLEST = 1e-4  # of a volatility, so that a week without trades has a logarithm


def _log_volatility(squares: Array, days: int) -> Array:
    """Return the logarithm of the root mean square of the last ``days`` days, for each day from the ``days``-th on."""
    total = np.concatenate(([0.0], squares.cumsum()))
    return np.log(np.sqrt((total[days:] - total[:-days]).clip(min=0) / days) + _SMALLEST)


@lru_cache(maxsize=1)
def _examples() -> tuple[Tensor, Tensor]:
    """Return inputs, (n, 2, 60), and targets with their naive forecasts, (n, 2), in the order of time."""
    returns = np.diff(np.log(extract("oil")["price"].astype(np.float64)))
    past = np.lib.stride_tricks.sliding_window_view(returns, _PAST)[:-_HORIZON]
    inputs = np.stack(
        (past * 40, np.log(np.abs(past) + 1e-3) + 4.5), 1
    )  # of mean about 0 and standard deviation about 1
    after = _log_volatility(returns**2, _HORIZON)[_PAST:]
    before = _log_volatility(returns**2, _NAIVE)[_PAST - _NAIVE : -_HORIZON]
    return torch.from_numpy(inputs).float(), torch.from_numpy(np.stack((after, before), 1)).float()


def _data(seed: int) -> Data:
    """Return the splits of a seed: eight test periods of 250 days, 250 days of validation before, and all earlier days."""
    x, y = _examples()
    split = WalkForward(origins=len(x), horizon=_HORIZON, test=250, validation=250, periods=8)
    return Data(
        **{
            name: Split(x=x[part.start : part.stop], y=y[part.start : part.stop])
            for name, part in split.parts(seed).items()
        }
    )


def _days(x: Tensor, _: Tensor) -> list[float]:
    """Return the day, counted from 1970-01-01, of the last price that each input knows."""
    return moments_of(x, known=_examples()[0], moments=extract("oil")["day"][_PAST:-_HORIZON].tolist())


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean of squared errors; the target's last dimension is what came and the naive forecast of it.

    Example:
        >>> squared_error(torch.tensor([1.0]), torch.tensor([[3.0, 0.0]]))
        tensor(4.)
    """
    return (output - target[..., 0]).square().mean()


def error_to_naive(output: Tensor, target: Tensor) -> float:
    """Return the mean absolute error, divided by that of the naive forecast in the target's last column; below 1 is better than naive.

    Example:
        >>> error_to_naive(torch.tensor([2.0]), torch.tensor([[3.0, 1.0]]))
        0.5
    """
    error = (output - target[..., 0]).double().abs().mean()
    return float(error / (target[..., 1] - target[..., 0]).double().abs().mean())


def har_error(seed: int) -> float:
    """Return the metric of a linear regression on the log volatilities of 1, 5 and 22 days, fitted to the training split of a seed.

    Example:
        >>> har_error(0) < 1
        True
    """
    parts = {name: tensors_of(split, "oil") for name, split in _data(seed).splits.items()}
    x, goal = (torch.cat([getattr(parts[name], key) for name in ("train", "validation")]) for key in ("x", "y"))
    weights = torch.linalg.lstsq(_har_inputs(x), goal[:, :1].double()).solution
    return error_to_naive((_har_inputs(parts["test"].x) @ weights)[:, 0], parts["test"].y)


def _har_inputs(x: Tensor) -> Tensor:
    squares = (x[:, 0].double() / 40).square()
    roots = [(squares[:, -days:].mean(1).sqrt() + 1e-3).log() for days in (1, 5, 22, 60)]
    return torch.stack([*roots, torch.ones(len(x), dtype=torch.double)], 1)


class _Forecast(nn.Module):
    """A net of the returns, whose output begins near the mean of the targets."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """Map returns, shape (n, 2, 60), to log volatilities, shape (n,)."""
        return self.layers(x)[:, 0] / 2 - 4  # type: ignore[no-any-return]


class _Scales(nn.Module):
    """Means of the sizes and of the returns of the last 1, 2, 5, 10, 22 and 60 days, shape (n, 12)."""

    def forward(self, x: Tensor) -> Tensor:
        sizes, returns = x[:, 1], x[:, 0]
        return torch.stack(
            [part[:, -days:].mean(1) * days**0.3 for part in (sizes, returns) for days in (1, 2, 5, 10, 22, 60)], 1
        )


def _mlp(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return _Forecast(
        nn.Sequential(_Scales(), nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    )


def _causal(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    """Build three dilated convolutions, and a linear map of the mean of the 8 moments that are left of 60."""
    dilated = [
        layer
        for size, dilation in ((2, 1), (16, 4), (16, 8))
        for layer in (nn.Conv1d(size, 16, 5, dilation=dilation), nn.ReLU())
    ]
    return _Forecast(nn.Sequential(*dilated, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 1)))


def _adamw(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.05)


def mlp_task() -> Task:
    """Return the task with an MLP with two hidden layers of 32, of means over the last days.

    Example:
        >>> mlp_task().model(0)(torch.zeros(3, 2, 60)).shape
        torch.Size([3])
    """
    return Task(
        name="oil",
        model=_mlp,
        data=_data,
        loss=squared_error,
        metric=error_to_naive,
        metric_name="error to naive",
        direction="min",
        optimizer=_adamw,
        learning_rate=1e-3,
        batch_size=128,
        epochs=8,
        rope=0.005,
        output_kind="values",
        input_kind="series",
        times=_days,
        description="Volatility of WTI oil prices (EIA, public domain), walk-forward, MLP; naive: 1, linear regression: 0.945",
        source="oil, protocol 1",
    )


def causal_task() -> Task:
    """Return the task with three dilated convolutions.

    Example:
        >>> causal_task().model(0)(torch.zeros(3, 2, 60)).shape
        torch.Size([3])
    """
    return replace(
        mlp_task(),
        name="oil:causal",
        model=_causal,
        description="Volatility of WTI oil prices (EIA, public domain), walk-forward, convolutions; naive: 1, linear regression: 0.945",
    )
