"""Forecast of the next 13 weeks of atmospheric CO2 at Mauna Loa, by an MLP.

Source: weekly means from 1958 to 2001, C. D. Keeling and T. P. Whorf, Scripps Institution of Oceanography, by the Carbon Dioxide
Information Analysis Center; in the public domain, as it comes with statsmodels. Weeks without a measurement, 59 of 2,284, take the value
of the week before, so that no value comes from the future.

The input is the last 104 weeks, less the last value; the metric is the mean absolute error divided by that of the naive forecast on the
same weeks, last year's course from the present value on (``x[t + h - 52] + x[t] - x[t - 52]``): 1 means no better than naive.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.series.oil import error_to_naive, squared_error
from actlab.tasks.builtin.series.walk_forward import WalkForward, moments_of
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task

__all__ = ["mlp_task"]

_PAST, _HORIZON, _YEAR = 104, 13, 52


@lru_cache(maxsize=1)
def _examples() -> tuple[Tensor, Tensor]:
    """Return inputs, (n, 104), and targets with their naive forecasts, (n, 13, 2), in ppm above the last value, in the order of time."""
    ppm = extract("co2")["ppm"].astype(np.float64)
    known = np.maximum.accumulate(np.where(np.isnan(ppm), 0, np.arange(len(ppm))))
    windows = np.lib.stride_tricks.sliding_window_view(ppm[known], _PAST + _HORIZON)
    above = windows - windows[:, _PAST - 1 : _PAST]
    after = above[:, _PAST:]
    naive = above[:, _PAST - _YEAR : _PAST - _YEAR + _HORIZON] - above[:, _PAST - 1 - _YEAR : _PAST - _YEAR]
    return torch.from_numpy(above[:, :_PAST]).float(), torch.from_numpy(np.stack((after, naive), -1)).float()


def _data(seed: int) -> Data:
    """Return the splits of a seed: five test periods of 104 weeks, 104 weeks of validation before, and all earlier weeks."""
    x, y = _examples()
    split = WalkForward(origins=len(x), horizon=_HORIZON, test=104, validation=104, periods=5)
    return Data(
        **{
            name: Split(x=x[part.start : part.stop], y=y[part.start : part.stop])
            for name, part in split.parts(seed).items()
        }
    )


def _weeks(x: Tensor, _: Tensor) -> list[float]:
    """Return the week, from the first one on, of the last value that each input knows."""
    known = _examples()[0]
    return moments_of(x, known=known, moments=range(_PAST - 1, _PAST - 1 + len(known)))


class _Forecast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(_PAST, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, _HORIZON)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x / 3) * 3  # type: ignore[no-any-return] # the inputs have a standard deviation of about 3 ppm


def mlp_task() -> Task:
    """Return the task with an MLP with two hidden layers of 64.

    Example:
        >>> mlp_task().model(0)(torch.zeros(3, 104)).shape
        torch.Size([3, 13])
    """
    return Task(
        name="co2",
        model=lambda seed: _Forecast(),  # noqa: ARG005 # the generator is seeded before the call
        data=_data,
        loss=squared_error,
        metric=error_to_naive,
        metric_name="error to naive",
        direction="min",
        learning_rate=1e-3,
        batch_size=64,
        epochs=60,
        rope=0.01,
        output_kind="values",
        input_kind="series",
        times=_weeks,
        description="Weekly CO2 at Mauna Loa (Scripps, public domain), 13 weeks ahead, walk-forward; naive: 1, linear regression: 0.65",
        source="co2, protocol 1",
    )
