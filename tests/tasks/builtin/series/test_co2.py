"""Weeks without a measurement take the value before, and the naive forecast is last year's course."""

import numpy as np
import pytest

from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.series import co2
from actlab.tasks.builtin.series.oil import error_to_naive


def test_missing_weeks_are_filled_from_the_past_alone():
    ppm = extract("co2")["ppm"].astype(np.float64)
    filled = list[float]()
    for value in ppm:
        filled.append(filled[-1] if np.isnan(value) else value)
    x, y = co2._examples()

    assert int(np.isnan(ppm).sum()) == 59
    for origin in (0, 700, len(x) - 1):
        last = filled[origin + 103]
        assert x[origin].tolist() == pytest.approx([value - last for value in filled[origin : origin + 104]], abs=1e-3)
        assert y[origin, :, 0].tolist() == pytest.approx(
            [v - last for v in filled[origin + 104 : origin + 117]], abs=1e-3
        )
        year = [filled[origin + 104 + week - 52] - filled[origin + 103 - 52] for week in range(13)]
        assert y[origin, :, 1].tolist() == pytest.approx(year, abs=1e-3)


def test_the_naive_forecast_is_better_than_no_change_and_has_an_error_of_1():
    y = co2._examples()[1]

    assert error_to_naive(y[..., 1], y) == 1.0
    assert error_to_naive(0 * y[..., 1], y) > 2
